"""A fitted scaling law: the optimum, how sure it is, and what stood out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

import numpy as np

from emergecast.errors import OptionError
from emergecast.scaling._laws import Form, ScalingLaw
from emergecast.scaling._runs import Runs
from emergecast.scaling.counting import Resource
from emergecast.scaling.fitting._curvature import (
    condition_numbers,
    constants,
    errors_of_constants,
    robust_z,
)
from emergecast.scaling.fitting._newton import EXPONENTS, Box
from emergecast.scaling.fitting._objective import Points, residuals

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from emergecast.scaling.fitting._resampling import Refits

    Floats = NDArray[np.float64]

SEED: Final = 20220329
"""Of the resamples, where the caller gives no generator."""
_DEGENERATE: Final = 0.05
"""Share of refits without an optimum that is warned of."""
_FEW: Final = 12
"""Runs (or points) below which errors are warned of."""
_NEARLY: Final = 0.05
"""Excess of the objective below which another optimum is warned of."""
_CENTRAL: Final = 0.6827
"""Share of a normal within one standard deviation."""


class ScalingStatus(StrEnum):
    """How a fit ended; there is no status by default."""

    CONVERGED = "converged"
    FLOOR_AT_ZERO = "floor_at_zero"
    EXPONENT_AT_BOUND = "exponent_at_bound"
    TERM_AT_ZERO = "term_at_zero"
    UNFINISHED = "unfinished"

    @property
    def sentence(self) -> str:
        """Cause and remedy."""
        return {
            ScalingStatus.CONVERGED: "The optimum lies inside every bound, and the gradient there "
            "is zero to rounding.",
            ScalingStatus.FLOOR_AT_ZERO: "The best floor is 0: these points do not show that the "
            "loss levels off. Add larger runs, or say what is meant with --no-floor or --floor E.",
            ScalingStatus.EXPONENT_AT_BOUND: "An exponent would leave "
            f"{EXPONENTS[0]:g} to {EXPONENTS[1]:g}: these points do not follow a power law. Add "
            "runs over a wider range, or drop a resource with --law.",
            ScalingStatus.TERM_AT_ZERO: "A term of the law is 0, and its exponent means nothing: "
            "the loss does not fall with that resource here. Add runs over a wider range of it, or "
            "leave it out with --law.",
            ScalingStatus.UNFINISHED: "The search ended before the gradient was zero, so the "
            "constants are not an optimum. Report this table.",
        }[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingFitOptions:
    """How a law is fitted."""

    delta: float = 1e-3
    """Residual in ln L from which a point counts linearly; Hoffmann et al. 2022 took 1e-3."""
    floor_nats: float | None = None
    """A floor to hold fixed; 0 for a law without floor; None to fit it."""
    bootstraps: int = 1000
    """Refits to resampled runs or points; 0 for none."""
    starts: int = 64
    """Searches from other exponents, to see whether there are other optima."""
    outlier_z: float = 4.0
    """Robust standard deviations from which a residual is called an outlier."""

    def __post_init__(self) -> None:
        for name in ("delta", "outlier_z"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise OptionError(f"{name} must be a finite number above 0, not {value:g}.")
        if self.floor_nats is not None and not (
            math.isfinite(self.floor_nats) and self.floor_nats >= 0
        ):
            raise OptionError(
                f"the floor must be a finite number of nats, at least 0, not {self.floor_nats:g}."
            )
        for name, least in (("bootstraps", 0), ("starts", 1)):
            if getattr(self, name) < least:
                raise OptionError(f"{name} must be at least {least}, not {getattr(self, name)}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingOptima:
    """What searches from many starts found; the best of them is the fit."""

    starts: int
    """Searches."""
    same: int
    """Searches that ended at the best optimum: its objective to 1e-9, and its law at the points."""
    worse: int
    """Searches that converged to another one."""
    unfinished: int
    """Searches that did not converge."""
    spread: float
    """Largest minus least objective among the same, relative to it."""
    spread_of_constants: dict[str, float]
    """Largest minus least value of each constant among the same."""
    next_best: dict[str, float] | None
    """Constants of the best of the others, and its `objective`; None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlier:
    """A point far from the law; it counts all the same."""

    row: int
    """1-based row in the table."""
    loss: float
    """As given, nats per token."""
    predicted: float
    """By the law, nats per token."""
    z: float
    """Residual of ln L in robust standard deviations; positive where the point is above the law."""


@dataclass(frozen=True, kw_only=True)
class ScalingFit:
    """A fitted law. Made by `fit_scaling_law`."""

    runs: Runs
    form: Form
    options: ScalingFitOptions
    law: ScalingLaw
    """The law at the optimum."""
    status: ScalingStatus
    objective: float
    """Sum of the Huber losses of ln L."""
    slope: float
    """Largest gradient left, relative to the largest that the Huber loss can have."""
    optima: ScalingOptima
    refits: Refits | None
    """The bootstrap; None where it was not asked for, or there is too little to resample."""
    points: Points
    theta: Floats
    """The optimum in the coordinates of the search."""
    curvature: Floats
    """Covariance of (E, ln c_k, a_k), the coordinates of the search with ln of the terms."""

    @property
    def constants(self) -> dict[str, float]:
        """The constants at the optimum, by symbol."""
        return {symbol: float(value) for symbol, value in self.law.constants.items()}

    @property
    def fixed(self) -> tuple[str, ...]:
        """Constants that were given, not fitted."""
        return () if self.options.floor_nats is None else ("E",)

    @cached_property
    def residuals(self) -> Floats:
        """The law's ln L minus that of each point, shape (points,)."""
        found: Floats = residuals(self.points, self.theta[None])[0]
        return found

    @cached_property
    def outliers(self) -> tuple[Outlier, ...]:
        """Points further than `outlier_z` robust standard deviations from the law, worst first."""
        z = -robust_z(self.residuals)
        far = np.flatnonzero(np.abs(z) > self.options.outlier_z)
        return tuple(
            Outlier(
                row=self.runs.rows[i],
                loss=float(self.runs.loss[i]),
                predicted=float(self.runs.loss[i] * np.exp(self.residuals[i])),
                z=float(z[i]),
            )
            for i in far[np.argsort(-np.abs(z[far]), kind="stable")]
        )

    @cached_property
    def condition_numbers(self) -> tuple[float, float]:
        """Of the constants as printed, and with the terms taken at the middle of the table."""
        return condition_numbers(self.points, self.theta, free_of(self.theta, self._box))

    @property
    def _box(self) -> Box:
        return Box.of(self.points.terms, self.options.floor_nats)

    @property
    def stderr_bootstrap(self) -> dict[str, float | None]:
        """Standard deviation of the refits by constant; None where fixed, or there is none."""
        return self._of_refits(lambda drawn: drawn.std(axis=0, ddof=1))

    @property
    def stderr_robust(self) -> dict[str, float | None]:
        """Half the width of the central 68% of the refits, which no single refit moves."""
        ends = [0.5 - _CENTRAL / 2, 0.5 + _CENTRAL / 2]
        return self._of_refits(lambda drawn: 0.5 * np.ptp(np.quantile(drawn, ends, axis=0), axis=0))

    @property
    def stderr_curvature(self) -> dict[str, float | None]:
        """Standard error from the derivatives at the optimum; None where fixed or at a bound."""
        found = errors_of_constants(self.points, self.theta, self.curvature)
        free = free_of(self.theta, self._box)
        shown = self._errors(found)
        k = self.points.terms
        for i, name in enumerate(self.form.constants):
            tied = free[i] and (free[i + k] if 1 <= i <= k else True)
            shown[name] = shown[name] if tied else None
        return shown

    def quantile(self, probability: float) -> dict[str, float | None]:
        """Quantile of the refits by constant; None where fixed, or there are none."""
        return self._of_refits(lambda drawn: np.quantile(drawn, probability, axis=0))

    def draws(self, n: int, rng: np.random.Generator | None = None) -> ScalingLaw:
        """`n` draws of the law, its constants arrays of shape (n,).

        They are refits of the bootstrap, each used once before any is used again; without a
        bootstrap they are normal in (E, ln c_k, a_k) with the covariance from curvature.
        """
        rng = np.random.default_rng(SEED) if rng is None else rng
        drawn = self._refitted()
        if drawn is None:
            k = self.points.terms
            centre = self.theta.copy()
            centre[1 : 1 + k] = np.log(np.maximum(centre[1 : 1 + k], 1e-300))
            theta = rng.multivariate_normal(centre, self.curvature, size=n, method="eigh")
            theta[:, 1 : 1 + k] = np.exp(theta[:, 1 : 1 + k])
            box = self._box
            rows = constants(self.points, np.clip(theta, box.low, box.high))
        else:
            order = [rng.permutation(len(drawn)) for _ in range(-(-n // len(drawn)))]
            rows = drawn[np.concatenate([*order, np.empty(0, dtype=np.intp)])[:n]]
        return law_of(self.runs, self.form, rows)

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What makes the constants or their errors doubtful beside the status, a sentence each."""
        doubt = self.runs.flops_doubt(self.form)
        found = [] if doubt is None else [doubt]
        refits, clusters = self.refits, len(set(self.runs.run or self.runs.rows))
        if refits is not None and refits.degenerate > _DEGENERATE * refits.asked:
            found.append(
                f"{refits.degenerate:,} of {refits.asked:,} refits have no optimum: these runs "
                "barely decide the law, and the errors from the refits that do are too small. Add "
                "runs over a wider range, fix the floor, or fit a law of one resource."
            )
        if clusters < _FEW:
            found.append(
                f"There are only {clusters} {'points' if self.runs.run is None else 'runs'}: "
                "standard errors from so few tend to be too small. Add some."
            )
        other = self.optima.next_best
        if (
            self.status in {ScalingStatus.CONVERGED, ScalingStatus.FLOOR_AT_ZERO}
            and other is not None
            and other["objective"] < (1 + _NEARLY) * self.objective
        ):
            found.append(
                "Another optimum fits as well or almost, with an objective "
                f"{abs(other['objective'] / self.objective - 1):.1%} higher. Add runs, or say more "
                "about the law: fix the floor, or fit one resource."
            )
        return tuple(found)

    @property
    def title(self) -> str:
        """The law with its constants."""
        shown = {symbol: f"{value:.4g}" for symbol, value in self.constants.items()}
        return f"L = {self.form.formula(shown)}"

    @property
    def subtitle(self) -> str:
        """What the law rests on, and how the search ended."""
        text = f"{self.runs.n} points of {PurePath(self.runs.name).name}"
        text += f", without the {n} of highest loss" if (n := len(self.runs.dropped)) else ""
        found = self.stderr_curvature if self.refits is None else self.stderr_bootstrap
        errors = ", ".join(
            f"{name} {float(f'{e:.2g}'):g}" for name, e in found.items() if e is not None
        )
        return f"{text}. Standard errors: {errors}. {self.status.sentence}"

    @property
    def axis(self) -> Resource:
        """The resource that a picture of the fit has as its axis."""
        return self.form.span_of

    def _refitted(self) -> Floats | None:
        if self.refits is None or len(self.refits.theta) < 2:
            return None
        return constants(self.points, self.refits.theta)

    def _of_refits(self, summary: Callable[[Floats], Floats]) -> dict[str, float | None]:
        drawn = self._refitted()
        return self._errors(None if drawn is None else summary(drawn))

    def _errors(self, values: Floats | None) -> dict[str, float | None]:
        return {
            name: None if values is None or name in self.fixed else float(values[i])
            for i, name in enumerate(self.form.constants)
        }


def free_of(theta: Floats, box: Box) -> NDArray[np.bool_]:
    """Coordinates inside their bounds; the exponent of a term at 0 is not free either."""
    free: NDArray[np.bool_] = (theta > box.low) & (theta < box.high)
    k = len(theta) // 2
    free[1 + k :] &= free[1 : 1 + k]
    return free


def law_of(runs: Runs, form: Form, values: Floats) -> ScalingLaw:
    """The law of constants in the order of the form, shape (constants,) or (draws, constants)."""
    known = runs.given.get(form.span_of)
    span = None if known is None else (float(known.min()), float(known.max()))
    file = PurePath(runs.name).name
    columns = [float(v) if values.ndim == 1 else np.ascontiguousarray(v) for v in values.T]
    source = f"fitted to {runs.n} points of {file}"
    return form.law(columns, name=f"fit to {file}", source=source, span=span)
