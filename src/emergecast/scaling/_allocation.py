"""How parameters and tokens are tied to each other, and the run that results."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from emergecast.errors import ScalingError
from emergecast.scaling._sizes import amount_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Amount: TypeAlias = float | NDArray[np.float64]


class Tie(StrEnum):
    """What is held fixed while a model family grows."""

    COMPUTE_OPTIMAL = "compute_optimal"
    """Parameters and tokens are those of the least loss for their FLOPs."""
    RATIO = "ratio"
    """A fixed number of tokens per parameter."""
    TOKENS = "tokens"
    """The number of training tokens."""
    PARAMS = "params"
    """The number of parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """How parameters and tokens are tied; `str` gives it in words. Made by its four class methods.

    A law of two resources has many runs of one loss, and an allocation picks one.
    """

    tie: Tie
    """What is held fixed."""
    value: float | None = None
    """Tokens per parameter, tokens, or parameters; None where compute-optimal."""

    def __post_init__(self) -> None:
        if self.tie is Tie.COMPUTE_OPTIMAL:
            if self.value is not None:
                raise ScalingError(
                    f"a compute-optimal allocation has no value, and {self.value:g} was given. "
                    "Leave it out."
                )
            return
        names = {Tie.RATIO: "tokens per parameter", Tie.TOKENS: "tokens", Tie.PARAMS: "parameters"}
        if self.value is None or not (np.isfinite(self.value) and self.value > 0):
            raise ScalingError(
                f"{names[self.tie]} must be positive and finite, and {self.value} is not. "
                "Give a number above 0."
            )

    @classmethod
    def compute_optimal(cls) -> Allocation:
        """The split of least loss for its FLOPs: Hoffmann et al. 2022, equation 4."""
        return cls(tie=Tie.COMPUTE_OPTIMAL)

    @classmethod
    def ratio(cls, tokens_per_param: float) -> Allocation:
        """A fixed number of training tokens for every parameter."""
        return cls(tie=Tie.RATIO, value=float(tokens_per_param))

    @classmethod
    def at_tokens(cls, tokens: float) -> Allocation:
        """The same number of training tokens whatever the size."""
        return cls(tie=Tie.TOKENS, value=float(tokens))

    @classmethod
    def at_params(cls, params: float) -> Allocation:
        """The same number of parameters however long it is trained."""
        return cls(tie=Tie.PARAMS, value=float(params))

    def __str__(self) -> str:
        match self.tie:
            case Tie.COMPUTE_OPTIMAL:
                return "compute-optimal"
            case Tie.RATIO:
                return f"{self.value:g} tokens per parameter"
            case Tie.TOKENS:
                return f"at {amount_text(self.value or 0.0)} tokens"
            case Tie.PARAMS:
                return f"at {amount_text(self.value or 0.0)} parameters"


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainingRun:
    """A training run: numbers, or arrays of one shape; None where nothing determines it."""

    params: Amount | None = None
    """Parameters of the model (count)."""
    tokens: Amount | None = None
    """Training tokens (count)."""
    flops: Amount | None = None
    """Training FLOPs, 6 * params * tokens unless the law is one of FLOPs."""
