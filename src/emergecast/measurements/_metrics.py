"""What is known about a metric: its bounds, its best value, which way is better."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class MetricKind(StrEnum):
    """How the sampling error of a score comes about."""

    PROPORTION = "proportion"
    """A share of test items answered correctly: binomial error."""
    CONTINUOUS = "continuous"
    """Anything else: the error is the evaluator's, or unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric, as the table's own unit has it (never negated here)."""

    kind: MetricKind = MetricKind.CONTINUOUS
    lower_is_better: bool = False
    minimum: float = -math.inf
    maximum: float = math.inf
    best: float | None = None
    """The best attainable value; None where there is none or it is not known."""
    known: bool = True
    """False for a metric that is not in the registry."""


_PROPORTION: Final = Metric(kind=MetricKind.PROPORTION, minimum=0.0, maximum=1.0, best=1.0)
_UNIT: Final = Metric(minimum=0.0, maximum=1.0, best=1.0)
_CORRELATION: Final = Metric(minimum=-1.0, maximum=1.0, best=1.0)
_LOG_PROBABILITY: Final = Metric(maximum=0.0, best=0.0)
_PERPLEXITY: Final = Metric(lower_is_better=True, minimum=1.0, best=1.0)
_BITS: Final = Metric(lower_is_better=True, minimum=0.0, best=0.0)
_ERROR_RATE: Final = Metric(lower_is_better=True, minimum=0.0, best=0.0)
"""Edits per word or character: above 1 where the answer is longer than it should be."""
_RANK: Final = Metric(lower_is_better=True, minimum=1.0, best=1.0)
_UNKNOWN: Final = Metric(known=False)

METRICS: Final[dict[str, Metric]] = {
    "acc": _PROPORTION,
    "acc_norm": _PROPORTION,
    "accuracy": _PROPORTION,
    "exact_match": _PROPORTION,
    "pass@1": _PROPORTION,
    "pass_at_1": _PROPORTION,
    "accuracy_all": _PROPORTION,
    "official_accuracy": _PROPORTION,
    "tests_passed": _UNIT,
    "f1": _UNIT,
    "choice_prob": _UNIT,
    "mcc": _CORRELATION,
    "brier_score": Metric(lower_is_better=True, minimum=0.0, maximum=2.0, best=0.0),
    "logprob": _LOG_PROBABILITY,
    "logprob_per_token": _LOG_PROBABILITY,
    "log_prob": _LOG_PROBABILITY,
    "log_likelihood": _LOG_PROBABILITY,
    "loglikelihood": _LOG_PROBABILITY,
    "proxy_logprob": _LOG_PROBABILITY,
    "proxy_top1": _UNIT,
    "proxy_top5": _UNIT,
    "proxy_rank": _RANK,
    "proxy_reciprocal_rank": _UNIT,
    "perplexity": _PERPLEXITY,
    "ppl": _PERPLEXITY,
    "word_perplexity": _PERPLEXITY,
    "byte_perplexity": _PERPLEXITY,
    "bits_per_byte": _BITS,
    "wer": _ERROR_RATE,
    "cer": _ERROR_RATE,
    "ter": _ERROR_RATE,
}
"""The known metrics. A metric that is not here is continuous and unbounded; which way it goes, the
table's column higher_is_better says, or the user."""


def metric_of(name: str) -> Metric:
    """What is known about the metric `name`; a filter (`exact_match,strict-match`) is ignored."""
    base = name.partition(",")[0].strip()
    found = METRICS.get(base)
    if found is None and base.startswith("pass@") and base[5:].isdigit():
        return _UNIT  # its error is no binomial one
    return found or _UNKNOWN


def uniform_chance(name: str, choices: int) -> float | None:
    """Expected score of a uniform guess among `choices` answers; None where theory gives none.

    Accuracy, and the probability of the right choice among the choices: 1 / K. Brier score:
    (1 - 1/K)^2 + (K - 1) / K^2 = 1 - 1/K (Brier 1950, summed over classes). Matthews correlation:
    0. A log-probability of the answer's text depends on its length, so it has no such level.
    """
    base = name.partition(",")[0].strip()
    if base in {"acc", "acc_norm", "accuracy", "exact_match", "choice_prob"}:
        return 1.0 / choices
    if base == "brier_score":
        return 1.0 - 1.0 / choices
    if base == "mcc":
        return 0.0
    return None
