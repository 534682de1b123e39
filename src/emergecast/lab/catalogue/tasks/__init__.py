"""Tasks by name, with splits, shots, metrics and chance settled: one TOML file each.

The prompts are those of lm-evaluation-harness's own definitions. It refuses to finetune on the
split that is evaluated.
"""

from __future__ import annotations

from emergecast.lab.catalogue.tasks._task_registry import catalogued_task, settle, task_names

__all__ = [
    "catalogued_task",
    "settle",
    "task_names",
]
