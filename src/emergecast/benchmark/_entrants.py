"""Who forecasts: laws, mixtures, baselines, and functions of the user, by name."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from emergecast.baselines import REFERENCES, Baseline, baselines, continuous_metrics
from emergecast.errors import FitError, OptionError
from emergecast.forecasts import Thresholds, refusal
from emergecast.inference import DEFAULT_LAW, DEFAULT_MIXTURE, FitOptions, Weighting, fit

if TYPE_CHECKING:
    from emergecast.benchmark._cells import Rung
    from emergecast.inference import LossDistribution
    from emergecast.measurements import Measurements, SelectOptions

STACKING: Final = ":stacking"
"""End of the name of a mixture whose laws are weighted by held-out prediction."""
DEFAULT_METHODS: Final = (
    DEFAULT_LAW,
    "log-power",
    "power",
    *map(str, Baseline),
)
"""What is tried where no method is named."""


class ForecastMethod(Protocol):
    """A function of the user that forecasts: the one thing to write to enter the benchmark."""

    def __call__(
        self, table: Measurements, rows: SelectOptions, few_shot_examples: float, /
    ) -> LossDistribution | None:
        """The distribution of the few-shot elbow, in nats.

        Args:
            table: every row that may be used, of several series and metrics perhaps.
            rows: which of them make one fit: `select(table, rows)`.
            few_shot_examples: D0, the amount at which the few-shot elbow is read off.

        Returns:
            Anything with `quantile`, `cumulative` and `density`; None for no answer.

        Raises:
            FitError: it refuses to answer from these rows; counted, as any other error is.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant:
    """One method under the name that stands in the leaderboard."""

    name: str
    forecast: Callable[[Rung], LossDistribution | None]
    seconds: float
    """What one forecast takes, about, on one core."""


def entrant(name: str) -> Entrant:
    """The method of a name.

    A law (`log-power`), several joined by commas (a mixture of equal weights), `mixture` (the
    default one); of a mixture, with `:stacking` at the end, weights by held-out prediction; a
    baseline (`no-change`); or `module:function`, a `ForecastMethod`.

    Raises:
        OptionError: there is no such method.
    """
    if name in {str(each) for each in Baseline}:
        return Entrant(name=name, forecast=_baseline(Baseline(name)), seconds=0.05)
    plain = name.removesuffix(STACKING)
    if ":" in plain:
        return Entrant(name=name, forecast=_plugin(plain), seconds=1.0)
    laws = plain.split(",")
    options = FitOptions(
        law=laws if len(laws) > 1 else plain,
        weights=Weighting.STACKING if plain != name else Weighting.EVIDENCE,
    )
    _ = options.chosen_law  # so that an unknown law stops here
    count = len(DEFAULT_MIXTURE.laws) if plain == DEFAULT_LAW else len(laws)
    return Entrant(name=name, forecast=_fitted(options), seconds=0.3 + 0.6 * count)


def with_references(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names, and those that skill is measured over."""
    return tuple(dict.fromkeys((*map(str, REFERENCES), *names)))


def _baseline(which: Baseline) -> Callable[[Rung], LossDistribution | None]:
    def forecast(rung: Rung) -> LossDistribution | None:
        needs = which in {Baseline.TWO_STEP, Baseline.PROXY}
        beside = continuous_metrics(rung.table, rung.rows, rung.fit.selection) if needs else None
        guess = baselines(rung.fit, continuous=beside, which=[which])[which]
        if guess.distribution is None:
            raise FitError(guess.reason)
        return guess.distribution

    return forecast


def _fitted(options: FitOptions) -> Callable[[Rung], LossDistribution | None]:
    """The posterior, unless the verdict would refuse it; no bootstrap and no diagnostics."""

    def forecast(rung: Rung) -> LossDistribution | None:
        made = fit(
            rung.table,
            rung.rows,
            FitOptions(
                law=options.chosen_law,
                weights=options.weights,
                few_shot_examples=rung.few_shot_examples,
            ),
        )
        reasons = refusal(made, Thresholds())
        if reasons:
            raise FitError(" ".join(reasons))
        return made.posterior

    return forecast


def _plugin(name: str) -> Callable[[Rung], LossDistribution | None]:
    module, _, function = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # a module beside the user; a command has only its own folder
    try:
        method: ForecastMethod = getattr(import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise OptionError(
            f"there is no method {name!r} ({error}): a method is a law, several laws joined by "
            f"commas, a baseline ({', '.join(Baseline)}), or MODULE:FUNCTION of a module that "
            "Python finds from this folder."
        ) from error
    if not callable(method):
        raise OptionError(f"{name} is {method!r}, which cannot be called: name a function.")
    return lambda rung: method(rung.table, rung.rows, rung.few_shot_examples)
