"""The command that downloads what an experiment needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from emergecast.cli._failures import BAD_INPUT, INTERRUPTED
from emergecast.cli._options import JsonOption
from emergecast.cli._output import say


def fetch(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The experiment file.")],
    jobs: Annotated[int, typer.Option(min=1, metavar="N", help="Downloads at a time.")] = 4,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be fetched and how large it is.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Download what an experiment needs of the hub, and say before how much that is.

    Weights, tokenizers, data sets of tasks as far as they are known, and the files that hold the
    first documents of C4. A download that was
    stopped goes on where it stopped. What is fetched so stays, also with `keep: none`.

    Example: `emergecast fetch experiment.yaml --dry-run`
    """
    from emergecast.cli.texts.catalogue import needs_lines
    from emergecast.lab import fetching
    from emergecast.lab.experiment import read_experiment
    from emergecast.records import as_json as record

    experiment = read_experiment(file)
    needs = fetching.needs_of(experiment)
    found = fetching.Fetched(
        done=(), failed={each.title: str(each.problem) for each in needs.problems}
    )
    if not as_json:
        print("\n".join([*experiment.left_out, *needs_lines(needs)]))
    if not dry_run and needs.missing:
        try:
            found = fetching.fetch(
                needs, jobs=jobs, on_done=lambda need: say(f"fetched {need.title}")
            )
        except KeyboardInterrupt:
            say(f"Stopped. Go on with: emergecast fetch {file}")
            raise typer.Exit(INTERRUPTED) from None
    if as_json:
        totals = {"bytes_to_fetch": needs.bytes_to_fetch, "bytes_on_disk": needs.bytes_on_disk}
        listed = [
            {key: value for key, value in record(each).items() if key != "checkpoint"}
            for each in needs.needs
        ]
        done = [each.title for each in found.done]
        print(json.dumps({**totals, "needs": listed, "fetched": done, "failed": found.failed}))
    elif not dry_run:
        for title, error in found.failed.items():
            if title not in {each.title for each in needs.problems}:
                say(f"failed: {title}: {error}")
        if not found.failed:
            print(f"Everything is here. Next: emergecast run {file}")
    if found.failed:
        raise typer.Exit(BAD_INPUT)
