"""Published data, from the hub, its cache or a folder, in the columns that a task asks for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from emergecast.errors import LabError
from emergecast.lab.checkpoints import hub_advice, hub_errors
from emergecast.lab.tasks._settled import ColumnKind, SettledTask

if TYPE_CHECKING:
    from collections.abc import Mapping

_ENDS: Final = ("parquet", "jsonl", "ndjson")
_TYPES: Final[Mapping[ColumnKind, pl.DataType]] = {
    ColumnKind.TEXT: pl.String(),
    ColumnKind.ANY_TEXT: pl.String(),
    ColumnKind.WHOLE: pl.Int64(),
    ColumnKind.TEXTS: pl.List(pl.String()),
    ColumnKind.OPTIONS: pl.Struct({"label": pl.List(pl.String()), "text": pl.List(pl.String())}),
}


def read_split(settled: SettledTask, split: str, folder: Path | None) -> pl.DataFrame:
    """One split of a task's data, in its columns and their order.

    Args:
        settled: The task.
        split: Which split of it.
        folder: A copy of the published data; the hub, or its cache, where None.

    Raises:
        LabError: The data cannot be found or read, or have another schema.
    """
    files = _find(settled, split, folder)
    try:
        frame = pl.concat([_read(file) for file in files], how="vertical_relaxed")
    except (pl.exceptions.PolarsError, OSError) as error:
        said = (str(error).strip().splitlines() or ["no message"])[0].rstrip(".")
        raise LabError(
            f'task "{settled.name}": "{files[0]}" cannot be read: {said}. Get it again.'
        ) from error
    frame = _flat(frame, settled)
    lacking = [name for name in settled.columns if name not in frame.columns]
    if lacking:
        raise LabError(
            f'task "{settled.name}": split {split} in "{files[0]}" lacks the column'
            f' "{lacking[0]}"; it has {", ".join(frame.columns)}. Give the data as'
            f" {settled.repo} publishes them."
        )
    for name, kind in settled.columns.items():
        _check(frame[name], kind, f'task "{settled.name}": column "{name}" of "{files[0]}"')
    if frame.is_empty():
        raise LabError(f'task "{settled.name}": split {split} in "{files[0]}" holds no items.')
    return frame.select(
        pl.col(name).cast(_TYPES[kind]).fill_null("")
        if kind is ColumnKind.ANY_TEXT
        else pl.col(name).cast(_TYPES[kind])
        for name, kind in settled.columns.items()
    )


def _find(settled: SettledTask, split: str, folder: Path | None) -> Sequence[Path]:
    """The files of a split."""
    places = settled.splits[split]
    there = ((folder, place) for place in places) if folder else _downloads(settled, places)
    for root, place in there:
        found = [each for end in _ENDS for each in sorted(root.glob(f"{place}.{end}"))]
        found = found or [each for end in _ENDS for each in sorted(root.glob(f"{place}-*.{end}"))]
        if found:
            return found
    where = f"the data set {settled.repo} of the hub" if folder is None else f'"{folder}"'
    listed = ", ".join(f"{place}.parquet" for place in places)
    raise LabError(
        f'task "{settled.name}": split {split} is not in {where}: there is none of {listed}'
        " (nor as .jsonl, nor in numbered parts). Give a folder of the data as"
        f" {settled.repo} publishes them."
    )


def _downloads(settled: SettledTask, places: Sequence[str]) -> Iterator[tuple[Path, str]]:
    """Each place with the folder of the data set in the hub's cache, its files there if anywhere.

    Of the data sets that hold the same, those that can be reached.
    """
    from huggingface_hub import snapshot_download

    failed: Exception | None = None
    reached = False
    for repo in (settled.repo, *settled.mirrors):
        for place in places:
            patterns = [f"{place}{end}" for end in (".*", "-*")]
            try:
                root = snapshot_download(repo, repo_type="dataset", allow_patterns=patterns)
            except hub_errors() as error:
                failed = error
                break
            reached = True
            yield Path(root), place
    if not reached:
        names = " or ".join((settled.repo, *settled.mirrors))
        raise LabError(
            f'task "{settled.name}": the data set {names} could not be read from the hub'
            f" ({type(failed).__name__}). {hub_advice()} Or name a local copy: data: FOLDER."
        ) from failed


def _read(file: Path) -> pl.DataFrame:
    if file.suffix == ".parquet":
        return pl.read_parquet(file)
    return pl.read_ndjson(file, infer_schema_length=None)


def _flat(frame: pl.DataFrame, settled: SettledTask) -> pl.DataFrame:
    """Rows that are nested under a single column, as in MMLU's auxiliary_train, without it."""
    if len(frame.columns) == 1 and frame.columns[0] not in settled.columns:
        (name, kind), *_ = frame.schema.items()
        if isinstance(kind, pl.Struct):
            return frame.unnest(name)
    return frame


def _check(column: pl.Series, kind: ColumnKind, what: str) -> None:
    """A column holds what it should, without gaps.

    Raises:
        LabError: it does not.
    """
    found = column.dtype
    right = found == _TYPES[kind] or (kind is ColumnKind.WHOLE and found.is_integer())
    if kind is ColumnKind.OPTIONS and isinstance(found, pl.Struct):
        right = {(each.name, each.dtype) for each in found.fields} >= {
            (name, pl.List(pl.String())) for name in ("label", "text")
        }
    if not right and not (kind is ColumnKind.ANY_TEXT and found == pl.Null()):
        raise LabError(
            f"{what} holds {found}, and should hold {kind}. Give the data as they are published."
        )
    if kind is not ColumnKind.ANY_TEXT and column.null_count():
        raise LabError(f"{what} lacks {column.null_count():,} of its values. Complete the data.")
