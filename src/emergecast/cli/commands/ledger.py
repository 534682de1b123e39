"""Commands that look after ledgers: check, backup, repair, merge."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emergecast.cli._options import JsonOption
from emergecast.cli._output import progress, say

if TYPE_CHECKING:
    from emergecast.lab.ledger import LedgerCheck

DAMAGED = 1
"""Exit status where something is damaged or lost, and was said."""

LedgerArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="The experiment file, or its ledger.sqlite.")
]


def check(file: LedgerArgument, as_json: JsonOption = False) -> None:
    """Say everything that is wrong with a ledger, and change nothing.

    Exit status 0: nothing is wrong; 1: something is.

    Example: `emergecast ledger check experiment.yaml`
    """
    from emergecast.lab.ledger import examine

    path = _ledger(file)
    _must_exist(path)
    with progress("checking") as move:
        found = examine(path, move)
    _show(found, as_json=as_json)


def backup(
    file: LedgerArgument,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="The copy; beside the ledger, with the time, if absent."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Copy a ledger, also while it is written to; a file beside the copy counts its results.

    Exit status 1: the copy was made, and what it is a copy of is damaged.

    Example: `emergecast ledger backup experiment.yaml -o backup/ledger.sqlite`
    """
    from emergecast.lab.ledger import back_up

    path = _ledger(file)
    if out is None:
        now = datetime.now().astimezone().strftime("%Y-%m-%dT%H-%M-%S")
        out = path.with_name(f"{path.stem}.backup-{now}{path.suffix}")
    with progress("copying") as move:
        found = back_up(path, out, move)
    if not as_json:
        print(f'Wrote "{out}". To restore it, copy it and its "-count" file over the ledger.')
    _show(found, as_json=as_json)


def repair(file: LedgerArgument, as_json: JsonOption = False) -> None:
    """Save what is intact of a damaged ledger into a new one, and keep the old files beside it.

    Exit status 1: results that were recorded could not be saved, or not for certain.

    Example: `emergecast ledger repair experiment.yaml`
    """
    from emergecast.lab import ledger
    from emergecast.records import as_json as record

    path = _ledger(file)
    _must_exist(path)
    with progress("reading") as move:
        found = ledger.repair(path, move)
    if as_json:
        print(json.dumps({"ledger": str(path), **record(found)}))
    elif not found.kept:
        print(f'Nothing is wrong with "{path}" ({_count(found.results)}); nothing was changed.')
    else:
        print(f'Saved {_count(found.results)} in "{path}".')
        print(f"The old files are kept: {', '.join(map(str, found.kept))}")
        for title in found.lost:
            print(f"lost: {title}")
        if found.unnamed:
            print(f"lost: {_count(found.unnamed)} of which nothing can be read")
        if not found.vouched:
            print(
                "The old files did not fit each other: of what was saved, nobody can tell whether"
            )
            print("all is as it was recorded. Compare it with a backup, or measure it again.")
        if found.lost or found.unnamed:
            print("What is lost is missing now, and the next emergecast run measures it again.")
    if found.lost or found.unnamed or not found.vouched:
        raise typer.Exit(DAMAGED)


def merge(
    file: LedgerArgument,
    others: Annotated[
        list[Path], typer.Argument(metavar="OTHER...", help="Ledgers of the same experiment.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Take the results of other ledgers of the same experiment, as shards on several machines make.

    All or nothing: where two ledgers found something else for the same run, the runs are named
    and nothing is taken. The others are only read.

    Example: `emergecast ledger merge experiment.yaml from-b/ledger.sqlite from-c/ledger.sqlite`
    """
    from emergecast.lab import ledger
    from emergecast.records import as_json as record

    path = _ledger(file)
    with progress("merging") as move:
        found = ledger.merge(path, [_ledger(each) for each in others], on_rows=move, tell=say)
    if as_json:
        print(json.dumps({"ledger": str(path), **record(found)}))
        return
    print(
        f'Took {_count(found.taken)} into "{path}"; {found.known:,} were there already, the same'
        f" ones. Failed runs taken: {found.failures:,}."
    )


def _ledger(file: Path) -> Path:
    """The ledger that is meant: of an experiment file, or the file itself."""
    if file.suffix not in {".yaml", ".yml"}:
        return file / "ledger.sqlite" if file.is_dir() else file
    from emergecast.lab.experiment import read_experiment

    return read_experiment(file).ledger


def _must_exist(path: Path) -> None:
    from emergecast.errors import LedgerError
    from emergecast.lab.ledger import Ledger

    if not Ledger.is_there(path):
        raise LedgerError(
            f'there is no ledger "{path}": nothing was run yet, or it lies elsewhere.'
        )


def _show(found: LedgerCheck, *, as_json: bool) -> None:
    """Print what a check found, and exit with 1 where that is damage."""
    if as_json:
        from emergecast.records import as_json as record

        print(json.dumps({**record(found), "sound": found.sound}))
    else:
        for problem in found.problems:
            print(f"problem: {problem}")
        for damage in found.damaged:
            print(f"damaged: {damage}")
        print(f"{found.path}: {_count(found.results)}, {found.failures:,} records of failed runs.")
        if found.problems:
            print(found.remedy)
        elif found.damaged:
            print(
                "What is damaged counts as missing, and the next emergecast run measures it again."
            )
        elif found.format == 1:
            print("It is of version 0.1.0, without digests: the next emergecast run adds them.")
        else:
            print("Nothing is wrong.")
    if not found.sound:
        raise typer.Exit(DAMAGED)


def _count(number: int) -> str:
    return "1 result" if number == 1 else f"{number:,} results"
