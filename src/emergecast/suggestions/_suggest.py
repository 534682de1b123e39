"""What to measure next: the runs that say most about the few-shot elbow per GPU-hour."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import polars as pl

from emergecast.errors import OptionError, SelectionError, given
from emergecast.inference import INTERVAL, FitOptions, fit
from emergecast.measurements import (
    SelectOptions,
    default_few_shot_examples,
    marked,
    read_table,
    select,
)
from emergecast.records import as_json
from emergecast.suggestions._candidates import (
    ladder,
    ladder_candidates,
    read_candidates,
    typical_items,
)
from emergecast.suggestions._cost import Cost
from emergecast.suggestions._greedy import GreedyPlan, Prospect, SuggestedRun, SuggestOptions
from emergecast.suggestions._repeats import Repeat, repeats

if TYPE_CHECKING:
    from collections.abc import Callable

    from emergecast.inference import Fit
    from emergecast.measurements import Selection


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """What to measure next, and what to expect of it."""

    fit: Fit
    options: SuggestOptions
    cost: Cost
    runs: tuple[SuggestedRun, ...]
    """The plan; empty where no run is affordable or says anything."""
    prospects: tuple[Prospect, ...]
    """Every candidate, judged on its own, in the order of the candidates."""
    stopped: str
    """Why the plan ends where it does, in a sentence."""

    @cached_property
    def repeats(self) -> tuple[Repeat, ...]:
        """What the repeats that were made already have been worth."""
        return repeats(self.fit)

    @property
    def cold(self) -> bool:
        """Whether nothing has been finetuned yet."""
        return bool(self.fit.data.few_shot.all())

    @cached_property
    def quantiles(self) -> tuple[float, float, float]:
        """5, 50 and 95% quantiles of E(D0) now, nats; of the few-shot rows and priors if `cold`."""
        low, middle, high = (float(q) for q in self.fit.posterior.quantile(INTERVAL))
        return low, middle, high

    @property
    def width(self) -> float:
        """Width of the 90% interval now, nats."""
        low, _, high = self.quantiles
        return high - low

    @property
    def hours(self) -> float:
        """GPU-hours of the plan."""
        return self.runs[-1].hours_so_far if self.runs else 0.0

    @property
    def title(self) -> str:
        """The plan in a few words."""
        name = marked(self.fit.selection.task, invented=self.fit.selection.invented)
        if not self.runs:
            return f"{name}: nothing to suggest"
        count = "1 run" if len(self.runs) == 1 else f"{len(self.runs)} runs"
        return f"{name}: {count} worth making next"

    @property
    def subtitle(self) -> str:
        """What it buys, in a sentence."""
        if not self.runs:
            return self.stopped
        start = "Nothing is finetuned yet. " if self.cold else ""
        return (
            f"{start}{self.hours:.3g} of {self.options.budget:g} GPU-hours; the 90% interval of "
            f"the few-shot elbow is expected to narrow from {self.width:.2f} to "
            f"{self.runs[-1].width:.2f} nats"
        )

    def to_frame(self) -> pl.DataFrame:
        """The plan as a table: one row a run, in the columns of a measurement table and its own."""
        return pl.DataFrame(
            [
                {
                    "series": run.candidate.series,
                    "checkpoint": run.candidate.checkpoint,
                    "setting": "few_shot" if run.candidate.examples is None else "finetuned",
                    "examples": run.candidate.examples,
                    "repeat": run.repeat,
                    "gpu_hours": run.candidate.gpu_hours,
                    "hours_so_far": run.hours_so_far,
                    "information": run.information,
                    "width": run.width,
                    "reason": run.reason,
                }
                for run in self.runs
            ],
            schema={
                "series": pl.String, "checkpoint": pl.String, "setting": pl.String,
                "examples": pl.Int64, "repeat": pl.Int64, "gpu_hours": pl.Float64,
                "hours_so_far": pl.Float64, "information": pl.Float64, "width": pl.Float64,
                "reason": pl.String,
            },
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain values."""
        from importlib.metadata import version

        selection, (low, middle, high) = self.fit.selection, self.quantiles
        return {
            "task": selection.task,
            "metric": selection.metric,
            "series": as_json(selection.series),
            "law": str(self.fit.law),
            "few_shot_examples": self.fit.data.few_shot_examples,
            "cold_start": self.cold,
            "budget": self.options.budget,
            "gpu_hours": self.hours,
            "elbow": {"p05": low, "p50": middle, "p95": high},
            "width": self.width,
            "expected_width": self.runs[-1].width if self.runs else self.width,
            "runs": self.to_frame().to_dicts(),
            "candidates": [
                {
                    **as_json(each.candidate),
                    "information": each.information,
                    "per_hour": each.per_hour,
                    "measured": each.measured,
                }
                for each in self.prospects
            ],
            "stopped": self.stopped,
            "repeats": as_json(self.repeats),
            "cost": self.cost.as_dict(),
            "warnings": as_json(selection.warnings),
            "hidden": as_json(selection.hidden),
            "table_hash": selection.table_hash,
            "version": version("emergecast"),
        }


def suggest(
    table: object,
    options: SuggestOptions,
    rows: SelectOptions | None = None,
    fitting: FitOptions | None = None,
    *,
    candidates: object = None,
    on_run: Callable[[float], None] | None = None,
) -> Suggestion:
    """The runs that say most about the few-shot elbow per GPU-hour, greedily one after another.

    Works before anything is finetuned too, as long as there are few-shot rows.

    Args:
        table: what `read_table` takes.
        options: the budget and the like.
        rows: which rows to look at.
        fitting: how to fit them.
        candidates: runs to choose from (`CANDIDATE_COLUMNS`): a path, a frame or records. None:
            every checkpoint of the rows on a ladder of amounts.
        on_run: called with the share of the budget that is planned, for a progress bar.

    Raises:
        TableError, SelectionError, OptionError, FitError: as `fit`; and for bad candidates.
    """
    rows, fitting = given(rows, SelectOptions, "rows"), given(fitting, FitOptions, "fitting")
    if not isinstance(options, SuggestOptions):
        raise OptionError(f"suggest takes SuggestOptions(budget=...), not {options!r}.")
    measured = read_table(table)
    selection = select(measured, rows)
    _refuse_other_axes(selection)
    cost = options.cost.measured(measured, typical_items(selection))
    if candidates is None:
        low = fitting.few_shot_examples or default_few_shot_examples(selection.shots)
        amounts = options.amounts or ladder(selection, low)
        offered = ladder_candidates(selection, amounts, options.runs, cost)
    else:
        offered = read_candidates(candidates, selection, cost)
    planned = sorted({float(each.examples) for each in offered if each.examples is not None})
    fitted = fit(measured, rows, replace(fitting, planned_amounts=tuple(planned)))
    plan = GreedyPlan(fitted, offered, options)
    runs, stopped = plan.choose(on_run)
    return Suggestion(
        fit=fitted,
        options=options,
        cost=cost,
        runs=runs,
        prospects=plan.prospects,
        stopped=stopped,
    )


def _refuse_other_axes(selection: Selection) -> None:
    if not (selection.axis.is_loss and selection.shift.is_examples):
        raise SelectionError(
            "suggest plans finetuning runs on examples, judged along pretraining loss; it takes no "
            "other --axis or --shift."
        )
