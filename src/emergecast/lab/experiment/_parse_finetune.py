"""The part of an experiment file about finetuning."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from emergecast.lab.experiment._experiment import Method, Schedule
from emergecast.lab.experiment._fields import (
    Place,
    by_amount,
    either,
    members,
    number,
    report_repeated,
    whole,
)
from emergecast.lab.experiment._yaml import Entry

_FINETUNE: Final = (
    *("examples", "subsets", "seeds", "methods"),
    *("save_every_seconds", "micro_batch_size"),
)
_SAVE_EVERY: Final = 300.0
_METHOD: Final = (
    "name",
    "steps",
    "epochs",
    "batch_size",
    "learning_rate",
    "lr_times_pretraining",
    "schedule",
    "warmup_steps",
    "weight_decay",
    "max_grad_norm",
    "train_embeddings",
)
_NAME: Final = re.compile(r"full|lora-[1-9][0-9]{0,3}")
_MOST_REPEATS: Final = 1000
"""Bound of subsets and of seeds, so that a typing mistake does not make an endless grid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finetuning:
    """What the part says; nothing is finetuned where it is absent."""

    examples: tuple[int, ...] = ()
    subsets: Mapping[int, int] = field(default_factory=dict)
    seeds: Mapping[int, int] = field(default_factory=dict)
    methods: tuple[Method, ...] = ()
    save_every_seconds: float = _SAVE_EVERY
    micro_batch_size: int | None = None


def parse_finetuning(entry: Entry | None, place: Place) -> Finetuning:
    """Amounts, repeats and methods; mistakes are reported."""
    if entry is None:
        return Finetuning()
    place.note(entry)
    parts = entry.mapping(_FINETUNE, required=("examples", "methods"))
    examples = _examples(parts.get("examples"))
    for name in ("examples", "subsets", "seeds"):
        if name in parts:
            place.note(parts[name])
    methods = []
    for each in members(parts.get("methods")):
        place.note(each)
        method = _method(each, examples)
        if method is not None:
            methods.append((method, each))
    report_repeated(methods, "methods")
    return Finetuning(
        examples=examples,
        subsets=_repeats(parts.get("subsets"), examples),
        seeds=_repeats(parts.get("seeds"), examples),
        methods=tuple(method for method, _ in methods),
        save_every_seconds=either(parts.get("save_every_seconds"), number(above=0), _SAVE_EVERY),
        micro_batch_size=parts["micro_batch_size"].whole(minimum=1)
        if "micro_batch_size" in parts
        else None,
    )


def _examples(entry: Entry | None) -> tuple[int, ...]:
    found: dict[int, Entry] = {}
    for each in members(entry):
        amount = each.whole(minimum=1)
        if amount is None:
            continue
        if amount in found:
            each.wrong(f"{amount} examples are named twice.", "Remove one.")
        found[amount] = each
    return tuple(sorted(found))


def _repeats(entry: Entry | None, examples: Sequence[int]) -> dict[int, int]:
    found = by_amount(entry, examples, whole(1))
    if entry is not None and found is not None and max(found.values(), default=1) > _MOST_REPEATS:
        entry.wrong("that is too many.", f"Write at most {_MOST_REPEATS}.")
    return found if found is not None else dict.fromkeys(examples, 1)


def _method(entry: Entry, examples: Sequence[int]) -> Method | None:
    parts = entry.mapping(_METHOD, required=("name",))
    name = parts["name"].text() if "name" in parts else None
    if name is not None and not _NAME.fullmatch(name):
        parts["name"].wrong(
            f'there is no method "{name}".', "Use full, or lora- and the rank, like lora-8."
        )
    _one_of(entry, parts, "learning_rate", "lr_times_pretraining")
    _one_of(entry, parts, "steps", "epochs")
    batch = by_amount(parts.get("batch_size"), examples, whole(1)) or dict.fromkeys(examples, 32)
    batch = {amount: min(size, amount) for amount, size in batch.items()}
    steps = by_amount(parts.get("steps"), examples, whole(1))
    epochs = by_amount(parts.get("epochs"), examples, number(above=0))
    if steps is None and epochs is not None:
        steps = {d: max(1, math.ceil(epochs[d] * d / batch[d])) for d in examples}
    warmup = by_amount(parts.get("warmup_steps"), examples, whole(0)) or dict.fromkeys(examples, 0)
    schedule = by_amount(parts.get("schedule"), examples, lambda e: e.word(tuple(Schedule)))
    too_long = [d for d in examples if steps is not None and warmup[d] > steps[d]]
    if too_long:
        parts["warmup_steps"].wrong(
            f"the warmup is longer than the training on {too_long[0]} examples.",
            "Write fewer steps of warmup, or more steps.",
        )
    if name is None:
        return None
    return Method(
        name=name,
        steps=steps or {},
        batch_size=batch,
        learning_rate=by_amount(parts.get("learning_rate"), examples, number(above=0)),
        lr_times_pretraining=by_amount(
            parts.get("lr_times_pretraining"), examples, number(above=0)
        ),
        schedule={d: Schedule((schedule or {}).get(d, Schedule.LINEAR)) for d in examples},
        warmup_steps=warmup,
        weight_decay=either(parts.get("weight_decay"), number(least=0), 0.0),
        max_grad_norm=either(parts.get("max_grad_norm"), number(least=0), 1.0) or None,
        train_embeddings=either(parts.get("train_embeddings"), lambda e: e.flag(), default=True),
        where=entry.where,
        line=entry.line,
    )


def _one_of(entry: Entry, parts: Mapping[str, Entry], first: str, second: str) -> None:
    if first in parts and second in parts:
        parts[second].wrong(f'there is also "{first}".', "Keep one of them.")
    elif first not in parts and second not in parts and entry.is_mapping:
        entry.wrong(f'"{first}" is missing.', f"Add {first} or {second}.")
