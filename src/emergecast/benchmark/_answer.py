"""One method on one rung: what came of it, scored."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from emergecast.errors import FitError
from emergecast.inference import QUANTILES
from emergecast.track_record import crps, interval_score, pit

if TYPE_CHECKING:
    from emergecast.benchmark._cells import Rung
    from emergecast.benchmark._entrants import Entrant
    from emergecast.inference import LossDistribution


class AnswerOutcome(StrEnum):
    """How it ended; all but the first are failures."""

    SCORED = "scored"
    """There is a distribution, and it was scored."""
    REFUSED = "refused"
    """The method says that these rows allow no answer."""
    ERROR = "error"
    """It raised something else."""
    NO_DISTRIBUTION = "no distribution"
    """What it returned is no distribution of a loss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One forecast beside the truth; losses in nats, None where there is nothing to score."""

    rung: str
    outcome: AnswerOutcome
    truth: float | None
    """None where no table could be made."""
    seconds: float
    reason: str = ""
    """Why there is no score."""
    p05: float | None = None
    p25: float | None = None
    p50: float | None = None
    p75: float | None = None
    p95: float | None = None
    crps: float | None = None
    """Lower is better."""
    interval_score: float | None = None
    """Of the 90% interval; lower is better."""
    pit: float | None = None
    """P(elbow <= truth)."""


def answer(entrant: Entrant, rung: Rung) -> Answer:
    """The forecast of a method on a rung; whatever goes wrong is part of the record."""
    began = time.perf_counter()

    def ended(outcome: AnswerOutcome, reason: str) -> Answer:
        spent = time.perf_counter() - began
        return Answer(
            rung=rung.name, outcome=outcome, truth=rung.truth, seconds=spent, reason=reason
        )

    try:
        distribution = entrant.forecast(rung)
        missing = [name for name in ("quantile", "cumulative") if not hasattr(distribution, name)]
        if distribution is None or missing:
            what = f"It returned {distribution!r:.40}, which has no {missing[0]}()."
            return ended(AnswerOutcome.NO_DISTRIBUTION, what)
        return _scored(ended(AnswerOutcome.SCORED, ""), distribution, rung.truth)
    except FitError as error:
        return ended(AnswerOutcome.REFUSED, str(error))
    except Exception as error:  # noqa: BLE001  a method of the user may raise anything
        return ended(AnswerOutcome.ERROR, f"{type(error).__name__}: {error}")


def _scored(bare: Answer, distribution: LossDistribution, truth: float) -> Answer:
    """The answer with its scores, or what is wrong with the distribution."""
    p05, p25, p50, p75, p95 = map(float, distribution.quantile(list(QUANTILES.values())))
    if not -math.inf < p05 <= p25 <= p50 <= p75 <= p95 < math.inf:
        return _none(bare, "Its quantiles are not finite numbers in order.")
    scores = (crps(distribution, truth), pit(distribution, truth))
    if not all(map(math.isfinite, scores)) or not 0 <= scores[1] <= 1:
        return _none(bare, f"Its CRPS and PIT are {scores[0]:g} and {scores[1]:g}.")
    return replace(
        bare,
        p05=p05,
        p25=p25,
        p50=p50,
        p75=p75,
        p95=p95,
        crps=scores[0],
        interval_score=interval_score(p05, p95, truth),
        pit=scores[1],
    )


def _none(bare: Answer, reason: str) -> Answer:
    return replace(bare, outcome=AnswerOutcome.NO_DISTRIBUTION, reason=reason)
