"""The laws: pretraining loss as a floor and a power of one resource, or of parameters and tokens.

A law says itself which constants and terms it has and what it is of, so nobody else asks which of
the two classes it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from emergecast.errors import ScalingError
from emergecast.scaling.counting import FLOPS_PER_PARAM_AND_TOKEN, Resource

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import ArrayLike, NDArray

    Constant: TypeAlias = float | NDArray[np.float64]
    """A constant of one law, or one value for each of n draws of a law, shape (n,)."""

_FIELDS: Final = {"E": "floor_nats", "A": "a", "B": "b", "alpha": "alpha", "beta": "beta"}
"""The field of a law that holds each constant."""
_NUMERATORS: Final = ("A", "B")
_EXPONENTS: Final = ("alpha", "beta")


class Form(StrEnum):
    """What a law is a function of."""

    CHINCHILLA = "chinchilla"
    """L(N, D) = E + A / N^alpha + B / D^beta."""
    PARAMS = "params"
    """L(N) = E + A / N^alpha."""
    TOKENS = "tokens"
    """L(D) = E + A / D^alpha."""
    FLOPS = "flops"
    """L(C) = E + A / C^alpha."""

    @property
    def of(self) -> Resource | None:
        """The one resource; None for a law of parameters and tokens."""
        return None if self is Form.CHINCHILLA else Resource(self.value)

    @property
    def resources(self) -> tuple[Resource, ...]:
        """What the law is a function of, a term each."""
        return (Resource.PARAMS, Resource.TOKENS) if self.of is None else (self.of,)

    @property
    def span_of(self) -> Resource:
        """The resource in which the runs that a law was fitted to are measured."""
        return self.of or Resource.FLOPS

    @property
    def constants(self) -> tuple[str, ...]:
        """The constants by symbol: the floor, the numerators, the exponents."""
        k = len(self.resources)
        return ("E", *_NUMERATORS[:k], *_EXPONENTS[:k])

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of the law that hold the constants, in their order."""
        return tuple(_FIELDS[symbol] for symbol in self.constants)

    def formula(self, values: Mapping[str, str] | None = None) -> str:
        """E + A / N^alpha + B / D^beta, or with `values` in place of the constants."""
        shown = dict(zip(self.constants, self.constants, strict=True)) | dict(values or {})
        terms = zip(_NUMERATORS, self.resources, _EXPONENTS, strict=False)
        return " + ".join(
            [shown["E"], *(f"{shown[a]} / {x.symbol}^{shown[b]}" for a, x, b in terms)]
        )

    def law(
        self,
        values: Iterable[Constant],
        *,
        name: str,
        source: str,
        span: tuple[float, float] | None = None,
    ) -> ScalingLaw:
        """The law of this form; `values` in the order of `constants`, the rest as in `ScalingLaw`.

        Raises:
            ScalingError: a constant is impossible.
        """
        if self.of is not None:
            floor, a, alpha = values
            return PowerLaw(
                name=name, source=source, of=self.of, floor_nats=floor, a=a, alpha=alpha, span=span
            )
        floor, a, b, alpha, beta = values
        return ChinchillaLaw(
            name=name, source=source, floor_nats=floor, a=a, b=b, alpha=alpha, beta=beta, span=span
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """numerator / amount^exponent, in nats per token: what a law loses to one resource."""

    resource: Resource
    """What the amount is of."""
    numerator: Constant
    """The term at an amount of 1, nats per token."""
    exponent: Constant
    """How fast it falls."""

    def at(self, amount: NDArray[np.float64]) -> Constant:
        """The term at an amount, nats; 0 where amount^exponent is past any float."""
        with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
            return np.asarray(self.numerator / amount**self.exponent)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingLaw(ABC):
    """A floor and a term for each resource, in nats per token: a `PowerLaw` or a `ChinchillaLaw`.

    Constants are numbers; or arrays of shape (n,), the law's n draws.
    """

    name: str
    """Short name under which the constants are known here."""
    source: str
    """Where the constants come from."""
    floor_nats: Constant
    """E: the loss that no run goes below, nats per token; 0 for a law without floor."""
    a: Constant
    """A: numerator of the term of the first resource, nats per token."""
    alpha: Constant
    """Exponent of the first resource."""
    span: tuple[float, float] | None = None
    """Least and largest amount of `form.span_of` of the runs that the constants were fitted on;
    None where that is not known."""

    def __post_init__(self) -> None:
        _check(self.name, self.constants)

    @property
    @abstractmethod
    def form(self) -> Form:
        """What the law is a function of."""

    @property
    @abstractmethod
    def frontier(self) -> PowerLaw:
        """The law of one resource that the best runs follow.

        Raises:
            ScalingError: there are none.
        """

    @property
    def constants(self) -> dict[str, Constant]:
        """The constants by symbol, in the order of `form.constants`."""
        values = (getattr(self, name) for name in self.form.fields)
        return dict(zip(self.form.constants, values, strict=True))

    @property
    def terms(self) -> tuple[Term, ...]:
        """The terms, in the order of `form.resources`."""
        found = self.constants
        parts = zip(self.form.resources, _NUMERATORS, _EXPONENTS, strict=False)
        return tuple(
            Term(resource=of, numerator=found[a], exponent=found[alpha]) for of, a, alpha in parts
        )

    @property
    def falls(self) -> NDArray[np.bool_]:
        """Whether the loss falls with every resource, shape () or (n,)."""
        above = [np.asarray(term.numerator) > 0 for term in self.terms]
        return np.asarray(np.all(np.broadcast_arrays(*above), axis=0))

    def having(self, values: Iterable[Constant], *, name: str | None = None) -> ScalingLaw:
        """The law with other constants, in the order of `form.constants`; and another name."""
        return self.form.law(values, name=name or self.name, source=self.source, span=self.span)

    def take(self, chosen: NDArray[np.intp] | NDArray[np.bool_]) -> ScalingLaw:
        """Some of the draws, by position or mask."""
        every = np.broadcast_arrays(*map(np.atleast_1d, self.constants.values()))
        return self.having(values[chosen] for values in every)

    def loss_of(self, amounts: Mapping[Resource, ArrayLike]) -> NDArray[np.float64]:
        """Pretraining loss in nats per token, of the broadcast shape of amounts and constants.

        loss = E + A / amount^alpha, and a further term where the law has one

        Args:
            amounts: how much of each of `form.resources` there is (count), any shape; positive.
                Where the constants are n draws, a shape that broadcasts with (n,).

        Raises:
            ScalingError: an amount is not positive and finite.
        """
        found = self.floor_nats
        for each in self.terms:
            found = found + each.at(counts(each.resource, amounts[each.resource]))
        return np.asarray(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLaw(ScalingLaw):
    """L(X) = E + A / X^alpha, in nats per token, of one resource X.

    Source: Kaplan et al. 2020, *Scaling Laws for Neural Language Models*, arXiv 2001.08361,
    equations 1.1 to 1.3, which write it without floor as (X_c / X)^alpha; so A = X_c^alpha.
    """

    of: Resource
    """The resource that X counts."""

    @property
    def form(self) -> Form:
        """What the law is a function of."""
        return Form(self.of.value)

    @property
    def frontier(self) -> PowerLaw:
        """The law itself: of one resource there is nothing to split."""
        return self

    def loss(self, amount: ArrayLike) -> NDArray[np.float64]:
        """Loss of so much of the resource `of`: see `loss_of`."""
        return self.loss_of({self.of: amount})


@dataclass(frozen=True, slots=True, kw_only=True)
class ChinchillaLaw(ScalingLaw):
    """L(N, D) = E + A / N^alpha + B / D^beta, in nats per token.

    Source: Hoffmann et al. 2022, *Training Compute-Optimal Large Language Models*, arXiv
    2203.15556, equation 2.
    """

    b: Constant
    """B: numerator of the data term, nats per token."""
    beta: Constant
    """Exponent of the token count."""

    @property
    def form(self) -> Form:
        """What the law is a function of."""
        return Form.CHINCHILLA

    def loss(self, params: ArrayLike, tokens: ArrayLike) -> NDArray[np.float64]:
        """Loss of so many parameters and training tokens: see `loss_of`."""
        return self.loss_of({Resource.PARAMS: params, Resource.TOKENS: tokens})

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
        require_every_term(self)
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


def require_every_term(law: ScalingLaw) -> None:
    """Refuse a law in which loss does not fall with both parameters and tokens.

    Raises:
        ScalingError: A or B is 0.
    """
    for symbol, term in zip(_NUMERATORS, law.terms, strict=False):
        if not np.all(np.asarray(term.numerator) > 0):
            raise ScalingError(
                f'the law "{law.name}" has {symbol} = 0, so its loss does not fall with both '
                "parameters and tokens and there is no compute-optimal split. Fix the tokens, the "
                "parameters or their ratio, or use other constants."
            )


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


def _check(name: str, constants: Mapping[str, Constant]) -> None:
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
