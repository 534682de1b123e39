"""Commands that measure: plan, run, status, export, retry."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emergecast.cli._experiment_options import ask_for_trust, chosen_runs, seconds
from emergecast.cli._failures import BAD_INPUT, INTERRUPTED, report
from emergecast.cli._options import DigestOption, JsonOption, RawOption, out_file
from emergecast.cli._output import say

if TYPE_CHECKING:
    from emergecast.lab.executors import Event, Report, RunOptions
    from emergecast.lab.experiment import Experiment
    from emergecast.lab.plan import Survey

FAILED = 1
"""Exit status where every run was tried and some failed."""

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The experiment file.")]
WorkersOption = Annotated[
    int | None,
    typer.Option(min=1, help="Worker processes; one per GPU, or per CPU core, if not given."),
]


OnlyOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="GLOB",
        help="Only runs whose title fits, like '*/S-108 finetuned*'. Repeatable.",
    ),
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        metavar="I/N",
        help="Only the I-th of N equal shares of the runs, which stay the same for good.",
    ),
]


TrustOption = Annotated[
    bool,
    typer.Option(
        "--trust", help="Python code of the task folders may run: you have read it. Remembered."
    ),
]


def plan(
    file: FileArgument,
    workers: WorkersOption = None,
    only: OnlyOption = None,
    shard: ShardOption = None,
    trust: TrustOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show what an experiment takes: the grid, what is done, what is left, time, disk, cost.

    Example: `emergecast plan experiment.yaml`
    """
    from emergecast.lab.experiment import read_experiment
    from emergecast.lab.plan import survey

    experiment = read_experiment(file)
    ask_for_trust(experiment, trust=trust, ask=not as_json)
    found = survey(experiment, chosen=chosen_runs(only, shard))
    _show_plan(found, workers, as_json=as_json)
    if found.plan.problems:
        _refuse(found, as_json=as_json)


def _show_plan(found: Survey, workers: int | None, *, as_json: bool) -> None:
    from emergecast.cli.texts.experiments import damage_lines, plan_as_json, plan_text
    from emergecast.lab.executors import default_workers
    from emergecast.lab.plan import estimate

    count, on_gpu = default_workers()
    left = estimate(found.plan, found.results, workers=workers or count, on_gpu=on_gpu)
    if as_json:
        print(json.dumps({**plan_as_json(found.plan, left), "damaged": _damage_records(found)}))
    else:
        print("\n".join([plan_text(found.plan, left), *damage_lines(found.damaged)]))


def _damage_records(found: Survey) -> Any:  # noqa: ANN401  what JSON holds
    """What is damaged in the ledger, for a program."""
    from emergecast.records import as_json

    return as_json(found.damaged)


def _refuse(found: Survey, *, as_json: bool) -> None:
    """Print what prevents the start, and exit."""
    from emergecast.errors import ExperimentError

    if not as_json:
        report(ExperimentError(found.plan.problems), as_json=False)
    raise typer.Exit(BAD_INPUT)


def run(
    file: FileArgument,
    workers: WorkersOption = None,
    limit: Annotated[
        int | None, typer.Option(metavar="N", help="Do at most N runs, then stop.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    keep_going: Annotated[
        bool,
        typer.Option("--keep-going", help="Leave out what cannot be used, and do the rest."),
    ] = False,
    time_limit: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="A run that takes longer than this, like 90s, 30m or 2h, has failed.",
        ),
    ] = None,
    only: OnlyOption = None,
    shard: ShardOption = None,
    trust: TrustOption = False,
    as_json: JsonOption = False,
) -> None:
    """Do all runs of an experiment that are missing; stop and start it as often as you like.

    Results go into the ledger the moment they exist. Ctrl-C stops at once and loses nothing that
    was recorded.

    Example: `emergecast run experiment.yaml`
    """
    from emergecast.lab.executors import RunOptions
    from emergecast.lab.experiment import read_experiment
    from emergecast.lab.plan import survey

    experiment, chosen = read_experiment(file), chosen_runs(only, shard)
    ask_for_trust(experiment, trust=trust, ask=not as_json)
    if dry_run:
        found = survey(experiment, chosen=chosen)
        _show_plan(found, workers, as_json=as_json)
        if found.plan.problems and not keep_going:
            _refuse(found, as_json=as_json)
        return
    options = RunOptions(
        workers=workers,
        limit=limit,
        keep_going=keep_going,
        time_limit=seconds(time_limit),
        chosen=chosen,
    )
    _print_report(experiment, _measure(experiment, options), as_json=as_json)


def _measure(experiment: Experiment, options: RunOptions) -> Report:
    """Do the runs that are missing, until all are done or somebody presses Ctrl-C."""
    from emergecast.lab.executors import run_all

    try:
        with run_progress(options.workers) as listener:
            return run_all(experiment, options=options, listener=listener)
    except KeyboardInterrupt:
        say(
            f"Stopped. What was recorded is in {experiment.ledger};\n"
            f"continue with: emergecast run {experiment.file}"
        )
        raise typer.Exit(INTERRUPTED) from None


def _print_report(experiment: Experiment, report: Report, *, as_json: bool) -> None:
    from emergecast.cli.texts.experiments import failure_lines, state_lines
    from emergecast.lab.ledger import State
    from emergecast.lab.plan import survey

    count = report.plan.count()
    failures = list(survey(experiment, remember=True, chosen=report.plan.chosen).failures)
    if as_json:
        found = {
            "ledger": str(experiment.ledger),
            "done": report.done,
            "failed": report.failed,
            "states": {str(state): count[state] for state in State},
            "undecided": len(report.plan.undecided),
            "left_out": [str(problem) for problem in report.plan.problems],
            "warnings": list(report.warnings),
        }
        print(json.dumps(found))
    else:
        print("\n".join(state_lines(report.plan)))
        for problem in report.plan.problems:
            say(f"Left out: {problem}")
        for line in failure_lines(failures):
            print(line, file=sys.stderr)
        file = experiment.file
        if failures:
            print(f"Try the failed ones again with: emergecast retry {file}")
        elif count[State.FAILED]:
            print(f"Files changed while they were measured. Next: emergecast run {file}")
        elif report.plan.problems:
            print("What is left out is not measured; the rest is. Fix it and run again.")
        elif not count[State.MISSING] and not report.plan.undecided:
            whole = "Everything" if not str(report.plan.chosen) else "All that was chosen"
            print(f"{whole} is measured. Next: emergecast export {file} -o table.csv")
    if count[State.FAILED]:
        raise typer.Exit(FAILED)


def status(
    file: FileArgument,
    failed: Annotated[
        bool, typer.Option("--failed", help="List all failed runs with their tracebacks.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Say where an experiment stands, what is running, and what failed and why.

    Example: `emergecast status experiment.yaml --failed`
    """
    from emergecast.cli.texts.experiments import (
        commit_lines,
        damage_lines,
        failure_lines,
        left_lines,
        plan_as_json,
        state_lines,
    )
    from emergecast.lab.executors import default_workers
    from emergecast.lab.experiment import read_experiment
    from emergecast.lab.ledger import State
    from emergecast.lab.plan import commits_read, estimate, survey

    found = survey(read_experiment(file), remember=True)
    count, on_gpu = default_workers()
    left = estimate(found.plan, found.results, workers=count, on_gpu=on_gpu)
    read = commits_read(found.plan, found.results)
    if as_json:
        failures = [
            {"key": f.key, "title": f.title, "error": f.error, "traceback": f.traceback}
            for f in found.failures
        ]
        more = {"failures": failures, "damaged": _damage_records(found), "commits": read}
        print(json.dumps({**plan_as_json(found.plan, left), **more}))
        return
    lines = [*state_lines(found.plan), *damage_lines(found.damaged), *commit_lines(read)]
    print("\n".join([*lines, *left_lines(found.plan, left)]))
    for each in found.plan.runs:
        if found.plan.states[each.key] is State.RUNNING:
            print(f"running: {each.title}")
    for line in failure_lines(list(found.failures), all_of_them=failed):
        print(line)
    if failed:
        for failure in found.failures:
            print(f"\n{failure.title}\n{failure.traceback.rstrip()}")
    for problem in found.plan.problems:
        say(f"Warning: {problem}")


def export(
    file: FileArgument,
    out: Annotated[Path, out_file("Table to write: .csv, .parquet, .jsonl, .ndjson.")],
    without_damaged: Annotated[
        bool,
        typer.Option("--without-damaged", help="Leave damaged results out, and say which."),
    ] = False,
    raw: RawOption = False,
    digest: DigestOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the measurement table of an experiment, as far as it is measured.

    Example: `emergecast export experiment.yaml -o table.csv`
    """
    from emergecast.cli.texts.next_fit import next_command
    from emergecast.errors import LedgerError
    from emergecast.lab.experiment import read_experiment
    from emergecast.lab.plan import commits_read, make_table, moved_words, older_words, survey
    from emergecast.measurements import check_suffix

    check_suffix(out)
    experiment = read_experiment(file)
    found = survey(experiment, remember=True)
    damaged = found.damaged_results
    if damaged and not without_damaged:
        listed = "".join(f"\n  {each}" for each in damaged)
        raise LedgerError(
            f"{len(damaged):,} results in the ledger are damaged, and the table would lack them:"
            f"{listed}\nMeasure them again: emergecast run {file}. Or leave them out:"
            " --without-damaged."
        )
    exported = make_table(found.plan, found.results)
    exported.table.write(out, raw=raw, digest=digest)
    warnings = [f"left out, because it is damaged: {each}" for each in damaged]
    warnings += [str(problem) for problem in found.plan.problems]
    warnings += older_words(exported.older)
    read = commits_read(found.plan, found.results)
    warnings += moved_words(read)
    if exported.missing:
        warnings.append(f"{exported.missing:,} runs have no result yet, or failed.")
    if exported.without_loss:
        warnings.append(f"{exported.without_loss:,} scores are left out: their loss is missing.")
    if exported.without_chance:
        warnings.append(
            f"left out, because no chance level is stated: {', '.join(exported.without_chance)}."
            " Write chance: {METRIC: NUMBER} in the task to include them."
        )
    if exported.invented:
        warnings.append("the scores are invented: the experiment says worker: rehearsal.")
    if as_json:
        report = {
            "out": str(out),
            "rows": len(exported.table),
            "table_hash": exported.table.hash,
            "missing": exported.missing,
            "older": sum(exported.older.values()),
            "damaged": _damage_records(found),
            "commits": read,
            "warnings": warnings,
        }
        print(json.dumps(report))
        return
    print(exported.table)
    for warning in warnings:
        say(f"Warning: {warning}")
    print(f"Wrote {out}. Next: {next_command(exported.table, str(out))}")


def retry(
    file: FileArgument,
    match: Annotated[
        str,
        typer.Option(help="Only runs whose title matches, like '*/S-108 finetuned*'."),
    ] = "*",
    only: OnlyOption = None,
    shard: ShardOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make failed runs missing again, so that the next `emergecast run` tries them again.

    Example: `emergecast retry experiment.yaml`
    """
    from emergecast.lab.experiment import read_experiment
    from emergecast.lab.plan import clear_failures

    chosen = chosen_runs(only, shard)
    cleared = clear_failures(read_experiment(file), match, chosen=chosen, tell=say)
    if as_json:
        print(json.dumps({"cleared": cleared}))
    elif cleared:
        print(f"{cleared:,} failed runs are missing again. Next: emergecast run {file}")
    else:
        print("No failed run matches.")


@contextlib.contextmanager
def run_progress(workers: int | None = None) -> Iterator[Callable[[Event], None]]:
    """Bars on a terminal: the grid by estimated time, and each current run; else a line a run."""
    from emergecast.cli.texts.experiment_progress import Bars, Lines

    if not sys.stderr.isatty():
        yield Lines().show
        return
    with Bars(workers) as bars:
        yield bars.show
