"""The command that makes a proving ground."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emergecast.cli._failures import INTERRUPTED
from emergecast.cli._options import JsonOption

if TYPE_CHECKING:
    from emergecast.lab.proving_ground import Order, Pretraining, Progress


def proving_ground(
    folder: Annotated[Path, typer.Argument(help="Where to make it.", show_default=False)],
    preset: Annotated[
        str,
        typer.Option(
            metavar="smoke|default|full|skills",
            help="One minute, some minutes, all of it, or eight skills.",
        ),
    ] = "default",
    seed: Annotated[
        list[int] | None,
        typer.Option(help="Seed of initialisation and order; repeat for several series."),
    ] = None,
    quality: Annotated[
        list[str] | None,
        typer.Option(
            metavar="high|low",
            help="Corpus to pretrain on; give both for a pair of series to compare.",
        ),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Models trained at a time; one per core by default.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be trained, and train nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a family of tiny models in which a few-shot skill emerges, with corpus and task.

    Example: `emergecast proving-ground ground --preset smoke`
    """
    from emergecast.errors import OptionError
    from emergecast.lab.proving_ground import Quality, make, missing, order

    known = tuple(Quality)
    if wrong := [name for name in quality or () if name not in known]:
        raise OptionError(f'there is no quality "{wrong[0]}". Choose {" or ".join(known)}.')
    wanted = order(preset, tuple(seed or ()), tuple(Quality(name) for name in quality or ()))
    todo = missing(wanted, folder)
    if dry_run:
        _show(wanted, todo, folder, as_json=as_json)
        return
    try:
        with training_progress(todo) as on_progress:
            made = make(wanted, folder, jobs=jobs, on_progress=on_progress)
    except KeyboardInterrupt:
        print(
            "Stopped. Finished models are kept; run the same command to continue.", file=sys.stderr
        )
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        described = {
            "folder": str(made.folder),
            "experiment": str(made.experiment),
            "checkpoints": made.checkpoints,
            "trained": made.trained,
            "seconds": round(made.seconds, 1),
        }
        print(json.dumps(described))
        return
    print(
        f"{made.checkpoints} checkpoints in {made.folder}; {made.trained} trained in"
        f" {made.seconds:.0f} s. Next: emergecast run {made.experiment}"
    )


def _show(wanted: Order, todo: tuple[Pretraining, ...], folder: Path, *, as_json: bool) -> None:
    seconds = sum(plan.size.seconds for plan in todo)
    if as_json:
        titles = [plan.title for plan in todo]
        print(json.dumps({"folder": str(folder), "to_train": titles, "core_seconds": seconds}))
        return
    there = len(wanted.pretrainings) - len(todo)
    print(f"{len(wanted.pretrainings)} models in {folder}, {there} of them trained already.")
    for plan in todo:
        print(f"  {plan.title:<14} d={plan.size.width:<4} about {plan.size.seconds} s on one core")
    print(f"About {seconds / 60:.0f} core minutes. Nothing was trained (dry run).")


@contextmanager
def training_progress(todo: tuple[Pretraining, ...]) -> Iterator[Callable[[str, Progress], None]]:
    """A bar per model on standard error, only where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _title, _progress: None
        return
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    from emergecast.cli._console import SafeConsole

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("step {task.fields[step]}, loss {task.fields[loss]}"),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=SafeConsole()) as bar:
        rows = {
            plan.title: bar.add_task(plan.title, total=1.0, step="-", loss="-", start=False)
            for plan in todo
        }

        def update(title: str, progress: Progress) -> None:
            bar.start_task(rows[title])
            bar.update(
                rows[title],
                completed=progress.share,
                step=progress.step,
                loss=f"{progress.loss:.3f}",
            )

        yield update
