"""The loss of every checkpoint of a series on held-out texts, taken up where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from emergecast.errors import LabError
from emergecast.lab.checkpoints import (
    Checkpoint,
    CheckpointFacts,
    inspect,
    is_here,
    known_params,
    load,
)
from emergecast.lab.evaluate._corpus import Corpus, HeldOutFacts, facts_of
from emergecast.lab.evaluate._loss import LOSS_VERSION, LossOptions, held_out_loss
from emergecast.lab.evaluate._loss_rows import (
    LossRow,
    loss_row,
    read_rows,
    source_of,
    write_rows,
)
from emergecast.scaling import FORWARD_FLOPS_PER_PARAM_AND_TOKEN

if TYPE_CHECKING:
    import torch

BYTES_PER_TOKEN: Final = 4
"""Assumed where a text was not cut into tokens yet."""
_WINDOWS: Final = "each window begins with the last token of the one before"


class Precision(StrEnum):
    """Type in which weights are loaded."""

    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    FLOAT32 = "float32"


@dataclass(frozen=True, slots=True, kw_only=True)
class LossOrder:
    """What is to be measured, and where it is written."""

    checkpoints: tuple[Checkpoint, ...]
    """In the order of the rows."""
    texts: tuple[Corpus, ...]
    """Each checkpoint has a loss on each of them."""
    out: Path
    """The file of the rows; those of it that still hold are not measured again."""
    options: LossOptions = field(default_factory=LossOptions)
    """How."""
    precision: Precision | None = None
    """Type in which the weights are loaded; as they are stored where None."""
    replace: bool = False
    """Whether rows that were measured of other text, weights or settings are measured again."""

    @property
    def is_local(self) -> bool:
        """Whether checkpoints and texts are files of this machine."""
        return all(each.path is not None for each in self.checkpoints) and all(
            each.path is not None for each in self.texts
        )

    @property
    def settings(self) -> str:
        """All settings that decide a loss, in words."""
        wanted = self.options
        context = "of the model" if wanted.context is None else f"of {wanted.context}"
        return (
            f"context {context}; {_WINDOWS}; first token: {wanted.first_token};"
            f" weights: {self.precision or 'as stored'}; version {LOSS_VERSION}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LossFailure:
    """What could not be measured, and why."""

    title: str
    """Series and checkpoint."""
    error: str
    """In a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossReport:
    """What a call measured."""

    rows: tuple[LossRow, ...]
    """Of all that was asked for and is known now."""
    measured: int
    """Those of them that are new."""
    unseen: int
    """Those that were kept without a look at the weights, which are not on this machine."""
    failures: tuple[LossFailure, ...]
    """Checkpoints without a loss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossEstimate:
    """What is left to measure, before anything is loaded."""

    texts: Mapping[str, HeldOutFacts]
    """By name."""
    done: int
    """Rows that are there."""
    missing: tuple[str, ...]
    """Losses that are not, as "checkpoint on corpus"."""
    tokens: int
    """Tokens to predict, at so many bytes a token."""
    flops: float
    """Forward passes over them, of the checkpoints whose size is known."""
    unknown: int
    """Missing losses of checkpoints whose size is not known, since they are not here."""
    absent: tuple[Checkpoint, ...]
    """Checkpoints of missing losses whose files are not on this machine."""


OnLoss = Callable[[float, str], None]
"""Called with the losses done, in parts, and what is being measured."""


def estimate_losses(order: LossOrder) -> LossEstimate:
    """What `measure_losses` would do; reads the texts and the file of rows, and loads no weights.

    Raises:
        LabError: As `measure_losses`.
    """
    facts, rows = _start(order)
    missing = [
        (checkpoint, text)
        for checkpoint in order.checkpoints
        for text in order.texts
        if _key(checkpoint, text) not in rows
    ]
    flops, unknown, tokens = 0.0, 0, 0
    for checkpoint, text in missing:
        count = facts[text.name].bytes // BYTES_PER_TOKEN
        params = known_params(checkpoint)
        tokens += count
        unknown += params is None
        flops += FORWARD_FLOPS_PER_PARAM_AND_TOKEN * (params or 0) * count
    return LossEstimate(
        texts=facts,
        done=len(order.checkpoints) * len(order.texts) - len(missing),
        missing=tuple(f"{checkpoint.title} on {text.name}" for checkpoint, text in missing),
        tokens=tokens,
        flops=flops,
        unknown=unknown,
        absent=tuple(each for each in dict.fromkeys(c for c, _ in missing) if not is_here(each)),
    )


def measure_losses(order: LossOrder, *, on_loss: OnLoss = lambda _done, _what: None) -> LossReport:
    """Measure what is missing; every loss is in the file the moment it exists.

    A row is kept if text, settings, weights, tokenizer and configuration are what they were. A
    checkpoint that cannot be used is reported, and the others go on.

    Raises:
        LabError: A text cannot be read, a row of the file was measured otherwise, or two texts
            have one name.
        OptionError: The file is another table.
        OSError: It cannot be written; what was recorded before is in it.
    """
    states = {text.name: text.state() for text in order.texts}
    facts, _ = _start(order)
    job = _Job(order=order, facts=facts, states=states)
    failures = []
    for number, checkpoint in enumerate(order.checkpoints):
        done = number * len(order.texts)
        try:
            job.measure(checkpoint, partial(_later, on_loss, done))
        except LabError as error:
            failures.append(LossFailure(title=checkpoint.title, error=str(error)))
    on_loss(len(order.checkpoints) * len(order.texts), "done")
    known = read_rows(order.out)
    wanted = [_key(each, text) for each in order.checkpoints for text in order.texts]
    return LossReport(
        rows=tuple(known[key] for key in wanted if key in known),
        measured=job.measured,
        unseen=job.unseen,
        failures=tuple(failures),
    )


def _later(on_loss: OnLoss, before: int, done: float, what: str) -> None:
    on_loss(before + done, what)


def _key(checkpoint: Checkpoint, text: Corpus) -> tuple[str, str, str]:
    return checkpoint.series, checkpoint.name, text.name


def _start(
    order: LossOrder,
) -> tuple[dict[str, HeldOutFacts], dict[tuple[str, str, str], LossRow]]:
    """Facts of the texts, and the rows that hold as far as the text and the settings decide."""
    names = [text.name for text in order.texts]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise LabError(f'two texts are called "{twice[0]}". Write NAME=FILE for one of them.')
    rows = read_rows(order.out)
    facts = {text.name: facts_of(text) for text in order.texts}
    differ = [
        row
        for checkpoint in order.checkpoints
        for text in order.texts
        if (row := rows.get(_key(checkpoint, text))) is not None
        and (row.corpus_hash, row.settings) != (facts[text.name].hash, order.settings)
    ]
    if differ and not order.replace:
        first = differ[0]
        text = facts[first.loss_corpus]
        what = f'settings "{first.settings}", and now "{order.settings}"'
        if first.corpus_hash != text.hash:
            what = f"a text of hash {first.corpus_hash[:12]}, and now {text.hash[:12]}"
        raise LabError(
            f'"{order.out}" holds {len(differ):,} losses that were measured otherwise, such as'
            f" {first.title}: {what}. Write to another file, or measure them again: --replace."
        )
    return facts, {key: row for key, row in rows.items() if row not in differ}


@dataclass(slots=True, kw_only=True)
class _Job:
    """Measures checkpoint after checkpoint."""

    order: LossOrder
    facts: Mapping[str, HeldOutFacts]
    states: Mapping[str, tuple[int, int] | None]
    measured: int = 0
    unseen: int = 0

    def measure(self, checkpoint: Checkpoint, on_loss: OnLoss) -> None:
        """Measure what is missing of one checkpoint.

        Raises:
            LabError: It cannot be used.
        """
        rows = read_rows(self.order.out)
        mine = [rows[k] for t in self.order.texts if (k := _key(checkpoint, t)) in rows]
        held = [row for row in mine if self._holds(row, checkpoint)]
        whole = len(held) == len(self.order.texts)
        if whole and not is_here(checkpoint):
            self.unseen += len(held)
            return
        on_loss(0, f"{checkpoint.title}: reading")
        found = inspect(checkpoint)
        held = [row for row in held if _hashes(row) == _hashes(found)]
        if len(held) < len(mine) and not self.order.replace:
            raise LabError(
                f'checkpoint "{checkpoint.title}" is another one than when its losses in'
                f' "{self.order.out}" were measured: its weights, settings or tokenizer have'
                " changed. Write to another file, or measure them again: --replace."
            )
        _compare(checkpoint, found, rows.values())
        there = {row.loss_corpus for row in held}
        texts = [text for text in self.order.texts if text.name not in there]
        if texts:
            self._measure(checkpoint, found, texts, on_loss)

    def _holds(self, row: LossRow, checkpoint: Checkpoint) -> bool:
        wanted = (self.facts[row.loss_corpus].hash, self.order.settings, source_of(checkpoint))
        return (row.corpus_hash, row.settings, row.source) == wanted

    def _measure(
        self,
        checkpoint: Checkpoint,
        found: CheckpointFacts,
        texts: list[Corpus],
        on_loss: OnLoss,
    ) -> None:
        # The model is gone when this returns: never two of them in memory.
        loaded = load(checkpoint, device=_device(), dtype=_dtype(self.order.precision))
        before = len(self.order.texts) - len(texts)
        for number, text in enumerate(texts, start=before):
            facts = self.facts[text.name]
            tell = partial(_tell, on_loss, number, facts.bytes, f"{checkpoint.title}, {text.name}")
            measured = held_out_loss(*loaded, text, self.order.options, on_bytes=tell)
            if text.state() != self.states[text.name]:
                raise LabError(f"the text {text} has changed while it was measured. Start again.")
            row = loss_row(
                checkpoint,
                found,
                text,
                facts=facts,
                measured=measured,
                settings=self.order.settings,
            )
            self._record(row)
            self.measured += 1

    def _record(self, row: LossRow) -> None:
        """Put the row into the file as it is now: another process may have written to it."""
        rows = read_rows(self.order.out) | {row.key: row}
        wanted = [_key(each, text) for each in self.order.checkpoints for text in self.order.texts]
        place = {key: number for number, key in enumerate(wanted)}
        write_rows(self.order.out, sorted(rows.values(), key=lambda each: place.get(each.key, -1)))


def _tell(on_loss: OnLoss, before: int, whole: int, what: str, done: float) -> None:
    on_loss(before + min(1.0, done / whole), what)


def _hashes(of: LossRow | CheckpointFacts) -> tuple[str, str, str]:
    return of.weights_hash, of.tokenizer_hash, of.config_hash


def _compare(checkpoint: Checkpoint, found: CheckpointFacts, rows: Iterable[LossRow]) -> None:
    """Within a series: no weights twice, and one tokenizer."""
    for row in rows:
        if row.series != checkpoint.series or row.checkpoint == checkpoint.name:
            continue
        if row.weights_hash == found.weights_hash:
            raise LabError(
                f'"{checkpoint.name}" and "{row.checkpoint}" have the same weights (hash'
                f" {row.weights_hash[:12]}), so they are one checkpoint. Leave one out, or correct"
                " where it lies."
            )
        if row.tokenizer_hash != found.tokenizer_hash:
            raise LabError(
                f'"{checkpoint.name}" and "{row.checkpoint}" differ in tokenizer'
                f" ({found.tokenizer_hash[:12]} and {row.tokenizer_hash[:12]}), and losses per"
                f' token of series "{checkpoint.series}" would not compare. Put it into a series of'
                " its own."
            )


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _dtype(precision: Precision | None) -> torch.dtype | None:
    import torch

    found = None if precision is None else getattr(torch, precision)
    return found if isinstance(found, torch.dtype) else None
