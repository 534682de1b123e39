"""Make a task whose answers are programs, of data in APPS's schema."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import polars as pl

from emergecast.errors import LabError
from emergecast.lab.grading import GRADER, GradingOptions, ReferenceProblem, read_tests
from emergecast.lab.sandbox import Limits
from emergecast.lab.tasks._load_settled import task_on
from emergecast.lab.tasks._published import read_split
from emergecast.lab.tasks._settled import BesideMetric, ProgramRules, SettledTask
from emergecast.lab.tasks._task import Pair, ProgramOptions, Task
from emergecast.records import as_json

if TYPE_CHECKING:
    from lm_eval.api.task import ConfigurableTask

PROGRAM_METRIC: Final = "accuracy"
"""The share of problems of which a program passes all tests."""
UNMASKED: Final = "accuracy_all"
"""The same over all problems, those among them of which every reference solution fails."""
OFFICIAL: Final = "official_accuracy"
"""The same by APPS's own rules, over the problems of the main metric."""
DELIMITER: Final = "\n"
"""Between a prompt and a program. It belongs to what is learned and generated, so that tokens are
cut the same way in both."""
_GIVE_UP: Final = 3
"""Tests at a limit of time after which a program's other tests count as failed."""


class ProgramPairs(NamedTuple):
    """What a model is finetuned on, and what was passed over."""

    pairs: list[Pair]
    """Problem after problem, as many of each."""
    solutions_too_long: int
    """Solutions that were looked at and that the model does not take whole."""
    problems_too_long: int
    """Problems of which no solution fits."""


class UnusedProblems(NamedTuple):
    """Problems that nothing can be done with."""

    without_tests: int
    """Evaluated ones that no program can pass: without tests, or with tests that are no tests."""
    without_solutions: int
    """Training ones that have no solution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedPrograms:
    """What a task needs to know of its problems beside their prompts."""

    options: ProgramOptions
    """How programs are asked for and graded."""
    problems: tuple[ReferenceProblem, ...]
    """Those that are evaluated, in their order, with their tests and solutions."""
    left_out: UnusedProblems
    """How many problems of the data are not used."""

    @property
    def scores(self) -> tuple[str, ...]:
        """Names of what is measured beside the main metric and has a chance level: 0."""
        passes = [f"pass@{k}" for k in self.ks]
        official = [OFFICIAL] if self.options.official else []
        return (str(BesideMetric.TESTS_PASSED), UNMASKED, *official, *passes)

    @property
    def ks(self) -> tuple[int, ...]:
        """For pass@k: 10 and 100 where there are more samples, and all of them."""
        most = self.options.samples
        return tuple(k for k in (10, 100) if k < most) + ((most,) if most > 1 else ())

    @property
    def decides(self) -> dict[str, Any]:
        """What beside prompts and documents decides a score, or what is trained on."""
        asked = as_json(self.options)
        return {"grader": GRADER, "give_up": _GIVE_UP, "heat": self.options.heat, **asked}

    def grading(self, kept: Path | None = None) -> GradingOptions:
        """How programs are graded, and where grades are kept."""
        seconds = self.options.cpu_seconds
        return GradingOptions(
            limits=Limits(cpu_seconds=seconds, wall_seconds=5 * seconds),
            official=self.options.official,
            give_up_after=_GIVE_UP,
            kept=kept,
        )

    def pairs(
        self,
        docs: Iterable[dict[str, Any]],
        subset: int,
        examples: int,
        fits: Callable[[Pair], bool],
    ) -> ProgramPairs:
        """Solutions of the first `examples` training problems of which one fits, if there are.

        Args:
            docs: The problems.
            subset: Decides which of a problem's solutions are taken.
            examples: How many problems.
            fits: Whether a model takes the whole of an example.
        """
        found: list[Pair] = []
        solutions = problems = 0
        wanted = self.options.solutions
        for doc in docs:
            if len(found) == examples * wanted:
                break
            fine: list[Pair] = []
            for text in _in_order(doc["solutions"], subset):
                pair = Pair(doc["prompt"], DELIMITER + text, ends=True)
                if fits(pair):
                    fine.append(pair)
                else:
                    solutions += 1
                if len(fine) == wanted:
                    break
            if fine:
                found += [fine[i % len(fine)] for i in range(wanted)]
            else:
                problems += 1
        return ProgramPairs(found, solutions_too_long=solutions, problems_too_long=problems)


def _in_order(solutions: str, subset: int) -> list[str]:
    """A problem's solutions, in the order of a subset."""
    found = solutions_of(solutions)
    name = int.from_bytes(hashlib.sha256(solutions.encode(errors="replace")).digest()[:8])
    order = np.random.default_rng([subset, name]).permutation(len(found)).tolist()
    return [found[i] for i in order]


class ProgramParts(NamedTuple):
    """A task of the harness that asks for programs, and what it knows nothing of."""

    part: ConfigurableTask
    """Makes prompts; it is not asked for scores."""
    programs: LoadedPrograms
    """Tests and solutions."""


def load_programs(
    task: Task, settled: SettledTask, rules: ProgramRules, limit: int | None
) -> ProgramParts:
    """The task on its data.

    Raises:
        LabError: The data are not there, have another schema, or are too few.
    """
    options = task.programs
    if options.samples > 1 and options.heat == 0:
        raise LabError(
            f'task "{task.name}": {options.samples} programs of temperature 0 are one program.'
            " Give a temperature above 0, or ask for one."
        )
    frames = {
        name: _of_difficulty(read_split(settled, name, task.data), rules.difficulty)
        for name in settled.splits
    }
    problems, asked, without_tests = _evaluated(frames[settled.evaluated], limit)
    trained = [doc for doc in map(_doc, frames[settled.finetuned].to_dicts()) if doc["reference"]]
    if not asked or not trained:
        lacking = settled.finetuned if asked else settled.evaluated
        what = "a solution" if asked else "tests"
        raise LabError(
            f'task "{task.name}": no problem of split {lacking} has {what}. Give the whole data.'
        )
    shots = [
        doc for doc in trained if len(doc["prompt"] + doc["reference"]) <= rules.shot_characters
    ]
    shots.sort(key=lambda doc: hashlib.sha256(doc["prompt"].encode()).digest())
    if len(shots) < task.shots:
        raise LabError(
            f'task "{task.name}": {task.shots} shots are asked for, and {len(shots)} training'
            f" problems have at most {rules.shot_characters:,} characters with their solution. Give"
            " the whole data, or ask for fewer shots."
        )
    for doc in asked:
        doc["solutions"] = _hash(doc["solutions"])
    settings = _settings(settled, rules, options, task.name)
    splits = {
        settled.finetuned: pl.DataFrame(trained),
        settled.evaluated: pl.DataFrame(asked),
        "shots": pl.DataFrame(shots[: max(1, task.shots)] or trained[:1]),
    }
    unsolved = frames[settled.finetuned].height - len(trained)
    return ProgramParts(
        task_on(settings, splits),
        LoadedPrograms(
            options=options,
            problems=problems,
            left_out=UnusedProblems(without_tests, unsolved),
        ),
    )


def program_metric(name: str, metric: str | None) -> str:
    """The main metric of a task of programs.

    Raises:
        LabError: another one is asked for.
    """
    if metric not in {None, PROGRAM_METRIC}:
        raise LabError(
            f'task "{name}" has no metric "{metric}"; its score is {PROGRAM_METRIC}, and others'
            " are measured beside it."
        )
    return PROGRAM_METRIC


def solutions_of(text: str) -> list[str]:
    """The programs in APPS's column `solutions`: JSON in a text that may be empty; else none."""
    try:
        found = json.loads(text) if text.strip() else []
    except (ValueError, RecursionError):
        return []
    return [each for each in found if isinstance(each, str) and each.strip()]


def _of_difficulty(frame: pl.DataFrame, difficulty: str | None) -> pl.DataFrame:
    return frame if difficulty is None else frame.filter(pl.col("difficulty") == difficulty)


def _evaluated(
    frame: pl.DataFrame, limit: int | None
) -> tuple[tuple[ReferenceProblem, ...], list[dict[str, Any]], int]:
    """The problems, the documents that ask for them, and how many have no tests.

    Beyond the limit documents are for the leak check alone, and tests are not read.
    """
    problems: list[ReferenceProblem] = []
    docs: list[dict[str, Any]] = []
    without = 0
    for row in frame.iter_rows(named=True):
        if limit is None or len(problems) < limit:
            found = _problem(row)
            if found is None:
                without += 1
                continue
            problems.append(found)
        docs.append(_doc(row))
    return tuple(problems), docs, without


def _problem(row: dict[str, Any]) -> ReferenceProblem | None:
    """A problem with its tests; None where it has none."""
    try:
        tests = read_tests(row["input_output"])
    except LabError:
        return None
    if not tests.tests:
        return None
    return ReferenceProblem(
        problem=str(row["problem_id"]),
        tests=tests,
        solutions=tuple(solutions_of(row["solutions"])),
    )


def _doc(row: dict[str, Any]) -> dict[str, Any]:
    """What the harness is given of a problem."""
    solutions = solutions_of(row["solutions"])
    return {
        "problem_id": row["problem_id"],
        "question": row["question"],
        "prompt": prompt_of(row["question"], row["starter_code"], calls=_calls(row)),
        "reference": solutions[0] if solutions else "",
        "solutions": row["solutions"],
        "tests": _hash(row["input_output"]),
    }


def _calls(row: dict[str, Any]) -> bool:
    """Whether a function is called; said by the tests, as APPS's own evaluation has it."""
    begin = row["input_output"].lstrip()[:1] == "{"
    return begin and '"fn_name"' in row["input_output"]


def prompt_of(question: str, starter_code: str, *, calls: bool) -> str:
    """The prompt of APPS's own evaluation, but for the line end after "ANSWER:"."""
    code = f"\n{starter_code}" if starter_code else ""
    how = "Call-Based" if calls else "Standard Input"
    return f"\nQUESTION:\n{question}{code}\nUse {how} format\nANSWER:"


def _settings(
    settled: SettledTask, rules: ProgramRules, options: ProgramOptions, name: str
) -> dict[str, Any]:
    """What the harness has to know; it scores nothing."""
    heat = options.heat
    return {
        "task": name,
        "output_type": "generate_until",
        "training_split": settled.finetuned,
        "test_split": settled.evaluated,
        "fewshot_split": "shots",
        "fewshot_config": {"sampler": "first_n"},
        "doc_to_text": "prompt",
        "doc_to_target": "reference",
        "target_delimiter": DELIMITER,
        "fewshot_delimiter": "\n",
        "metric_list": [{"metric": "bypass", "aggregation": "bypass", "higher_is_better": True}],
        "generation_kwargs": {
            "until": list(rules.stops),
            "do_sample": False,  # the backend draws, each program by a seed of its own
            "max_gen_toks": options.max_tokens or settled.most_tokens,
            **({"temperature": heat} if heat else {}),
        },
        "metadata": {"version": 1},
    }


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()
