"""The experiment file of a proving ground, written as a user would write it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from emergecast.lab.proving_ground._files import CORPUS, LANGUAGE_CORPUS, PROBE, TASKS
from emergecast.lab.proving_ground._recipe import (
    PROBE_SHOTS,
    PROBE_TUNINGS,
    TUNING_BATCH,
    TUNING_DECAY,
    TUNING_WARMUP,
    Preset,
    Tuning,
)
from emergecast.lab.proving_ground._skill import CYCLE_B, Question, WorldSkill
from emergecast.lab.proving_ground._world import PAIRS

EXPERIMENT: Final = "experiment.yaml"


def experiment_text(preset: Preset, series: Sequence[str], controls: Sequence[str]) -> str:
    """The experiment file: every series and its controls, few-shot and after each finetuning."""
    tunings = sorted(
        {*preset.tunings, *(PROBE_TUNINGS if preset.probe else ())}, key=lambda t: t.examples
    )
    lines = [
        "# What `emergecast run` measures on this proving ground. Paths start from this file.",
        f"name: proving-ground-{preset.name}",
        "output: results",
        "series:",
        *(f"  - {{name: {name}, folder: series/{name}}}" for name in series),
        "  # Models with random weights: no amount of finetuning may bring them above chance.",
        *(f"  - {{name: {name}, folder: series/{name}}}" for name in controls),
        "corpora:",
        f"  - {{name: held-out, path: {CORPUS.as_posix()}}}",
    ]
    if preset.second_axis:
        lines.append(f"  - {{name: language, path: {LANGUAGE_CORPUS.as_posix()}}}")
    lines.append("tasks:")
    for skill in preset.plan.skills:
        lines += [
            f"  - name: {skill.task}",
            f"    include_path: {TASKS.as_posix()}",
            f"    shots_in_document: {PAIRS}",
            f"    chance: {_chance(skill, preset)}",
            f"    examples: {_amounts(preset.tunings_of(skill))}",
        ]
    if preset.probe:
        lines += [
            f"  - name: {PROBE}",
            f"    include_path: {TASKS.as_posix()}",
            f"    shots: {PROBE_SHOTS}",
            f"    chance: {1 / CYCLE_B}",
            f"    examples: {_amounts(PROBE_TUNINGS)}",
        ]
    lines += [
        "finetune:",
        f"  examples: {_amounts(tunings)}",
        f"  subsets: {_by_amount(tunings, 'subsets')}",
        "  methods:",
        "    - name: full",
        f"      steps: {_by_amount(tunings, 'steps')}",
        f"      batch_size: {TUNING_BATCH}",
        f"      lr_times_pretraining: {_by_amount(tunings, 'learning_rate_times')}",
        f"      warmup_steps: {TUNING_WARMUP}",
        f"      weight_decay: {TUNING_DECAY}",
        "      train_embeddings: false",
    ]
    return "\n".join(lines) + "\n"


def _chance(skill: WorldSkill, preset: Preset) -> str:
    if not preset.second_axis or skill.asked is Question.RECALL:
        return str(skill.chance)
    return f"{{acc: {skill.chance}, choice_prob: {skill.chance}}}"


def _amounts(tunings: Sequence[Tuning]) -> str:
    return "[" + ", ".join(str(tuning.examples) for tuning in tunings) + "]"


def _by_amount(tunings: Sequence[Tuning], field: str) -> str:
    pairs = (f"{tuning.examples}: {getattr(tuning, field)}" for tuning in tunings)
    return "{" + ", ".join(pairs) + "}"
