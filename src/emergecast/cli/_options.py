"""Options that several commands take: which rows, which priors and rules, where to write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from emergecast.errors import OptionError

if TYPE_CHECKING:
    from emergecast.measurements import SelectOptions

TableArgument = Annotated[Path, typer.Argument(help="A .csv, .parquet, .jsonl or .ndjson table.")]
TaskOption = Annotated[
    list[str] | None, typer.Option("--task", help="Name of the task; repeatable. All if none.")
]
SeriesOption = Annotated[
    list[str] | None,
    typer.Option("--series", help="Series to take; repeatable. Each on its own if none."),
]
PoolOption = Annotated[bool, typer.Option("--pool", help="Take several series as one.")]
MinLossOption = Annotated[
    float | None, typer.Option("--min-loss", help="Leave out checkpoints of lower loss (nats).")
]
MaxLossOption = Annotated[
    float | None, typer.Option("--max-loss", help="Leave out checkpoints of higher loss (nats).")
]
ExcludeOption = Annotated[
    list[str] | None,
    typer.Option("--exclude", help="Checkpoint to leave out, * and ? allowed; repeatable."),
]
WhereOption = Annotated[
    list[str] | None,
    typer.Option("--where", metavar="COLUMN=VALUE", help="Keep rows with this value; repeatable."),
]
MetricOption = Annotated[str | None, typer.Option("--metric", help="Metric to take.")]
MethodOption = Annotated[str | None, typer.Option("--method", help="Finetuning method to take.")]
ShotsOption = Annotated[
    int | None, typer.Option("--shots", help="Shots of the few-shot rows to take.")
]
LossCorpusOption = Annotated[
    str | None, typer.Option("--loss-corpus", help="Held-out corpus whose losses to use.")
]
FewShotExamplesOption = Annotated[
    float | None,
    typer.Option(
        "--few-shot-examples",
        help="D0, where the few-shot elbow is read off, in finetuning examples; default: the "
        "shots.",
    ),
]
FewShotAmountOption = Annotated[
    float | None,
    typer.Option(
        "--few-shot-examples",
        help="D0, where the few-shot elbow is read off, in the unit of --shift; default: the "
        "shots.",
    ),
]
LawOption = Annotated[
    list[str] | None,
    typer.Option(
        "--law", metavar="LAW", help="Emergence law, as `fit` takes it; repeatable for a mixture."
    ),
]
PriorOption = Annotated[
    list[str] | None,
    typer.Option("--prior", metavar="NAME=VALUE", help="Override a prior scale; repeatable."),
]
ThresholdOption = Annotated[
    list[str] | None,
    typer.Option(
        "--threshold", metavar="NAME=VALUE", help="Override a rule of the verdict; repeatable."
    ),
]
LowerIsBetterOption = Annotated[
    bool | None,
    typer.Option("--lower-is-better/--higher-is-better", help="Orientation of an unknown metric."),
]
AtChanceOnlyOption = Annotated[
    bool,
    typer.Option(
        "--at-chance-only",
        help="Hide the weakest checkpoint that is above chance few-shot, and all at or below its "
        "loss.",
    ),
]
AxisOption = Annotated[
    str,
    typer.Option(
        "--axis",
        metavar="NAME[:higher|lower][:log10|linear]",
        help="What stands for capability: loss, flops, params, tokens (log10 unless :linear) or "
        "any column of numbers (higher is stronger unless :lower).",
    ),
]
ShiftOption = Annotated[
    str,
    typer.Option(
        "--shift",
        metavar="NAME[:log10][:xNUMBER]",
        help="What moves the elbow: examples, or any column of numbers that is 0 where nothing "
        "does (shots, a hint fraction, steps of reinforcement learning).",
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option("-o", "--out", help="Folder for forecast.json and the pictures (SVG, PNG)."),
]
BOOTSTRAPS: Final = 200
"""As `emergecast.inference.BOOTSTRAPS`, which takes a second to import."""
BootstrapOption = Annotated[
    int, typer.Option("--bootstrap", min=0, help="Resamples of each kind; 0 for none.")
]

ChanceOption = Annotated[
    float | None,
    typer.Option("--chance", help="Chance level of the rows that state none, e.g. 0.25."),
]
LossFromOption = Annotated[
    str | None,
    typer.Option(
        "--loss-from",
        metavar="hoffmann|epoch",
        help="Estimate a missing loss from params and tokens with these published constants.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def select_options(
    *,
    series: Sequence[str] | None = None,
    exclude: Sequence[str] | None = None,
    where: Sequence[str] | None = None,
    **others: Any,  # noqa: ANN401  fields of SelectOptions as they are
) -> SelectOptions:
    """Which rows are meant by what a command was given."""
    from emergecast.measurements import SelectOptions

    return SelectOptions(
        series=tuple(series) if series else None,
        exclude=tuple(exclude or ()),
        where=tuple(pair(text, "--where") for text in where or ()),
        **others,
    )


def numbers(texts: list[str] | None, option: str) -> dict[str, float]:
    """NAME=NUMBER options as a mapping."""
    pairs = [pair(text, option) for text in texts or ()]
    return {name: number(value, f"{option} {name}") for name, value in pairs}


def rules_of(texts: list[str] | None) -> dict[str, float]:
    """The rules of the verdict that --threshold overrides; a wrong name is an error at once."""
    from emergecast.forecasts import Thresholds

    rules = numbers(texts, "--threshold")
    Thresholds().override(rules)
    return rules


def pair(text: str, option: str) -> tuple[str, str]:
    """NAME=VALUE as its two parts."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        message = f"{option} takes NAME=VALUE, not {text!r}."
        raise OptionError(message)
    return name.strip(), value.strip()


def number(text: str, what: str) -> float:
    """A number, or an error that says what it was meant for."""
    try:
        return float(text)
    except ValueError:
        message = f"{what} takes a number, not {text!r}."
        raise OptionError(message) from None
