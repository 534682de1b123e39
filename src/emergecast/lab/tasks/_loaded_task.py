"""A loaded task: requests built once, tokenised once per tokenizer, scored by the harness."""

from __future__ import annotations

import copy
import hashlib
import json
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from emergecast.errors import LabError
from emergecast.lab.tasks._definition import Definition, define
from emergecast.lab.tasks._encode import Encoded, encode_pairs, tokenizer_key
from emergecast.lab.tasks._items import (
    CHOICE_PROB,
    GENERATING,
    PICKING,
    Item,
    ItemScore,
    item_of,
    reference_of,
)
from emergecast.lab.tasks._named_metric import filter_of_parts, metric_of_parts
from emergecast.lab.tasks._pool import (
    FinetuningPool,
    make_pool,
    rows_of,
    training_docs,
    training_pair,
)
from emergecast.lab.tasks._programs import LoadedPrograms, ProgramPairs, program_metric
from emergecast.lab.tasks._quiet import quiet_harness
from emergecast.lab.tasks._settled import BesideMetric, ChanceRule
from emergecast.lab.tasks._task import Pair, Task
from emergecast.measurements import uniform_chance

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from lm_eval.api.task import ConfigurableTask
    from transformers import PreTrainedTokenizerBase

Response = tuple[float, bool] | str
"""What a model says to a request: log-probability and whether it is the most likely, or a text."""

_SCORED: Final = (PICKING, GENERATING, "loglikelihood")


# Above 400 lines by one method for programs: what is asked, scored and trained on is one format.
class LoadedTask:
    """A task, or a group of them, with its requests kept ready."""

    def __init__(
        self,
        task: Task,
        parts: Sequence[ConfigurableTask],
        *,
        limit: int | None,
        trainers: Sequence[ConfigurableTask] | None = None,
        programs: LoadedPrograms | None = None,
    ) -> None:
        """The task of these parts, which train themselves where there are no trainers."""
        self.name: Final = task.name
        self.programs: Final = programs
        """Tests and solutions of its problems; None where answers are no programs."""
        self.proxy: Final = task.proxy
        """Whether it asks for proxy signals."""
        self._task = task
        self._parts = tuple(parts)
        self._trainers = self._parts if trainers is None else tuple(trainers)
        self._pool_of = self  # the few-shot task, where this is its zero-shot form
        self._limit = limit
        self._encoded: dict[tuple[str, str], tuple[Encoded, ...]] = {}
        self._pairs: dict[int, Pair] = {}
        for part in self._parts:
            if part.OUTPUT_TYPE not in _SCORED:
                raise LabError(
                    f'task "{task.name}" is of type {part.OUTPUT_TYPE}, which has no score per'
                    f" item. Use a task of type {', '.join(_SCORED)}."
                )
        if programs is None:
            metric = metric_of_parts(task.name, self._parts, task.metric)
        else:
            metric = program_metric(task.name, task.metric)
        self.metric: Final = metric
        """Name of the score."""
        self._filter = filter_of_parts(task.name, self._parts, None if programs else task.metric)

    @property
    def version(self) -> str | None:
        """Version of the task as its YAML states it."""
        versions = {str(part.VERSION) for part in self._parts if part.VERSION is not None}
        return "+".join(sorted(versions)) or None

    @property
    def chance(self) -> float | None:
        """Score of a model that knows nothing: as stated, else 1 / choices; None where unknown."""
        stated, settled = self._task.chance.get(""), self._task.settled
        if stated is not None:
            return stated
        if settled is not None and settled.chance is ChanceRule.ZERO:
            return 0.0
        if settled is not None and settled.chance is ChanceRule.MAJORITY:
            answers = Counter(item.target for item in self.items)
            return max(answers.values()) / self.n_items
        choices = self._choices
        return 1 / choices if choices and self.metric.startswith("acc") else None

    @property
    def besides(self) -> tuple[BesideMetric, ...]:
        """What is measured beside the main metric and the log-probability."""
        return () if self._task.settled is None else self._task.settled.besides

    @property
    def chances(self) -> Mapping[str, float]:
        """Chance levels of what is measured beside a settled task, where theory gives one."""
        if self._task.settled is None:
            return {}
        if self.programs is not None:
            return dict.fromkeys(self.programs.scores, 0.0)
        names = [*self.besides, *([CHOICE_PROB] if self._choices else [])]
        levels = {str(name): uniform_chance(name, self._choices or 1) for name in names}
        return {name: level for name, level in levels.items() if level is not None}

    @cached_property
    def zero_shot(self) -> LoadedTask:
        """The same task without examples in the prompt, as finetuned models are asked."""
        if self._task.shots == 0:
            return self
        parts = [copy.copy(part) for part in self._parts]
        for part in parts:
            part._config = copy.copy(part._config)  # noqa: SLF001  nothing public copies a task
            part.set_config(key="num_fewshot", value=0)
        task = replace(self._task, shots=0)
        trainers = None if self._trainers is self._parts else self._trainers
        found = LoadedTask(
            task, parts, limit=self._limit, trainers=trainers, programs=self.programs
        )
        found._pool_of = self._pool_of
        return found

    @property
    def generates(self) -> bool:
        """Whether the model has to generate text, rather than to score it."""
        return any(request.request_type == GENERATING for request in self.requests)

    @property
    def n_items(self) -> int:
        """Items that are evaluated."""
        return len(self.items)

    @property
    def item_bytes(self) -> float:
        """Mean size of an item in UTF-8: its prompts, each once, and its answers."""
        whole = 0
        for item in self.items:
            asked = [self.requests[number].args for number in item.requests]
            answers = [each[1] for each in asked if isinstance(each[1], str)]
            texts = [*{str(each[0]) for each in asked}, *answers]
            whole += sum(len(text.encode()) for text in texts)
        if self.programs is not None:
            whole += sum(len(item.target.encode()) for item in self.items)
            whole *= self.programs.options.samples
        return whole / max(1, self.n_items)

    @property
    def train_size(self) -> int:
        """Examples that may be finetuned on; 0 where the task has none."""
        return self.pool.size

    @property
    def split_size(self) -> int:
        """Examples of the training split, those that may not be used among them."""
        return sum(map(len, self._training))

    @property
    def pool(self) -> FinetuningPool:
        """What models may be finetuned on: without shots that any prompt holds."""
        return self._pool_of._pool  # noqa: SLF001  of the same class

    @cached_property
    def _pool(self) -> FinetuningPool:
        return make_pool(self._task, self._parts, self._trainers, self._training, limit=self._limit)

    @cached_property
    def _training(self) -> tuple[Sequence[Any], ...]:
        return tuple(map(training_docs, self._trainers))

    @cached_property
    def requests(self) -> tuple[Instance, ...]:
        """What a model is asked, item after item."""
        asked: list[Instance] = []
        for part in self._parts:
            with quiet_harness():
                part.build_all_requests(limit=self._limit, rank=0, world_size=1)
            asked += part.instances
        return tuple(asked)

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """The items of the evaluation, in the order of the harness."""
        grouped: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        number = 0
        _ = self.requests
        for place, part in enumerate(self._parts):
            for request in part.instances:
                grouped[place, int(request.doc_id or 0)].append(number)
                number += 1
        several = len(self._parts) > 1
        return tuple(
            item_of(self._parts[place], self.requests, tuple(mine), part=place, several=several)
            for (place, _), mine in grouped.items()
        )

    @cached_property
    def example(self) -> tuple[str, str]:
        """The first item, whole: its prompt, and what the model should say."""
        return self.items[0].prompt, self.items[0].target

    @cached_property
    def definition(self) -> Definition:
        """What turns answers into a score, and the documents; `hash` tells the requests."""
        task = self._task
        trainers = () if self._trainers is self._parts else self._trainers
        return define(self._parts, shots=task.shots, folder=task.include_path, trainers=trainers)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of all that is asked: requests, answers, metric, training split."""
        digest = hashlib.sha256()
        digest.update(json.dumps([self.name, self.version, self.metric, self._filter]).encode())
        if self.programs is not None:
            digest.update(json.dumps(self.programs.decides).encode())
        for request in self.requests:
            digest.update(json.dumps([request.request_type, request.args], default=str).encode())
        digest.update(json.dumps([item.right for item in self.items]).encode())
        for docs in self._training:
            for doc in rows_of(docs):
                digest.update(json.dumps(doc, default=str).encode())
        return digest.hexdigest()

    @cached_property
    def finetuning_hash(self) -> str:
        """The same with what is left out of the training split; equal where nothing is."""
        if self.pool.size == self.pool.whole:
            return self.hash
        return hashlib.sha256(f"{self.hash} {self.pool.kept.tolist()}".encode()).hexdigest()

    def encoded(self, tokenizer: PreTrainedTokenizerBase) -> tuple[Encoded, ...]:
        """The requests as tokens; tokenised once for tokenizers that cut alike.

        Raises:
            LabError: The task generates text, or an answer has no token.
        """
        pairs = [(str(request.args[0]), str(request.args[1])) for request in self.requests]
        return self._encode("requests", pairs, tokenizer)

    @cached_property
    def references(self) -> tuple[tuple[str, str], ...]:
        """Of each item (of programs: that has one) its prompt, and the solution that follows it.

        Raises:
            LabError: An item has none, or several.
        """
        parts, asked = self._parts, self.requests
        items = self.items  # a problem may have no solution; its programs are graded all the same
        if self.programs is not None:
            items = tuple(item for item in items if item.target)
        return tuple(reference_of(item, parts[item.part], asked) for item in items)

    def encoded_references(self, tokenizer: PreTrainedTokenizerBase) -> tuple[Encoded, ...]:
        """The references as tokens; tokenised once for tokenizers that cut alike.

        Raises:
            LabError: As `references`, or a solution has no token.
        """
        return self._encode("references", self.references, tokenizer)

    def _encode(
        self, what: str, pairs: Sequence[tuple[str, str]], tokenizer: PreTrainedTokenizerBase
    ) -> tuple[Encoded, ...]:
        cut = tokenizer_key(tokenizer)
        key = None if cut is None else (what, cut)
        if key is not None and key in self._encoded:
            return self._encoded[key]
        encoded = tuple(encode_pairs(pairs, tokenizer))
        for pair, (_, continuation) in zip(pairs, encoded, strict=True):
            if not continuation:
                raise LabError(
                    f'task "{self.name}": the answer {pair[1]!r} becomes no token of its own after'
                    f" {pair[0][-40:]!r}. Give the task another target_delimiter."
                )
        if key is not None:
            self._encoded[key] = encoded
        return encoded

    def score(self, responses: Sequence[Response]) -> tuple[ItemScore, ...]:
        """Score what a model said to `requests`, item by item, by the harness's own metric.

        Raises:
            LabError: There are not as many answers as requests.
        """
        responses = list(responses)
        if len(responses) != len(self.requests):
            raise LabError(
                f'task "{self.name}" asks {len(self.requests):,} times and got'
                f" {len(responses):,} answers. Answer every request, in order."
            )
        chosen: list[Any] = [None] * len(responses)
        start = 0
        for part in self._parts:
            count = len(part.instances)
            for request, response in zip(
                part.instances, responses[start : start + count], strict=True
            ):
                request.resps = [response] * (request.repeats or 1)
                request.filtered_resps = {}
            part.apply_filters()
            for i, request in enumerate(part.instances, start=start):
                chosen[i] = self._filtered(request)
            start += count
        return tuple(self._score(item, chosen, responses) for item in self.items)

    def training_pairs(self, subset: int, examples: int) -> list[Pair]:
        """`examples` examples of the training split, in exactly the format of the evaluation.

        That is: with as many shots as the task was loaded with, or with none where a group has
        training documents of its own. Each is built once.

        Args:
            subset: Which random subset. Subsets are nested: the one of 64 examples begins the one
                of 256.
            examples: How many.

        Raises:
            LabError: The task has no training split, or not so many examples.
        """
        self.check_training(examples)
        rng = np.random.default_rng([zlib.crc32(self.name.encode()), subset])
        order = rng.permutation(self.train_size)[:examples]
        shots = self._task.shots if self._trainers is self._parts else 0
        for number in order.tolist():
            if number not in self._pairs:
                part, doc = self.pool.doc(number)
                self._pairs[number] = training_pair(part, doc, name=self.name, shots=shots)
        return [self._pairs[number] for number in order.tolist()]

    def program_pairs(
        self, subset: int, examples: int, fits: Callable[[Pair], bool]
    ) -> ProgramPairs:
        """Solutions of `examples` training problems, as many of each as the task asks for.

        Problems are taken in the order of `training_pairs`; one of which no solution fits is left
        out, and the next one taken.

        Args:
            subset: As in `training_pairs`.
            examples: How many problems.
            fits: Whether a model takes the whole of an example.

        Raises:
            LabError: There are not so many that fit.
        """
        self.check_training(examples)
        rng = np.random.default_rng([zlib.crc32(self.name.encode()), subset])
        programs = cast("LoadedPrograms", self.programs)
        docs = (self.pool.doc(number)[1] for number in rng.permutation(self.train_size).tolist())
        found = programs.pairs(docs, subset, examples, fits)
        fit = len(found.pairs) // programs.options.solutions
        if fit < examples:
            raise LabError(
                f'task "{self.name}" has {fit:,} training problems with a solution that the model'
                f" takes whole, and {examples:,} are asked for. Ask for fewer."
            )
        return found

    def check_training(self, examples: int) -> None:
        """Check that there are this many training examples.

        Raises:
            LabError: The task has no training split, or not so many examples.
        """
        if self.pool.whole == 0:
            raise LabError(
                f'task "{self.name}" has no training split, and finetuning must not touch what is'
                " evaluated. Name a training_split in its YAML file, or leave finetuning out."
            )
        if not 1 <= examples <= self.train_size:
            raise LabError(
                f'task "{self.name}" has {self.train_size:,} training examples, and {examples:,}'
                f" are asked for. Ask for 1 to {self.train_size:,}."
            )

    @cached_property
    def _choices(self) -> int | None:
        """Answers to choose from; None where there is no choice, or not always the same number."""
        if any(part.OUTPUT_TYPE != PICKING for part in self._parts):
            return None
        choices = {
            len(self._parts[item.part].doc_to_choice(self.requests[item.requests[0]].doc))
            for item in self.items
        }
        return choices.pop() if len(choices) == 1 else None

    def _filtered(self, request: Instance) -> Any:  # noqa: ANN401  whatever a filter returns
        if self._filter is None:
            return next(iter(request.filtered_resps.values()))
        return request.filtered_resps[self._filter]

    def _score(self, item: Item, chosen: list[Any], responses: list[Response]) -> ItemScore:
        part = self._parts[item.part]
        doc = self.requests[item.requests[0]].doc
        results = part.process_results(doc, [chosen[i] for i in item.requests])
        said = None if item.right is None else responses[item.right]
        completion, answer = self._said(item, chosen, responses)
        return ItemScore(
            id=item.id,
            correct=float(results[self.metric]),
            logprob=said[0] if isinstance(said, tuple) else None,
            prompt=item.prompt_hash,
            completion=completion,
            target=item.target,
            answer=answer,
        )

    def _said(
        self, item: Item, chosen: list[Any], responses: list[Response]
    ) -> tuple[str | None, str | None]:
        """The completion, and what the filters make of it where that differs."""
        first = item.requests[0]
        text, kept = responses[first], chosen[first]
        if isinstance(text, str):
            answer = kept if isinstance(kept, str) else json.dumps(kept, default=str)
            return text, None if answer == text else answer
        if not item.choices:
            return None, None
        likely = max(item.choices, key=lambda i: responses[i][0])
        return str(self.requests[likely].args[1]), None
