"""A loaded task: requests built once, tokenised once per tokenizer, scored by the harness."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emergecast.errors import LabError
from emergecast.lab.tasks._definition import Definition, define
from emergecast.lab.tasks._encode import Encoded, encode_pairs, tokenizer_key
from emergecast.lab.tasks._items import Item, ItemScore, right_choice, target_of
from emergecast.lab.tasks._quiet import quiet_harness
from emergecast.lab.tasks._task import Pair, Task

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from lm_eval.api.task import ConfigurableTask
    from transformers import PreTrainedTokenizerBase

Response = tuple[float, bool] | str
"""What a model says to a request: log-probability and whether it is the most likely, or a text."""

_PICKING: Final = "multiple_choice"
_GENERATING: Final = "generate_until"
_SCORED: Final = (_PICKING, _GENERATING, "loglikelihood")
_BEGIN: Final = 12
"""Characters kept of the hash of a prompt."""


class LoadedTask:
    """A task, or a group of them, with its requests kept ready."""

    def __init__(self, task: Task, parts: Sequence[ConfigurableTask], *, limit: int | None) -> None:
        self.name: Final = task.name
        self._task = task
        self._parts = tuple(parts)
        self._limit = limit
        self._encoded: dict[str, tuple[Encoded, ...]] = {}
        self._pairs: dict[int, Pair] = {}
        for part in self._parts:
            if part.OUTPUT_TYPE not in _SCORED:
                raise LabError(
                    f'task "{task.name}" is of type {part.OUTPUT_TYPE}, which has no score per'
                    f" item. Use a task of type {', '.join(_SCORED)}."
                )
        self.metric: Final = self._metric(task.metric)
        """Name of the score."""
        self._filter = self._named_filter(task.metric)

    @property
    def version(self) -> str | None:
        """Version of the task as its YAML states it."""
        versions = {str(part.VERSION) for part in self._parts if part.VERSION is not None}
        return "+".join(sorted(versions)) or None

    @property
    def chance(self) -> float | None:
        """Score of a model that knows nothing: as stated, else 1 / choices; None where unknown."""
        stated = self._task.chance.get("")
        if stated is not None or not self.metric.startswith("acc"):
            return stated
        if any(part.OUTPUT_TYPE != _PICKING for part in self._parts):
            return None
        choices = {
            len(self._parts[item.part].doc_to_choice(self.requests[item.requests[0]].doc))
            for item in self.items
        }
        return 1 / choices.pop() if len(choices) == 1 else None

    @property
    def generates(self) -> bool:
        """Whether the model has to generate text, rather than to score it."""
        return any(request.request_type == _GENERATING for request in self.requests)

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
        return whole / max(1, self.n_items)

    @property
    def train_size(self) -> int:
        """Examples of the training split; 0 where the task has none."""
        return sum(len(docs) for docs in self._training)

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
        return tuple(self._item(place, doc, mine) for (place, doc), mine in grouped.items())

    @cached_property
    def example(self) -> tuple[str, str]:
        """The first item, whole: its prompt, and what the model should say."""
        return self.items[0].prompt, self.items[0].target

    @cached_property
    def definition(self) -> Definition:
        """What turns answers into a score, and the documents; `hash` tells the requests."""
        task = self._task
        return define(self._parts, shots=task.shots, folder=task.include_path)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of all that is asked: requests, answers, metric, training split."""
        digest = hashlib.sha256()
        digest.update(json.dumps([self.name, self.version, self.metric, self._filter]).encode())
        for request in self.requests:
            digest.update(json.dumps([request.request_type, request.args], default=str).encode())
        digest.update(json.dumps([item.right for item in self.items]).encode())
        for docs in self._training:
            for doc in docs:
                digest.update(json.dumps(doc, default=str).encode())
        return digest.hexdigest()

    def encoded(self, tokenizer: PreTrainedTokenizerBase) -> tuple[Encoded, ...]:
        """The requests as tokens; tokenised once for tokenizers that cut alike.

        Raises:
            LabError: The task generates text, or an answer has no token.
        """
        key = tokenizer_key(tokenizer)
        if key is not None and key in self._encoded:
            return self._encoded[key]
        pairs = [(str(request.args[0]), str(request.args[1])) for request in self.requests]
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

        That is: with as many shots as the task was loaded with. Each is built once.

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
        ends = np.cumsum([len(docs) for docs in self._training])
        for number in order.tolist():
            if number not in self._pairs:
                place = int(np.searchsorted(ends, number, side="right"))
                docs = self._training[place]
                self._pairs[number] = self._pair(place, docs[number - int(ends[place])])
        return [self._pairs[number] for number in order.tolist()]

    def check_training(self, examples: int) -> None:
        """Check that there are this many training examples.

        Raises:
            LabError: The task has no training split, or not so many examples.
        """
        if self.train_size == 0:
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
    def _training(self) -> tuple[Sequence[Any], ...]:
        splits = []
        for part in self._parts:
            with quiet_harness():
                docs = part.training_docs() if part.has_training_docs() else None
            splits.append(() if docs is None else docs)
        return tuple(splits)

    def _metric(self, metric: str | None) -> str:
        known = sorted(set.intersection(*(set(part.aggregation()) for part in self._parts)))
        if metric is None:
            first = next(iter(self._parts[0].aggregation()))
            return "acc" if "acc" in known else first
        name = metric.split(",", 1)[0]
        if name not in known:
            raise LabError(
                f'task "{self.name}" has no metric "{name}"; it has {", ".join(known)}. Choose one.'
            )
        return name

    def _named_filter(self, metric: str | None) -> str | None:
        """The filter of "exact_match,strict-match"; None where the metric names none."""
        name = None if metric is None or "," not in metric else metric.split(",", 1)[1]
        for part in self._parts:
            known = [each.name for each in part._filters]  # noqa: SLF001  nothing public has them
            if name is not None and name not in known:
                raise LabError(
                    f'task "{self.name}" has no filter "{name}"; it has {", ".join(known)}.'
                    " Choose one."
                )
        return name

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

    def _item(self, place: int, doc_id: int, numbers: list[int]) -> Item:
        part = self._parts[place]
        first = self.requests[numbers[0]]
        right, choices = None, 0
        if part.OUTPUT_TYPE == _PICKING:
            twice = "acc_mutual_info" in part.aggregation()  # each is asked without prompt too
            choices = len(numbers) // (2 if twice else 1)
            gold = right_choice(part, first.doc)
            right = None if gold is None else numbers[gold]
        elif part.OUTPUT_TYPE == "loglikelihood":
            right = numbers[0]
        prefix = f"{first.task_name}/" if len(self._parts) > 1 else ""
        prompt = "\n".join(
            dict.fromkeys(filter(None, (str(self.requests[i].args[0]) for i in numbers)))
        )
        target = target_of(part, first.doc) if right is None else self.requests[right].args[1]
        return Item(
            id=f"{prefix}{doc_id}",
            part=place,
            requests=tuple(numbers),
            choices=tuple(numbers[:choices]),
            right=right,
            prompt=prompt,
            prompt_hash=hashlib.sha256(prompt.encode("utf-8", "replace")).hexdigest()[:_BEGIN],
            target=str(target),
        )

    def _pair(self, place: int, doc: Any) -> Pair:  # noqa: ANN401  a document of any data set
        part = self._parts[place]
        prefix = part.doc_to_prefix(doc)
        context = part.fewshot_context(doc, num_fewshot=self._task.shots, gen_prefix=prefix)
        asked = part.construct_requests(doc=doc, ctx=context, metadata=(self.name, 0, 1))
        if part.OUTPUT_TYPE == _GENERATING:
            delimiter = part.config.target_delimiter
            return Pair(str(context), f"{delimiter}{part.doc_to_target(doc)}", ends=True)
        requests = asked if isinstance(asked, list) else [asked]
        gold = right_choice(part, doc) if part.OUTPUT_TYPE == _PICKING else 0
        if gold is None:
            raise LabError(
                f'task "{self.name}" has a training example without one right answer: {doc}. Leave'
                " such examples out of its training split."
            )
        prompt, completion = requests[gold].args
        return Pair(str(prompt), str(completion), ends=False)
