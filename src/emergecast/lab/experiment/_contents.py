"""What an experiment file may hold: every entry of every part, and how it is read.

Messages list the entries of a part in this order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from emergecast.lab.experiment._experiment import Choice, Costs, Keep, Rehearsal, WorkerKind
from emergecast.lab.experiment._readers import (
    Readers,
    by_amount,
    chance,
    fraction,
    itself,
    many,
    number,
    one_of,
    record,
    section,
    whole,
    zero_is_unknown,
)
from emergecast.lab.experiment._yaml import Entry
from emergecast.lab.finetune import Schedule, Tracker
from emergecast.lab.tasks import ProgramOptions

REHEARSAL: Final[Readers] = {
    "seconds": number(least=0),
    "fail": many(Entry.text),
    "training_size": whole(0),
    "items": whole(1),
}
COSTS: Final[Readers] = {
    "flops_per_second": number(least=1),
    "per_hour": number(least=0),
    "seconds_per_test": number(above=0),
}
TOP: Final[Readers] = {
    "name": Entry.text,
    "output": Entry.path,
    "worker": one_of(WorkerKind),
    "series": Entry.members,
    "corpora": Entry.members,
    "tasks": Entry.members,
    "few_shot": Entry.flag,
    "finetune": itself,
    "evaluation": record(dict, {"limit": whole(1)}),
    "trackers": many(one_of(Tracker)),
    "rehearsal": record(Rehearsal, REHEARSAL),
    "costs": record(Costs, COSTS),
}
SHARED: Final[Readers] = {
    "tokenizer": Entry.text,
    "pretraining_learning_rate": number(above=0),
    "lr_fraction": fraction,
}
"""What a series may say for all of its checkpoints."""
CHOICE: Final[Readers] = {
    "losses": many(number(above=0)),
    "count": whole(1),
    "below": number(above=0),
    "above": number(above=0),
}
CHECKPOINT: Final[Readers] = {
    "name": Entry.text,
    "path": Entry.path,
    "repo": Entry.text,
    "revision": Entry.text,
    "subfolder": Entry.text,
    "params": whole(1),
    "tokens": zero_is_unknown(whole(0)),
    "flops": zero_is_unknown(number(least=0)),
    "pretraining_learning_rate": SHARED["pretraining_learning_rate"],
    "lr_fraction": SHARED["lr_fraction"],
    "tokenizer": SHARED["tokenizer"],
}
CORPUS: Final[Readers] = {"name": Entry.text, "path": Entry.path, "documents": whole(1)}
PROGRAMS: Final[Readers] = {
    "samples": whole(1),
    "temperature": number(least=0),
    "max_tokens": whole(1),
    "solutions": whole(1),
    "official": Entry.flag,
    "cpu_seconds": number(least=0.1),
}
"""What a task whose answers are programs may say of them."""
TASK: Final[Readers] = {
    "name": Entry.text,
    "include_path": Entry.path,
    "data": Entry.path,
    "leak_check": Entry.flag,
    "finetune_on_shots": Entry.flag,
    "shots": whole(0),
    "shots_in_document": whole(0),
    "metric": Entry.text,
    "examples": Entry.items,  # an empty list: no finetuning on this task
    "chance": chance,
    "proxy": Entry.flag,
    "programs": record(ProgramOptions, PROGRAMS),
}
FINETUNE: Final[Readers] = {
    "examples": Entry.members,
    "subsets": itself,
    "seeds": itself,
    "methods": Entry.members,
    "save_every_seconds": number(above=0),
    "micro_batch_size": whole(1),
}
BY_AMOUNT: Final[Readers] = {
    "steps": whole(1),
    "epochs": number(above=0),
    "batch_size": whole(1),
    "learning_rate": number(above=0),
    "lr_times_pretraining": number(above=0),
    "schedule": one_of(Schedule),
    "warmup_steps": whole(0),
}
"""What a method may state for each amount of data."""
SWEEP: Final[Readers] = {
    "learning_rates": many(number(above=0)),
    "epochs": many(number(above=0)),
    "validation": number(above=0),
}
"""What a sweep may state for each amount of data."""
EARLY_STOPPING: Final[Readers] = {
    "patience": whole(1),
    "every_steps": whole(1),
    "validation": SWEEP["validation"],
}
"""The same of early stopping."""


def _choice(entry: Entry) -> Choice | None:
    if not entry.is_mapping:
        entry.word(("all",))
        return None
    found = section(entry, CHOICE)
    if "losses" in found.parts and "count" in found.parts:
        found.wrong("count", "there are losses and a count.", "Keep one of them.")
    choice = Choice(**found.values)
    above, below = choice.above, choice.below
    if below is not None and above is not None and not above < below:
        entry.wrong(f"no loss lies above {above:g} and below {below:g}.", "Swap them.")
    return choice


SERIES: Final[Readers] = {
    "name": Entry.text,
    **SHARED,
    "checkpoints": Entry.members,
    "folder": itself,
    "choose": _choice,
    "steps": many(whole(0)),
    "keep": one_of(Keep),
}


def each_by_amount(readers: Readers, examples: Sequence[int]) -> Readers:
    """The readers, each of a value for each of these amounts of data."""
    return {name: by_amount(examples, read) for name, read in readers.items()}


def method_readers(examples: Sequence[int]) -> Readers:
    """What a method of finetuning may say, where these are the amounts of data."""
    return {
        "name": Entry.text,
        **each_by_amount(BY_AMOUNT, examples),
        "sweep": itself,
        "early_stopping": itself,
        "weight_decay": number(least=0),
        "max_grad_norm": number(least=0),  # 0 for none
        "train_embeddings": Entry.flag,
    }
