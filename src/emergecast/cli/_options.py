"""Options that belong to no record, and how a few fields are written on a command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from emergecast.cli._records import Form, pair

TableArgument = Annotated[Path, typer.Argument(help="A .csv, .parquet, .jsonl or .ndjson table.")]
TasksOption = Annotated[
    list[str] | None, typer.Option("--task", help="Name of a task; default: all. Repeatable.")
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
OutOption = Annotated[
    Path | None,
    typer.Option("-o", "--out", help="Folder for forecast.json and the pictures (SVG, PNG)."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


FORMS: Final = {
    "where": Form(
        metavar="COLUMN=VALUE", read=lambda texts: tuple(pair(text, "--where") for text in texts)
    ),
    "exclude": Form(metavar="CHECKPOINT"),
    "lower_is_better": Form(flag="--lower-is-better/--higher-is-better"),
    "axis": Form(metavar="NAME[:higher|lower][:log10|linear]"),
    "shift": Form(metavar="NAME[:log10|linear][:xNUMBER]"),
    "law": Form(metavar="LAW"),
    "laws": Form(metavar="LAW"),
    "weights": Form(metavar="fixed|stacking"),
    "priors": Form(flag="--prior"),
    "rules": Form(flag="--threshold"),
    "horizons": Form(flag="--horizon", metavar="LOSS"),
    "rungs": Form(least=1),
    "runs": Form(least=1),
    "most": Form(least=1),
    "flops_per_second": Form(flag="--gpu-flops"),
    "bootstraps": Form(flag="--bootstrap", least=0),
    "tokens_per_param": Form(metavar="R"),
    "token_budget": Form(metavar="T"),
    "model_size": Form(metavar="N"),
    "scaling_law": Form(metavar="own|NAME|FILE.json|CONSTANTS"),
    "compute_by_date": Form(metavar="FILE.csv"),
    "at_model": Form(metavar="N,T"),
    "at_flops": Form(metavar="C"),
    "starts": Form(least=1),
    "drop_highest": Form(least=0),
}
"""By field. A field that is not here is written as it is named and typed."""
