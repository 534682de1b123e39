"""Numbers that can be read and cannot be right: impossible cells, and columns that look wrong."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from emergecast.measurements._metrics import MetricKind, metric_of
from emergecast.measurements._schema import FEWEST_COUNTED, HIGHEST_LOSS, LossSource
from emergecast.measurements.reading import Findings
from emergecast.scaling import CHINCHILLA_LAWS

Columns = dict[str, list[Any]]
Floats = NDArray[np.float64]

LARGEST_ERROR: Final = 0.5
"""Standard error of a proportion that is either 0 or 1 with equal odds, from one item."""
FEW_PARAMS, FEW_TOKENS = 1e4, 1e5
"""A series whose largest model or longest run has fewer counts in other units, it seems."""
THIN, LAVISH = 1e-3, 1e6
"""Most and fewest tokens per parameter that any run of a series is thought to have."""
SMALLEST_LAWFUL: Final = (1e7, 1e9)
"""Params and tokens from which published scaling laws are consulted."""
BELOW, ABOVE = 0.6, 1.3
"""Times the lowest and the highest loss of the published laws between which corpora and tokenizers
lie: code is easier, many languages are harder."""
BITS: Final = 1 / math.log(2)
LIKE = 0.15
"""By how much of itself a converted loss may differ from a law that it is said to agree with."""
FEWEST, STEP, SURE, OUTLIER = 8, 0.04, 8.0, 0.08
"""A part of a series is offset: checkpoints that it takes to say so; nats, and standard deviations
of what is left, that the step must have; nats that one checkpoint alone must be off."""
LEAST_SCATTER = 3e-3
"""Standard deviation that losses about a smooth law are thought to have at least, nats."""
NEARLY = 1e-3
"""A column of which less than this is left without the others says nothing of its own."""
FEWEST_SAME: Final = 4
"""Scores that must be equal, all of them, before that is odd."""


def check_plausible(known: Columns, findings: Findings) -> None:
    """Report cells that no measurement can hold."""
    for row, params in enumerate(known["params"]):
        if params is not None and params < FEWEST_COUNTED:
            findings.add(
                f"no language model has {params:,} parameters.",
                "Write the count itself: 7e9 or 7B, not 7.",
                row=row,
                column="params",
                value=params,
            )
    for row, loss in enumerate(known["loss"]):
        if loss is not None and loss > HIGHEST_LOSS and (row, "params") not in findings.bad_cells:
            estimated = known["loss_source"][row] == LossSource.ESTIMATED
            findings.add(
                f"no language model has a loss above {HIGHEST_LOSS:g} nats per token.",
                "It was estimated from params and tokens: write the counts themselves (7e9 or 7B)."
                if estimated
                else "Write nats per token: of a perplexity, its natural logarithm.",
                row=row,
                column="loss",
                value=f"{loss:.6g}",
            )
    for row, error in enumerate(known["stderr"]):
        proportion = metric_of(known["metric"][row]).kind is MetricKind.PROPORTION
        if error is not None and error > LARGEST_ERROR and proportion:
            findings.add(
                f"no proportion has a standard error above {LARGEST_ERROR:g}.",
                "Divide by 100 if this is in percent; else check the number.",
                row=row,
                column="stderr",
                value=error,
            )


# -------------------------------------------------------------------- columns that look wrong


def suspicions(frame: pl.DataFrame) -> tuple[str, ...]:
    """What in the checkpoints of a table cannot well be right, in sentences.

    Args:
        frame: rows with the columns series, checkpoint, params, tokens, loss and loss_source, and
            loss_corpus where there is one; losses in nats per token.
    """
    owner = ["series"] + [name for name in ("loss_corpus",) if name in frame.columns]
    facts = frame.unique([*owner, "checkpoint"], maintain_order=True)
    found: list[str] = []
    for _, part in facts.group_by(owner, maintain_order=True):
        found += _units(part)
        found += _losses(_Checkpoints.of(part))
    return tuple(dict.fromkeys(found))


def remarks(frame: pl.DataFrame) -> tuple[str, ...]:
    """What a table does not say, or says twice, in sentences.

    Args:
        frame: rows with the columns series, checkpoint, score, stderr, n_items and metric; further
            columns tell measurements apart.
    """
    return (*_no_errors(frame), *_same_everywhere(frame), *_same_scores(frame))


def _units(part: pl.DataFrame) -> Iterator[str]:
    """Counts of params or tokens in millions or billions."""
    series = part["series"][0]
    params, tokens = (part[name].drop_nulls() for name in ("params", "tokens"))
    most = [float(np.max(each.to_numpy())) if each.len() else None for each in (params, tokens)]
    for name, largest, fewest in zip(
        ("params", "tokens"), most, (FEW_PARAMS, FEW_TOKENS), strict=True
    ):
        if largest is not None and largest < fewest:
            yield _in_units(series, name, f"the largest is {largest:,.0f}")
            return
    both = part.drop_nulls(["params", "tokens"])
    if both.is_empty():
        return
    ratio = both["tokens"].to_numpy() / both["params"].to_numpy()
    if ratio.max() < THIN:
        yield _in_units(series, "tokens", f"at most {ratio.max():.1g} for each parameter")
    elif ratio.min() > LAVISH:
        yield _in_units(series, "params", f"at least {ratio.min():.1g} tokens for each")


def _in_units(series: str, name: str, why: str) -> str:
    return (
        f"The {name} of series {series} look like millions or billions ({why}): write the counts "
        "themselves, such as 7e9 or 7B."
    )


class _Checkpoints(NamedTuple):
    """Measured losses of one series, those large enough for published laws; n of them."""

    series: str
    names: list[str]
    params: Floats
    tokens: Floats
    loss: Floats
    by_law: Floats
    """Loss of each under each published law, shape (laws, n)."""

    @classmethod
    def of(cls, part: pl.DataFrame) -> _Checkpoints:
        least_params, least_tokens = SMALLEST_LAWFUL
        part = part.filter(
            pl.col("loss_source") == LossSource.MEASURED.value,
            pl.col("params") >= least_params,
            pl.col("tokens") >= least_tokens,
            pl.col("loss").is_not_null(),
        )
        columns = (part[name].to_numpy().astype(float) for name in ("params", "tokens", "loss"))
        params, tokens, loss = columns
        laws = [law.loss(params, tokens) for law in CHINCHILLA_LAWS.values()]
        series = part["series"][0] if part.height else ""
        return cls(series, part["checkpoint"].to_list(), params, tokens, loss, np.array(laws))


def _losses(series: _Checkpoints) -> Iterator[str]:
    if not series.names:
        return
    low, high = series.by_law.min(axis=0), series.by_law.max(axis=0)
    below, above = np.median(series.loss / low), np.median(series.loss / high)
    if below >= BELOW and above <= ABOVE:
        yield from _offset(series)
        return
    law = np.median(series.by_law, axis=0)

    def like(values: Floats) -> bool:
        return bool(abs(np.median(values / law) - 1) < LIKE)

    guess = "check the unit, and which text they were measured on"
    if like(np.log(np.maximum(series.loss, 1e-9))):
        guess = "they look like perplexities, of which a loss is the natural logarithm"
    elif like(series.loss / BITS):
        guess = f"they look like bits per token; divide by {BITS:.4f}"
    elif above < BELOW:
        guess = "they look like losses per byte or character rather than per token"
    side = "above" if above > ABOVE else "below"
    yield (
        f"The losses of series {series.series} lie {side} what any "
        f"published scaling law allows for these params and tokens ({series.loss[0]:.3g} for "
        f"{series.names[0]}, where the laws say {low[0]:.3g} to {high[0]:.3g}): {guess}."
    )


def _offset(series: _Checkpoints) -> Iterator[str]:
    """A part of the series whose losses are shifted against the rest.

    The rest is a law of the series' own: its floor and the weights of params and tokens are free.
    """
    n = len(series.names)
    if n < FEWEST:
        return
    law = np.median(series.by_law, axis=0)
    smooth = _independent([np.ones(n), series.params**-0.34, series.tokens**-0.28, law**2])
    best: tuple[float, float, NDArray[np.bool_]] | None = None
    for part in _parts(series.params, series.tokens, -law):
        found = _step(smooth, part, series.loss)
        if found is not None and (best is None or found[1] > best[1] * (1 + NEARLY)):
            best = (*found, part)
    if best is None:
        return
    step, sure, part = best
    least = OUTLIER if part.sum() == 1 else STEP
    if sure > SURE and abs(step) > least:
        names = [name for name, own in zip(series.names, part, strict=True) if own]
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        yield (
            f"The losses of {shown} (series {series.series}) are offset by {step:+.2f} nats "
            "against the rest of the series: measured on other text, with another tokenizer, or "
            "mistyped?"
        )


def _parts(*keys: Floats) -> Iterator[NDArray[np.bool_]]:
    """Every checkpoint alone, and the smaller side of every cut by one of the keys."""
    yield from np.eye(keys[0].size, dtype=bool)
    for key in keys:
        for edge in np.unique(key)[1:]:
            part = key >= edge
            yield part if 2 * part.sum() <= key.size else ~part


def _independent(columns: Sequence[Floats]) -> Floats:
    """An orthonormal base of the columns, without those that others nearly give."""
    base: list[Floats] = []
    for column in columns:
        rest = column / np.linalg.norm(column)
        for one in base:
            rest = rest - (one @ rest) * one
        if np.linalg.norm(rest) > NEARLY:
            base.append(rest / np.linalg.norm(rest))
    return np.column_stack(base)


def _step(smooth: Floats, part: NDArray[np.bool_], loss: Floats) -> tuple[float, float] | None:
    """Offset of a part against a smooth curve, and in how many of its standard errors."""
    column = part - smooth @ (smooth.T @ part)
    size = float(column @ column)
    free = loss.size - smooth.shape[1] - 1
    if size < NEARLY or free < 2:
        return None
    rest = loss - smooth @ (smooth.T @ loss)
    step = float(column @ rest) / size
    rest = rest - step * column
    scatter = max(float(np.sqrt(rest @ rest / free)), LEAST_SCATTER)
    return step, abs(step) * math.sqrt(size) / scatter


# ------------------------------------------------------------------- what is not said, or twice


def _no_errors(frame: pl.DataFrame) -> Iterator[str]:
    stated = frame.filter(pl.col("stderr").is_not_null() | pl.col("n_items").is_not_null())
    if stated.is_empty():
        counts = " If its column N counts test items, call it n_items." if "N" in frame else ""
        yield (
            "No row says how sure its score is (stderr or n_items), so all noise is estimated from "
            f"the scatter of the scores.{counts}"
        )
    elif (stated["n_items"].is_null() & (stated["stderr"] == 0)).all():
        yield (
            "Every standard error is 0: no score of a finite test is exact. Leave stderr empty, or "
            "give n_items."
        )


def _same_everywhere(frame: pl.DataFrame) -> Iterator[str]:
    for (series, task), part in frame.group_by(["series", "task"], maintain_order=True):
        several = part["checkpoint"].n_unique() > 2
        if part.height >= FEWEST_SAME and several and part["score"].n_unique() == 1:
            yield (
                f"All {part.height} scores of {task} in series {series} are {part['score'][0]:g}: "
                "a test that nothing can fail or pass, or one score copied to all rows?"
            )


def _same_scores(frame: pl.DataFrame) -> Iterator[str]:
    """Checkpoints of one series that share every score."""
    apart = ("task", "metric", "setting", "few_shot", "shots", "examples", "subset", "seed")
    key = [name for name in apart if name in frame.columns]
    groups: defaultdict[tuple[str, tuple[Any, ...]], list[str]] = defaultdict(list)
    for (series, checkpoint), part in frame.group_by(["series", "checkpoint"], maintain_order=True):
        if part.height >= FEWEST_SAME and part["score"].n_unique() > 1:
            rows = tuple(sorted(part.select(*key, "score").rows(), key=repr))
            groups[str(series), rows].append(str(checkpoint))
    for (series, rows), names in groups.items():
        if len(names) > 1:
            yield (
                f"{_listed(names)} of series {series} have the same {len(rows)} scores: one "
                "checkpoint under several names, or results copied?"
            )


def _listed(names: Sequence[str]) -> str:
    return (
        ", ".join(names[:-1]) + f" and {names[-1]}"
        if len(names) <= 4
        else (", ".join(names[:3]) + f" and {len(names) - 3} more")
    )
