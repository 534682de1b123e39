"""The columns of a measurement table: the single place that states what each one is.

Reading, checking, writing, hashing and the documentation all go by `COLUMNS`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

import polars as pl


class Setting(StrEnum):
    """How the model was adapted to the task."""

    FEW_SHOT = "few_shot"
    """As pretrained, with examples in the prompt at most."""
    FINETUNED = "finetuned"
    """After finetuning on `examples` unique examples of the task."""


class LossSource(StrEnum):
    """Where a loss comes from."""

    MEASURED = "measured"
    """Evaluated on held-out text."""
    ESTIMATED = "estimated"
    """Computed from parameters and tokens by a scaling law."""


class Kind(StrEnum):
    """What a cell holds."""

    LABEL = "label"
    """Text; numbers are taken as their text, so that seed 0 and "0" are one seed."""
    WORD = "word"
    """One of a closed set of words."""
    INTEGER = "integer"
    NUMBER = "number"
    FLAG = "flag"
    """True or false."""
    DATE = "date"
    """A day, as ISO text: 2027-01-31."""


class Role(StrEnum):
    """What a column does for its row."""

    KEY = "key"
    """Says which measurement this is; two rows with the same key are duplicates."""
    CHECKPOINT = "checkpoint"
    """A fact about the checkpoint (or its loss on one corpus), the same in all of its rows."""
    MEASURED = "measured"
    """The measured value and what is known about its error."""
    REFERENCE = "reference"
    """Needed to read the score, and not part of the key."""
    SOURCE = "source"
    """Where the row comes from."""


HIGHEST_LOSS: Final = 15.0
"""Nats per token: more than a model that knows nothing of a vocabulary of three million words."""
FEWEST_COUNTED: Final = 1_000
"""Fewer parameters or training tokens are counts of something else, such as billions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One known column."""

    name: str
    kind: Kind
    role: Role
    doc: str
    """What it holds, in one sentence."""
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    """Exclusive lower bound."""
    words: tuple[str, ...] = ()
    """The closed set of a WORD column; for a method the forms of its names, see `method_name`."""
    required: bool = False
    """Whether every row needs a value (chance may come from an option, loss from an estimator)."""

    @property
    def dtype(self) -> pl.DataType:
        """The polars type of the column."""
        return _DTYPES[self.kind]


_DTYPES: Final[dict[Kind, pl.DataType]] = {
    Kind.LABEL: pl.String(),
    Kind.WORD: pl.String(),
    Kind.INTEGER: pl.Int64(),
    Kind.NUMBER: pl.Float64(),
    Kind.FLAG: pl.Boolean(),
    Kind.DATE: pl.String(),
}

INVENTED: Final = "invented"
"""Name of the column that marks scores which nobody measured."""
DEFAULT_SERIES: Final = "default"
DEFAULT_METRIC: Final = "acc"
DEFAULT_METHOD: Final = "full"
METHOD_FORMS: Final = (DEFAULT_METHOD, "lora-<rank>", "prefix-<tokens>", "prefix")
"""How methods of finetuning are called; "prefix" is one whose number of tokens nobody stated."""
_SIZED: Final = re.compile(r"(lora|prefix)-([1-9][0-9]{0,8})")


class MethodKind(StrEnum):
    """What a finetuning trains."""

    FULL = DEFAULT_METHOD
    """All weights."""
    LORA = "lora"
    """Low-rank adapters beside the matrices."""
    PREFIX = "prefix"
    """Keys and values of virtual tokens before the text."""


class MethodName(NamedTuple):
    """What the name of a method of finetuning says."""

    kind: MethodKind
    """What is trained."""
    size: int | None
    """Rank of the adapters, or virtual tokens of the prefix; None where there is none."""


_COLUMNS: Final = (
    Column(
        name="series",
        kind=Kind.LABEL,
        role=Role.KEY,
        doc=f'Pretraining series the checkpoint belongs to; "{DEFAULT_SERIES}" where absent.',
    ),
    Column(
        name="checkpoint",
        kind=Kind.LABEL,
        role=Role.KEY,
        required=True,
        doc="Name of the checkpoint, unique within its series.",
    ),
    Column(
        name="params",
        kind=Kind.INTEGER,
        role=Role.CHECKPOINT,
        unit="parameters",
        minimum=1,
        doc="Parameters of the model.",
    ),
    Column(
        name="tokens",
        kind=Kind.INTEGER,
        role=Role.CHECKPOINT,
        unit="tokens",
        minimum=1,
        doc="Tokens the checkpoint was pretrained on.",
    ),
    Column(
        name="flops",
        kind=Kind.NUMBER,
        role=Role.CHECKPOINT,
        unit="FLOP",
        above=0,
        doc="Pretraining compute; 6 * params * tokens where absent.",
    ),
    Column(
        name="lr_fraction",
        kind=Kind.NUMBER,
        role=Role.CHECKPOINT,
        minimum=0,
        maximum=1,
        doc="Learning rate at the checkpoint over its peak; 0 for annealed.",
    ),
    Column(
        name="tokenizer",
        kind=Kind.LABEL,
        role=Role.CHECKPOINT,
        doc="Name of the tokenizer; losses per token compare only within one.",
    ),
    Column(
        name="loss",
        kind=Kind.NUMBER,
        role=Role.CHECKPOINT,
        unit="nats per token",
        above=0,
        required=True,
        doc="Held-out pretraining loss of the checkpoint.",
    ),
    Column(
        name="loss_stderr",
        kind=Kind.NUMBER,
        role=Role.CHECKPOINT,
        unit="nats per token",
        minimum=0,
        doc="Standard error of the loss.",
    ),
    Column(
        name="loss_corpus",
        kind=Kind.LABEL,
        role=Role.KEY,
        doc="Held-out text the loss was measured on; a checkpoint may have a loss on several.",
    ),
    Column(
        name="loss_source",
        kind=Kind.WORD,
        role=Role.CHECKPOINT,
        words=tuple(LossSource),
        doc="Whether the loss was measured or estimated; measured where absent.",
    ),
    Column(
        name="task",
        kind=Kind.LABEL,
        role=Role.KEY,
        required=True,
        doc="Name of the downstream task.",
    ),
    Column(
        name="metric",
        kind=Kind.LABEL,
        role=Role.KEY,
        doc=f'What the score measures; "{DEFAULT_METRIC}" where absent.',
    ),
    Column(
        name="setting",
        kind=Kind.WORD,
        role=Role.KEY,
        required=True,
        words=tuple(Setting),
        doc="Few-shot or finetuned.",
    ),
    Column(
        name="shots",
        kind=Kind.INTEGER,
        role=Role.KEY,
        unit="examples",
        minimum=0,
        doc="In-context examples in the prompt.",
    ),
    Column(
        name="examples",
        kind=Kind.INTEGER,
        role=Role.KEY,
        unit="examples",
        minimum=1,
        doc="Unique finetuning examples; required where finetuned, absent where few-shot.",
    ),
    Column(
        name="epochs",
        kind=Kind.NUMBER,
        role=Role.KEY,
        unit="passes over the examples",
        above=0,
        doc="How often each finetuning example was seen.",
    ),
    Column(
        name="subset",
        kind=Kind.LABEL,
        role=Role.KEY,
        doc="Which random subset of the finetuning data was used.",
    ),
    Column(
        name="seed", kind=Kind.LABEL, role=Role.KEY, doc="Which repeat of the finetuning this is."
    ),
    Column(
        name="method",
        kind=Kind.WORD,
        role=Role.KEY,
        words=METHOD_FORMS,
        doc=f'How the model was finetuned; "{DEFAULT_METHOD}" where absent, none where few-shot.',
    ),
    Column(
        name="snapshot",
        kind=Kind.FLAG,
        role=Role.KEY,
        doc="Whether the row is a point along a longer finetuning run; false where absent.",
    ),
    Column(
        name="variant",
        kind=Kind.LABEL,
        role=Role.KEY,
        doc="What else tells measurements apart, such as the prompt; a fit takes one of them.",
    ),
    Column(
        name="score",
        kind=Kind.NUMBER,
        role=Role.MEASURED,
        required=True,
        doc="The measured score, in the metric's own unit (accuracy in [0, 1]).",
    ),
    Column(
        name="stderr",
        kind=Kind.NUMBER,
        role=Role.MEASURED,
        unit="of the score",
        minimum=0,
        doc="Sampling error of the score, as the evaluator reports it.",
    ),
    Column(
        name="n_items",
        kind=Kind.INTEGER,
        role=Role.MEASURED,
        unit="test items",
        minimum=1,
        doc="Test items the score is a mean over.",
    ),
    Column(
        name="runs",
        kind=Kind.INTEGER,
        role=Role.MEASURED,
        unit="runs",
        minimum=1,
        doc="Finetuning runs the score averages; 1 where absent.",
    ),
    Column(
        name="chance",
        kind=Kind.NUMBER,
        role=Role.REFERENCE,
        required=True,
        doc="Score of a model that knows nothing, in the unit of the score.",
    ),
    Column(
        name="higher_is_better",
        kind=Kind.FLAG,
        role=Role.REFERENCE,
        doc="Which way the metric goes, where its name does not tell.",
    ),
    Column(
        name="source_file",
        kind=Kind.LABEL,
        role=Role.SOURCE,
        doc="File the row was imported from, relative to the imported folder.",
    ),
    Column(
        name="source_hash",
        kind=Kind.LABEL,
        role=Role.SOURCE,
        doc="SHA-256 of that file, in hexadecimal.",
    ),
    Column(
        name=INVENTED,
        kind=Kind.FLAG,
        role=Role.SOURCE,
        doc="Whether the score was made up, by a rehearsal or a simulation.",
    ),
)

COLUMNS: Final[dict[str, Column]] = {column.name: column for column in _COLUMNS}
"""Known columns by name, in the order of the table."""

KEY: Final[tuple[str, ...]] = tuple(c.name for c in _COLUMNS if c.role is Role.KEY)
"""Two rows that agree on these are duplicates; unknown columns are not part of it."""

LOSS_FACTS: Final = ("loss", "loss_stderr", "loss_source")
"""The same in all rows of one checkpoint on one corpus."""

CHECKPOINT_FACTS: Final = ("params", "tokens", "flops", "lr_fraction", "tokenizer")
"""The same in all rows of one checkpoint."""


def method_name(text: str) -> MethodName | None:
    """What a name of one of the `METHOD_FORMS` says, its number of at most nine digits; or None."""
    if text in (DEFAULT_METHOD, MethodKind.PREFIX):
        return MethodName(MethodKind(text), None)
    found = _SIZED.fullmatch(text)
    return None if found is None else MethodName(MethodKind(found[1]), int(found[2]))
