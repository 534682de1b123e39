"""Tiny models in which a few-shot skill really emerges, trained within minutes.

An ordinary user of the other rooms: model folders, a held-out corpus, tasks of
lm-evaluation-harness over local files, an experiment file. It refuses to look at a score when it
chooses checkpoints: they are chosen by loss alone.
"""

from __future__ import annotations

from emergecast.lab.proving_ground._files import PROBE
from emergecast.lab.proving_ground._make import Made, Order, make, missing, order
from emergecast.lab.proving_ground._pretrain import (
    Pretrained,
    Pretraining,
    Progress,
    new_model,
    pretrain,
)
from emergecast.lab.proving_ground._recipe import PRESETS, Preset, Quality, Size, Tuning
from emergecast.lab.proving_ground._skill import MATCHING, Question, WorldPlan, WorldSkill
from emergecast.lab.proving_ground._vocabulary import tokenizer, vocabulary

__all__ = [
    "MATCHING",
    "PRESETS",
    "PROBE",
    "Made",
    "Order",
    "Preset",
    "Pretrained",
    "Pretraining",
    "Progress",
    "Quality",
    "Question",
    "Size",
    "Tuning",
    "WorldPlan",
    "WorldSkill",
    "make",
    "missing",
    "new_model",
    "order",
    "pretrain",
    "tokenizer",
    "vocabulary",
]
