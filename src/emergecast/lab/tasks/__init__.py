"""A task of lm-evaluation-harness: its requests, its answers, its training split.

A task is read from the harness's own YAML, built in or from a folder, and scored by the harness's
own metrics; its requests are built once and tokenised once per tokenizer, whatever the number of
checkpoints. It refuses to train on anything but the training split, on an item that is evaluated,
on more examples than there are, and to run code of a task folder that nobody has trusted.
"""

from __future__ import annotations

from emergecast.lab.tasks._encode import Encoded, encode_pairs, tokenizer_key
from emergecast.lab.tasks._items import CHOICE_PROB, GENERATING, Item, ItemScore
from emergecast.lab.tasks._load_task import load_task
from emergecast.lab.tasks._loaded_task import LoadedTask
from emergecast.lab.tasks._pool import FinetuningPool
from emergecast.lab.tasks._programs import (
    OFFICIAL,
    UNMASKED,
    LoadedPrograms,
    ProgramPairs,
    UnusedProblems,
)
from emergecast.lab.tasks._quiet import quiet_harness
from emergecast.lab.tasks._settled import (
    BesideMetric,
    ChanceRule,
    ColumnKind,
    ProgramRules,
    SettledTask,
)
from emergecast.lab.tasks._task import Pair, ProgramOptions, Task
from emergecast.lab.tasks._task_folder import TaskFolder, data_sets_of, read_task_folder
from emergecast.lab.tasks._too_long import TooLong, too_long
from emergecast.lab.tasks._trust import code_lines, trust, untrusted_code
from emergecast.lab.tasks._yaml_faults import YamlFault, yaml_faults

__all__ = [
    "CHOICE_PROB",
    "GENERATING",
    "OFFICIAL",
    "UNMASKED",
    "BesideMetric",
    "ChanceRule",
    "ColumnKind",
    "Encoded",
    "FinetuningPool",
    "Item",
    "ItemScore",
    "LoadedPrograms",
    "LoadedTask",
    "Pair",
    "ProgramOptions",
    "ProgramPairs",
    "ProgramRules",
    "SettledTask",
    "Task",
    "TaskFolder",
    "TooLong",
    "UnusedProblems",
    "YamlFault",
    "code_lines",
    "data_sets_of",
    "encode_pairs",
    "load_task",
    "quiet_harness",
    "read_task_folder",
    "tokenizer_key",
    "too_long",
    "trust",
    "untrusted_code",
    "yaml_faults",
]
