"""The pretraining runs that a scaling law is fitted to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from emergecast.errors import ScalingError
from emergecast.scaling._laws import Form
from emergecast.scaling.counting import Resource, complete_amounts, training_flops

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

RUN_LIMITS: Final = {"loss": (1e-9, 1e9), "amount": (1e-30, 1e60)}
"""Least and largest value that is fitted; far beyond any, so that no power of one overflows."""
_OTHERWISE: Final = 0.25
"""Distance from 1 of the table's FLOPs over 6 N D that is warned of."""
_ONE_LINE: Final = 0.05
"""Scatter of ln tokens about a straight line in ln params below which the two are one amount."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """One row for each point of a loss curve. Made by `Runs.of`, or read by `read_runs`."""

    name: str
    """The file as the user named it, or "<runs>"."""
    loss: Floats
    """Held-out loss in nats per token, shape (points,)."""
    params: Floats | None
    """Parameters of the model (count), shape (points,)."""
    tokens: Floats | None
    """Training tokens (count), shape (points,)."""
    flops: Floats | None
    """Training FLOPs, shape (points,)."""
    derived: Resource | None
    """The one of the three that was not given and follows from flops = 6 * params * tokens."""
    run: tuple[str, ...] | None
    """Training run of each point; None where each point is a run of its own."""
    rows: tuple[int, ...]
    """1-based row of each point in the table that it comes from."""
    repeated: int = 0
    """Rows of the table that only repeat the loss of a checkpoint, and do not count."""
    dropped: tuple[tuple[int, float], ...] = ()
    """Row and loss of points that were left out on request."""

    @classmethod
    def of(
        cls,
        loss: ArrayLike,
        *,
        params: ArrayLike | None = None,
        tokens: ArrayLike | None = None,
        flops: ArrayLike | None = None,
        run: Sequence[object] | None = None,
        name: str = "<runs>",
    ) -> Runs:
        """Runs from arrays of one length; two of params, tokens and flops give the third.

        Raises:
            ScalingError: nothing, or values that are not positive finite numbers, or are of
                unequal length.
        """
        found = {"loss": loss, "params": params, "tokens": tokens, "flops": flops}
        given = {
            column: _positive(column, cells) for column, cells in found.items() if cells is not None
        }
        lengths = {column: len(cells) for column, cells in given.items()}
        if run is not None:
            lengths["run"] = len(run)
        if len(set(lengths.values())) > 1:
            shown = ", ".join(f"{column} {length}" for column, length in lengths.items())
            raise ScalingError(
                f"the columns differ in length: {shown}. Give each one value a point."
            )
        if len(given) == 1:
            raise ScalingError(
                "there is a loss, but nothing that it could be a function of. Give params, tokens "
                "or flops; two of them give the third."
            )
        losses = given.pop("loss")
        whole = complete_amounts({Resource(column): cells for column, cells in given.items()})
        return cls(
            name=name,
            derived=next((resource for resource in whole if resource not in given), None),
            loss=losses,
            params=whole.get(Resource.PARAMS),
            tokens=whole.get(Resource.TOKENS),
            flops=whole.get(Resource.FLOPS),
            run=None if run is None else tuple(map(str, run)),
            rows=tuple(range(1, len(losses) + 1)),
        )

    @property
    def n(self) -> int:
        """Points."""
        return len(self.loss)

    @property
    def form(self) -> Form:
        """The law of the most resources that the points have."""
        if self.params is not None and self.tokens is not None:
            return Form.CHINCHILLA
        return Form(next(iter(self.given)).value)

    @property
    def given(self) -> dict[Resource, Floats]:
        """What is known of each point, by resource."""
        return {of: cells for of in Resource if (cells := getattr(self, of)) is not None}

    def flops_doubt(self, form: Form) -> str | None:
        """A sentence where the table counts FLOPs otherwise than 6 N D and it matters to `form`."""
        known = self.given
        if len(known) < len(Resource) or self.derived is not None:
            return None
        if form not in {Form.CHINCHILLA, Form.FLOPS}:
            return None
        counted = training_flops(known[Resource.PARAMS], known[Resource.TOKENS])
        ratio = float(np.median(known[Resource.FLOPS] / counted))
        if abs(ratio - 1) <= _OTHERWISE:
            return None
        rests = (
            "params and tokens, not on flops, and its compute-optimal table counts FLOPs as 6 N D"
            if form is Form.CHINCHILLA
            else "flops as the table counts them; whatever splits a compute-optimal run into "
            "params and tokens counts FLOPs as 6 N D"
        )
        return (
            f"The flops of {self.name} are {ratio:.3g} times 6 N D (median). The law rests on "
            f"{rests}. Check the three columns, or leave out the one that is wrong."
        )

    def drop_highest(self, count: int) -> Runs:
        """Without the `count` points of the highest loss, which `dropped` then lists.

        Raises:
            ScalingError: there are not that many points.
        """
        if not 0 <= count < self.n:
            raise ScalingError(
                f"{count} of {self.n} points cannot be dropped. Give a number from 0 to "
                f"{self.n - 1}."
            )
        order = np.argsort(self.loss, kind="stable")
        gone, kept = np.sort(order[self.n - count :]), np.sort(order[: self.n - count])
        dropped = tuple((self.rows[i], float(self.loss[i])) for i in gone)
        return replace(self.take(kept), dropped=self.dropped + dropped)

    def take(self, kept: NDArray[np.intp]) -> Runs:
        """Only the points at these positions."""
        params, tokens, flops = self.params, self.tokens, self.flops
        return replace(
            self,
            loss=self.loss[kept],
            params=None if params is None else params[kept],
            tokens=None if tokens is None else tokens[kept],
            flops=None if flops is None else flops[kept],
            run=None if self.run is None else tuple(self.run[i] for i in kept),
            rows=tuple(self.rows[i] for i in kept),
        )

    def amounts(self, form: Form, *, free_floor: bool) -> Floats:
        """What `form` is a function of, shape (terms, points), once the points can decide it.

        Raises:
            ScalingError: an amount is not known, or the points are too few, or too much alike.
        """
        missing = [r for r in form.resources if r not in self.given]
        if missing:
            raise ScalingError(
                f"{self.name} has no {' and no '.join(missing)}, which the law {form} is a "
                f"function of. Add it, or fit --law {self.form}."
            )
        amounts = np.stack([self.given[resource] for resource in form.resources])
        constants = 2 * len(amounts) + free_floor
        if self.n < constants + 1:
            raise ScalingError(
                f"{self.name} has {self.n} points for {constants} constants. Give at least "
                f"{constants + 1}, better five times as many"
                + (", or fix the floor with --floor E." if free_floor else ".")
            )
        self._check_distinct(amounts, form, 3 if free_floor or len(amounts) > 1 else 2)
        return amounts

    def _check_distinct(self, amounts: Floats, form: Form, fewest: int) -> None:
        for resource, cells in zip(form.resources, amounts, strict=True):
            distinct = len(np.unique(cells))
            if distinct < fewest:
                other = [r for r in form.resources if r is not resource]
                remedy = f", or fit --law {other[0]}" if other else ", or fix the floor"
                raise ScalingError(
                    f"{self.name} has {distinct} distinct values of {resource}, and an exponent "
                    f"needs at least {fewest}. Add runs of other {resource}{remedy}."
                )
        if len(np.unique(self.loss)) == 1:
            raise ScalingError(
                f"every loss of {self.name} is {self.loss[0]:g}, so no law falls with anything. "
                "Check the column loss."
            )
        if form is Form.CHINCHILLA:
            x, y = np.log(amounts) - np.log(amounts).mean(axis=1, keepdims=True)
            scatter = float(np.std(y - x * (x @ y) / (x @ x)))
            if scatter < _ONE_LINE:
                raise ScalingError(
                    f"tokens of {self.name} are one power of params (to {scatter:.1%}), so nothing "
                    "tells what each of them does to the loss. Add runs off that line, or fit "
                    "--law flops, which gives the loss along it."
                )


def _positive(column: str, cells: ArrayLike) -> Floats:
    try:
        found = np.asarray(cells, dtype=np.float64)
    except (TypeError, ValueError):
        raise ScalingError(
            f"{column} holds something that is not a number. Give numbers."
        ) from None
    if found.ndim != 1:
        raise ScalingError(
            f"{column} has shape {found.shape}. Give one value for each point, in one dimension."
        )
    bad = np.flatnonzero(~(np.isfinite(found) & (found > 0)))
    if bad.size:
        raise ScalingError(
            f"{column} of point {bad[0] + 1} is {found[bad[0]]:g}. Give positive finite numbers."
        )
    low, high = RUN_LIMITS["loss" if column == "loss" else "amount"]
    far = np.flatnonzero((found < low) | (found > high))
    if far.size:
        raise ScalingError(
            f"{column} of point {far[0] + 1} is {found[far[0]]:g}, and nothing outside {low:g} to "
            f"{high:g} is fitted. Check the unit of {column}."
        )
    return found
