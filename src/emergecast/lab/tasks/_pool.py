"""What a model may be finetuned on: the training documents without shots and without leaks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emergecast.errors import LabError
from emergecast.lab.tasks._items import right_choice
from emergecast.lab.tasks._leaks import leak_texts, leaked
from emergecast.lab.tasks._quiet import quiet_harness
from emergecast.lab.tasks._task import Pair, Task

if TYPE_CHECKING:
    from lm_eval.api.task import ConfigurableTask

FEW_SHOT_SEED: Final = 1234
"""Seed of the harness's few-shot sampler: its own default."""
_AT_A_TIME: Final = 1_000
"""Documents that are read together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuningPool:
    """The documents that a model may be finetuned on."""

    parts: tuple[ConfigurableTask, ...]
    """The tasks that they are documents of, and that make strings of them."""
    docs: tuple[Sequence[Any], ...]
    """All training documents, by task."""
    kept: np.ndarray
    """Numbers of those that may be used, counted through all tasks, ascending."""
    shots: int
    """Documents left out since few-shot prompts hold them."""
    leaked: int | None
    """Further ones left out since they hold an evaluated item; None where nobody looked."""

    @property
    def size(self) -> int:
        """Documents that may be used."""
        return len(self.kept)

    @property
    def whole(self) -> int:
        """All training documents."""
        return sum(len(docs) for docs in self.docs)

    def doc(self, number: int) -> tuple[ConfigurableTask, Any]:
        """One of the documents that may be used, and the task it belongs to."""
        among_all = int(self.kept[number])
        ends = np.cumsum([len(docs) for docs in self.docs])
        place = int(np.searchsorted(ends, among_all, side="right"))
        docs = self.docs[place]
        return self.parts[place], docs[among_all - int(ends[place])]


def make_pool(
    task: Task,
    evaluated: Sequence[ConfigurableTask],
    finetuned: Sequence[ConfigurableTask],
    docs: tuple[Sequence[Any], ...],
    *,
    limit: int | None,
) -> FinetuningPool:
    """The documents that models may be finetuned on.

    Args:
        task: Which task, and what is left out.
        evaluated: What is evaluated; all of it counts in the leak check, whatever the limit.
        finetuned: What has the training documents.
        docs: These documents, by task.
        limit: Items that are evaluated of each task, for which shots are drawn.
    """
    whole = sum(map(len, docs))
    shots = np.zeros(whole, dtype=bool)
    settled = task.settled
    if whole and settled is not None and task.shots and not task.finetune_on_shots:
        drawn = {_spelt(doc) for part in evaluated for doc in _drawn(part, task.shots, limit)}
        shots = np.array([_spelt(doc) in drawn for each in docs for doc in rows_of(each)])
    found: frozenset[int] | None = None
    if whole and task.leak_check:
        columns = () if settled is None else settled.leak_columns
        with quiet_harness():
            found = leaked(
                _chained(evaluated, [part.eval_docs for part in evaluated], columns),
                _chained(finetuned, docs, columns),
            )
    leaks = np.isin(np.arange(whole), sorted(found or ())) & ~shots
    return FinetuningPool(
        parts=tuple(finetuned),
        docs=docs,
        kept=np.flatnonzero(~shots & ~leaks),
        shots=int(shots.sum()),
        leaked=None if found is None else int(leaks.sum()),
    )


def takes_one_more(part: ConfigurableTask) -> bool:
    """Whether the harness draws a shot more than it needs, to leave out the item it asks about."""
    split: object = part.fewshot_cfg.split
    return bool(split == part.config.test_split)


def training_pair(part: ConfigurableTask, doc: Any, *, name: str, shots: int) -> Pair:  # noqa: ANN401  a document of any data set
    """A training document in exactly the format of the evaluation.

    Raises:
        LabError: it has no right answer, or several.
    """
    prefix = part.doc_to_prefix(doc)
    context = part.fewshot_context(doc, num_fewshot=shots, gen_prefix=prefix)
    if part.OUTPUT_TYPE == "generate_until":
        return reference_pair(part, doc, str(context))
    asked = part.construct_requests(doc=doc, ctx=context, metadata=(name, 0, 1))
    requests = asked if isinstance(asked, list) else [asked]
    gold = right_choice(part, doc) if part.OUTPUT_TYPE == "multiple_choice" else 0
    if gold is None:
        raise LabError(
            f'task "{name}" has a training example without one right answer: {doc}. Leave'
            " such examples out of its training split."
        )
    prompt, completion = requests[gold].args
    return Pair(str(prompt), str(completion), ends=False)


def reference_pair(part: ConfigurableTask, doc: Any, prompt: str) -> Pair:  # noqa: ANN401  as above
    """A prompt of a task that generates, and its reference answer."""
    return Pair(prompt, f"{part.config.target_delimiter}{part.doc_to_target(doc)}", ends=True)


def training_docs(part: ConfigurableTask) -> Sequence[Any]:
    """The training documents of a task; none where it has no training split."""
    with quiet_harness():
        docs: Sequence[Any] | None = part.training_docs() if part.has_training_docs() else None
    return () if docs is None else docs


def rows_of(docs: Sequence[Any]) -> Iterator[Any]:
    """The documents one by one; those of a data set are read many at a time, which is faster."""
    from datasets import Dataset

    if not isinstance(docs, Dataset):
        yield from docs
        return
    for batch in docs.iter(batch_size=_AT_A_TIME):
        names = tuple(batch)
        for values in zip(*batch.values(), strict=True):
            yield dict(zip(names, values, strict=True))


def _drawn(part: ConfigurableTask, shots: int, limit: int | None) -> Iterator[Any]:
    """The shots of all prompts, drawn as `fewshot_context` of the harness draws them."""
    part.set_fewshot_seed(seed=FEW_SHOT_SEED)
    sample: Callable[..., Sequence[Any]] = part.sampler.sample
    for _, doc in part.doc_iterator(limit=limit):
        yield from sample(n=shots, eval_doc=doc if takes_one_more(part) else None)
    part.set_fewshot_seed(seed=FEW_SHOT_SEED)


def _chained(
    parts: Sequence[ConfigurableTask], docs: Sequence[Sequence[Any]], columns: Sequence[str]
) -> Iterator[str]:
    for part, mine in zip(parts, docs, strict=True):
        yield from leak_texts(part, rows_of(mine), columns)


def _spelt(doc: Any) -> str:  # noqa: ANN401  as above
    return json.dumps(doc, sort_keys=True, default=str)
