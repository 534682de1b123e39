"""Malformed, degenerate and pure-chance tables: a forecast, a refusal or a named error, never more."""

from __future__ import annotations

import collections
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

import emergecast
from emergecast.errors import EmergecastError
from emergecast.forecast import Verdict
from emergecast.measurements import SelectOptions, fits_of

CASES, CHUNKS = 5_000, 10

Row = dict[str, Any]


# ------------------------------------------------------------------------------------- how it ends


def not_finite(value: object, path: str = "") -> list[str]:
    """Where a tree of plain values holds a NaN or an infinity, or something that is not plain."""
    if isinstance(value, dict):
        return [bad for key, part in value.items() for bad in not_finite(part, f"{path}.{key}")]
    if isinstance(value, list):
        return [bad for i, part in enumerate(value) for bad in not_finite(part, f"{path}[{i}]")]
    if value is None or type(value) in {bool, int, str}:
        return []
    if type(value) is float and math.isfinite(value):
        return []
    return [f"{path} = {value!r}"]


def outcome(table: object, read: Row, ways: Row) -> str:
    """How far a table got: the name of the error, or the verdict; anything else is raised."""
    try:
        rows = emergecast.read_table(table, **read)
    except EmergecastError as error:
        assert str(error)
        return f"read_table: {type(error).__name__}"
    try:
        fit = emergecast.fit(rows, **ways)
    except EmergecastError as error:
        assert str(error)
        return f"fit: {type(error).__name__}"
    forecast = fit.forecast(bootstraps=0)
    record = forecast.to_dict()
    assert not_finite(record) == []
    assert all(record["reasons"])
    assert "nan" not in f"{forecast!r} {forecast._repr_html_()}".split()
    if forecast.elbow is None:
        assert forecast.verdict is Verdict.REFUSED
        return "refused"
    elbow = record["elbow"]
    quantiles = [elbow[name] for name in ("p05", "p25", "p50", "p75", "p95")]
    assert quantiles == sorted(quantiles)
    assert quantiles[0] < quantiles[-1]
    return str(forecast.verdict)


# ------------------------------------------------------------------------------- malformed tables

LOSSES = st.sampled_from(
    [
        "even", "even", "even", "wide", "crowded", "twins", "one", "pairs", "tiny", "huge", "bits",
        "thousands", "one-outlier",
    ]
)  # fmt: skip
AMOUNTS = st.sampled_from(
    [
        (64, 512, 4096), (64, 512, 4096), (16, 64, 256, 1024), (10, 100, 1000, 10_000, 100_000),
        (1, 10, 100), (1000, 1001, 100_000), (1000, 1001, 1002), (1, 2, 3), (2, 3, 10**12),
        (1, 10**12), (10**11, 10**12 - 1, 10**12), (16, 64), (100,), (1,), (),
    ]
)  # fmt: skip
SCORES = st.sampled_from(
    [
        "law", "law", "law", "law", "noisy law", "chance", "chance", "constant", "constant high",
        "falling", "bounds", "best", "worst", "step", "uniform",
    ]
)  # fmt: skip
METRICS = st.sampled_from(
    [
        "acc", "acc", "acc", "acc", "exact_match,strict-match", "brier_score", "mcc", "logprob",
        "perplexity", "bits_per_byte", "my own score", "\x00",
    ]
)  # fmt: skip
RANGES = {
    "brier_score": (0.75, 0.0), "mcc": (0.0, 1.0), "logprob": (-8.0, 0.0),
    "perplexity": (50.0, 1.0), "bits_per_byte": (2.0, 0.0), "my own score": (300.0, 900.0),
    "\x00": (1e-9, 2e-9),
}  # fmt: skip
"""Chance and best score to draw for a metric; (0.25, 1) where it is not here."""
ERRORS = st.sampled_from(
    ["n_items", "n_items", "stderr", "neither", "zero", "huge", "minute", "mixed", "one item"]
)
FEW_SHOT = st.sampled_from(["all", "all", "all", "none", "strong", "weak", "only"])
CELLS = st.one_of(
    st.sampled_from(
        [
            None, math.nan, math.inf, -math.inf, "NaN", "nan", "", " ", "N/A", "0.5", "1e999", -1,
            0, 1, 1.3, 25.0, 1e-300, 1e300, 10**20, True, "few_shot", "finetuned", "lora-8", "full",
            [1], {"k": 1}, b"x", "\ud800", 2.0, 0.25, 64,
        ]
    ),
    st.floats(),
    st.integers(-5, 5000),
)  # fmt: skip
COLUMNS = st.sampled_from(
    [
        "series", "checkpoint", "tokenizer", "loss", "loss_stderr", "loss_corpus", "loss_source",
        "task", "metric", "setting", "shots", "examples", "epochs", "seed", "method", "snapshot",
        "score", "stderr", "n_items", "runs", "chance", "params", "extra",
    ]
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Case:
    """A table, how to read it and how to fit it."""

    rows: list[Row]
    read: Row = field(default_factory=dict)
    ways: Row = field(default_factory=dict)


def _losses(kind: str, n: int, rng: np.random.Generator) -> np.ndarray:
    even = np.linspace(2.6, 2.0, n)
    if kind == "pairs":
        return np.repeat(even, 2)[:n]
    return {
        "even": even,
        "wide": np.linspace(11.0, 1.2, n),
        "crowded": 2.0 + rng.uniform(0, 0.01, n),
        "twins": np.round(rng.uniform(2.0, 2.3, n), 1),
        "one": np.full(n, 2.0),
        "tiny": 1e-6 * even,
        "huge": 1e6 * even,
        "bits": even / math.log(2),
        "thousands": even * 1000 + 1000,
        "one-outlier": np.where(np.arange(n) == 0, 1000.0, even),
    }[kind]


def _scores(kind: str, loss: np.ndarray, share: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Share of the way from chance to the best score; `share` is ln D / ln Dmax, 0 few-shot."""
    reach = (loss.max() - loss) / max(float(np.ptp(loss)), 1e-300)
    rise = np.maximum(reach - 1.0 + 0.9 * share, 0.0)
    noise = rng.standard_normal(loss.size)
    return {
        "law": 0.7 * rise + 0.01 * noise,
        "noisy law": 0.7 * rise + 0.3 * noise,
        "chance": 0.02 * noise,
        "constant": np.zeros(loss.size),
        "constant high": np.full(loss.size, 0.5),
        "falling": 0.7 * (1 - reach),
        "bounds": (rise > 0.2).astype(float),
        "best": np.ones(loss.size),
        "worst": np.full(loss.size, -1e9),
        "step": 0.3 * (share > 0) * (reach > 0.5),
        "uniform": rng.uniform(-0.3, 1.0, loss.size),
    }[kind]


def _errors(kind: str, row: int, scale: float) -> Row:
    return {
        "n_items": {"n_items": 1000},
        "stderr": {"stderr": 0.01 * scale},
        "neither": {},
        "zero": {"stderr": 0.0},
        "huge": {"stderr": 1e3 * scale},
        "minute": {"stderr": 1e-12 * scale},
        "mixed": {"stderr": (0.001, 10.0, None)[row % 3], "n_items": (None, 7, 10**9)[row % 3]},
        "one item": {"n_items": 1},
    }[kind]


@st.composite
def cases(draw) -> Case:
    """Mostly sound tables of odd designs, some with broken cells, and odd options."""
    n = draw(st.sampled_from([6, 6, 5, 4, 8, 3, 2, 1, 12]))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    by_checkpoint = _losses(draw(LOSSES), n, rng)
    amounts: tuple[int | None, ...] = draw(AMOUNTS)
    few_shot, kind, metric, errors = draw(FEW_SHOT), draw(SCORES), draw(METRICS), draw(ERRORS)
    cells = [
        (c, amount)
        for c in range(n)
        for amount in (None, *amounts)
        if amount is not None
        or few_shot in {"all", "only"}
        or (few_shot == "strong" and c >= n / 2)
        or (few_shot == "weak" and c < n / 2)
    ]
    if few_shot == "only":
        cells = [cell for cell in cells if cell[1] is None]
    repeats = draw(st.sampled_from([1, 1, 1, 2]))
    cells = [(*cell, r) for cell in cells for r in range(1 if cell[1] is None else repeats)]
    keep = draw(st.sampled_from([1.0, 1.0, 0.7, 0.3]))
    cells = [cell for cell in cells if rng.random() < keep]
    rows: list[Row] = []
    if cells:
        loss = np.array([by_checkpoint[c] for c, *_ in cells])
        top = math.log(max([a for a in amounts if a] or [2]) + 1)
        share = np.array([math.log(a + 1) / top if a else 0.0 for _, a, _ in cells])
        chance, best = RANGES.get(metric, (0.25, 1.0))
        score = chance + (best - chance) * _scores(kind, loss, share, rng)
        worst = {"mcc": -1.0, "logprob": -1e9, "my own score": -1e9, "\x00": -1e9}.get(metric, 0.0)
        if best < chance:
            worst = {"brier_score": 2.0}.get(metric, 1e9)
        score = np.clip(score, min(worst, best), max(worst, best))
        for i, (c, amount, r) in enumerate(cells):
            rows.append(
                {
                    "checkpoint": f"c{c}", "loss": float(loss[i]), "task": "t", "metric": metric,
                    "setting": "few_shot" if amount is None else "finetuned",
                    "shots": 5 if amount is None else None, "examples": amount,
                    "seed": r if amount else None, "score": float(score[i]), "chance": chance,
                    **_errors(errors, i, abs(best - chance)),
                }
            )  # fmt: skip
    _mix(draw, rows)
    _damage(draw, rows)
    read = draw(st.sampled_from([{}, {}, {}, {"chance": 0.25}, {"chance": -3.0}]))
    return Case(rows=rows, read=read, ways=_ways(draw, by_checkpoint))


def _mix(draw, rows: list[Row]) -> None:
    """Spread the rows over several of something, now and then."""
    column = draw(
        st.sampled_from(
            [None] * 7
            + ["series", "tokenizer", "loss_corpus", "task", "metric", "method", "shots", "chance"]
            + ["snapshot", "runs"]
        )
    )
    values = {"shots": [0, 5], "chance": [0.25, 0.5], "snapshot": [True, False], "runs": [1, 99]}
    for i, row in enumerate(rows):
        if column == "method" and row["setting"] == "few_shot":
            continue
        pick = int(row["checkpoint"][1:]) if column in {"series", "tokenizer", "loss_corpus"} else i
        if column is not None:
            row[column] = values.get(column, ["full", "prefix"] if column == "method" else "ab")[
                pick % 2
            ]


def _damage(draw, rows: list[Row]) -> None:
    """Break up to three cells, or drop, repeat or lose rows and columns, now and then."""
    if not rows or draw(st.integers(0, 2)):
        return
    how = draw(st.sampled_from(["cells", "cells", "column", "drop", "repeat", "constant", "empty"]))
    at = draw(st.integers(0, len(rows) - 1))
    if how == "cells":
        for row, column, cell in draw(
            st.lists(st.tuples(st.integers(0, len(rows) - 1), COLUMNS, CELLS), max_size=3)
        ):
            rows[row][column] = cell
    elif how == "repeat":
        rows.append(dict(rows[at]))
    elif how == "empty":
        rows.clear()
    else:
        column, cell = draw(COLUMNS), draw(CELLS)
        for row in rows:
            if how == "constant":
                row[column] = cell
            elif how == "column":
                row.pop(column, None)
        if how == "drop":
            del rows[at:]


def _ways(draw, losses: np.ndarray) -> Row:
    """Options of the fit, mostly none."""
    ways: Row = {}
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        name, values = draw(
            st.sampled_from(
                [
                    ("law", ["power", "power", "exp", ""]),
                    ("few_shot_examples", [1, 5, 64, 0, -1, math.nan, 1e30, 3.7]),
                    ("pool", [True]),
                    ("at_chance_only", [True]),
                    ("min_loss", [float(np.median(losses)), math.nan, -1.0, 1e9]),
                    ("max_loss", [float(np.median(losses)), math.nan, math.inf, 0.0]),
                    ("exclude", [("c0",), ("c?",), "c1", ("nobody",), ("[",)]),
                    ("where", [(("checkpoint", "c1"),), (("nothing", "x"),), (("seed", "0"),)]),
                    ("priors", [
                        {"noise_scale": 1e-6}, {"elbow_scale": 1e3}, {"alpha_sd_ln": 3.0},
                        {"slope_scale": 0.0}, {"alpha_median": math.inf}, {"no_such": 1.0},
                        {"slope_scale": 1e6}, {"level_scale": 1e-9}, {"shift_scale": 1e-4},
                    ]),
                    ("lower_is_better", [True, False]),
                    ("task", ["t", "no such task"]),
                    ("metric", ["acc", "no such metric"]),
                    ("chance", [0.3, math.nan]),
                    ("no_such_option", [1]),
                ]
            )
        )  # fmt: skip
        ways[name] = draw(st.sampled_from(values))
    return ways


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_any_table_ends_in_a_forecast_a_refusal_or_a_named_error(chunk):
    """5,000 tables; no other exception, no warning, no NaN; and a good share are really fitted."""
    ended: collections.Counter[str] = collections.Counter()

    @seed(chunk)
    @settings(
        max_examples=CASES // CHUNKS,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(cases())
    def every(case: Case) -> None:
        ended[outcome(case.rows, case.read, case.ways)] += 1

    every()
    fitted = sum(ended[str(verdict)] for verdict in Verdict)
    told = sum(ended[verdict] for verdict in Verdict if verdict is not Verdict.REFUSED)
    print(dict(ended))
    assert fitted >= 0.15 * ended.total(), ended
    assert told >= 0.01 * ended.total(), ended
