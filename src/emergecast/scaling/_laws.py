"""The laws: pretraining loss as a power of one resource, or of parameters and tokens."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from emergecast.errors import ScalingError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Constant: TypeAlias = float | NDArray[np.float64]
    """A constant of one law, or one value for each of n draws of a law, shape (n,)."""

FLOPS_PER_PARAM_AND_TOKEN: Final = 6.0
"""Two forward, four backward: Kaplan et al. 2020, arXiv 2001.08361, section 2.1."""
_EXPONENTS: Final = frozenset({"alpha", "beta"})


class Resource(StrEnum):
    """What a model gets more of so that its loss falls."""

    PARAMS = "params"
    """Parameters of the model (count)."""
    TOKENS = "tokens"
    """Training tokens (count)."""
    FLOPS = "flops"
    """Floating-point operations of the training run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLaw:
    """L(X) = E + A / X^alpha, in nats per token, of one resource X.

    Source: Kaplan et al. 2020, *Scaling Laws for Neural Language Models*, arXiv 2001.08361,
    equations 1.1 to 1.3, which write it without floor as (X_c / X)^alpha; so A = X_c^alpha.
    """

    name: str
    """Short name under which the constants are known here."""
    source: str
    """Where the constants come from."""
    of: Resource
    """The resource that X counts."""
    floor_nats: Constant
    """E: the loss that no amount of X goes below, nats per token; 0 for a law without floor."""
    a: Constant
    """A: the loss above the floor at X = 1, nats per token."""
    alpha: Constant
    """Exponent of X."""
    span: tuple[float, float] | None = None
    """Least and largest X that the constants were fitted on; None where that is not known."""

    def __post_init__(self) -> None:
        _check(self.name, {"E": self.floor_nats, "A": self.a, "alpha": self.alpha})

    def loss(self, amount: ArrayLike) -> NDArray[np.float64]:
        """Pretraining loss in nats per token, of the broadcast shape of `amount` and constants.

        loss = E + A / amount**alpha

        Args:
            amount: how much of the resource `of` there is (count), any shape; positive. Where the
                constants are n draws, a shape that broadcasts with (n,).

        Raises:
            ScalingError: an amount is not positive and finite.
        """
        return np.asarray(self.floor_nats + term(self.a, self.alpha, counts(self.of, amount)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChinchillaLaw:
    """L(N, D) = E + A / N^alpha + B / D^beta, in nats per token.

    Source: Hoffmann et al. 2022, *Training Compute-Optimal Large Language Models*, arXiv
    2203.15556, equation 2.
    """

    name: str
    """Short name under which the constants are known here."""
    source: str
    """Where the constants were published."""
    floor_nats: Constant
    """E: the loss of a perfect model, nats per token."""
    a: Constant
    """A: numerator of the parameter term, nats per token."""
    b: Constant
    """B: numerator of the data term, nats per token."""
    alpha: Constant
    """Exponent of the parameter count."""
    beta: Constant
    """Exponent of the token count."""
    span: tuple[float, float] | None = None
    """Least and largest training FLOPs of the runs that the constants were fitted on."""

    def __post_init__(self) -> None:
        constants = {"E": self.floor_nats, "A": self.a, "B": self.b}
        _check(self.name, {**constants, "alpha": self.alpha, "beta": self.beta})

    def loss(self, params: ArrayLike, tokens: ArrayLike) -> NDArray[np.float64]:
        """Pretraining loss in nats per token, of the broadcast shape of arguments and constants.

        loss = E + A / params**alpha + B / tokens**beta

        Args:
            params: parameters of the model (count), any shape; positive.
            tokens: training tokens (count), a shape that broadcasts with `params`; positive.

        Raises:
            ScalingError: a count is not positive and finite.
        """
        n = counts(Resource.PARAMS, params)
        d = counts(Resource.TOKENS, tokens)
        return np.asarray(
            self.floor_nats + term(self.a, self.alpha, n) + term(self.b, self.beta, d)
        )

    @property
    def frontier(self) -> PowerLaw:
        """Loss against training FLOPs where parameters and tokens are split for the least loss.

        gamma = alpha * beta / (alpha + beta)
        L(C) = E + K / C**gamma
        K = 6**gamma * (A * (alpha + beta) / beta)**(beta / (alpha + beta))
                     * (B * (alpha + beta) / alpha)**(alpha / (alpha + beta))

        It follows from Hoffmann et al. 2022, equation 4, put into equation 2.

        Raises:
            ScalingError: A or B is 0, so there is no least loss between the ends.
        """
        require_both_terms(self)
        total = self.alpha + self.beta
        gamma = self.alpha * self.beta / total
        ln_k = (
            gamma * np.log(FLOPS_PER_PARAM_AND_TOKEN)
            + self.beta / total * np.log(self.a * total / self.beta)
            + self.alpha / total * np.log(self.b * total / self.alpha)
        )
        return PowerLaw(
            name=f"{self.name}, compute-optimal",
            source=self.source,
            of=Resource.FLOPS,
            floor_nats=self.floor_nats,
            a=np.exp(ln_k) if np.ndim(ln_k) else float(np.exp(ln_k)),
            alpha=gamma,
            span=self.span,
        )


ScalingLaw: TypeAlias = PowerLaw | ChinchillaLaw


def require_both_terms(law: ChinchillaLaw) -> None:
    """Refuse a law in which loss does not fall with both parameters and tokens.

    Raises:
        ScalingError: A or B is 0.
    """
    for symbol, value in (("A", law.a), ("B", law.b)):
        if not np.all(np.asarray(value) > 0):
            raise ScalingError(
                f'the law "{law.name}" has {symbol} = 0, so its loss does not fall with both '
                "parameters and tokens and there is no compute-optimal split. Fix the tokens, the "
                "parameters or their ratio, or use other constants."
            )


def term(numerator: Constant, exponent: Constant, amount: NDArray[np.float64]) -> Constant:
    """The power term numerator / amount**exponent, 0 where amount**exponent is past any float."""
    with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
        return np.asarray(numerator / amount**exponent)


def counts(resource: Resource, amount: ArrayLike) -> NDArray[np.float64]:
    """The amounts as floats, of the shape they came in.

    Raises:
        ScalingError: an amount is not a number, or is not positive and finite.
    """
    try:
        found = np.asarray(amount, dtype=np.float64)
    except (TypeError, ValueError):
        raise ScalingError(
            f"{resource} must be numbers, and {str(amount)[:60]!r} is not. Give a count above 0."
        ) from None
    bad = ~(np.isfinite(found) & (found > 0))
    if np.any(bad):
        raise ScalingError(
            f"{resource} must be positive and finite, and {found[bad].flat[0]:g} is not. "
            "Give a count above 0, such as 7e9."
        )
    return found


def _check(name: str, constants: dict[str, Constant]) -> None:
    """Refuse constants that do not make a law: draws of unequal number, or a value below 0.

    Raises:
        ScalingError: names the constant and its value.
    """
    lengths = {np.shape(value) for value in constants.values() if np.ndim(value)}
    if len(lengths) > 1 or any(len(shape) > 1 for shape in lengths):
        shapes = ", ".join(f"{symbol} {np.shape(value)}" for symbol, value in constants.items())
        raise ScalingError(
            f'the constants of "{name}" have shapes {shapes}. Give numbers, or as many draws of '
            "each, in one dimension."
        )
    for symbol, value in constants.items():
        found = np.asarray(value, dtype=np.float64)
        is_exponent = symbol in _EXPONENTS
        bad = ~(np.isfinite(found) & ((found > 0) if is_exponent else (found >= 0)))
        if np.any(bad):
            raise ScalingError(
                f'{symbol} of "{name}" is {found[bad].flat[0]:g}. It must be finite and '
                f"{'above' if is_exponent else 'at least'} 0."
            )
