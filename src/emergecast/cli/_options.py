"""Options that several commands take: which rows of a table, which priors and rules."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
        help="D0, where the few-shot elbow is read off; default: the shots.",
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
