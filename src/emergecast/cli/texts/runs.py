"""One run, and items of a task, as lines of text."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from emergecast.cli._wrap import wrapped
from emergecast.lab.ledger import HUB, LAST_STEP

if TYPE_CHECKING:
    from emergecast.lab.ledger import Result
    from emergecast.lab.plan import Plan, RunFound

_CALLED = {"held_out_loss": "held-out", "resumed_from": "resumed at"}
"""What parts of a training are called where their name is too long."""
_TASKS_SHOWN = 3
"""Tasks of which a plan shows an example."""


def run_text(found: RunFound, *, items: bool) -> str:
    """A run: its scores, timings, and what the model said."""
    state = "not a run of the experiment as it is now" if found.state is None else found.state
    lines = [found.title, f"  key         {found.key}", f"  state       {state}"]
    if found.result is not None:
        lines += _result_lines(found.result)
    if found.failure is not None:
        lines.append(f"  error       {found.failure.error}")
    lines += [f"  older       {key}" for key in found.older]
    if found.items:
        lines += [f"  items       {_counted(found.items)}", ""]
        lines += item_table(found.items) if items else example_lines(found.items[0])
    return "\n".join(lines)


def _result_lines(result: Result) -> Iterator[str]:
    if result.loss is not None:
        yield (
            f"  loss        {result.loss.nats_per_token:.6g} nats per token"
            f"{_error(result.loss.stderr)}, {result.loss.tokens:,} tokens"
        )
    for score in result.scores:
        error = _error(score.stderr)
        yield f"  {score.metric:11} {score.score:.6g}{error}, {score.n_items:,} items"
    if result.training is not None:
        yield f"  steps       {_steps(result.training, result.identity.get('recipe', {}))}"
        for name, value in result.training.items():
            if name not in {"steps", LAST_STEP}:
                yield from _training_lines(name, value)
    parts = ", ".join(f"{part} {seconds:.1f}" for part, seconds in result.timings.items())
    yield f"  seconds     {result.seconds:.1f}" + (f" ({parts})" if parts else "")
    when = datetime.fromtimestamp(result.started, UTC).strftime("%Y-%m-%d %H:%M UTC")
    yield f"  measured    {when} on {result.machine.get('host', 'an unknown machine')}"
    made = (f"{k} {v}" for k, v in result.versions.items() if not k.startswith(HUB))
    yield from wrapped(", ".join(made), " " * 14, first="  with        ")
    yield from (f"  hub         {name}: {commit}" for name, commit in result.commits.items())


def _steps(training: Mapping[str, Any], recipe: Mapping[str, Any]) -> str:
    """How many steps were trained, whether that was early, and after which the weights were taken.

    Nobody knows when a training of an earlier version ended that looked at a held-out loss.
    """
    scored = training["steps"]
    planned = training.get("chosen", recipe).get("steps", scored)
    last = training.get(LAST_STEP, None if "early_stopping" in recipe else scored)
    if last is None:
        return f"{scored:,}, of {planned:,} at most: the weights of that step were scored"
    said = f"{last:,}"
    if last < planned:
        said = f"stopped early after {last:,} of {planned:,}"
    return said if scored == last else f"{said}; the weights of step {scored:,} were scored"


def _training_lines(name: str, value: object) -> Iterator[str]:
    """What a finetuning says of itself; of a sweep, each of the settings that it tried."""
    title = f"  {_CALLED.get(name, name).replace('_', ' '):11} "
    if isinstance(value, Mapping):
        yield title + ", ".join(
            f"{key.replace('_', ' ')} {each:.6g}" for key, each in value.items()
        )
    elif isinstance(value, list):
        for each in value:
            loss = each["held_out_loss"]
            said = "no loss that is a number" if loss is None else f"held-out loss {loss:.6g}"
            yield f"{title}learning rate {each['learning_rate']:.6g}, {each['steps']} steps: {said}"
            title = " " * len(title)
    else:
        yield title + (f"{value:.6g}" if isinstance(value, float) else f"{value}")


def _error(stderr: float | None) -> str:
    return "" if stderr is None else f" +- {stderr:.2g}"


def _counted(items: tuple[Mapping[str, Any], ...]) -> str:
    right = sum(item.get("correct") == 1 for item in items)
    wrong = sum(item.get("correct") == 0 for item in items)
    cut = sum(bool(item.get("cut")) for item in items)
    said = f"{len(items):,}, of which {right:,} right and {wrong:,} wrong"
    said += f", {cut:,} cut at the limit of tokens" if cut else ""
    masked = sum("masked" in item for item in items)
    return said + (f", {masked:,} not counted (their own solutions fail)" if masked else "")


def item_table(items: tuple[Mapping[str, Any], ...]) -> Iterator[str]:
    """Every item on a line; what was not kept of it is a dot."""
    rows = [("id", "prompt", "score", "said", "target", "filtered")]
    for item in items:
        said = _quoted(item.get("completion")) + (" (cut)" if item.get("cut") else "")
        score = f"{float(item['correct']):g}" if "correct" in item else "."
        first = (str(item.get("id", ".")), str(item.get("prompt", ".")), score)
        rows.append((*first, said, _quoted(item.get("target")), _quoted(item.get("answer"))))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
    for item in items:
        for number, program in enumerate(item.get("programs", ()), start=1):
            yield from _program_lines(str(item.get("id", ".")), number, item, program)


def _program_lines(
    name: str, number: int, item: Mapping[str, Any], program: Mapping[str, Any]
) -> Iterator[str]:
    """A program of an item, and what each of its tests said."""
    outcomes = Counter(map(str, program.get("tests", ())))
    shown = ", ".join(f"{count} {printable(each)}" for each, count in outcomes.items())
    notes = [shown or "no tests"]
    notes += ["cut at the limit of tokens"] * bool(program.get("cut"))
    notes += ["APPS's own grader takes it"] * (program.get("official") is True)
    notes += [f"not counted: {item['masked']}"] if "masked" in item else []
    yield f"\nitem {printable(name)}, program {number}: {'; '.join(notes)}"
    tests = program.get("tests", ())
    yield "  tests " + " ".join(f"{i}:{printable(str(each))}" for i, each in enumerate(tests, 1))
    text = str(program.get("text", item.get("completion", "")))
    yield from (f"    | {printable(line)}".rstrip() for line in text.split("\n"))


def example_lines(item: Mapping[str, Any]) -> Iterator[str]:
    """One whole item: prompt, what the model said if it was asked, what it should say."""
    if "text" in item:
        yield "  prompt"
        yield from (f"    | {printable(line)}".rstrip() for line in str(item["text"]).split("\n"))
    for name, key in (("said", "completion"), ("filtered", "answer"), ("target", "target")):
        if item.get(key) is not None:
            cut = " (cut at the limit of tokens)" if key == "completion" and item.get("cut") else ""
            yield f"  {name:9} {_quoted(item[key])}{cut}"


def plan_examples(plan: Plan) -> list[dict[str, Any]]:
    """The first item of each task as a run asks it, in the form in which items are kept."""
    found = []
    for task in plan.experiment.tasks:
        about = plan.facts.tasks.get(task.name)
        if about is None or about.example is None:
            continue
        few_shot = plan.experiment.few_shot
        text = about.example if few_shot else about.zero_shot_example
        shots = task.shots if few_shot else 0
        one = {"task": task.name, "shots": shots, "text": text, "target": about.example_target}
        found.append(one)
    return found


def plan_example_lines(plan: Plan) -> Iterator[str]:
    """The first item of each of the first tasks."""
    examples = plan_examples(plan)
    for each in examples[:_TASKS_SHOWN]:
        shots = "1 shot" if each["shots"] == 1 else f"{each['shots']} shots"
        yield f"\nThe first item of {each['task']}, with {shots}:"
        yield from example_lines(each)
    if len(examples) > _TASKS_SHOWN:
        more = len(examples) - _TASKS_SHOWN
        yield f"Those of {more:,} more tasks: emergecast plan {plan.experiment.file} --json"


def _quoted(text: object) -> str:
    return "." if text is None else f'"{printable(str(text))}"'


def printable(text: str) -> str:
    """The text without anything that a terminal would obey."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def run_as_json(found: RunFound, *, items: bool) -> dict[str, Any]:
    """The run for a program."""
    shown = {
        "key": found.key,
        "title": found.title,
        "state": None if found.state is None else str(found.state),
        "result": None if found.result is None else dataclasses.asdict(found.result),
        "error": None if found.failure is None else found.failure.error,
        "traceback": None if found.failure is None else found.failure.traceback,
        "older": list(found.older),
        "n_items": len(found.items),
        "cut": sum(bool(item.get("cut")) for item in found.items),
        "example": dict(found.items[0]) if found.items else None,
    }
    return {**shown, "items": [dict(item) for item in found.items]} if items else shown
