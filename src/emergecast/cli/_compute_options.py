"""Options that turn a forecast in loss into one in compute, and the runs asked about."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emergecast.errors import OptionError

if TYPE_CHECKING:
    from emergecast.compute import ComputeOptions
    from emergecast.forecasts import Forecast
    from emergecast.scaling import Allocation, ScalingLaw

    Run = dict[str, float]

ScalingLawOption = Annotated[
    str | None,
    typer.Option(
        "--scaling-law",
        metavar="own|NAME|FILE.json|CONSTANTS",
        help="From loss to compute: own (fitted to the checkpoints of the fit), or a law as "
        "`emergecast scaling convert --law` takes it. Default: own; where the losses were "
        "estimated, the constants they were estimated with.",
    ),
]
TokensPerParamOption = Annotated[
    str | None,
    typer.Option("--tokens-per-param", metavar="R", help="In compute: tokens per parameter."),
]
TokenBudgetOption = Annotated[
    str | None,
    typer.Option("--token-budget", metavar="T", help="In compute: fix the training tokens."),
]
ModelSizeOption = Annotated[
    str | None,
    typer.Option("--model-size", metavar="N", help="In compute: fix the parameters."),
]
ComputeOptimalOption = Annotated[
    bool,
    typer.Option(
        "--compute-optimal",
        help="In compute: split FLOPs for the least loss, the default of a law of parameters and "
        "tokens.",
    ),
]
NoAnchorOption = Annotated[
    bool,
    typer.Option(
        "--no-anchor",
        help="Take a given --scaling-law as it is, instead of shifting its floor so that it "
        "passes through the checkpoints.",
    ),
]
ByDateOption = Annotated[
    Path | None,
    typer.Option(
        "--compute-by-date",
        metavar="FILE.csv",
        help="Columns date (2027-01-31) and flops, the largest run possible then: say when.",
    ),
]
AtModelOption = Annotated[
    list[str] | None,
    typer.Option(
        "--at-model",
        metavar="N,T",
        help="Probability that a model of N parameters and T tokens has emerged, such as "
        "70B,1.4T; repeatable.",
    ),
]
AtFlopsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--at-flops",
        metavar="C",
        help="Probability that a run of C training FLOPs has emerged; repeatable.",
    ),
]


def compute_options(
    scaling_law: str | None,
    *,
    tokens_per_param: str | None = None,
    token_budget: str | None = None,
    model_size: str | None = None,
    compute_optimal: bool = False,
    no_anchor: bool = False,
    by_date: Path | None = None,
) -> ComputeOptions:
    """What the options ask for; every file is read, so that a wrong one is reported at once.

    Raises:
        EmergecastError: a law, an amount or a table cannot be read, or two allocations are given.
    """
    from emergecast.compute import ComputeOptions, read_compute_dates

    allocation = allocation_of(tokens_per_param, token_budget, model_size, optimal=compute_optimal)
    given = scaling_law not in {None, "own"}
    if no_anchor and not given:
        raise OptionError(
            "--no-anchor is about a law that is given: name one with --scaling-law, or leave "
            "--no-anchor out."
        )
    law, draws = law_of(scaling_law, None) if scaling_law and given else (None, None)
    return ComputeOptions(
        law="own" if scaling_law == "own" else law,
        draws=draws,
        allocation=allocation,
        anchor=not no_anchor,
        dates=None if by_date is None else read_compute_dates(by_date),
    )


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
    return dataclasses.replace(law, span=(ends[0], ends[1])), draws


def allocation_of(
    ratio: str | None, tokens: str | None, params: str | None, *, optimal: bool
) -> Allocation | None:
    """The one allocation that the options ask for; None if none does."""
    from emergecast.scaling import Allocation, parse_amount

    made = {
        "--tokens-per-param": None if ratio is None else (Allocation.ratio, ratio),
        "--token-budget": None if tokens is None else (Allocation.at_tokens, tokens),
        "--model-size": None if params is None else (Allocation.at_params, params),
    }
    chosen = [name for name, each in made.items() if each is not None]
    if optimal:
        chosen.append("--compute-optimal")
    if len(chosen) > 1:
        raise OptionError(
            f"{' and '.join(chosen)} tie parameters and tokens in {len(chosen)} ways. Give one."
        )
    for name, each in made.items():
        if each is not None:
            make, text = each
            return make(parse_amount(text, name))
    return Allocation.compute_optimal() if optimal else None


def runs_asked(at_model: list[str] | None, at_flops: list[str] | None) -> tuple[Run, ...]:
    """The runs that --at-model and --at-flops name.

    Raises:
        EmergecastError: an amount cannot be read.
    """
    from emergecast.scaling import parse_amount

    runs: list[Run] = []
    for text in at_model or ():
        params, comma, tokens = text.partition(",")
        if not comma or "," in tokens:
            raise OptionError(
                f"--at-model takes parameters and tokens, such as 70B,1.4T, not {text!r}."
            )
        runs.append(
            {
                "params": parse_amount(params, "--at-model"),
                "tokens": parse_amount(tokens, "--at-model"),
            }
        )
    runs += [{"flops": parse_amount(text, "--at-flops")} for text in at_flops or ()]
    return tuple(runs)


def at_compute(forecast: Forecast, runs: tuple[Run, ...]) -> list[dict[str, Any]]:
    """One record a run: params, tokens, flops, loss, emerged; or why nothing is known of it."""
    from dataclasses import asdict

    from emergecast.errors import ScalingError

    names = ("params", "tokens", "flops", "loss", "emerged")
    found: list[dict[str, Any]] = []
    for run in runs:
        try:
            found.append(asdict(forecast.emerged_at(**run)))
        except ScalingError as error:
            found.append({**dict.fromkeys(names), **run, "error": str(error)})
    return found
