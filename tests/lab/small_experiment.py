"""An experiment that invents its scores, written as a user writes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

EXPERIMENT = """\
name: small
output: results
worker: rehearsal
rehearsal: {seconds: 0}
series:
  - name: v1
    tokenizer: words
    pretraining_learning_rate: 1e-3
    checkpoints:
      - {name: S-1, path: S-1, params: 80614, tokens: 1e6}
      - {name: S-2, path: S-2, params: 80614, tokens: 2e6}
      - {name: S-3, path: S-3, params: 80614, tokens: 4e6}
corpora:
  - {name: held-out, path: held-out.jsonl}
tasks:
  - {name: matching, include_path: tasks, shots_in_document: 8, chance: 0.25}
finetune:
  examples: [16, 64]
  seeds: {16: 2, 64: 1}
  methods:
    - name: full
      steps: {16: 40, 64: 60}
      lr_times_pretraining: {16: 0.25, 64: 0.5}
      warmup_steps: 10
"""
"""3 losses, 3 few-shot scores, 3 * (2 + 1) finetunings."""


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes the experiment with some of its text replaced, and returns the file."""

    def write(*changes: tuple[str, str], name: str = "small.yaml") -> Path:
        text = EXPERIMENT
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        file = tmp_path / name
        file.write_text(text, "utf-8")
        return file

    return write
