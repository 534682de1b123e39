"""The rules a table must obey, row by row and across rows. Every breach is reported."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from emergecast.errors import OptionError, nearest
from emergecast.measurements._metrics import MetricKind, metric_of
from emergecast.measurements._schema import (
    CHECKPOINT_FACTS,
    COLUMNS,
    DEFAULT_METHOD,
    DEFAULT_METRIC,
    DEFAULT_SERIES,
    KEY,
    LOSS_FACTS,
    LossSource,
    Setting,
)
from emergecast.measurements.reading import MISSPELT, Findings, RawTable, coerce_column, settle
from emergecast.scaling import CHINCHILLA_LAWS, training_flops

Columns = dict[str, list[Any]]

_NAMING: Final = tuple(name for name in KEY if COLUMNS[name].required)
"""Without these a row does not say what it measures."""
_ALSO_CALLED: Final = {
    "accuracy": "score",
    "baseline": "chance",
    "model": "checkpoint",
    "parameters": "params",
    "train_examples": "examples",
}
"""Other words for a column, for the suggestions only."""
_DEFAULTS: Final[Mapping[str, object]] = {
    "series": DEFAULT_SERIES,
    "metric": DEFAULT_METRIC,
    "runs": 1,
    "snapshot": False,
}


def typed_columns(raw: RawTable, findings: Findings) -> tuple[Columns, Columns]:
    """The known columns (all of them, in the table's order) and the unknown ones, typed."""
    known: Columns = {}
    for name, column in COLUMNS.items():
        if name in raw.columns:
            known[name] = coerce_column(raw.columns[name], column, findings)
        else:
            known[name] = [None] * raw.height
    unknown = {
        name: settle(cells, name, findings, text_only=raw.text_only)
        for name, cells in raw.columns.items()
        if name not in COLUMNS
    }
    return known, unknown


def misspelt(raw: RawTable) -> dict[str, str]:
    """Unknown columns that look like an absent known one: name as written to the name meant."""
    absent = {name: name for name in COLUMNS if name not in raw.columns}
    absent |= {also: name for also, name in _ALSO_CALLED.items() if name in absent}
    found: dict[str, str] = {}
    for name in raw.columns:
        if name not in COLUMNS:
            near = nearest(name.lower(), absent, least=MISSPELT)
            if near:
                found[name] = absent[near]
    return found


def missing_columns(
    raw: RawTable,
    findings: Findings,
    *,
    chance: float | None,
    loss_from: str | None,
    optional: Collection[str] = (),
) -> set[str]:
    """Report each required column that is absent; the rows need not be asked about those again."""
    absent = {name for name, c in COLUMNS.items() if c.required and name not in raw.columns}
    absent -= set(optional)
    if chance is not None:
        absent.discard("chance")
    if loss_from is not None:
        absent.discard("loss")
        absent |= {name for name in ("params", "tokens") if not {name, "loss"} & set(raw.columns)}
    meant = {name: written for written, name in misspelt(raw).items()}
    for name in (name for name in COLUMNS if name in absent):
        remedy = _REMEDIES.get(
            name, f"Add a column {name}: {COLUMNS[name].doc[:1].lower()}{COLUMNS[name].doc[1:]}"
        )
        if name in meant:
            remedy = f'Rename the column "{meant[name]}" to {name} if that is what it holds.'
        what = "there is no chance level." if name == "chance" else "the column is missing."
        findings.add(what, remedy, column=name)
    return absent


_REMEDIES: Final = {
    "loss": (
        "Add a column loss in nats per token, or columns params and tokens and estimate it with"
        " loss_from (--loss-from hoffmann or epoch)."
    ),
    "chance": "Add a column chance, or pass one level for all rows (--chance 0.25).",
}

_CELLS: Final = {
    "loss": (
        "Fill in the loss, or params and tokens and estimate it with loss_from (--loss-from"
        " hoffmann or epoch)."
    ),
    "chance": "Fill it in, or pass one level for the rows without (--chance 0.25).",
}


def fill_defaults(known: Columns, findings: Findings, *, chance: float | None) -> None:
    """Put the documented defaults where a cell is missing, and method only where finetuned."""
    for name, default in _DEFAULTS.items():
        known[name] = [default if cell is None else cell for cell in known[name]]
    if chance is not None:
        known["chance"] = [chance if cell is None else cell for cell in known["chance"]]
    for row, setting in enumerate(known["setting"]):
        method = known["method"][row]
        if setting == Setting.FINETUNED and method is None:
            known["method"][row] = DEFAULT_METHOD
        elif setting == Setting.FEW_SHOT and method is not None:
            findings.add(
                "a few-shot row has a finetuning method.",
                "Leave method empty, or set setting to finetuned.",
                row=row,
                column="method",
                value=method,
            )


def fill_loss(known: Columns, findings: Findings, *, loss_from: str | None) -> None:
    """Estimate missing losses from params and tokens, and mark them so.

    Raises:
        OptionError: there are no constants called `loss_from`.
    """
    if loss_from is not None and loss_from not in CHINCHILLA_LAWS:
        raise OptionError(
            f'there are no loss constants called "{loss_from}". '
            f"Use one of {', '.join(CHINCHILLA_LAWS)}."
        )
    sources = known["loss_source"]
    for row, loss in enumerate(known["loss"]):
        if loss is not None or loss_from is None or (row, "loss") in findings.bad_cells:
            sources[row] = sources[row] or LossSource.MEASURED.value
            continue
        sources[row] = LossSource.ESTIMATED.value
        gaps = [name for name in ("params", "tokens") if known[name][row] is None]
        if not gaps:
            law = CHINCHILLA_LAWS[loss_from]
            known["loss"][row] = float(law.loss(known["params"][row], known["tokens"][row]))
        for gap in gaps:
            findings.bad_cells.add((row, "loss"))
            if (row, gap) not in findings.bad_cells:
                findings.add(
                    f"there is no loss, and no {gap} to estimate it from.",
                    f"Give the loss, or params and tokens, of {known['checkpoint'][row]}.",
                    row=row,
                    column=gap,
                )


def count_flops(known: Columns) -> None:
    """Fill missing FLOPs: as another row of the checkpoint has them, else 6 * params * tokens."""
    owners = list(zip(known["series"], known["checkpoint"], strict=True))
    pairs = zip(owners, known["flops"], strict=True)
    stated = {owner: flops for owner, flops in pairs if flops is not None}
    for row, owner in enumerate(owners):
        params, tokens = known["params"][row], known["tokens"][row]
        if owner in stated:
            known["flops"][row] = stated[owner]
        elif params is not None and tokens is not None:
            known["flops"][row] = float(training_flops(params, tokens))


def check_rows(known: Columns, findings: Findings, *, optional: Collection[str] = ()) -> None:
    """Rules about one row: required cells, the metric's bounds, examples where finetuned only."""
    required = [name for name, c in COLUMNS.items() if c.required and name not in optional]
    for name in required:
        for row, cell in enumerate(known[name]):
            if cell is None and (row, name) not in findings.bad_cells:
                what = (
                    "there is no chance level." if name == "chance" else f"the {name} is missing."
                )
                remedy = _CELLS.get(name, f"Fill in the {name}, or delete the row.")
                findings.add(what, remedy, row=row, column=name)
    for row, setting in enumerate(known["setting"]):
        _check_examples(known, row, setting, findings, asked="examples" not in optional)
        _check_bounds(known, row, findings)


def _check_examples(
    known: Columns, row: int, setting: str | None, findings: Findings, *, asked: bool
) -> None:
    if setting == Setting.FEW_SHOT:
        for name in ("examples", "epochs"):
            if known[name][row] is not None:
                findings.add(
                    f"a few-shot row has finetuning {name}.",
                    f"Leave {name} empty (examples in the prompt go into shots),"
                    " or set setting to finetuned.",
                    row=row,
                    column=name,
                    value=known[name][row],
                )
    elif (
        asked
        and setting == Setting.FINETUNED
        and known["examples"][row] is None
        and (row, "examples") not in findings.bad_cells
    ):
        findings.add(
            "a finetuned row does not say on how many examples.",
            "Give the number of unique finetuning examples, at least 1, or name the column that"
            " says how much was done with --shift.",
            row=row,
            column="examples",
        )


def _check_bounds(known: Columns, row: int, findings: Findings) -> None:
    name = known["metric"][row]
    metric = metric_of(name)
    for column in ("score", "chance"):
        value = known[column][row]
        if value is None or metric.minimum <= value <= metric.maximum:
            continue
        if metric.kind is MetricKind.PROPORTION and 1 < value <= 100:
            remedy = "Divide by 100 if this is a percentage."
        else:
            remedy = (
                "Check the number, or the metric, whose values go from"
                f" {metric.minimum:g} to {metric.maximum:g}."
            )
        findings.add(
            f"the {column} of {name} is outside its range.",
            remedy,
            row=row,
            column=column,
            value=value,
        )


_APART: Final = "Delete one, or tell them apart by seed, subset or another column of the key."
_FILES_APART: Final = (
    "Move one of the files away, or name in --pattern the part of their paths that tells them"
    " apart, such as {seed} or {prompt}."
)


def check_across(known: Columns, findings: Findings, also: Columns | None = None) -> None:
    """Rules that look at several rows: one set of facts per checkpoint, and no key twice.

    `also` are further columns that tell two measurements apart.
    """
    columns = {name: known[name] for name in KEY} | (also or {})
    _one_value(known, findings, ("series", "checkpoint"), CHECKPOINT_FACTS)
    _one_value(known, findings, ("series", "checkpoint", "loss_corpus"), LOSS_FACTS)
    first: dict[tuple[Any, ...], int] = {}
    for row, key in enumerate(zip(*columns.values(), strict=True)):
        if row in findings.bad_rows or any(known[name][row] is None for name in _NAMING):
            continue
        earlier = first.setdefault(key, row)
        if earlier != row:
            findings.add(
                f"the row measures the same as {findings.name_of(earlier)}:"
                f" {_described(columns, key)}.",
                _APART if findings.origins is None else _FILES_APART,
                row=row,
                value=known["score"][row],
            )


def _described(columns: Columns, key: tuple[Any, ...]) -> str:
    return ", ".join(
        f"{name} {cell}"
        for name, cell in zip(columns, key, strict=True)
        if cell is not None and cell is not False
    )


def _one_value(
    known: Columns, findings: Findings, owner: tuple[str, ...], facts: tuple[str, ...]
) -> None:
    """Report each row whose fact about its checkpoint differs from the first one stated."""
    owners = list(zip(*(known[name] for name in owner), strict=True))
    clashes: list[tuple[int, str, int]] = []
    for fact in facts:
        first: dict[tuple[Any, ...], int] = {}
        for row, (who, cell) in enumerate(zip(owners, known[fact], strict=True)):
            if cell is None or row in findings.bad_rows or known["checkpoint"][row] is None:
                continue
            earlier = first.setdefault(who, row)
            if known[fact][earlier] != cell:
                clashes.append((row, fact, earlier))
    for row, fact, earlier in clashes:
        corpus = "" if "loss_corpus" not in owner else " on one corpus"
        findings.add(
            f"{known['checkpoint'][row]} has another {fact}{corpus}"
            f" than in {findings.name_of(earlier)} ({known[fact][earlier]}).",
            "Give one value per checkpoint, or another checkpoint name, series"
            + (" or loss_corpus." if corpus else "."),
            row=row,
            column=fact,
            value=known[fact][row],
        )
