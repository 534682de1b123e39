"""Which weights a result file is of: the revision it names, its tokens, and whether an adapter."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

_PLAIN: Final = frozenset({"", "main", "master", "none", "null", "nan", "na", "n/a", "<na>"})
"""Revisions that name nothing in particular."""
_ADAPTERS: Final = ("peft", "delta", "lora", "lora_local_path", "adapter")
_UNITS: Final = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
_AMOUNT: Final = r"(\d+(?:\.\d+)?)"
_STEP: Final = re.compile(
    rf"(?:^|[^a-z])(?:global[-_]?step|step|iter|ckpt)[-_]?{_AMOUNT}([KM]?)(?![a-z0-9])",
    re.IGNORECASE,
)
_TOKENS: Final = re.compile(
    rf"(?:^|[^a-z])tokens?[-_]?{_AMOUNT}([KMBT])(?![a-z])|{_AMOUNT}([KMBT])[-_]?tokens?(?![a-z])",
    re.IGNORECASE,
)
_LATER_STAGE: Final = re.compile(r"stage[-_]?[2-9]", re.IGNORECASE)
"""Tokens of a later stage of pretraining are not all that the model has seen."""
_PART: Final = re.compile(
    rf"(?:stage[-_]?\d+[-_](?:ingredient\d+[-_])?)?"
    rf"(?:(?:global[-_]?)?step[-_]?\d+[KM]?(?:[-_]tokens?[-_]?{_AMOUNT}[KMBT])?"
    rf"|tokens?[-_]?{_AMOUNT}[KMBT])",
    re.IGNORECASE,
)
_SUFFIX: Final = re.compile(
    rf"(?P<base>.+?)(?:__|[-_@])(?P<revision>{_PART.pattern})", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """What a result file says about the weights that it evaluated."""

    name: str | None = None
    """Name of the model, where the format of the file is one that states it apart from a path."""
    revision: str | None = None
    """Revision of the model; None where the file names none, or only the main one."""
    adapter: bool = False
    """Whether something was trained on top of that revision."""


def weights_of(config: Mapping[str, Any], loaded: Mapping[str, Any]) -> Weights:
    """The weights that a harness file names in `model_args` or `model_revision`.

    `model_args` is text like "pretrained=org/name,revision=step8,peft=org/adapter", or a mapping.
    """
    stated = config.get("model_args")
    if isinstance(stated, str):
        pairs = (part.partition("=") for part in stated.split(","))
        arguments = {name.strip(): value.strip().strip("'\"") for name, _, value in pairs}
    else:
        arguments = (
            {str(name): str(value) for name, value in stated.items()}
            if isinstance(stated, Mapping)
            else {}
        )
    candidates = (
        arguments.get("revision"),
        config.get("model_revision"),
        loaded.get("model_revision"),
    )
    adapter = any(arguments.get(name, "").lower() not in _PLAIN for name in _ADAPTERS)
    adapter = adapter or any(
        isinstance(config.get(f"{name}_sha"), str) and config[f"{name}_sha"]
        for name in ("peft", "delta")
    )
    return Weights(revision=first_revision(candidates), adapter=bool(adapter))


def first_revision(candidates: Iterable[object]) -> str | None:
    """The first of these that names a revision in particular."""
    texts = (text.strip() for text in candidates if isinstance(text, str))
    return next((text for text in texts if text.lower() not in _PLAIN), None)


def step_in(revision: str) -> int | None:
    """The pretraining step in the name of a revision, such as step8 or step-50K-105b."""
    found = _STEP.search(revision)
    return None if found is None else _number(found[1], found[2])


def tokens_in(revision: str) -> int | None:
    """The tokens in the name of a revision, such as step738020-tokens3094B: here 3.094e12."""
    found = None if _LATER_STAGE.search(revision) else _TOKENS.search(revision)
    return None if found is None else _number(found[1] or found[3], found[2] or found[4])


def of_pretraining(revision: str) -> bool:
    """Whether the name is that of a checkpoint along pretraining: it holds a step or tokens."""
    return step_in(revision) is not None or _TOKENS.search(revision) is not None


def revision_in(parts: Iterable[str]) -> str | None:
    """The part of a path that is the name of a pretraining checkpoint, if one is."""
    return next((part for part in parts if _PART.fullmatch(part)), None)


def without_revision(folder: str) -> tuple[str, str] | None:
    """The name of a model and of its revision in a folder like pythia-160m_step8; else None."""
    found = _SUFFIX.fullmatch(folder)
    return None if found is None else (found["base"], found["revision"])


def _number(amount: str, unit: str) -> int:
    return round(float(amount) * _UNITS[unit.upper()])
