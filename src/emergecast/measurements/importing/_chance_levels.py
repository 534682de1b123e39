"""Chance levels: what a metric scores without knowledge, and what the user says it does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from emergecast.errors import OptionError, meant
from emergecast.measurements._metrics import MetricKind, metric_of, uniform_chance

GENERATED: Final = frozenset({"generate_until", "greedy_until"})
"""Output types of the harness whose answer is free text."""
_OF_FREE_TEXT: Final = frozenset({"acc", "exact_match", "pass@1", "f1"})
_COUNTS_ANSWERS: Final = frozenset({"acc", "acc_norm", "accuracy", "exact_match"})
_SHOWN: Final = 5


def chance_level(
    metric: str,
    *,
    output_type: str | None = None,
    choices: int | None = None,
    majority: float | None = None,
) -> float | None:
    """Score of a model that knows nothing; None where what is known does not tell.

    Free text, generated or completed by log-likelihood without choices (LAMBADA): 0, since no guess
    hits it. Choices: a uniform guess among them, or the share of the most frequent answer where
    the data tell it and it is higher. A correlation (mcc): 0.

    Args:
        metric: name of the metric; a filter behind a comma is ignored.
        output_type: how the harness asks: multiple_choice, loglikelihood, generate_until, ...
        choices: number of answers to choose from, where it is the same for every item.
        majority: share of the most frequent answer, where the same answers are asked of every item.
    """
    base = metric.partition(",")[0].strip()
    if output_type in GENERATED:
        return 0.0 if base in _OF_FREE_TEXT or base.startswith("pass") else None
    if choices is not None and choices > 1:
        uniform = uniform_chance(metric, choices)
        if uniform is not None and majority is not None and base in _COUNTS_ANSWERS:
            return max(uniform, majority)
        return uniform
    if output_type == "loglikelihood" and base in _COUNTS_ANSWERS:
        return 0.0
    return 0.0 if base == "mcc" else None


@dataclass(slots=True)
class ChanceLevels:
    """The levels that the user gives, and which of them found something to say."""

    given: Sequence[tuple[str | None, float]]
    """Pairs of TASK/METRIC, TASK, METRIC or None (every accuracy-like metric), and the level."""
    met: set[int] = field(default_factory=set)
    """Places in `given` whose name some score had."""
    used: set[int] = field(default_factory=set)
    """Those that decided the level of a score."""
    seen: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Scores by task and metric."""

    def of(self, task: str, metric: str, stated: float | None) -> float | None:
        """The level of a score whose file states `stated`.

        The level of a task, or of one metric of it, overrules the file. That of a metric
        in every task, or of everything, fills gaps only.
        """
        self.seen[task, metric] += 1
        base, known = metric.partition(",")[0], metric_of(metric)
        share = (known.minimum, known.maximum) == (0.0, 1.0) or not known.known
        ranks = (
            ({f"{task}/{metric}", f"{task}/{base}"}, True),
            ({task} if share else set(), True),
            ({metric, base}, False),
            ({None} if known.kind is MetricKind.PROPORTION else set(), False),
        )
        level = stated
        for names, overrules in reversed(ranks):
            for place, (name, value) in enumerate(self.given):
                if name in names:
                    self.met.add(place)
                    if overrules or stated is None:
                        self.used.add(place)
                        level = value
        return level

    def refuse_unmet(self) -> None:
        """Raise an OptionError that names the levels which no score was asked about."""
        lost = [self.given[i][0] for i in range(len(self.given)) if i not in self.met and self.seen]
        if not lost:
            return
        tasks = sorted({task for task, _ in self.seen})
        metrics = sorted({metric for _, metric in self.seen})
        name = lost[0]
        if name is None:
            raise OptionError(
                "--chance is given for accuracies, and no file has one. Metrics there are:"
                f" {_few(metrics)}. Write METRIC=NUMBER."
            )
        names = [*tasks, *metrics, *(f"{task}/{metric}" for task, metric in self.seen)]
        hint = meant(name, names) or "Write TASK/METRIC, TASK or METRIC."
        raise OptionError(
            f'--chance {name}=...: no score is of "{name}". {hint} Tasks there are: {_few(tasks)};'
            f" metrics: {_few(metrics)}."
        )

    @property
    def idle(self) -> tuple[str, ...]:
        """What the levels that changed nothing are called."""
        places = sorted(self.met - self.used)
        return tuple(self.given[i][0] or f"{self.given[i][1]:g}" for i in places)


def _few(names: Sequence[str]) -> str:
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
