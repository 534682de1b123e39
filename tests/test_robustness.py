"""Malformed, degenerate and pure-chance tables: a forecast, a refusal or a named error."""

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
from emergecast.forecasts import ForecastOptions, Verdict
from tests.designs import asked

CASES, CHUNKS = 70, 2
"""Tables of a chunk, and chunks; `performance/robustness.py` runs forty of them."""

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


def _named(error: EmergecastError) -> str:
    assert str(error).strip()
    return type(error).__name__


def outcome(table: object, read: Row, ways: Row) -> str:
    """How far a table got: the name of the error, or the verdict; anything else is raised."""
    try:
        rows = emergecast.read_table(table, **read)
    except EmergecastError as error:
        return f"read_table: {_named(error)}"
    try:
        fit = emergecast.fit(rows, *asked(**ways))
    except EmergecastError as error:
        return f"fit: {_named(error)}"
    forecast = emergecast.forecast(fit, options=ForecastOptions(bootstraps=0))
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
        "shifted", "one-outlier",
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
        "law", "law", "noisy law", "chance", "chance", "chance", "constant", "constant high",
        "falling", "worst", "bounds", "best", "worst", "step", "uniform",
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
        "huge": 5 * even,
        "bits": even / math.log(2),
        "shifted": even + 12,
        "one-outlier": np.where(np.arange(n) == 0, 14.9, even),
    }[kind]


def _scores(kind: str, loss: np.ndarray, share: np.ndarray, rng: np.random.Generator) -> Any:
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
    kinds: dict[str, Row] = {
        "n_items": {"n_items": 1000},
        "stderr": {"stderr": 0.01 * scale},
        "neither": {},
        "zero": {"stderr": 0.0},
        "huge": {"stderr": 0.4 * scale},
        "minute": {"stderr": 1e-12 * scale},
        "mixed": {"stderr": (0.001, 10.0, None)[row % 3], "n_items": (None, 7, 10**9)[row % 3]},
        "one item": {"n_items": 1},
    }
    return kinds[kind]


@st.composite
def cases(draw) -> Case:
    """Mostly sound tables of odd designs, some with broken cells, and odd options."""
    n = draw(st.sampled_from([6, 6, 5, 4, 8, 3, 2, 1, 12]))
    few_shot, metric, errors = draw(FEW_SHOT), draw(METRICS), draw(ERRORS)
    kind, amounts = draw(SCORES), draw(AMOUNTS)
    lacks = draw(st.sampled_from(["nothing", "checkpoints", "amounts", "amounts", "rise"]))
    if lacks == "checkpoints":  # most cases lack something: a forecast takes a second
        n = min(n, 3)
    elif lacks == "amounts":
        amounts = amounts[:2]
    elif lacks == "rise":
        kind = draw(st.sampled_from(["chance", "constant", "worst"]))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    by_checkpoint = _losses(draw(LOSSES), n, rng)
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
    keep = draw(st.sampled_from([1.0, 1.0, 0.7, 0.3]))
    runs = [
        (c, amount, repeat)
        for c, amount in cells
        for repeat in range(1 if amount is None else repeats)
        if rng.random() < keep
    ]
    rows: list[Row] = []
    if runs:
        loss = np.array([by_checkpoint[c] for c, *_ in runs])
        top = math.log(max([a for a in amounts if a] or [2]) + 1)
        share = np.array([math.log(a + 1) / top if a else 0.0 for _, a, _ in runs])
        chance, best = RANGES.get(metric, (0.25, 1.0))
        score = chance + (best - chance) * _scores(kind, loss, share, rng)
        worst = {"mcc": -1.0, "logprob": -1e9, "my own score": -1e9, "\x00": -1e9}.get(metric, 0.0)
        if best < chance:
            worst = {"brier_score": 2.0}.get(metric, 1e9)
        score = np.clip(score, min(worst, best), max(worst, best))
        for i, (c, amount, r) in enumerate(runs):
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
    values: dict[str, list[Any]] = {
        "shots": [0, 5], "chance": [0.25, 0.5], "snapshot": [True, False], "runs": [1, 99],
        "method": ["full", "prefix"],
    }  # fmt: skip
    for i, row in enumerate(rows):
        if column == "method" and row["setting"] == "few_shot":
            continue
        pick = int(row["checkpoint"][1:]) if column in {"series", "tokenizer", "loss_corpus"} else i
        if column is not None:
            row[column] = values.get(column, ["a", "b"])[pick % 2]


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
                ]
            )
        )  # fmt: skip
        ways[name] = draw(st.sampled_from(values))
    return ways


def fuzz(chunk: int) -> collections.Counter[str]:
    """How each table of a chunk ended; anything but a verdict or a named error is raised."""
    ended: collections.Counter[str] = collections.Counter()

    @seed(chunk)
    @settings(
        max_examples=CASES,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(cases())
    def every(case: Case) -> None:
        # the mixture costs twenty times the plain law; one table in forty has it
        law = "mixture" if ended.total() % 40 == 0 else "log-power"
        ended[outcome(case.rows, case.read, {"law": law, **case.ways})] += 1

    every()
    return ended


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_any_table_ends_in_a_forecast_a_refusal_or_a_named_error(chunk):
    """No other exception, no warning, no NaN; and a good share of the tables are really fitted."""
    ended = fuzz(chunk)
    fits = sum(ended[str(verdict)] for verdict in Verdict)
    read = ended.total() - ended["read_table: TableError"] - ended["read_table: OptionError"]
    assert read >= 0.5 * ended.total(), ended
    assert fits >= 0.1 * ended.total(), ended
    assert fits - ended[Verdict.REFUSED] >= 0.01 * ended.total(), ended


# --------------------------------------------------------------------------- designs worth a look


def law_rows(losses, amounts, *, noise: float = 0.01, few_shot=lambda _: True, **more) -> list[Row]:
    """Scores of a law whose elbows spread over the losses; the few-shot one is the lowest."""
    rng = np.random.default_rng(5)
    low, span, top = min(losses), max(losses) - min(losses), math.log(max(amounts) + 1)
    rows: list[Row] = []
    for i, loss in enumerate(losses):
        for amount in (None, *amounts):
            if amount is None and not few_shot(loss):
                continue
            elbow = low + span * (0.8 * math.log((amount or 0) + 1) / top - 0.05)
            score = 0.25 + 0.6 * max(elbow - loss, 0.0) / span + noise * rng.standard_normal()
            rows.append(
                {
                    "checkpoint": f"c{i}", "loss": float(loss), "task": "t", "chance": 0.25,
                    "setting": "few_shot" if amount is None else "finetuned", "examples": amount,
                    "shots": 5 if amount is None else None, "score": float(np.clip(score, 0, 1)),
                    "stderr": noise, **more,
                }
            )  # fmt: skip
    return rows


EVEN = tuple(float(loss) for loss in np.linspace(2.6, 2.0, 10))
AMOUNTS_USED = (16, 256, 4096)
DESIGNS: dict[str, tuple[list[Row], Row]] = {
    "plain": (law_rows(EVEN, AMOUNTS_USED), {}),
    "noise far above its prior": (law_rows(EVEN, AMOUNTS_USED, noise=0.4, stderr=1e-4), {}),
    "few-shot rows only of strong checkpoints": (
        law_rows(EVEN, AMOUNTS_USED, few_shot=lambda loss: loss < 2.2),
        {},
    ),
    "more shots than the smallest amount": (law_rows(EVEN, (4, 64, 1024)), {}),
    "D0 is the smallest amount": (law_rows(EVEN, AMOUNTS_USED), {"few_shot_examples": 16}),
    "an amount of one": (law_rows(EVEN, (1, 30, 1000)), {}),
    "an amount of one, power law": (law_rows(EVEN, (1, 30, 1000)), {"law": "power"}),
    "amounts of one to three": (law_rows(EVEN, (1, 2, 3)), {}),
    "two amounts nearly equal": (law_rows(EVEN, (1000, 1001, 30_000)), {}),
    "all amounts nearly equal": (law_rows(EVEN, (100_000, 100_001, 100_002)), {}),
    "amounts of 1e12": (law_rows(EVEN, (10**6, 10**9, 10**12)), {}),
    "amounts of 1e12, power law": (law_rows(EVEN, (10**6, 10**9, 10**12)), {"law": "power"}),
    "large losses": (law_rows([5 * loss for loss in EVEN], AMOUNTS_USED), {}),
    "losses of millionths": (law_rows([1e-6 * loss for loss in EVEN], AMOUNTS_USED), {}),
    "losses far apart and crowded": (law_rows([14.9, 2.01, 2.02, 2.03, 2.04], AMOUNTS_USED), {}),
    "no stated errors": (law_rows(EVEN, AMOUNTS_USED, noise=0.0, stderr=None), {}),
    "errors as large as can be": (law_rows(EVEN, AMOUNTS_USED, stderr=0.5), {}),
    "one checkpoint, many losses on paper": (
        [{**row, "checkpoint": "c", "loss": 2.0, "seed": i} for i, row in
         enumerate(law_rows(EVEN, AMOUNTS_USED)) if row["setting"] == "finetuned"],
        {},
    ),
    "wide priors": (
        law_rows(EVEN, AMOUNTS_USED),
        {"priors": {"alpha_sd_ln": 3.0, "elbow_scale": 100.0, "noise_scale": 10.0}},
    ),
    "narrow priors": (
        law_rows(EVEN, AMOUNTS_USED),
        {"priors": {"alpha_sd_ln": 1e-3, "elbow_scale": 1e-3, "noise_scale": 1e-6}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DESIGNS)
def test_odd_designs_end_well(name: str):
    """A forecast or a refusal, finite throughout; draws and expectations too."""
    rows, ways = DESIGNS[name]
    ended = outcome(rows, {}, ways)  # the mixture, unless the design names a law
    if name == "one checkpoint, many losses on paper":
        assert ended == "fit: FitError"
        return
    assert ended in set(Verdict), ended
    forecast = emergecast.forecast(
        rows,
        *asked(**{"law": "log-power", **ways}),
        options=ForecastOptions(bootstraps=20),
    )
    assert not_finite(forecast.to_dict()) == []
    if forecast.elbow is None:
        return
    drawn = forecast.draws(500)
    for parameter in ("elbow", "elbow_high", "alpha", "k", "c", "slope", "chance", "noise"):
        assert np.isfinite(getattr(drawn, parameter)).all(), parameter
    at = forecast.at(forecast.fit.data.strongest_loss, (0.5,))
    assert all(map(math.isfinite, (at.emerged, at.score, at.exceeds[0].probability)))
    for frame in (forecast.curves(), forecast.distribution()):
        for column in frame.select("loss", frame.columns[-2]).iter_columns():
            assert column.is_finite().all()


@pytest.mark.parametrize("amounts", [(16, 256, 4096), (1000, 1001, 1002), (10**11, 10**12)])
def test_scores_without_any_order_have_an_estimate_or_none(amounts: tuple[int, ...]):
    """20 tables of uniform scores an amount set: the likelihood runs off to odd places, quietly."""
    for number in range(20):
        rng = np.random.default_rng(number)
        rows = [
            {**row, "score": float(rng.uniform())}
            for row in law_rows(EVEN, amounts, stderr=None, n_items=1000)
        ]
        found = emergecast.fit(rows, options=asked(law="log-power")[1]).mle
        if found is not None:
            assert math.isfinite(found.elbow)
            assert math.isfinite(found.log_likelihood)
            assert found.law.slope > 0


# ------------------------------------------------------------------------------------ pure chance

CHANCE_CHUNK, CHANCE_CHUNKS = 250, 1
"""As above, of twenty."""


def chance_table(number: int) -> list[Row]:
    """A table in which nothing ever leaves chance; its design is drawn widely, too."""
    rng = np.random.default_rng([20260101, number])
    n = int(rng.integers(4, 13))
    smallest, largest = rng.integers(8, 65), 10 ** rng.uniform(3, 5)
    amounts = np.unique(np.round(np.geomspace(smallest, largest, int(rng.integers(3, 8)))))
    low = rng.uniform(1.7, 5.0)
    losses = np.sort(rng.uniform(low, low + rng.uniform(0.3, 1.5), n))
    chance = float(rng.choice([0.0, 0.1, 0.25, 0.5]))
    items = int(np.exp(rng.uniform(np.log(50), np.log(5000))))
    tau = float(rng.choice([0.0, 0.0, 0.01, 0.03]))
    tau = tau if chance else 0.0  # scatter about 0 cannot go down, so its mean would not be chance
    known = str(rng.choice(["stderr", "n_items", "neither"]))
    repeats = int(rng.choice([1, 1, 2]))
    with_few_shot = rng.random() < 0.85
    rows: list[Row] = []
    for c, loss in enumerate(losses):
        for amount in ((None,) if with_few_shot else ()) + tuple(map(int, amounts)):
            for repeat in range(1 if amount is None else repeats):
                scatter = 0.0 if amount is None else tau * rng.standard_normal()
                score = float(rng.binomial(items, np.clip(chance + scatter, 0, 1)) / items)
                row: Row = {
                    "checkpoint": f"c{c}", "loss": float(loss), "task": "t", "chance": chance,
                    "setting": "few_shot" if amount is None else "finetuned", "examples": amount,
                    "seed": None if amount is None else repeat, "score": score,
                }  # fmt: skip
                if known == "n_items":
                    row["n_items"] = items
                if known == "stderr":
                    row["stderr"] = math.sqrt(max(score * (1 - score), 1e-9) / items)
                rows.append(row)
    return rows


def chance(chunk: int) -> collections.Counter[str]:
    """How the tables of a chunk ended."""
    first = chunk * CHANCE_CHUNK
    return collections.Counter(
        outcome(chance_table(n), {}, {}) for n in range(first, first + CHANCE_CHUNK)
    )


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHANCE_CHUNKS))
def test_pure_chance_is_not_identified(chunk: int):
    """Nor observed: nearly all tables are refused, and the rest are weak."""
    counts = chance(chunk)
    assert set(counts) <= {"refused", "weak"}
    assert counts["refused"] >= 0.98 * CHANCE_CHUNK


def test_rows_from_which_a_step_of_scipy_overflows_have_a_forecast():
    """Errors of 10 beside errors of 0.001, at thousands of the axis: no warning."""
    scores = [
        0.025881276287964147, 0.020134486306115886, -0.05422324957931937, -0.037780264919353455,
        -0.003495441841103239, -0.00844380823152707, 0.004272859949972222, 0.004346438620451272,
        0.04235677510102097, -0.022240415253845628, -0.0075521001425399616, 0.040855432149846604,
        0.012934059924036938, 0.013261267447525234,
    ]  # fmt: skip
    amounts = [1000, 1001, 100_000] * 2 + [None, 1000, 1001, 100_000] * 2
    known: list[Row] = [
        {"stderr": 0.001},
        {"stderr": 10.0, "n_items": 7},
        {"n_items": 1_000_000_000},
    ]
    runs = [1, 99, 1, 99, 1, 99, 1, 99, 1, 99, 1, 99, 1, 99]
    losses = [3600.0] * 3 + [3400.0] * 3 + [3200.0] * 4 + [3000.0] * 4
    rows = [
        {
            "checkpoint": f"c{(3600 - loss) / 200:.0f}", "size": loss, "task": "t", "metric": "mcc",
            "setting": "few_shot" if amount is None else "finetuned",
            "shots": 5 if amount is None else None, "examples": amount,
            "seed": None if amount is None else 0, "score": score, "chance": 0.0, "runs": run,
            **known[i % 3],
        }
        for i, (loss, amount, score, run) in enumerate(
            zip(losses, amounts, scores, runs, strict=True)
        )
    ]  # fmt: skip
    axis = {"axis": "size:lower"}
    assert outcome(rows, axis, {"law": "log-power", **axis}) == "weak"
