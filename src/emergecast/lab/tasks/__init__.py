"""A task of lm-evaluation-harness: its requests, its answers, its training split.

A task is read from the harness's own YAML, built in or from a folder, and scored by the harness's
own metrics; its requests are built once and tokenised once per tokenizer, whatever the number of
checkpoints. It refuses to train on anything but the training split, and more examples than that
split has.
"""

from __future__ import annotations

from emergecast.lab.tasks._encode import Encoded, encode_pairs, tokenizer_key
from emergecast.lab.tasks._load_task import load_task
from emergecast.lab.tasks._loaded_task import Item, ItemScore, LoadedTask
from emergecast.lab.tasks._quiet import quiet_harness
from emergecast.lab.tasks._task import Pair, Task
from emergecast.lab.tasks._yaml_faults import YamlFault, yaml_faults

__all__ = [
    "Encoded",
    "Item",
    "ItemScore",
    "LoadedTask",
    "Pair",
    "Task",
    "YamlFault",
    "encode_pairs",
    "load_task",
    "quiet_harness",
    "tokenizer_key",
    "yaml_faults",
]
