"""The greedy choice: which run next, given those already chosen, and why, in words."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from emergecast.emergence_law import Feature
from emergecast.errors import OptionError
from emergecast.inference import SEED
from emergecast.measurements import MetricKind
from emergecast.suggestions._candidates import Candidate, typical_items
from emergecast.suggestions._cost import Cost
from emergecast.suggestions._information import Outlook, Predicted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from emergecast.inference import Draws, Fit

    Floats = NDArray[np.float64]

N_DRAWS = 4096
COARSE = 0.02
"""Standard deviation of an elbow, nats, from which on it is said to be known "only" so far."""
NEAR = 1.5
"""Standard deviations of E(D) within which a checkpoint counts as near that elbow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestOptions:
    """How runs are chosen."""

    budget: float
    """GPU-hours to spend."""
    amounts: tuple[int, ...] | None = None
    """Amounts of data to consider, where no file of candidates is given; None: a ladder."""
    runs: int = 3
    """How often a cell may be run again, where no file of candidates is given."""
    most: int = 20
    """Runs to suggest at most."""
    least: float = 0.003
    """Nats that a run must add to be worth naming; 0.003 narrow an interval by 0.3%."""
    cost: Cost = field(default_factory=Cost)
    """What runs cost; the rate is measured on the table's column gpu_hours, if there is one and no
    rate is given."""
    seed: int = SEED

    def __post_init__(self) -> None:
        if not (math.isfinite(self.budget) and self.budget > 0):
            raise OptionError(
                f"the budget must be a number of GPU-hours above 0, not {self.budget:g}."
            )
        if self.runs < 1 or self.most < 1:
            raise OptionError("a plan needs at least one run: runs and most must be at least 1.")
        if not (math.isfinite(self.least) and self.least > 0):
            raise OptionError(f"the least information must be above 0 nats, not {self.least:g}.")
        for amount in self.amounts or ():
            if amount < 1:
                raise OptionError(f"an amount must be at least 1 example, not {amount:g}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """A run that could be made, judged on its own."""

    candidate: Candidate
    information: float
    """What its score would say about E(D0) if it were the only one, nats."""
    measured: int
    """Rows that the table has for the same checkpoint and amount."""

    @property
    def per_hour(self) -> float:
        """Nats per GPU-hour."""
        return self.information / self.candidate.gpu_hours


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestedRun:
    """One run of the plan, in the order in which to make them."""

    candidate: Candidate
    repeat: int
    """1 for the first run of this checkpoint on this amount, 2 for the second, ..."""
    information: float
    """What its score adds about E(D0) to all runs before it, nats, expected."""
    hours_so_far: float
    """GPU-hours of the plan up to and including it."""
    width: float
    """Expected width of the 90% interval of E(D0) after it, nats."""
    reason: str
    """Why, in a sentence."""


class GreedyPlan:
    """The candidates under draws of the posterior, and the greedy choice among them."""

    def __init__(self, fitted: Fit, offered: Sequence[Candidate], options: SuggestOptions) -> None:
        if not offered:
            raise OptionError("there is no run to choose from: give --examples, or --candidates.")
        rng = np.random.default_rng(options.seed)
        self._fit, self._offered, self._options = fitted, tuple(offered), options
        self._draws = fitted.posterior.draws(N_DRAWS, rng)
        self._heavy = _heavy(fitted, self._draws)
        self._levels = _levels(fitted, offered)
        self._predicted = _predicted(fitted, self._draws, offered, self._levels, self._heavy, rng)
        self._outlook = Outlook(self._draws.elbow, rng)
        self._measured = _measured(fitted, offered)
        self.prospects = tuple(
            Prospect(
                candidate=each,
                information=self._outlook.information(run),
                measured=count,
            )
            for each, run, count in zip(self._offered, self._predicted, self._measured, strict=True)
        )

    def choose(
        self, on_run: Callable[[float], None] | None
    ) -> tuple[tuple[SuggestedRun, ...], str]:
        """The plan, and why it ends."""
        budget, spent = self._options.budget, 0.0
        # what a run adds hardly ever grows as others are taken, so a stale value is a bound
        heap = [(-each.per_hour, 0, i, each.information) for i, each in enumerate(self.prospects)]
        heapq.heapify(heap)
        made = [0] * len(self._offered)
        runs: list[SuggestedRun] = []
        while len(runs) < self._options.most:
            if self._outlook.exhausted:
                return tuple(runs), (
                    "What follows depends too much on how these turn out: make them, and ask again."
                )
            best = self._best(heap, budget - spent, len(runs))
            if best is None:
                return tuple(runs), self._stop_reason(runs, budget - spent)
            i, information = best
            candidate = self._offered[i]
            reason = self._reason(i, made)
            self._outlook.take(self._predicted[i])
            spent += candidate.gpu_hours
            made[i] += 1
            runs.append(
                SuggestedRun(
                    candidate=candidate,
                    repeat=self._measured[i] + made[i],
                    information=information,
                    hours_so_far=spent,
                    width=min(self._outlook.width, runs[-1].width if runs else math.inf),
                    reason=reason,
                )
            )
            if made[i] < candidate.runs:
                value = -information / candidate.gpu_hours
                heapq.heappush(heap, (value, len(runs) - 1, i, information))
            if on_run is not None:
                on_run(min(spent / budget, 1.0))
        left = budget - spent
        count = "1 run" if self._options.most == 1 else f"{self._options.most} runs"
        return tuple(runs), (
            f"The plan holds {count}, the most that --most allows; {left:.3g} GPU-hours are left."
        )

    def _best(
        self, heap: list[tuple[float, int, int, float]], left: float, taken: int
    ) -> tuple[int, float] | None:
        """Index and information of the affordable run with most information per hour."""
        while heap:
            _, judged, i, information = heapq.heappop(heap)
            hours = self._offered[i].gpu_hours
            if hours > left:
                continue
            if judged < taken:
                information = self._outlook.information(self._predicted[i])
                heapq.heappush(heap, (-information / hours, taken, i, information))
            elif information < self._options.least:
                continue
            else:
                return i, information
        return None

    def _stop_reason(self, runs: list[SuggestedRun], left: float) -> str:
        least = self._options.least
        cheapest = min(each.gpu_hours for each in self._offered)
        if cheapest > left:
            if not runs:
                return (
                    f"No run is affordable: the cheapest takes {cheapest:.3g} GPU-hours, and the "
                    f"budget is {left:.3g}."
                )
            return f"{left:.3g} GPU-hours are left, and the cheapest run takes {cheapest:.3g}."
        if not runs:
            return f"No affordable run says as much as {least:g} nats about the few-shot elbow."
        return (
            f"No other affordable run is expected to add as much as {least:g} nats, as far as can "
            "be said before these are in: make them, and ask again."
        )

    # ---------------------------------------------------------------------------- in words

    def _reason(self, i: int, made: Sequence[int]) -> str:
        """Why this run, from what is known when it is chosen; `made` counts the runs before it."""
        candidate, level = self._offered[i], int(self._levels[i])
        middle, sd = self._outlook.mean_sd(self._draws.elbows[:, level])
        past = middle - candidate.loss
        if candidate.examples is None:
            return (
                f"It has no few-shot score yet, and the few-shot elbow is known to {sd:.2g} nats."
            )
        where = f"the elbow at {candidate.examples:,} examples"
        planned = {int(self._levels[j]) for j, count in enumerate(made) if count}
        known = f"is known {'only ' if sd >= COARSE else ''}to {sd:.2g} nats"
        if level in planned or np.any(self._fit.data.level == level):
            what = f"{where[0].upper()}{where[1:]} {known}"
        else:
            what = f"Nothing is measured on {candidate.examples:,} examples, and the elbow there "
            what += known
        count = self._measured[i] + made[i]
        if count:
            tau, _ = self._outlook.mean_sd(self._draws.noise)
            nth = "a second run" if count == 1 else f"run {count + 1}"
            what += f"; {nth} averages out the scatter of {tau:.2g} between runs"
        return f"{what}; this checkpoint lies {_position(past, sd)}."


def _position(past: float, sd: float) -> str:
    """Where a checkpoint lies about an elbow, and what its score then tells."""
    if past > NEAR * sd:
        return f"{past:.2f} nats past it, so its score tells how steeply scores rise"
    if past < -NEAR * sd:
        return f"{-past:.2f} nats before it, so its score tells whether it is still at chance"
    return "near it, so its score tells on which side"


def _heavy(fitted: Fit, draws: Draws) -> NDArray[np.bool_]:
    """Which draws come from a law with Student-t scores, shape (N,)."""
    return np.array([Feature.STUDENT in law.features for law in fitted.laws])[draws.law]


def _levels(fitted: Fit, offered: Sequence[Candidate]) -> NDArray[np.int64]:
    """Level of each candidate: 0 for few-shot, j + 1 for amount j."""
    amounts = np.array([each.examples or 0 for each in offered], dtype=np.float64)
    return np.where(amounts > 0, np.searchsorted(fitted.data.amounts, amounts) + 1, 0)


def _predicted(
    fitted: Fit,
    draws: Draws,
    offered: Sequence[Candidate],
    levels: NDArray[np.int64],
    heavy: NDArray[np.bool_],
    rng: np.random.Generator,
) -> list[Predicted]:
    """The score of each candidate under each draw."""
    data = fitted.data
    losses = np.array([each.loss for each in offered])
    mean, scatter = draws.line(levels, losses), draws.scatter(levels, losses)
    noise = np.sqrt(np.take(draws.by_level.noise, levels, axis=1) ** 2 + scatter)
    index = {key: i for i, key in enumerate(_checkpoint_keys(fitted))}
    unseen: dict[tuple[str, str], Floats] = {}
    found = []
    proportion = fitted.selection.metric_kind is MetricKind.PROPORTION
    best = math.inf if fitted.selection.best is None else fitted.selection.best
    items = typical_items(fitted.selection)
    for column, candidate in enumerate(offered):
        key = (candidate.series, candidate.checkpoint)
        if key in index:
            deviation = draws.deviations[:, index[key]]
        else:
            if key not in unseen:
                unseen[key] = draws.deviation_scale * rng.standard_normal(len(draws))
            deviation = unseen[key]
        score = np.minimum(mean[:, column] + deviation, best)
        if proportion:
            share = (items * score.clip(0.0, 1.0) + 1.0) / (items + 2.0)
            sampling = np.sqrt(share * (1.0 - share) / items)
        else:
            sampling = np.full(len(draws), float(np.median(data.sampling_sd)))
        found.append(
            Predicted(
                mean=score,
                sd=np.maximum(np.hypot(sampling, noise[:, column]), 5e-4 * data.score_range),
                heavy=heavy,
            )
        )
    return found


def _checkpoint_keys(fitted: Fit) -> list[tuple[str, str]]:
    """Series and name of each checkpoint, in the order in which the fit counts them."""
    rows = fitted.selection.rows.select("series", "checkpoint")
    keys: dict[int, tuple[str, str]] = {}
    for code, pair in zip(fitted.data.checkpoint.tolist(), rows.iter_rows(), strict=True):
        keys[code] = (pair[0], pair[1])
    return [keys[code] for code in sorted(keys)]


def _measured(fitted: Fit, offered: Sequence[Candidate]) -> list[int]:
    """How many rows the table has of each candidate's checkpoint and amount."""
    rows = fitted.selection.rows
    counts: dict[tuple[str, str, int | None], int] = {}
    for series, checkpoint, few, examples in rows.select(
        "series", "checkpoint", "few_shot", "examples"
    ).iter_rows():
        key = (series, checkpoint, None if few else int(examples))
        counts[key] = counts.get(key, 0) + 1
    return [counts.get((e.series, e.checkpoint, e.examples), 0) for e in offered]
