"""How the law is fitted to the rows, as one record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from emergecast.emergence_law import Law
from emergecast.errors import OptionError
from emergecast.inference._mixture import DEFAULT_LAW, DEFAULT_MIXTURE, Mixture, Weighting
from emergecast.inference._priors import Priors

WEIGHTS = tuple(Weighting)
"""How the laws of a mixture may be weighted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitOptions:
    """How the law is fitted to them."""

    law: Law | Mixture | str | Sequence[str | Law] = DEFAULT_LAW
    """Emergence law: log-power, power, log-power+levels, saturating+levels; log-power, power and
    hill go with +soft, +ceiling, +slopes, +deviation, +student too. Several are mixed. Default: a
    mixture."""
    weights: str = Weighting.EVIDENCE
    """Weights of a mixture: evidence (to the power 0.3), fixed, or stacking (by held-out
    checkpoints)."""
    few_shot_examples: float | None = None
    """D0, where the few-shot elbow is read off, in the unit of the shift; default: the shots. Of
    a shift other than examples it must be said."""
    priors: Priors | Mapping[str, float] = field(default_factory=dict)
    """Scale of a prior to override, by name."""
    planned_amounts: tuple[float, ...] = ()
    """Amounts of data at which the law is read off too, whether or not there are rows yet; with
    some, a table without finetuned rows has a posterior (cold start)."""

    def __post_init__(self) -> None:
        if self.weights not in WEIGHTS:
            raise OptionError(f"weights are {' or '.join(WEIGHTS)}, not {self.weights!r}.")
        if self.weights == "stacking" and isinstance(self.chosen_law, Law):
            raise OptionError(
                f"weights by stacking are of several laws, and only the {self.chosen_law} law is "
                "fitted: leave the weights out, or name more laws."
            )

    @property
    def chosen_law(self) -> Law | Mixture:
        """The law, or the mixture of the laws, that was asked for.

        Raises:
            OptionError: there is no such law.
        """
        if isinstance(self.law, Mixture | Law):
            return self.law
        if isinstance(self.law, str):
            return DEFAULT_MIXTURE if self.law == DEFAULT_LAW else Law.parse(self.law)
        if len(self.law) == 1:
            return FitOptions(law=self.law[0]).chosen_law
        return Mixture.of(self.law)

    def chosen_priors(self, *, proportion: bool) -> Priors:
        """The priors of a metric that is a proportion, or of another one.

        Raises:
            OptionError: there is no such prior, or its value is impossible.
        """
        if isinstance(self.priors, Priors):
            return self.priors
        return Priors.default(proportion=proportion).override(self.priors)
