"""Picking the rows of one fit, and refusing rows that do not make one."""

from __future__ import annotations

import dataclasses
import fnmatch
from typing import Any

import numpy as np
import polars as pl

from emergecast.errors import SelectionError, near
from emergecast.measurements._axis import Axis, Shift
from emergecast.measurements._metrics import MetricKind, metric_of
from emergecast.measurements._onto_axis import RAW_LOSS, ROW, on_axis, shifted, with_worth
from emergecast.measurements._plausible import remarks, suspicions
from emergecast.measurements._schema import DEFAULT_METRIC, INVENTED, KEY, LossSource, Setting
from emergecast.measurements._table import Measurements
from emergecast.measurements.reading import as_text
from emergecast.measurements.selecting._at_chance import horizon
from emergecast.measurements.selecting._doubted_chance import doubted_chance, in_table
from emergecast.measurements.selecting._orientation import orientation
from emergecast.measurements.selecting._selection import (
    ANNEALED,
    INVENTED_SCORES,
    Selection,
    SelectOptions,
)

_FINETUNED = pl.col("setting") == Setting.FINETUNED.value
_NOTHING: tuple[str, ...] = ()
NAMES_SHOWN = 6
_ROW_COLUMNS = (
    *("series", "checkpoint", "params", "tokens", "flops", "lr_fraction"),
    *("loss", "loss_stderr", "loss_source"),
    *("few_shot", "examples", "subset", "seed", "score", "stderr", "n_items", "runs", "snapshot"),
)


def fits_of(table: Measurements, options: SelectOptions) -> tuple[SelectOptions, ...]:
    """The options of each single fit asked for: one per task, and per series unless pooled.

    Without a task, every task of the table; without series, every series that has rows of the task.

    Raises:
        SelectionError: as `select`, for a task, a series or a column that is not there.
    """
    frame = _where(table.frame, options)
    if options.task is not None:
        frame = _pick(frame, "task", options.task)
    frame = _pick_series(frame, options)
    fits: list[SelectOptions] = []
    for task in _values(frame, "task"):
        if options.pool:
            fits.append(dataclasses.replace(options, task=task))
        else:
            names = _values(frame.filter(pl.col("task") == task), "series")
            fits += [dataclasses.replace(options, task=task, series=name) for name in names]
    return tuple(fits)


def select(table: Measurements, options: SelectOptions) -> Selection:
    """The rows of one fit: one task, metric, method, number of shots, corpus and chance level.

    One filter a line, then the record (which is why it is longer than other functions).

    Raises:
        SelectionError: the rows asked for are none, or do not make one fit; the message says which
            option decides.
        OptionError: an `axis` or a `shift` that cannot be read.
        TableError: values that have no place on the axis, or that are not amounts of the shift.
    """
    axis, shift = Axis.parse(options.axis), Shift.parse(options.shift)
    if table.frame.is_empty():
        raise SelectionError("the table has no rows.")
    frame = _where(table.frame.with_row_index(ROW, offset=1), options)
    frame = _one(frame, "task", options.task, "--task")
    frame = _one_metric(frame, options.metric)
    frame, series = _one_series(frame, options)
    warnings: tuple[str, ...]
    frame, warnings = _one_corpus(frame, options.loss_corpus, matters=axis.name == "loss")
    frame, method = _one_method(frame, options.method)
    frame = _one_variant(frame)
    frame, shots = (frame, None) if shift.name == "shots" else _one_shots(frame, options.shots)
    frame = _exclude(frame, options)
    frame = frame if axis.is_loss else on_axis(frame, axis, table.name)
    frame = _between(frame, options, axis)
    frame, shift = shifted(frame, shift, table.name)
    if axis.name == "loss":
        warnings += _one_tokenizer(frame)
    metric = metric_of(frame["metric"][0])
    lower, said = orientation(frame, metric, options.lower_is_better)
    sign = -1.0 if lower else 1.0
    kind = MetricKind.CONTINUOUS if lower else metric.kind  # a negated share has no binomial error
    chance = sign * _one_chance(frame) + 0.0
    everything = _oriented(frame, sign)
    doubt = in_table(doubted_chance(everything, kind, chance), sign)
    said += () if doubt is None else (doubt.sentence,)
    rows, hidden, reason = everything, _NOTHING, None
    if options.at_chance_only:
        limit = horizon(everything, kind, chance)
        rows, hidden, reason = _hide(everything, limit, axis)
        frame = frame.filter(pl.col("loss") > limit) if limit is not None else frame
    axis = axis if axis.is_loss else with_worth(axis, frame)
    invented = bool(frame[INVENTED].any())
    return Selection(
        task=frame["task"][0],
        metric=frame["metric"][0],
        metric_kind=kind,
        negated=lower,
        best=_best(metric.best, lower=lower, expected=metric.lower_is_better),
        series=series,
        method=method,
        loss_corpus=_only(frame, "loss_corpus"),
        shots=shots if shift.is_examples else None,
        chance=chance,
        rows=rows,
        all_few_shot=everything.filter(pl.col("few_shot")),
        finetuned_spread=_spread(everything.filter(~pl.col("few_shot"))),
        warnings=(
            *[INVENTED_SCORES] * invented,
            *said,
            *warnings,
            *_remarks(frame, axis),
            *remarks(frame),
        ),
        suspicions=suspicions(
            frame if axis.is_loss else frame.with_columns(pl.col(RAW_LOSS).alias("loss"))
        ),
        hidden=hidden,
        hidden_reason=reason,
        invented=invented,
        table_hash=table.hash,
        chance_doubt=doubt,
        axis=axis,
        shift=shift,
    )


def _one_variant(frame: pl.DataFrame) -> pl.DataFrame:
    names = _values(frame, "variant")
    if len(names) > 1:
        raise SelectionError(
            f"the rows are of several variants: {', '.join(names[:6])}. Choose with --where"
            " variant=VALUE."
        )
    return frame


def _best(best: float | None, *, lower: bool, expected: bool) -> float | None:
    if best is None or lower is not expected:
        return None
    return (-best if lower else best) + 0.0


def _values(frame: pl.DataFrame, column: str) -> list[Any]:
    return sorted(frame[column].drop_nulls().unique().to_list())


def _only(frame: pl.DataFrame, column: str) -> Any:  # noqa: ANN401
    values = _values(frame, column)
    return values[0] if len(values) == 1 else None


def _where(frame: pl.DataFrame, options: SelectOptions) -> pl.DataFrame:
    columns = [name for name in frame.columns if name != ROW]
    for column, value in options.where:
        if column not in columns:
            raise SelectionError(
                f'there is no column "{column}" to filter by. {near(column, columns)}'
            )
        wanted = as_text(value)
        kept = [cell is not None and as_text(cell) == wanted for cell in frame[column].to_list()]
        if not any(kept):
            seen = sorted({as_text(cell) for cell in frame[column].to_list() if cell is not None})
            raise SelectionError(f'no row left has {column} "{value}". {near(value, seen)}')
        frame = frame.filter(pl.Series(kept))
    return frame


def _pick(frame: pl.DataFrame, column: str, value: str) -> pl.DataFrame:
    kept = frame.filter(pl.col(column) == value)
    if kept.is_empty():
        names = [str(name) for name in _values(frame, column)]
        raise SelectionError(f'no row has the {column} "{value}". {near(value, names)}')
    return kept


def _one(frame: pl.DataFrame, column: str, value: str | None, flag: str) -> pl.DataFrame:
    if value is not None:
        return _pick(frame, column, value)
    names = _values(frame, column)
    if len(names) > 1:
        raise SelectionError(
            f"there are several {column}s: {', '.join(names)}. Choose with {flag}."
        )
    return frame


def _one_metric(frame: pl.DataFrame, metric: str | None) -> pl.DataFrame:
    names = _values(frame, "metric")
    if metric is None and len(names) > 1 and DEFAULT_METRIC in names:
        metric = DEFAULT_METRIC
    return _one(frame, "metric", metric, "--metric")


def _pick_series(frame: pl.DataFrame, options: SelectOptions) -> pl.DataFrame:
    if options.series is None:
        return frame
    wanted = (options.series,) if isinstance(options.series, str) else options.series
    return pl.concat([_pick(frame, "series", name) for name in dict.fromkeys(wanted)])


def _one_series(
    frame: pl.DataFrame, options: SelectOptions
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    frame = _pick_series(frame, options)
    series = tuple(_values(frame, "series"))
    if len(series) > 1 and not options.pool:
        raise SelectionError(
            f"the rows belong to {len(series)} series: {', '.join(series)}."
            " Choose one with --series, or fit them as one with --pool."
        )
    return frame, series


def _one_corpus(
    frame: pl.DataFrame, corpus: str | None, *, matters: bool
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Rows of one held-out corpus; where the loss does not matter, one per checkpoint will do."""
    if corpus is not None:
        return _pick(frame, "loss_corpus", corpus), ()
    corpora = frame["loss_corpus"].unique().to_list()
    if len(corpora) == 1:
        return frame, ()
    names = ", ".join(sorted("(not named)" if name is None else name for name in corpora))
    per_checkpoint = frame.group_by("series", "checkpoint").agg(pl.col("loss_corpus").n_unique())
    if not matters and per_checkpoint["loss_corpus"].max() == 1:
        return frame, ()
    if _any_measured(frame) or per_checkpoint["loss_corpus"].max() != 1:
        raise SelectionError(
            f"the losses are of several held-out corpora: {names}. They do not compare; choose"
            " one with --loss-corpus."
        )
    return frame, (f"The estimated losses stand for several held-out corpora: {names}.",)


def _any_measured(frame: pl.DataFrame) -> bool:
    return bool((frame["loss_source"] == LossSource.MEASURED.value).any())


def _one_tokenizer(frame: pl.DataFrame) -> tuple[str, ...]:
    names = _values(frame, "tokenizer")
    if len(names) < 2:
        return ()
    if _any_measured(frame):
        raise SelectionError(
            f"the losses were measured with several tokenizers: {', '.join(names)}. A loss per"
            " token does not compare"
            " between them; choose with --series or --where tokenizer=NAME."
        )
    return (
        f"The checkpoints use several tokenizers: {', '.join(names)}. Their losses are estimates.",
    )


def _one_method(frame: pl.DataFrame, method: str | None) -> tuple[pl.DataFrame, str | None]:
    methods = _values(frame.filter(_FINETUNED), "method")
    if method is not None:
        if method not in methods:
            shown = ", ".join(methods) or "none"
            raise SelectionError(
                f'no finetuned row has the method "{method}". Methods there are: {shown}.'
            )
        return frame.filter(~_FINETUNED | (pl.col("method") == method)), method
    if len(methods) > 1:
        raise SelectionError(
            f"the finetuned rows are of several methods: {', '.join(methods)}. Choose with"
            " --method."
        )
    return frame, methods[0] if methods else None


def _one_shots(frame: pl.DataFrame, shots: int | None) -> tuple[pl.DataFrame, int | None]:
    numbers = frame.filter(~_FINETUNED)["shots"].unique().sort(nulls_last=True).to_list()
    shown = ", ".join("(not stated)" if n is None else str(n) for n in numbers) or "none"
    if shots is not None:
        if shots not in numbers:
            raise SelectionError(f"no few-shot row has {shots} shots. Numbers there are: {shown}.")
        return frame.filter(_FINETUNED | (pl.col("shots") == shots)), shots
    if len(numbers) > 1:
        raise SelectionError(
            f"the few-shot rows are of several numbers of shots: {shown}. Choose with --shots."
        )
    return frame, numbers[0] if numbers else None


def _exclude(frame: pl.DataFrame, options: SelectOptions) -> pl.DataFrame:
    for pattern in options.exclude:
        names = _values(frame, "checkpoint")
        gone = [pattern] if pattern in names else fnmatch.filter(names, pattern)
        if not gone:
            raise SelectionError(
                f'there is no checkpoint "{pattern}" to exclude. {near(pattern, names)}'
            )
        frame = frame.filter(~pl.col("checkpoint").is_in(gone))
        _refuse_empty(frame, f'--exclude "{pattern}"')
    return frame


def _between(frame: pl.DataFrame, options: SelectOptions, axis: Axis) -> pl.DataFrame:
    """Checkpoints between the bounds, which are values of the axis as printed."""
    value = axis.to_axis(pl.col("loss"))
    values = frame.select(value).to_series().to_list()
    noun = "losses lie" if axis.is_loss else f"{axis.label} lies"
    between = f" ({noun} between {min(values):.4g} and {max(values):.4g}"
    between += f" {axis.unit})" if axis.is_loss else ")"
    if options.min_loss is not None:
        frame = frame.filter(value >= options.min_loss)
        _refuse_empty(frame, f"--min-loss {options.min_loss:g}{between}")
    if options.max_loss is not None:
        frame = frame.filter(value <= options.max_loss)
        _refuse_empty(frame, f"--max-loss {options.max_loss:g}{between}")
    return frame


def _refuse_empty(frame: pl.DataFrame, step: str) -> None:
    if frame.is_empty():
        raise SelectionError(f"no rows are left after {step}. Loosen that filter.")


def _one_chance(frame: pl.DataFrame) -> float:
    levels = _values(frame, "chance")
    if levels[-1] - levels[0] > 1e-9:
        shown = ", ".join(f"{level:g}" for level in levels)
        raise SelectionError(
            f"the rows state several chance levels: {shown}. Correct the table, or choose rows"
            " with --where chance=VALUE."
        )
    return float(levels[0])


def _oriented(frame: pl.DataFrame, sign: float) -> pl.DataFrame:
    order = [*KEY, "score", "stderr", "n_items", "runs"]
    return (
        frame.with_columns((sign * pl.col("score") + 0.0).alias("score"))
        .sort([pl.col(name) for name in order], nulls_last=False, maintain_order=True)
        .select(_ROW_COLUMNS)
    )


def _spread(rows: pl.DataFrame) -> float | None:
    return None if rows.is_empty() else float(np.ptp(rows["score"].to_numpy()))


def _hide(
    rows: pl.DataFrame, limit: float | None, axis: Axis
) -> tuple[pl.DataFrame, tuple[str, ...], str]:
    if limit is None:
        return rows, (), "Every checkpoint is at chance few-shot, so none was hidden."
    beyond = rows.filter(pl.col("loss") <= limit).select("series", "checkpoint", "loss").unique()
    beyond = beyond.sort(["loss", "series", "checkpoint"], descending=[True, False, False])
    several = rows["series"].n_unique() > 1
    names = tuple(f"{s}/{c}" if several else str(c) for s, c, _ in beyond.iter_rows())
    first = rows.filter(pl.col("few_shot") & (pl.col("loss") == limit))["checkpoint"][0]
    kept = rows.filter(pl.col("loss") > limit)
    side = "above" if axis.higher_is_stronger else "below"
    reason = (
        f"{first} ({axis.label} {axis.to_axis(limit):.4g}) is the weakest checkpoint above chance"
        " few-shot; it and every checkpoint at or"
        f" {side} its {axis.label} are hidden, {len(names)} of"
        f" {rows.select('series', 'checkpoint').n_unique()} in all."
    )
    if kept.is_empty():
        raise SelectionError(
            f"no rows are left after --at-chance-only. {reason} Add weaker checkpoints, or leave"
            " the option out."
        )
    return kept, names, reason


def _annealing(checkpoints: pl.DataFrame) -> tuple[str, ...]:
    """A warning where annealed checkpoints are fitted beside running ones."""
    known = checkpoints.drop_nulls("lr_fraction").sort("loss", "checkpoint")
    names = known.filter(pl.col("lr_fraction") <= ANNEALED)["checkpoint"].to_list()
    if not names or len(names) == known.height:
        return ()
    shown = ", ".join(names[:NAMES_SHOWN]) + (" ..." if len(names) > NAMES_SHOWN else "")
    text = (
        f"{len(names)} of the {known.height} checkpoints of known lr_fraction"
        f" {'is' if len(names) == 1 else 'are'} annealed (learning rate at most {ANNEALED:g} of its"
        f" peak): {shown}. An annealed checkpoint has"
        " a lower loss at the same skill than one that is still training, so the two do not share"
        " one axis of loss. Leave one kind out with --exclude."
    )
    return (text,)


def _remarks(frame: pl.DataFrame, axis: Axis) -> tuple[str, ...]:
    remarks: list[str] = []
    finetuned = frame.filter(_FINETUNED)
    snapshots = int(finetuned["snapshot"].sum())
    if snapshots:
        remarks.append(
            f"{snapshots} of {finetuned.height} finetuned rows are snapshots along a longer run,"
            " not separate"
            " finetunings: rows of one run are not independent, and the intervals are too narrow"
            " for it."
        )
    checkpoints = frame.unique(["series", "checkpoint"])
    estimated = int((checkpoints["loss_source"] == LossSource.ESTIMATED.value).sum())
    if estimated and axis.name == "loss":
        remarks.append(
            f"The losses of {estimated} of {checkpoints.height} checkpoints are estimated from"
            " parameters and tokens,"
            " not measured."
        )
    remarks += _annealing(checkpoints) if axis.name == "loss" else ()
    shots = finetuned["shots"].unique().sort(nulls_last=True).to_list()
    if len(shots) > 1:
        shown = ", ".join("(not stated)" if n is None else str(n) for n in shots)
        remarks.append(f"The finetuned rows were evaluated with several numbers of shots: {shown}.")
    return tuple(remarks)
