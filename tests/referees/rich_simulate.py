"""Random tables of the richer laws: truths drawn widely, or from the stated priors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import rich_model, simulate
from .rich_model import Parameters, RichProblem, RichTable

Floats = NDArray[np.float64]


class Design(NamedTuple):
    """What was measured, before there are scores."""

    losses: Floats  # [checkpoints], weakest first
    series_of: NDArray[np.int64]  # [checkpoints]
    amounts: Floats
    chance: float
    d0: float
    tau: float
    sampling: float


def _design(rng: np.random.Generator, law: str) -> Design:
    """5 to 12 checkpoints, 3 to 6 amounts; two or three series in some `deviation` tables."""
    losses = simulate._losses(rng)
    while len(losses) > 12:
        losses = simulate._losses(rng)
    amounts = simulate._amounts(rng)
    while len(amounts) > 6:
        amounts = simulate._amounts(rng)
    series_of = np.zeros(len(losses), dtype=np.int64)
    if "deviation" in law and len(losses) >= 6 and rng.random() < 0.4:
        several = 3 if len(losses) >= 9 and rng.random() < 0.4 else 2
        series_of = rng.permutation(np.arange(len(losses)) % several)
    noise = float(np.exp(rng.uniform(np.log(0.003), np.log(0.03))))
    share = rng.uniform(0.1, 0.95)
    return Design(
        losses=losses,
        series_of=series_of,
        amounts=amounts,
        chance=float(rng.choice([0.0, 0.1, 0.25, 0.5], p=[0.1, 0.2, 0.5, 0.2])),
        d0=float(rng.integers(1, 9)),
        tau=noise * float(np.sqrt(share)),
        sampling=noise * float(np.sqrt(1 - share)),
    )


def _layout(rng: np.random.Generator, at: Design, law: str) -> RichTable:
    """The rows of a design, their scores still at chance and no sampling error stated."""
    repeats = rng.choice(["single", "rows", "runs"], p=[0.4, 0.3, 0.3])
    keep = rng.uniform(0.85, 1.0) if rng.random() < 0.4 else 1.0
    few = not rng.random() < 0.15
    cells: list[tuple[int, float, int, float]] = []  # checkpoint, examples, subset, runs
    for c in range(len(at.losses)):
        if few:
            cells.append((c, np.nan, 0, 1.0))
        for amount in at.amounts:
            cells.extend(
                (c, float(amount), subset, 2.0 if repeats == "runs" else 1.0)
                for subset in range(2 if repeats == "rows" else 1)
                if rng.random() < keep
            )
    checkpoint, examples, subset, runs = (np.array(v) for v in zip(*cells, strict=True))
    nothing = np.full(len(cells), np.nan)
    return RichTable(
        loss=at.losses[checkpoint],
        examples=examples,
        few_shot=np.isnan(examples),
        score=np.full(len(cells), at.chance),
        stderr=nothing,
        n_items=nothing,
        runs=runs,
        checkpoint=checkpoint,
        subset=subset,
        chance=at.chance,
        few_shot_examples=at.d0,
        law=law,
        truth=simulate.Truth(
            elbow_at_d0=np.nan, elbow_at_dmax=np.nan, alpha=np.nan, slope=np.nan, level=np.nan,
            offset=np.nan, tau=at.tau,
        ),
        series=at.series_of[checkpoint],
        parameters={},
    )  # fmt: skip


def _elbows(rng: np.random.Generator, at: Design) -> tuple[float, float]:
    """E(D0) and E(Dmax): mostly still ahead few-shot, the finetuned elbow among the losses."""
    span, strongest = np.ptp(at.losses), at.losses.min()
    if rng.random() < 0.75:
        e0 = strongest - span * rng.uniform(-0.02, 0.3)
    else:
        e0 = strongest + span * rng.uniform(0.02, 0.4)
    return float(e0), float(e0 + (at.losses.max() - e0) * rng.uniform(0.3, 0.95))


def _truth(rng: np.random.Generator, at: Design, p: RichProblem) -> Parameters:
    """Parameters that a real table might have, drawn widely and not from the priors."""
    spread, room = p.plain.spread, p.plain.score_range
    out: Parameters = {}
    if p.form == "hill":
        out["ln_k"] = np.asarray(rng.uniform(np.log(16), np.log(4096)))
        out["ln_h"] = np.asarray(rng.uniform(np.log(0.5), np.log(2.5)))
    else:
        low, high = (0.5, 4.0) if p.form == "log-power" else (0.08, 1.0)
        out["ln_alpha"] = np.asarray(np.log(rng.uniform(low, high)))
    e0, emax = _elbows(rng, at)
    at_0, at_max = (rich_model.gain(p, out, a) for a in (p.plain.d0, p.plain.dmax))
    out["d"] = np.asarray((emax - e0) / (at_max - at_0))
    out["e10"] = np.asarray(e0 - out["d"] * at_0)
    out["tau"] = np.asarray(at.tau)
    out["level"] = np.asarray(max(at.chance + rng.normal(0, 0.01) * room, 0.0))
    if p.plain.few_shot.any():
        out["offset"] = np.asarray(rng.normal(0, 0.01) * room)
    if "soft" in p.features:
        out["width"] = np.asarray(spread * rng.uniform(0.02, 0.3))
    if "ceiling" in p.features:
        out["rho"] = np.asarray(rng.uniform(0.1, 1.5) / spread)
    # the finetuned model with the most data scores `top` above chance
    top = rng.uniform(0.15, 0.9) * room
    slope = top / max(float(rich_model.rise_of(p, out).max()), 0.05 * spread)
    out["slope"] = np.asarray(slope)
    if "slopes" in p.features:
        out["omega"] = np.asarray(slope * rng.uniform(0.05, 0.4))
    if "deviation" in p.features:
        out["kappa"] = np.asarray(room * rng.uniform(0.003, 0.04))
        if p.several:
            out["kappa_s"] = np.asarray(room * rng.uniform(0.003, 0.06))
    return out | rich_model.draw_effects(p, out, rng)


def rich_table(rng: np.random.Generator, law: str, *, stderr_known: bool = False) -> RichTable:
    """A table of a law with its design and its truth drawn from `rng`, scores within [0, 1].

    Sampling errors are known as `stderr`, known through `n_items`, or not known; with
    `stderr_known` always as `stderr`, as `from_prior` needs it.
    """
    at = _design(rng, law)
    table = _layout(rng, at, law)
    p = rich_model.rich_problem(table)
    parameters = _truth(rng, at, p)
    known = str(rng.choice(["stderr", "n_items", "neither"], p=[0.45, 0.35, 0.2]))
    errors = at.sampling * np.exp(rng.normal(0, 0.1, len(table.loss)))
    items = float(max(int(0.2 / at.sampling**2), 50))
    if stderr_known:
        known = "stderr"
    if known == "n_items":
        centre = np.clip(rich_model.rich_mean(p, parameters), 0, 1)
        errors = np.sqrt(centre * (1 - centre) / items)
    truly = replace(p, plain=replace(p.plain, s=errors))
    score = np.clip(rich_model.draw_scores(truly, parameters, rng), 0.0, 1.0)
    if known == "n_items":
        score = np.round(score * items) / items
    missing = table.stderr
    return replace(
        table,
        score=score,
        stderr=errors if known == "stderr" else missing,
        n_items=np.full(len(score), items) if known == "n_items" else missing,
        parameters=parameters,
        truth=stated(p, parameters),
    )


def stated(p: RichProblem, parameters: Parameters) -> simulate.Truth:
    """What all laws share, of a law's own parameters; alpha is nan where there is none."""
    e0, emax = (rich_model.rich_elbow(p, parameters, a) for a in (p.plain.d0, p.plain.dmax))
    return simulate.Truth(
        elbow_at_d0=float(e0),
        elbow_at_dmax=float(emax),
        alpha=float(np.exp(parameters["ln_alpha"])) if "ln_alpha" in parameters else np.nan,
        slope=float(parameters["slope"]),
        level=float(parameters["level"]),
        offset=float(parameters.get("offset", np.asarray(0.0))),
        tau=float(parameters["tau"]),
    )


def from_prior(
    design: RichTable, law: str, rng: np.random.Generator
) -> tuple[dict[str, Floats], Floats]:
    """A truth drawn from the stated priors of a law on a fixed design, and its scores, unclipped.

    Priors come from losses, amounts and chance alone. The truth holds every parameter, and E(D0)
    as `elbow_at_d0`. `replace(design, score=scores, law=law)` is then the table. ValueError where
    a row has no `stderr`: its noise would depend on its own score.
    """
    if not (design.stderr > 0).all():
        raise ValueError("every row of the design needs a stderr: rich_table(stderr_known=True)")
    p = rich_model.rich_problem(design, law)
    parameters = rich_model.draw_prior(p, rng)
    scores = rich_model.draw_scores(p, parameters, rng)
    e0 = rich_model.rich_elbow(p, parameters, p.plain.d0)
    return parameters | {"elbow_at_d0": e0}, scores


def rich_tables(n: int, seed: int, law: str) -> list[RichTable]:
    """The first n tables of a law and seed; table i does not depend on n."""
    key = list(law.encode())
    return [rich_table(np.random.default_rng([seed, i, *key]), law) for i in range(n)]


def rich_rows(table: RichTable) -> list[dict[str, Any]]:
    """The table as rows of a measurement table, each under its own series, `s0` and on."""
    rows = simulate.as_rows(table)
    for row, series in zip(rows, table.series, strict=True):
        row["series"] = f"s{series}"
    return rows
