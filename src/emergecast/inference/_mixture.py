"""A mixture of laws: the forecast when nobody knows which law is right."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np

from emergecast.emergence_law import Law
from emergecast.errors import OptionError
from emergecast.inference._draws import Draws, joined
from emergecast.inference._posterior import Posterior

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_LAW: Final = "mixture"
"""Name of `DEFAULT_MIXTURE`, which is fitted where no law is named."""
KNOTS = 2001
HEARD = 0.05
"""Least weight of a law whose own smoothness the density of a mixture keeps."""
TEMPER = 0.3
"""Power of the evidence that laws are weighted by."""


class Weighting(StrEnum):
    """Where the weights of a mixture come from."""

    EVIDENCE = "evidence"
    """Those of the mixture, times the evidence for each law to the power 0.3."""
    FIXED = "fixed"
    """Those of the mixture."""
    STACKING = "stacking"
    """Held-out prediction of finetuned rows."""


def tempered(weights: tuple[float, ...], ln_evidence: Sequence[float]) -> tuple[float, ...]:
    """Weights times evidence to the power `TEMPER`, summing to 1."""
    ln_weight = np.log(weights) + TEMPER * np.array(ln_evidence)
    share = np.exp(ln_weight - ln_weight.max())
    return tuple(float(each) for each in share / share.sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """Laws and their prior weights."""

    laws: tuple[Law, ...]
    weights: tuple[float, ...]
    """Positive, summing to 1."""

    @classmethod
    def of(cls, names: Sequence[str | Law], weights: Sequence[float] | None = None) -> Mixture:
        """A mixture of named laws, equally weighted if nothing else is said.

        Raises:
            OptionError: an unknown or repeated law, or weights that are not positive.
        """
        laws = tuple(Law.parse(name) for name in names)
        if len(set(laws)) < len(laws) or not laws:
            raise OptionError(f"a mixture needs different laws, not {', '.join(map(str, laws))}.")
        given = tuple(float(w) for w in weights) if weights is not None else (1.0,) * len(laws)
        if len(given) != len(laws) or not all(0 < w < float("inf") for w in given):
            raise OptionError(
                f"a mixture of {len(laws)} laws needs as many positive weights, not {given}."
            )
        return cls(laws=laws, weights=tuple(w / sum(given) for w in given))

    def __str__(self) -> str:
        return DEFAULT_LAW


DEFAULT_MIXTURE = Mixture.of(["log-power", "power", "log-power+levels", "saturating+levels"])
"""What `fit` uses unless a law is named; why these stands in docs/model.md."""


class MixturePosterior(Posterior):
    """The distribution of E(D0) under several laws, weighted."""

    def __init__(self, members: tuple[Posterior, ...], weights: tuple[float, ...]) -> None:
        """A mixture of posteriors of the same rows; weights sum to 1."""
        self.members, self.weights = members, weights
        probability = np.linspace(0.0, 1.0, KNOTS)
        parts = [member.quantile(probability) for member in members]
        self._knots = np.unique(np.concatenate(parts))
        total = np.zeros(self._knots.size)
        for member, weight in zip(members, weights, strict=True):
            total += weight * member.cumulative(self._knots)
        self._cumulative = total
        heard = [each for each, w in zip(members, weights, strict=True) if w >= HEARD]
        self.bandwidth = min((each.bandwidth for each in heard or members), default=0.0)

    @property
    def error(self) -> float:
        """Weighted mean of the members' errors, nats."""
        parts = zip(self.members, self.weights, strict=True)
        return float(sum(weight * member.error for member, weight in parts))

    @property
    def converged(self) -> bool:
        """Whether every member's error is tolerable."""
        return all(member.converged for member in self.members)

    @property
    def log_evidence(self) -> float:
        """Ln of the marginal likelihood of the (standardised) scores under the mixture."""
        parts = [member.log_evidence for member in self.members]
        return float(np.logaddexp.reduce(np.log(self.weights) + np.array(parts)))

    def draws(self, n: int, rng: np.random.Generator) -> Draws:
        """`n` draws of all parameters, as many from each law as its weight says."""
        edges = np.round(np.concatenate([[0.0], np.cumsum(self.weights)]) * n).astype(int)
        parts = []
        for i, member in enumerate(self.members):
            count = int(edges[i + 1] - edges[i])
            if count:
                drawn = member.draws(count, rng)
                parts.append(drawn.pick(np.arange(count), law=i))
        return joined(parts).pick(rng.permutation(n))
