"""Programs that a model writes, graded while it writes the next ones."""

from __future__ import annotations

import queue
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from emergecast.errors import LabError
from emergecast.lab.evaluate._proxies import reference_signals
from emergecast.lab.evaluate._scores import Score, mean_score
from emergecast.lab.grading import (
    GradableMask,
    Grader,
    ProgramGrade,
    ReferenceState,
    Submission,
    gradable_mask,
    pass_at_k,
)
from emergecast.lab.tasks import OFFICIAL, UNMASKED, BesideMetric, ItemScore

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from emergecast.lab.evaluate._generate import Generated
    from emergecast.lab.tasks import LoadedPrograms, LoadedTask

_TELL_SECONDS: Final = 1.0
OnPrograms = Callable[[int, int], None]
"""Called with the programs that are graded and with all of them."""


class GradedPrograms(NamedTuple):
    """What the programs of a model come to."""

    scores: tuple[Score, ...]
    """The main metric first."""
    items: tuple[ItemScore, ...]
    """What was generated for each problem, and what each test said."""
    core_seconds: float
    """Seconds on a core that the tests of these programs took, now or when they were graded."""
    tests: int
    """Tests that were run, of equal programs once."""


@dataclass(slots=True, kw_only=True)
class _Grading:
    """Grades programs in threads of its own: first the mask, then what is handed in.

    Equal programs of a problem are graded once.
    """

    programs: LoadedPrograms
    kept: Path | None
    mask: GradableMask | None = None
    jobs: dict[tuple[int, str], Future[Future[ProgramGrade]]] = field(default_factory=dict)
    _waiting: queue.SimpleQueue[tuple[int, str] | None] = field(default_factory=queue.SimpleQueue)
    _thread: threading.Thread | None = None
    _failed: BaseException | None = None
    _cancelled: bool = False

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._work, name="grading", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._cancelled = kind is not None
        self._waiting.put(None)
        if self._thread is not None and kind is None:
            self._thread.join()

    def hand_in(self, problem: int, program: str) -> None:
        """Have a program of a problem graded."""
        if (problem, program) not in self.jobs:
            self.jobs[problem, program] = Future()
            self._waiting.put((problem, program))

    def grade_of(self, problem: int, program: str) -> ProgramGrade:
        """The grade of a program that was handed in."""
        return self.jobs[problem, program].result().result()

    def wait(self, tell: OnPrograms) -> None:
        """Until all that was handed in is graded.

        Raises:
            LabError: there is no working sandbox.
        """
        told = 0.0
        while True:
            if self._failed is not None:
                raise self._failed
            done = sum(job.done() and job.result().done() for job in self.jobs.values())
            if time.monotonic() - told >= _TELL_SECONDS:
                tell(done, len(self.jobs))
                told = time.monotonic()
            if done == len(self.jobs) and self.mask is not None:
                return
            time.sleep(0.02)

    def _work(self) -> None:
        try:
            options = self.programs.grading(self.kept)
            self.mask = gradable_mask(self.programs.problems, options)
            with Grader(options) as grader:
                while (asked := self._waiting.get()) is not None and not self._cancelled:
                    problem, program = asked
                    tests = self.programs.problems[problem].tests
                    job = grader.submit(Submission(program=program, tests=tests))
                    self.jobs[asked].set_result(job)
        except BaseException as error:  # noqa: BLE001  it is raised where somebody waits
            self._failed = error


def graded_programs(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    task: LoadedTask,
    programs: LoadedPrograms,
    *,
    kept: Path | None = None,
    tell: OnPrograms = lambda _done, _all: None,
) -> GradedPrograms:
    """Have a model write programs for all problems, and grade them meanwhile.

    Args:
        model: A causal model, in evaluation mode.
        tokenizer: Its tokenizer.
        task: The task.
        programs: What it knows of its problems.
        kept: Folder in which grades and the mask are kept; none if absent.
        tell: Called about every second while grades are waited for.

    Raises:
        LabError: there is no working sandbox, no problem can be graded, or the model is broken.
    """
    from emergecast.lab.evaluate._generate import generate

    count = programs.options.samples
    owners: defaultdict[str, list[int]] = defaultdict(list)
    for number, item in enumerate(task.items):
        owners[task.requests[item.requests[0]].args[0]].append(number)

    with _Grading(programs=programs, kept=kept) as grading:

        def hand_in(prompt: str, text: str) -> None:
            for number in owners[prompt]:
                grading.hand_in(number, text)

        texts = generate(model, tokenizer, task, copies=count, on_text=hand_in)
        logprobs = _logprobs(model, tokenizer, task)
        grading.wait(tell)
    samples = [texts[number * count : (number + 1) * count] for number in range(task.n_items)]
    grades = [
        [grading.grade_of(number, each.text) for each in mine]
        for number, mine in enumerate(samples)
    ]
    masked = _masked(grading.mask)
    items = _items(task, programs, samples, grades, masked)
    ran = [test for job in grading.jobs.values() for test in job.result().result().tests]
    return GradedPrograms(
        scores=_scores(programs, items, grades, logprobs),
        items=items,
        core_seconds=sum(test.wall_seconds for test in ran),
        tests=sum(test.ending is not None for test in ran),
    )


def _logprobs(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, task: LoadedTask
) -> list[float]:
    """Of the reference solutions, nats per token, of the problems that have one."""
    references = task.encoded_references(tokenizer)
    return [each.logprob for each in reference_signals(model, references)] if references else []


def _masked(mask: GradableMask | None) -> Mapping[str, str]:
    """Why a problem does not count, by its id: none of its own solutions passes its tests."""
    states = () if mask is None else mask.problems
    fails = {ReferenceState.FAILS, ReferenceState.NO_TESTS}
    return {each.problem: str(each.state) for each in states if each.state in fails}


def _items(
    task: LoadedTask,
    programs: LoadedPrograms,
    samples: Sequence[Sequence[Generated]],
    grades: Sequence[Sequence[ProgramGrade]],
    masked: Mapping[str, str],
) -> tuple[ItemScore, ...]:
    return tuple(
        ItemScore(
            id=item.id,
            correct=sum(each.passed for each in mine) / len(mine),
            logprob=None,
            prompt=item.prompt_hash,
            completion=said[0].text,
            target=item.target,
            answer=None,
            cut=any(each.cut for each in said),
            programs=[
                _kept(*each, first=i == 0) for i, each in enumerate(zip(said, mine, strict=True))
            ],
            masked=masked.get(problem.problem),
        )
        for item, problem, said, mine in zip(
            task.items, programs.problems, samples, grades, strict=True
        )
    )


def _kept(said: Generated, grade: ProgramGrade, *, first: bool) -> dict[str, Any]:
    """What is kept of one program; the text of the first is the item's completion."""
    kept: dict[str, Any] = {} if first else {"text": said.text}
    kept["tests"] = [
        "passed" if test.passed
        else "not run" if test.ending is None
        else "wrong answer" if test.ending == "finished"
        else str(test.ending)
        for test in grade.tests
    ]  # fmt: skip
    if said.cut:
        kept["cut"] = True
    if grade.official is not None:
        kept["official"] = grade.official
    return kept


def _scores(
    programs: LoadedPrograms,
    items: Sequence[ItemScore],
    grades: Sequence[Sequence[ProgramGrade]],
    logprobs: Sequence[float],
) -> tuple[Score, ...]:
    """Means over problems, with their errors; masked ones are left out but for `UNMASKED`."""
    counted = [mine for item, mine in zip(items, grades, strict=True) if item.masked is None]
    if not counted:
        raise LabError(
            f"of {len(items):,} problems none can be graded: all reference solutions fail their own"
            " tests. Look at the data, and at emergecast sandbox check."
        )
    right = [sum(each.passed for each in mine) for mine in counted]
    count = programs.options.samples
    found = [mean_score("accuracy", [each / count for each in right])]
    shares = [sum(each.share or 0.0 for each in mine) / count for mine in counted]
    found.append(mean_score(BesideMetric.TESTS_PASSED, shares))
    if logprobs:
        found.append(mean_score(BesideMetric.LOGPROB_PER_TOKEN, logprobs))
    found.append(mean_score(UNMASKED, [item.correct for item in items]))
    if programs.options.official:
        official = [sum(each.official is True for each in mine) / count for mine in counted]
        found.append(mean_score(OFFICIAL, official))
    found += [
        mean_score(f"pass@{k}", [pass_at_k(count, each, k) for each in right]) for k in programs.ks
    ]
    return tuple(found)
