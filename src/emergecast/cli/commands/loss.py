"""The command that measures the loss of a series on held-out text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emergecast.cli._failures import INTERRUPTED
from emergecast.cli._options import JsonOption, out_file
from emergecast.cli._output import as_text, progress, say
from emergecast.errors import meant, others, said_once
from emergecast.lab.evaluate import C4, LossOptions, Precision

if TYPE_CHECKING:
    from emergecast.lab.evaluate import Corpus
    from emergecast.lab.experiment import NamedSeries

FAILED = 1
"""Exit status where some checkpoints have no loss."""


def loss(
    options: LossOptions,
    series: Annotated[
        str,
        typer.Argument(
            metavar="SERIES", help="A folder of checkpoints, an experiment file, or a series' name."
        ),
    ],
    out: Annotated[Path, out_file("Rows of losses: .csv, .parquet, .jsonl, .ndjson.")],
    corpus: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Held-out text: FILE, NAME=FILE, c4, c4=FILE, or the name of a corpus of the"
            " experiment file, all of which count if none is named. Repeatable.",
        ),
    ] = None,
    documents: Annotated[
        int | None,
        typer.Option(min=1, help="Only the first N documents of each; of c4 5000 if not given."),
    ] = None,
    precision: Annotated[
        Precision | None,
        typer.Option(
            metavar="bfloat16|float16|float32", help="Type of the weights; as stored if not given."
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--replace", help="Measure again what was measured otherwise.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be measured, and measure nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure the loss of every checkpoint of a series on held-out text.

    Every loss is in the file the moment it exists, and what is in it is not measured again. The
    file is a checkpoints table for emergecast import and join.

    Example: `emergecast loss checkpoints --corpus held-out.jsonl -o losses.csv`
    """
    from emergecast.cli.texts.losses import estimate_record, estimate_text, report_text
    from emergecast.lab.evaluate import LossOrder, estimate_losses, measure_losses
    from emergecast.lab.experiment import named_series
    from emergecast.lab.fetching import weights_of
    from emergecast.lab.worker import ask_nobody
    from emergecast.measurements import check_suffix
    from emergecast.records import as_json as record_of

    check_suffix(out)
    found = named_series(series)
    order = LossOrder(
        checkpoints=found.checkpoints,
        texts=_texts(found, corpus or [], documents),
        out=out,
        options=options,
        precision=precision,
        replace=again,
    )
    ask_nobody(offline=order.is_local)
    for sentence in found.left_out:
        say(sentence)
    if dry_run:
        left = estimate_losses(order)
        needs = weights_of(left.absent)
        shown = f"{estimate_text(left, needs, out)}\n"
        if as_json:
            shown = as_text(estimate_record(left, needs))
        print(shown, end="")
        return
    try:
        with progress("losses", total=len(order.checkpoints) * len(order.texts)) as move:
            report = measure_losses(order, on_loss=lambda done, what: move(done, what=what))
    except KeyboardInterrupt:
        say(f"Stopped. What was measured is in {out}; the same command goes on.")
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print(as_text({"out": str(out), **record_of(report)}), end="")
    else:
        print(report_text(report, out))
    for error, titles in said_once((each.title, each.error) for each in report.failures):
        say(f"failed: {titles[0]}: {error} {others(titles[1:])}".rstrip())
    if report.failures:
        raise typer.Exit(FAILED)


def _texts(series: NamedSeries, corpora: list[str], documents: int | None) -> tuple[Corpus, ...]:
    """The texts that are named; a corpus of the experiment file goes before a file of its name."""
    from emergecast.errors import OptionError
    from emergecast.lab.evaluate import named_corpus

    own = {}
    for each in series.corpora:
        if documents is None:
            own[each.name] = each
        elif each.path is None:  # whose name says how many
            own[each.name] = named_corpus(C4, documents=documents)
        else:
            own[each.name] = replace(each, documents=documents)
    if not corpora and not own:
        raise OptionError("which text? Name a file, or c4, with --corpus.")
    for name in corpora:
        if "=" in name or name in own or Path(name).exists():
            continue
        question = meant(name, (*own, C4))
        if question and name != C4:
            raise OptionError(f'--corpus: there is no file "{name}". {question}')
    return tuple(
        own[name] if name in own else named_corpus(name, documents=documents)
        for name in corpora or own
    )
