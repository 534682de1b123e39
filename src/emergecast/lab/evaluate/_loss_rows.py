"""Losses of checkpoints as rows of a file: what each row proves, and whether it still holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Final

from emergecast.errors import OptionError
from emergecast.lab.checkpoints import Checkpoint, CheckpointFacts
from emergecast.lab.evaluate._corpus import Corpus, HeldOutFacts
from emergecast.lab.evaluate._loss import HeldOutLoss

if TYPE_CHECKING:
    from emergecast.measurements import Column

_TYPES: Final = {"str": "label", "int": "integer", "float": "number"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LossRow:
    """The loss of one checkpoint on one held-out text; the fields are the columns of the file.

    Those that the measurement table has too mean the same there.
    """

    series: str
    """As in the measurement table."""
    checkpoint: str
    """As there."""
    params: int | None
    """As there."""
    tokens: int | None
    """As there: of pretraining."""
    flops: float | None
    """As there."""
    lr_fraction: float | None
    """As there."""
    tokenizer: str
    """As there."""
    loss: float
    """As there."""
    loss_stderr: float | None
    """As there: over documents, whose tokens are not independent."""
    loss_corpus: str
    """As there."""
    loss_source: str
    """As there."""
    loss_per_byte: float
    """The same nats per byte of text."""
    loss_per_byte_stderr: float | None
    """Its error over documents."""
    corpus_hash: str
    """SHA-256 over the documents: `HeldOutFacts.hash`."""
    corpus_documents: int
    """Documents of the text."""
    loss_documents: int
    """Those with a token to predict."""
    loss_tokens: int
    """Tokens predicted."""
    loss_bytes: int
    """Bytes of text that these tokens stand for."""
    context: int
    """Tokens predicted of one window at most."""
    bos_id: int | None
    """The tokenizer's token for the begin of a sequence."""
    bos_documents: int
    """Documents that begin with it."""
    first_ids: str
    """The first tokens that the model was given, of the first document."""
    fed_hash: str
    """SHA-256 over all tokens that the model was given: `HeldOutLoss.fed_hash`."""
    settings: str
    """How it was measured, in words."""
    source: str | None
    """Repository and revision of the checkpoint; empty for a local folder."""
    weights_hash: str
    """SHA-256 over its weights."""
    tokenizer_hash: str
    """SHA-256 over the files of its tokenizer."""
    config_hash: str
    """SHA-256 over its settings."""

    @property
    def key(self) -> tuple[str, str, str]:
        """What no two rows share: series, checkpoint, corpus."""
        return self.series, self.checkpoint, self.loss_corpus

    @property
    def title(self) -> str:
        """The row in words."""
        return f"{self.series}/{self.checkpoint} on {self.loss_corpus}"


def loss_row(
    checkpoint: Checkpoint,
    found: CheckpointFacts,
    text: Corpus,
    *,
    facts: HeldOutFacts,
    measured: HeldOutLoss,
    settings: str,
) -> LossRow:
    """The row of a loss that was measured."""
    from emergecast.measurements import LossSource

    loss = measured.loss
    known = checkpoint.columns(params=found.params, tokenizer_hash=found.tokenizer_hash)
    return LossRow(
        **known,  # type: ignore[arg-type]  # by name, each of its own type
        loss=loss.nats_per_token,
        loss_stderr=loss.stderr,
        loss_corpus=text.name,
        loss_source=str(LossSource.MEASURED),
        loss_per_byte=loss.nats_per_byte,
        loss_per_byte_stderr=loss.byte_stderr,
        corpus_hash=facts.hash,
        corpus_documents=facts.documents,
        loss_documents=measured.documents,
        loss_tokens=loss.tokens,
        loss_bytes=loss.bytes,
        context=measured.context,
        bos_id=measured.bos,
        bos_documents=measured.bos_documents,
        first_ids=" ".join(map(str, measured.begin)),
        fed_hash=measured.fed_hash,
        settings=settings,
        source=source_of(checkpoint),
        weights_hash=found.weights_hash,
        tokenizer_hash=found.tokenizer_hash,
        config_hash=found.config_hash,
    )


def source_of(checkpoint: Checkpoint) -> str | None:
    """Repository, revision and folder within it; None for a local folder."""
    if checkpoint.repo is None:
        return None
    within = "" if checkpoint.subfolder is None else f"/{checkpoint.subfolder}"
    return f"{checkpoint.repo}@{checkpoint.revision or 'main'}{within}"


def read_rows(path: Path) -> dict[tuple[str, str, str], LossRow]:
    """The rows of a file by their key; none where there is no such file.

    Raises:
        OptionError: It is another table than one of losses.
        TableError: It cannot be read, or a cell is not what its column holds.
    """
    from emergecast.measurements import read_records
    from emergecast.measurements.reading import read_raw

    if not path.exists():
        return {}
    there = set(read_raw(path).columns)
    named = {field.name for field in fields(LossRow)}
    if there != named:
        differ = sorted(there ^ named)
        raise OptionError(
            f'"{path}" is there, and is not a table of this command: {", ".join(differ[:4])}'
            f"{' is' if len(differ) == 1 else ' are'} in one and not in the other. Write to"
            " another file."
        )
    rows = [LossRow(**row) for row in read_records(path, _columns())]
    return {row.key: row for row in rows}


def write_rows(path: Path, rows: Iterable[LossRow]) -> None:
    """Write the file in one step; its extension says in which format.

    Raises:
        OSError: It cannot be written; the file is then as it was.
    """
    import polars as pl

    from emergecast.measurements import write_frame

    columns = _columns()
    cells = [asdict(row) for row in rows]
    frame = pl.DataFrame(
        [pl.Series(c.name, [row[c.name] for row in cells], dtype=c.dtype) for c in columns]
    )
    write_frame(frame, path)


def _columns() -> Sequence[Column]:
    """The fields of a row as columns: as the measurement table has them, or as their type says."""
    from emergecast.measurements import COLUMNS, Column, Kind, Role

    found = []
    for field in fields(LossRow):
        kind, _, missing = str(field.type).partition(" | ")
        own = Column(
            name=field.name,
            kind=Kind(_TYPES[kind]),
            role=Role.CHECKPOINT,
            doc="",
            required=not missing,
        )
        found.append(COLUMNS.get(field.name, own))
    return found
