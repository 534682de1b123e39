"""The part of an experiment file that says how the checkpoints are finetuned."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from emergecast.errors import near
from emergecast.lab.checkpoints import Checkpoint
from emergecast.lab.experiment._contents import (
    EARLY_STOPPING,
    FINETUNE,
    SWEEP,
    each_by_amount,
    method_readers,
)
from emergecast.lab.experiment._experiment import Finetuning, Method
from emergecast.lab.experiment._readers import (
    Readers,
    Section,
    by_amount,
    section,
    sections,
    whole,
)
from emergecast.lab.experiment._yaml import Entry
from emergecast.lab.finetune import (
    DEFAULT_BATCH,
    FEWEST_HELD_OUT,
    METHODS,
    MOST_HELD_OUT,
    PREFIX_LEARNING_RATE,
    EarlyStopping,
    FinetuneMethod,
    Sweep,
    is_method,
)
from emergecast.measurements import MethodKind

_MOST_REPEATS: Final = 1000
"""Bound of subsets and of seeds, so that a typing mistake does not make an endless grid."""
_MOST_TRIED: Final = 100
"""The same of the settings of a sweep."""
_USUAL_SHARE: Final = 0.1
"""Share of the examples that is held out where nobody says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _UnsettledMethod:
    """A method as the file states it."""

    name: str
    by_amount: Mapping[int, FinetuneMethod]
    relative: bool
    """Whether its learning rates are multiples of the checkpoint's pretraining rate."""


def read_finetuning(entry: Entry, checkpoints: Sequence[tuple[Checkpoint, Entry]]) -> Finetuning:
    """The part `finetune`, settled for every checkpoint; a relative rate needs that of each."""
    part = section(entry, FINETUNE, required=("examples", "methods"))
    examples = _examples(part.values.get("examples", ()))
    listed = sections(part.values.get("methods", ()), method_readers(examples), "methods")
    methods = [method for each in listed if (method := _method(each, examples)) is not None]
    return Finetuning(
        examples=examples,
        subsets=_repeats(part.values.get("subsets"), examples),
        seeds=_repeats(part.values.get("seeds"), examples),
        methods=tuple(_settle(methods, checkpoints)),
        **part.some("save_every_seconds", "micro_batch_size"),
    )


def _examples(entries: Iterable[Entry]) -> tuple[int, ...]:
    found: set[int] = set()
    for each in entries:
        amount = each.whole(minimum=1)
        if amount in found:
            each.wrong(f"{amount} examples are named twice.", "Remove one.")
        elif amount is not None:
            found.add(amount)
    return tuple(sorted(found))


def _repeats(entry: Entry | None, examples: Sequence[int]) -> dict[int, int]:
    found = None if entry is None else by_amount(examples, whole(1))(entry)
    if entry is not None and found is not None and max(found.values(), default=1) > _MOST_REPEATS:
        entry.wrong("that is too many.", f"Write at most {_MOST_REPEATS}.")
    return dict.fromkeys(examples, 1) if found is None else found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    """Of one amount of data, what a sweep chooses from; one of each where nothing is swept."""

    rates: tuple[float, ...]
    steps: tuple[int, ...]

    @property
    def sweep(self) -> Sweep | None:
        """None where there is nothing to choose."""
        if len(self.rates) * len(self.steps) == 1:
            return None
        rates, steps = self.rates, self.steps
        return Sweep(
            learning_rates=rates if len(rates) > 1 else (), steps=steps if len(steps) > 1 else ()
        )


def _method(part: Section, examples: Sequence[int]) -> _UnsettledMethod | None:
    """A method; None where something is wrong with it."""
    values = part.values
    name = values.get("name")
    known = name is not None and is_method(name)
    if name is not None and not known:
        part.wrong("name", f'there is no method "{name}".', _correction(name))
    swept = _part(part, "sweep", each_by_amount(SWEEP, examples))
    stopped = _part(part, "early_stopping", each_by_amount(EARLY_STOPPING, examples), ("patience",))
    batch = {d: min(values.get("batch_size", {}).get(d, DEFAULT_BATCH), d) for d in examples}
    rates, steps = _rates(part, swept, examples), _steps(part, swept, batch)
    if steps is None or rates is None:
        return None
    warmup = values.get("warmup_steps", {})
    too_long = [d for d in examples if warmup.get(d, 0) > min(steps[d])]
    if too_long:
        part.wrong(
            "warmup_steps",
            f"the warmup is longer than the training on {too_long[0]} examples.",
            "Write fewer steps of warmup, or more steps.",
        )
    settings = {d: _Settings(rates=rates[d], steps=steps[d]) for d in examples}
    held_out = _held_out(swept, stopped, settings)
    if not known or too_long or held_out is None:
        return None
    shared = part.some("name", "weight_decay", "max_grad_norm", "train_embeddings")
    if "max_grad_norm" in shared:
        shared["max_grad_norm"] = shared["max_grad_norm"] or None
    varied = {"batch_size": batch} | part.some("schedule", "warmup_steps")
    return _UnsettledMethod(
        name=str(name),
        by_amount={
            d: FinetuneMethod(
                **shared,
                **{key: each[d] for key, each in varied.items()},
                steps=each.steps[0],
                learning_rate=each.rates[0],
                validation=held_out.get(d),
                sweep=each.sweep,
                early_stopping=_stopping(stopped, d, batch[d]),
            )
            for d, each in settings.items()
        },
        relative="lr_times_pretraining" in values,
    )


def _correction(name: str) -> str:
    """What a misspelt name may mean, with the number that stands in it."""
    number = re.search(r"[0-9]+", name)
    size = int(number[0]) if number and len(number[0]) < 10 else 0
    methods = f"Methods are {', '.join(METHODS[:-1])} and {METHODS[-1]}"
    if number and not size:
        return f"{methods}; ranks and tokens are whole numbers from 1 to {10**9 - 1:,}."
    forms = [re.sub("<.*>", str(size or 8), form) for form in METHODS]
    return f"{near(name, forms)} {methods}."


def _part(
    part: Section, name: str, readers: Readers, required: Sequence[str] = ()
) -> Section | None:
    """A part of a method, where it is written."""
    entry = part.values.get(name)
    return None if entry is None else section(entry, readers, required)


def _only_one(part: Section, swept: Section | None, name: str, *others: str) -> bool:
    """Whether a sweep states something; what states the same beside it is reported."""
    if swept is None or name not in swept.parts:
        return False
    for other in others:
        if other in part.parts:
            part.wrong(other, f'there is also "{name}" in the sweep.', "Keep one of them.")
    return True


def _rates(
    part: Section, swept: Section | None, examples: Sequence[int]
) -> dict[int, tuple[float, ...]] | None:
    """The learning rates of each amount, ascending; None where they cannot be told."""
    names = ("learning_rate", "lr_times_pretraining")
    if swept is not None and _only_one(part, swept, "learning_rates", *names):
        return _ascending(swept, "learning_rates")
    if not any(name in part.parts for name in names):
        if str(part.values.get("name")).startswith(MethodKind.PREFIX):
            return dict.fromkeys(examples, (PREFIX_LEARNING_RATE,))
        if swept is not None:
            part.entry.wrong(
                '"learning_rate" is missing.', "Add learning_rate, or learning_rates to the sweep."
            )
            return None
    part.exclusive(*names)
    stated = part.values.get(names[0], part.values.get(names[1]))
    return None if stated is None else {d: (rate,) for d, rate in stated.items()}


def _steps(
    part: Section, swept: Section | None, batch: Mapping[int, int]
) -> dict[int, tuple[int, ...]] | None:
    """The same of the steps."""
    epochs: dict[int, tuple[float, ...]] | None
    if swept is not None and _only_one(part, swept, "epochs", "steps", "epochs"):
        where, epochs = swept, _ascending(swept, "epochs")
    else:
        part.exclusive("steps", "epochs")
        if "steps" in part.values:
            return {d: (steps,) for d, steps in part.values["steps"].items()}
        where = part
        stated = part.values.get("epochs")
        epochs = None if stated is None else {d: (each,) for d, each in stated.items()}
    if epochs is None:
        return None
    if any(each[-1] * d >= 2**53 for d, each in epochs.items()):
        where.wrong("epochs", "that is too many.", "Write how often the data are gone through.")
        return None
    return {
        d: tuple(sorted({max(1, math.ceil(each * d / batch[d])) for each in epochs[d]}))
        for d in batch
    }


def _ascending(swept: Section, name: str) -> dict[int, tuple[float, ...]] | None:
    """The values of a sweep, ascending; None where something is wrong with them."""
    found: dict[int, tuple[float, ...]] = swept.values.get(name, {})
    if not found or not all(found.values()):
        return None
    if any(len(set(each)) < len(each) for each in found.values()):
        swept.wrong(name, "a value stands there twice.", "Remove one.")
        return None
    return {d: tuple(sorted(each)) for d, each in found.items()}


def _held_out(
    swept: Section | None, stopped: Section | None, settings: Mapping[int, _Settings]
) -> dict[int, float] | None:
    """The share that is held out, of the amounts where it is needed; None where it cannot be."""
    parts = [each for each in (swept, stopped) if each is not None]
    stating = [each for each in parts if "validation" in each.parts]
    if len(stating) > 1:
        stopped_too = stating[1]
        stopped_too.wrong("validation", "the sweep states it too.", "Keep one of them.")
        return None
    if swept is not None and not {"learning_rates", "epochs"} & swept.parts.keys():
        if swept.entry.is_mapping:
            swept.entry.wrong("there is nothing to choose from.", "Add learning_rates or epochs.")
        return None
    stated = stating[0].values.get("validation") if stating else {}
    if stated is None or (stopped is not None and "patience" not in stopped.values):
        return None
    where = stating[0].parts["validation"] if stating else (parts[0].entry if parts else None)
    found: dict[int, float] = {}
    for d, each in settings.items():
        if where is None or (each.sweep is None and stopped is None):
            continue
        found[d] = stated.get(d, _USUAL_SHARE)
        held = round(found[d] * d)
        if found[d] > MOST_HELD_OUT:
            where.wrong(f"{found[d]:g} is too large a share.", f"Write at most {MOST_HELD_OUT}.")
        elif held < FEWEST_HELD_OUT:
            where.wrong(
                f"{found[d]:g} of {d} examples are {held} to choose by, and at least"
                f" {FEWEST_HELD_OUT} are needed.",
                f"Write a larger share for {d} examples, in validation; or one value of each"
                " setting.",
            )
        elif len(each.rates) * len(each.steps) > _MOST_TRIED:
            where.wrong("these are too many settings.", f"Try at most {_MOST_TRIED}.")
        else:
            continue
        return None
    return found


def _stopping(stopped: Section | None, examples: int, batch: int) -> EarlyStopping | None:
    """When training ends early; it looks after every time through the data where nobody says."""
    if stopped is None:
        return None
    every = stopped.values.get("every_steps", {}).get(examples, math.ceil(examples / batch))
    return EarlyStopping(patience=stopped.values["patience"][examples], every_steps=every)


def _settle(
    methods: Sequence[_UnsettledMethod], checkpoints: Sequence[tuple[Checkpoint, Entry]]
) -> Iterator[Method]:
    """The methods for each checkpoint; a relative rate needs that of every checkpoint."""
    relative = [method for method in methods if method.relative]
    for each, entry in checkpoints if relative else ():
        if each.pretraining_learning_rate is None:
            entry.wrong(
                f"the learning rate of the pretraining of {each.title} is not known, and method"
                f' "{relative[0].name}" is a multiple of it.',
                "Add pretraining_learning_rate to it or its series, or give the method a"
                " learning_rate.",
            )
    for method in methods:
        settled = {}
        for each, _ in checkpoints:
            rate = (each.pretraining_learning_rate or 1.0) if method.relative else 1.0
            settled[each.series, each.name] = {
                d: replace(how, learning_rate=how.learning_rate * rate)
                for d, how in method.by_amount.items()
            }
        yield Method(name=method.name, settled=settled)
