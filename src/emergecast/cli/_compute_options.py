"""Records of options that turn a loss into compute, and the models that are asked about."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from emergecast.errors import OptionError, ScalingError

if TYPE_CHECKING:
    from emergecast.compute import ComputeOptions
    from emergecast.forecasts import AtComputeRecord, Forecast
    from emergecast.scaling import Allocation, ScalingLaw


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationAsked:
    """From loss to compute: how parameters and tokens are tied."""

    tokens_per_param: str | None = None
    """So many training tokens for every parameter."""
    token_budget: str | None = None
    """Fix the training tokens."""
    model_size: str | None = None
    """Fix the parameters."""
    compute_optimal: bool = False
    """Split FLOPs for the least loss: the default of a law of parameters and tokens."""

    def allocation(self) -> Allocation | None:
        """The one allocation that is asked for; None if none is."""
        from emergecast.scaling import Allocation, parse_amount

        made = {
            "--tokens-per-param": (Allocation.ratio, self.tokens_per_param),
            "--token-budget": (Allocation.at_tokens, self.token_budget),
            "--model-size": (Allocation.at_params, self.model_size),
        }
        found = [
            (name, make(parse_amount(text, name)))
            for name, (make, text) in made.items()
            if text is not None
        ]
        if self.compute_optimal:
            found.append(("--compute-optimal", Allocation.compute_optimal()))
        if len(found) > 1:
            names = " and ".join(name for name, _ in found)
            raise OptionError(f"{names} tie parameters and tokens in {len(found)} ways. Give one.")
        return found[0][1] if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LawAsked:
    """From loss to compute: the scaling law."""

    scaling_law: str | None = None
    """From loss to compute: own (fitted to the checkpoints of the fit), or a law as `emergecast
    scaling convert --law` takes it. Default: own; where the losses were estimated, the constants
    they were estimated with."""
    no_anchor: bool = False
    """Take a given --scaling-law as it is, instead of shifting its floor so that it passes through
    the checkpoints."""
    compute_by_date: Path | None = None
    """Columns date (2027-01-31) and flops, the largest run possible then: say when."""

    def options(self, allocation: AllocationAsked) -> ComputeOptions:
        """What is asked for; every file is read, so that a wrong one is reported at once.

        Raises:
            EmergecastError: a law, an amount or a table cannot be read, or two allocations are
                given.
        """
        from emergecast.compute import ComputeOptions, read_compute_dates

        given = self.scaling_law not in {None, "own"}
        if self.no_anchor and not given:
            raise OptionError(
                "--no-anchor is about a law that is given: name one with --scaling-law, or leave "
                "--no-anchor out."
            )
        dates = self.compute_by_date
        made = ComputeOptions(
            law="own" if self.scaling_law == "own" else None,
            allocation=allocation.allocation(),
            anchor=not self.no_anchor,
            dates=None if dates is None else read_compute_dates(dates),
        )
        if self.scaling_law is None or not given:
            return made
        law, draws = law_of(self.scaling_law, None)
        return replace(made, law=law, draws=draws)


def law_of(text: str, span: str | None) -> tuple[ScalingLaw, ScalingLaw | None]:
    """The law, and its draws where it came from a file that has some."""
    from emergecast.scaling import NAMED_LAWS, parse_amount, parse_law, read_law

    draws: ScalingLaw | None = None
    folder = text.strip() not in NAMED_LAWS and Path(text).is_dir()
    if text.endswith(".json") or ("=" not in text and (folder or Path(text).is_file())):
        law, draws = read_law(text)
    else:
        law = parse_law(text)
    if span is None:
        return law, draws
    ends = [parse_amount(part, "--span") for part in span.split(",")]
    if len(ends) != 2 or not ends[0] < ends[1]:
        raise OptionError(f"--span {span!r} is not LOW,HIGH. Give two amounts, such as 7B,70B.")
    return replace(law, span=(ends[0], ends[1])), draws


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsAsked:
    """What to expect of a training run."""

    at_model: tuple[str, ...] = ()
    """Probability that a model of N parameters and T tokens has emerged, such as 70B,1.4T."""
    at_flops: tuple[str, ...] = ()
    """Probability that a run of C training FLOPs has emerged."""

    def runs(self) -> tuple[dict[str, float], ...]:
        """What each of them is known by: params and tokens, or flops.

        Raises:
            EmergecastError: an amount cannot be read.
        """
        from emergecast.scaling import parse_amount

        found: list[dict[str, float]] = []
        for text in self.at_model:
            params, comma, tokens = text.partition(",")
            if not comma or "," in tokens:
                raise OptionError(
                    f"--at-model takes parameters and tokens, such as 70B,1.4T, not {text!r}."
                )
            parts = {"params": params, "tokens": tokens}
            found.append({k: parse_amount(part, "--at-model") for k, part in parts.items()})
        found += [{"flops": parse_amount(text, "--at-flops")} for text in self.at_flops]
        return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class LossesAsked:
    """What to expect of a model."""

    at_loss: tuple[float, ...] = ()
    """Say what to expect of a model of this loss, or value of --axis."""
    score: tuple[float, ...] = ()
    """With --at-loss: probability of a score above this."""

    def check(self, *, positive: bool) -> None:
        """Refuse nan, inf and a score without a loss; where `positive`, losses of 0 and below.

        Raises:
            OptionError: one of them.
        """
        for option, values in (("--at-loss", self.at_loss), ("--score", self.score)):
            for value in values:
                if not math.isfinite(value):
                    raise OptionError(f"{option} takes finite numbers, not {value:g}.")
        for loss in self.at_loss:
            if positive and loss <= 0:
                raise OptionError(f"--at-loss takes a loss above 0, not {loss:g}.")
        if self.score and not self.at_loss:
            raise OptionError(
                "--score needs --at-loss, the loss of the model whose score is meant."
            )


def at_compute(
    forecast: Forecast, runs: tuple[dict[str, float], ...]
) -> tuple[AtComputeRecord, ...]:
    """What to expect of each run; or why nothing is known of it."""
    from emergecast.forecasts import AtComputeRecord

    found = []
    for run in runs:
        try:
            found.append(AtComputeRecord(**asdict(forecast.emerged_at(**run))))
        except ScalingError as error:
            found.append(AtComputeRecord(**run, error=str(error)))
    return tuple(found)
