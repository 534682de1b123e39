"""A task with everything settled: which splits, how many shots, which metrics, which chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class ColumnKind(StrEnum):
    """What a column of a published data set holds, in words of the message that it does not."""

    TEXT = "text"
    ANY_TEXT = "text or nothing"
    """Nothing counts as an empty text."""
    WHOLE = "whole numbers"
    TEXTS = "lists of texts"
    OPTIONS = "lists of texts under label and text"


class ChanceRule(StrEnum):
    """How the chance level of a task's main metric comes about."""

    UNIFORM = "uniform"
    """A guess among the choices."""
    MAJORITY = "majority"
    """The share of the most frequent right answer among the evaluated items, from the data."""
    ZERO = "zero"
    """Nobody guesses a free text."""


class BesideMetric(StrEnum):
    """A metric that is measured beside the main one."""

    MCC = "mcc"
    """Matthews correlation of the choices made and the right ones."""
    LOGPROB_PER_TOKEN = "logprob_per_token"  # noqa: S105  no password
    """Mean over items of the log-probability of the reference answer, in nats per token of it."""
    TESTS_PASSED = "tests_passed"
    """Mean over problems of the share of their tests that a program passes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramRules:
    """What is settled of a task whose answers are programs, in APPS's schema."""

    stops: tuple[str, ...]
    """Texts at which a program ends."""
    shot_characters: int
    """Characters of a solved example in a prompt at most, with its solution."""
    difficulty: str | None = None
    """The only difficulty that is asked and finetuned on; all of them if absent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledTask:
    """What is settled of a task whose data are published."""

    name: str
    """Its name."""
    repo: str
    """Data set of the hub."""
    columns: Mapping[str, ColumnKind]
    """Columns of the data that count; the others are left out."""
    splits: Mapping[str, tuple[str, ...]]
    """Where the files of each split lie in the repository or a copy of it, without the end of their
    names; the first that is there is taken."""
    evaluated: str
    """Split that is evaluated, the same as in the harness's definition."""
    finetuned: str
    """Split that is finetuned on, never the evaluated one."""
    shots: int
    """Solved examples in a few-shot prompt, from where and in which order the definition says."""
    metric: str
    """The main metric."""
    chance: ChanceRule
    """Chance level of the main metric."""
    definition: str | None = None
    """The harness's own definition below its folder of tasks: a YAML file, or the folder of a
    group's, of which each task says its part of the data as `dataset_name`. None where the harness
    has none: of programs."""
    part_column: str | None = None
    """Column that says which task of a group a row belongs to; None where there is no group."""
    template: str | None = None
    """What every task of a group includes, below its folder; finetuning strings are made by it."""
    finetuning_description: str | None = None
    """Begin of a finetuning prompt, where the definition's own needs what the split lacks."""
    leak_columns: tuple[str, ...] = ()
    """Columns, or parts of them like "choices.text", that the leak check compares."""
    added_metrics: tuple[str, ...] = ()
    """Metrics of single items that the definition lacks, each averaged over the items."""
    besides: tuple[BesideMetric, ...] = ()
    """What is measured beside the main metric."""
    most_tokens: int | None = None
    """Limit of a generated text; None where nothing is generated."""
    mirrors: tuple[str, ...] = ()
    """Other data sets of the hub that hold the same; the first that can be read is taken."""
    programs: ProgramRules | None = None
    """Of a task whose answers are programs; None for all others."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Where each choice comes from, by field; "ours" where it is our own."""
