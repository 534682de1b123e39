"""An experiment's plan and state as lines of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from emergecast.cli._wrap import folded, wrapped
from emergecast.cli.texts.runs import plan_example_lines, plan_examples
from emergecast.lab.experiment import RunKind
from emergecast.lab.ledger import State
from emergecast.lab.plan import moved_words

if TYPE_CHECKING:
    from emergecast.lab.ledger import Damage, Failure
    from emergecast.lab.plan import Estimate, Grading, Plan

_WORDS = {
    RunKind.LOSS: "loss",
    RunKind.FEW_SHOT: "few-shot",
    RunKind.FINETUNED: "finetuned",
}
_FAILURES_SHOWN = 8
_INDENT = " " * 14


def plan_text(plan: Plan, estimate: Estimate) -> str:
    """The grid, what is done, what remains, and what that takes."""
    experiment = plan.experiment
    lines = [f"{experiment.name}, from {experiment.file}"]
    for series in experiment.series:
        choice = "" if series.choice.takes_all else ", chosen by loss"
        lines.append(f"  series      {series.name}: {len(series.checkpoints)} checkpoints{choice}")
        for sentence in series.left_out:
            lines += wrapped(sentence, _INDENT, first=_INDENT)
    lines += [
        f"  corpora     {', '.join(corpus.name for corpus in experiment.corpora)}",
        f"  tasks       {', '.join(task.name for task in experiment.tasks)}",
    ]
    lines += program_lines(plan)
    finetuning = experiment.finetuning
    if finetuning.examples:
        lines.append(f"  examples    {', '.join(f'{d:,}' for d in finetuning.examples)}")
        lines.append(f"  methods     {', '.join(m.name for m in finetuning.methods)}")
        lines += training_lines(plan)
    lines.append(f"  ledger      {experiment.ledger}")
    if str(plan.chosen):
        lines.append(f"  chosen      {plan.chosen}")
    for sentence in plan.facts.notes:
        lines += wrapped(sentence, _INDENT, first="  note        ")
    states = [*state_lines(plan)]
    lines += ["", *states] if states else []
    if not plan.problems:  # else nobody knows what that will take
        lines += ["", *left_lines(plan, estimate), *plan_example_lines(plan)]
    return "\n".join(lines)


def training_lines(plan: Plan) -> Iterator[str]:
    """What each task may be finetuned on, and what was left out, where somebody looked."""
    for name, about in plan.facts.tasks.items():
        if about.training_size is None or not plan.experiment.amounts[name]:
            continue
        if about.leaked is None and not about.held_back:
            continue
        said = f"  training    {name}: {about.training_size:,} items"
        if about.held_back:
            said += f"; left out {about.held_back:,} that few-shot prompts hold"
        if about.leaked is not None:
            joint = " and" if about.held_back else "; left out"
            said += f"{joint} {about.leaked:,} that hold an evaluated item"
        yield said


def state_lines(plan: Plan) -> Iterator[str]:
    """How many runs of each kind are in each state; nothing where there are no runs."""
    rows = [["", *(str(state) for state in State), "all"]]
    total: Counter[State] = Counter()
    for kind in RunKind:
        keys = {run.key for run in plan.runs if run.kind is kind}
        if not keys:
            continue
        count = Counter(plan.states[key] for key in keys)
        total += count
        rows.append(
            [_WORDS[kind], *(f"{count[s]:,}" if count[s] else "." for s in State), f"{len(keys):,}"]
        )
    if not total:  # nothing that the experiment names could be used
        return
    rows.append(
        ["all", *(f"{total[s]:,}" if total[s] else "." for s in State), f"{total.total():,}"]
    )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        yield "  ".join(cells).rstrip()
    yield from _undecided_lines(plan)


def _undecided_lines(plan: Plan) -> Iterator[str]:
    """What waits for losses."""
    if not plan.undecided:
        return
    yield (
        f"Up to {len(plan.undecided):,} more runs follow when the losses have decided which"
        " checkpoints are taken."
    )
    if plan.awaited:
        yield (
            f"{plan.awaited:,} of these losses are not among the chosen runs: measure them first,"
            " or elsewhere into the same ledger."
        )


def left_lines(plan: Plan, estimate: Estimate) -> Iterator[str]:
    """What the rest takes; nothing where a problem prevents the start: then nobody knows."""
    if plan.problems:
        return
    if not estimate.worker_seconds and not estimate.bytes_needed:
        failed = plan.count().get(State.FAILED, 0)
        yield "Nothing is left to do" + (", but for what failed (retry)." if failed else ".")
        return
    workers = "1 worker" if estimate.workers == 1 else f"{estimate.workers} workers"
    yield (
        f"What is left takes about {duration(estimate.wall_seconds)} on {workers}"
        f" ({estimate.basis}), and {size(estimate.bytes_needed)} of disk."
    )
    if estimate.grading is not None:
        yield _grading_line(estimate.grading)
    if estimate.cost is not None:
        yield f"At the stated price per hour that costs about {estimate.cost:.2f}."


def _grading_line(grading: Grading) -> str:
    """What grading takes, mask included."""
    rests = "measured" if grading.measured else "assumed or stated"
    mask = f" and {grading.reference_tests:,} of reference solutions" * bool(
        grading.reference_tests
    )
    took = duration(grading.core_seconds / grading.cores)
    return (
        f"Grading runs {grading.tests:,} tests of programs{mask}, at"
        f" {grading.seconds_per_test:.2g} s of a core each ({rests}): {took} on"
        f" {grading.cores} cores, beside the generation."
    )


def program_lines(plan: Plan) -> Iterator[str]:
    """What is graded of each task of programs, and what is left out."""
    for name, about in plan.facts.tasks.items():
        if (found := about.programs) is None:
            continue
        masked = (
            "the first run finds those whose own solutions fail"
            if found.masked is None
            else f"{found.masked:,} are left out since their own solutions fail"
        )
        yield (
            f"  programs    {name}: {found.samples:,} for each of {about.items:,} problems with"
            f" {found.tests:,} tests; {masked}; left out {found.without_tests:,} without tests and"
            f" {found.without_solutions:,} training problems without solutions"
        )


def failure_lines(failures: list[Failure], *, all_of_them: bool = False) -> Iterator[str]:
    """What failed and why."""
    shown = failures if all_of_them else failures[:_FAILURES_SHOWN]
    for failure in shown:
        yield f"failed: {failure.title}"
        yield folded(f"        {failure.error}")
    if len(failures) > len(shown):
        yield f"... and {len(failures) - len(shown):,} more: emergecast status FILE --failed"


def commit_lines(read: Mapping[str, Counter[str]]) -> Iterator[str]:
    """What was read of the hub, where something was, and what has moved there meanwhile."""
    if read:
        yield (
            f"Results are of {len(read):,} revisions of the hub; the commit of each: emergecast"
            " status FILE --json."
        )
    yield from moved_words(read)


def damage_lines(damaged: Sequence[Damage]) -> Iterator[str]:
    """What is damaged in the ledger, and what becomes of it."""
    for each in damaged[:_FAILURES_SHOWN]:
        yield folded(f"damaged: {each}")
    if len(damaged) > _FAILURES_SHOWN:
        yield f"... and {len(damaged) - _FAILURES_SHOWN:,} more: emergecast ledger check FILE"
    if damaged:
        yield "What is damaged counts as missing, and the next emergecast run measures it again."


def plan_as_json(plan: Plan, estimate: Estimate) -> dict[str, Any]:
    """The plan for a program."""
    import dataclasses

    return {
        "experiment": plan.experiment.name,
        "ledger": str(plan.experiment.ledger),
        "states": {str(state): plan.count()[state] for state in State},
        "undecided": len(plan.undecided),
        "left_out": list(plan.experiment.left_out),
        "notes": list(plan.facts.notes),
        "estimate": dataclasses.asdict(estimate),
        "problems": [dataclasses.asdict(problem) for problem in plan.problems],
        "training": {
            name: {
                "items": about.training_size,
                "held_back": about.held_back,
                "leaked": about.leaked,
            }
            for name, about in plan.facts.tasks.items()
        },
        "examples": plan_examples(plan),
        "runs": [
            {
                "key": run.key,
                "title": run.title,
                "kind": str(run.kind),
                "state": str(plan.states[run.key]),
            }
            for run in plan.runs
        ],
    }


def duration(seconds: float) -> str:
    """A time in the unit that suits it."""
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds" if seconds >= 1.5 else "a second"


def size(count: float) -> str:
    """Bytes in the unit that suits them."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"
