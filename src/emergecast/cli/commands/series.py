"""Commands about the public series that an experiment can name: list, show, verify."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from emergecast.cli._options import JsonOption
from emergecast.cli._output import progress

FOUND = 1
"""Exit status where checkpoints are missing, or share weights that the catalogue says are fine."""

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The series, like pythia_1.4b.")]


def list(  # noqa: A001  the command's name
    match: Annotated[
        str, typer.Option(metavar="GLOB", help="Only series whose name fits, like 'olmo*'.")
    ] = "*",
    as_json: JsonOption = False,
) -> None:
    """List the series of the catalogue, and the families that cannot be loaded with the reason.

    Example: `emergecast series list --match 'pythia*'`
    """
    from emergecast.cli.texts.catalogue import list_lines, summary
    from emergecast.errors import OptionError, near
    from emergecast.lab.catalogue.series import catalogued_series, left_out_families, series_names

    taken = [catalogued_series(name) for name in series_names() if _fits(name, match)]
    if not taken:
        raise OptionError(
            f'--match: no series is called like "{match}". {near(match, series_names())}'
        )
    left_out = dict(left_out_families())
    if as_json:
        print(json.dumps({"series": [summary(each) for each in taken], "left_out": left_out}))
        return
    whole = match == "*"
    print("\n".join(list_lines(taken, left_out if whole else {}, short=whole)))


def show(name: NameArgument, as_json: JsonOption = False) -> None:
    """Show what is known of a series: where it is, its checkpoints, which are bad, what is unsure.

    Example: `emergecast series show open_llama_v1_3b`
    """
    from emergecast.cli.texts.catalogue import show_lines
    from emergecast.lab.catalogue.series import catalogued_series
    from emergecast.records import as_json as record

    series = catalogued_series(name)
    print(json.dumps(record(series)) if as_json else "\n".join(show_lines(series)))


def verify(name: NameArgument, as_json: JsonOption = False) -> None:
    """Compare the weights of all checkpoints of a series by SHA-256; downloads nothing.

    The hub is asked; with HF_HUB_OFFLINE=1 the files in the cache are hashed. Exit status 1:
    checkpoints are missing on the hub, or share weights that the catalogue does not leave out.

    Example: `emergecast series verify pythia_2.8b`
    """
    from emergecast.cli.texts.catalogue import verify_lines
    from emergecast.lab.catalogue.series import catalogued_series
    from emergecast.lab.catalogue.series import verify as look
    from emergecast.records import as_json as record

    series = catalogued_series(name)
    with progress("looking at checkpoints", total=len(series.checkpoints)) as move:
        found = look(series, on_progress=move)
    if as_json:
        print(json.dumps({**record(found), "sound": found.sound}))
    else:
        print("\n".join(verify_lines(series, found)))
    if not found.sound:
        raise typer.Exit(FOUND)


def _fits(name: str, pattern: str) -> bool:
    import fnmatch

    return fnmatch.fnmatchcase(name, pattern)
