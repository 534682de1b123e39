"""Designs from TOML: bundled under a name, or in a user's file."""

from __future__ import annotations

import math
import os
import tomllib
from dataclasses import MISSING, fields
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from emergecast.emergence_law import LawForm
from emergecast.errors import OptionError, near
from emergecast.files import read_whole
from emergecast.measurements import MetricKind, metric_of
from emergecast.scaling import CHINCHILLA_LAWS, ChinchillaLaw, Form
from emergecast.simulation._design import Design, DesignCheckpoint, Truth

if TYPE_CHECKING:
    from collections.abc import Mapping

_TOP: Final = (
    *("description", "task", "metric", "chance", "n_items", "stderr", "shots", "examples"),
    *("subsets", "runs", "snapshots", "horizon", "loss", "truth", "checkpoints"),
)
_CONSTANTS: Final = Form.CHINCHILLA.fields
_LOSS: Final = ("law", *_CONSTANTS, "shift")
_GROUP: Final = (
    *("series", "name", "params", "tokens", "steps", "tokens_per_step", "loss", "finetuned"),
)
_TRUTH: Final = tuple(each.name for each in fields(Truth))


def design_names() -> tuple[str, ...]:
    """Names of the bundled designs, sorted."""
    folder = files("emergecast.simulation").joinpath("designs")
    names = (each.name for each in folder.iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


def load_design(source: str | os.PathLike[str]) -> Design:
    """The design bundled under a name, or in a TOML file; docs/simulation.md lists the keys.

    Raises:
        OptionError: there is no such design or file, or the file is not a design; the message names
            the file and the key.
    """
    name = os.fspath(source)
    if name in design_names():
        text = files("emergecast.simulation").joinpath("designs", f"{name}.toml").read_text("utf-8")
        return _parse(text, name)
    path = Path(source)
    if path.suffix.lower() != ".toml":
        raise OptionError(
            f'there is no design "{name}". {near(name, list(design_names()))}'
            " A file must end in .toml."
        )
    try:
        text = read_whole(path).decode("utf-8")
    except UnicodeDecodeError:
        raise OptionError(f"{name}: the file is not UTF-8 text. Save it as UTF-8.") from None
    except OSError as error:
        raise OptionError(
            f"{name}: the design cannot be read: {error.strerror}. Check the path."
        ) from None
    return _parse(text, name)


def override_truth(truth: Truth, changes: Mapping[str, str | float]) -> Truth:
    """A copy of `truth` with some values replaced, given as numbers or text.

    Raises:
        OptionError: an unknown name (with the nearest one), or an impossible value.
    """
    known = {each.name: getattr(truth, each.name) for each in fields(truth)}
    return _truth({**known, **changes}, "--truth")


def _truth(cells: Mapping[str, Any], where: str) -> Truth:
    """The truth of named values; `where` begins the messages."""
    for name in cells:
        if name not in _TRUTH:
            raise OptionError(f'{where}: there is no "{name}". {near(name, list(_TRUTH))}')
    values: dict[str, Any] = {}
    for each in fields(Truth):
        if each.name in cells:
            cell = cells[each.name]
            values[each.name] = (_form if each.name == "form" else _real)(cell, each.name, where)
        elif each.default is MISSING:
            raise OptionError(f"{where} lacks {each.name}. Add it; see docs/simulation.md.")
    try:
        return Truth(**values)
    except OptionError as error:
        raise OptionError(f"{where}: {error}") from None


def _form(cell: object, name: str, where: str) -> LawForm:
    try:
        return LawForm(str(cell))
    except ValueError:
        raise OptionError(
            f'{where}: there is no {name} "{cell}". {near(str(cell), [*LawForm])}'
        ) from None


def _real(cell: object, name: str, where: str) -> float:
    try:
        value = math.nan if isinstance(cell, bool) else float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise OptionError(f"{where}: {name} must be a finite number, not {cell!r}.")
    return value


class _Table:
    """One table of a TOML file; every complaint names the file and the key."""

    def __init__(self, cells: object, known: tuple[str, ...], where: str) -> None:
        if not isinstance(cells, dict):
            raise OptionError(f"{where} must be a table of keys and values, not {cells!r}.")
        for key in cells:
            if key not in known:
                raise OptionError(f'{where}: the key "{key}" is unknown. {near(key, list(known))}')
        self.cells: dict[str, Any] = cells
        self.where = where

    def __contains__(self, key: str) -> bool:
        return key in self.cells

    def refuse(self, key: str, what: str) -> OptionError:
        """An error about one key, to raise."""
        seen = f", not {self.cells[key]!r}" if key in self.cells else " and is missing"
        return OptionError(f"{self.where}: {key} must be {what}{seen}.")

    def text(self, key: str, default: str | None = None) -> str:
        """A text that is not empty."""
        value = self.cells.get(key, default)
        if not isinstance(value, str) or not value.strip():
            raise self.refuse(key, "a text")
        return value

    def number(self, key: str, default: float | None = None, *, least: float = -math.inf) -> float:
        """A finite number."""
        value = self.cells.get(key, default)
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            raise self.refuse(key, "a finite number")
        if value < least:
            raise self.refuse(key, f"at least {least:g}")
        return float(value)

    def count(self, key: str, default: int | None = None, *, least: int = 1) -> int:
        """A whole number; 1e9 is one too."""
        value = self.cells.get(key, default)
        return self._whole(key, value, least)

    def counts(self, key: str) -> list[int]:
        """One whole number or a list of them."""
        value = self.cells.get(key)
        values = value if isinstance(value, list) else [value]
        if not values:
            raise self.refuse(key, "at least one number")
        return [self._whole(key, each, 1) for each in values]

    def numbers(self, key: str) -> list[float]:
        """One number above 0 or a list of them."""
        value = self.cells.get(key)
        found: list[float] = []
        for each in value if isinstance(value, list) else [value]:
            number = isinstance(each, int | float) and not isinstance(each, bool)
            found.append(float(each) if number and each is not None else math.nan)
            if not 0 < found[-1] < math.inf:
                raise self.refuse(key, "one or several numbers above 0")
        return found

    def flag(self, key: str, *, default: bool) -> bool:
        """True or false."""
        value = self.cells.get(key, default)
        if not isinstance(value, bool):
            raise self.refuse(key, "true or false")
        return value

    def _whole(self, key: str, value: object, least: int) -> int:
        good = isinstance(value, int | float) and not isinstance(value, bool)
        if not good or not float(value).is_integer() or float(value) < least:  # type: ignore[arg-type]
            raise self.refuse(key, f"a whole number of at least {least}")
        return int(value)  # type: ignore[call-overload, no-any-return]


def _parse(text: str, name: str) -> Design:
    try:
        cells = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise OptionError(f"{name}: this is not TOML: {error}.") from None
    top = _Table(cells, _TOP, name)
    metric = top.text("metric", "acc")
    n_items, stderr = _sampling(top, metric)
    examples = sorted(top.counts("examples"))
    if len(set(examples)) < len(examples) or examples[-1] < 2:
        raise top.refuse("examples", "distinct amounts, the largest above 1")
    law, shift = _loss_law(top, name)
    checkpoints = _checkpoints(top, law, shift)
    chance = top.number("chance")
    known = metric_of(metric)
    if not known.minimum <= chance <= known.maximum:
        raise top.refuse("chance", f"a {metric}, from {known.minimum:g} to {known.maximum:g}")
    if "truth" not in top:
        raise top.refuse("truth", "a table")
    where = f"{name}: truth"
    design = Design(
        name=name,
        description=top.text("description"),
        task=top.text("task"),
        metric=metric,
        chance=chance,
        n_items=n_items,
        stderr=stderr,
        shots=top.count("shots", 5, least=0),
        examples=tuple(examples),
        subsets=top.count("subsets", 1),
        runs=top.count("runs", 1),
        horizon=top.number("horizon") if "horizon" in top else None,
        checkpoints=checkpoints,
        truth=_truth(_Table(top.cells["truth"], _TRUTH, where).cells, where),
        floor_nats=None if law is None else float(law.floor_nats) + shift,
        snapshots=top.flag("snapshots", default=False),
    )
    if len({each.loss for each in design.present}) < 2:
        raise top.refuse("horizon", "such that two checkpoints of different loss lie above it")
    if not any(each.finetuned for each in design.present):
        raise top.refuse("checkpoints", "such that one above the horizon is finetuned")
    return design


def _sampling(top: _Table, metric: str) -> tuple[int | None, float | None]:
    known = metric_of(metric)
    if known.lower_is_better:
        raise top.refuse("metric", "one where higher is better")
    if ("n_items" in top) == ("stderr" in top):
        raise OptionError(f"{top.where}: give either n_items or stderr.")
    if "stderr" in top:
        return None, top.number("stderr", least=0.0)
    if known.kind is not MetricKind.PROPORTION:
        raise OptionError(
            f"{top.where}: n_items gives the error of a proportion, which {metric} is not. Give"
            " stderr instead."
        )
    return top.count("n_items"), None


def _checkpoints(
    top: _Table, law: ChinchillaLaw | None, shift: float
) -> tuple[DesignCheckpoint, ...]:
    groups = top.cells.get("checkpoints")
    if not isinstance(groups, list) or not groups:
        raise top.refuse("checkpoints", "one or more [[checkpoints]] tables")
    name = top.where
    found: list[DesignCheckpoint] = []
    for number, cells in enumerate(groups, start=1):
        group = _Table(cells, _GROUP, f"{name}: checkpoints {number}")
        found += _group(group, law, shift)
    names = [(each.series, each.name) for each in found]
    for pair in names:
        if names.count(pair) > 1:
            raise OptionError(f'{name}: the checkpoint "{pair[1]}" of {pair[0]} occurs twice.')
    return tuple(found)


def _loss_law(top: _Table, name: str) -> tuple[ChinchillaLaw | None, float]:
    if "loss" not in top:
        return None, 0.0
    table = _Table(top.cells["loss"], _LOSS, f"{name}: loss")
    shift = table.number("shift", 0.0)
    if "law" in table:
        law = table.text("law")
        if law not in CHINCHILLA_LAWS:
            raise OptionError(
                f'{name}: loss: there is no law "{law}". {near(law, list(CHINCHILLA_LAWS))}'
            )
        return CHINCHILLA_LAWS[law], shift
    constants = {key: table.number(key, least=0.0) for key in _CONSTANTS}
    return ChinchillaLaw(name="own", source=name, span=None, **constants), shift


def _group(group: _Table, law: ChinchillaLaw | None, shift: float) -> list[DesignCheckpoint]:
    """The checkpoints of one [[checkpoints]] table: one, or one per step, token count or loss."""
    name = group.text("name")
    params = group.count("params") if "params" in group else None
    tokens: list[int] | None = None
    labels = [name]
    if "steps" in group:
        steps = group.counts("steps")
        tokens = [step * group.count("tokens_per_step") for step in steps]
        labels = [f"{name}-step{step}" for step in steps]
    elif "tokens" in group:
        tokens = group.counts("tokens")
    if "loss" in group:
        losses = group.numbers("loss")
    elif law is None or params is None or tokens is None:
        raise OptionError(
            f"{group.where}: there is no loss. Give loss, or params and tokens and a table [loss]."
        )
    else:
        losses = [float(each) + shift for each in law.loss(params, tokens)]
    if tokens is not None and len(tokens) != len(losses):
        raise group.refuse("loss", f"{len(tokens)} numbers, one per checkpoint")
    if min(losses) <= 0:
        raise OptionError(f"{group.where}: a loss of {min(losses):g} nats is not above 0.")
    if len(labels) != len(losses):
        labels = [f"{name}-{number}" for number in range(1, len(losses) + 1)]
    return [
        DesignCheckpoint(
            series=group.text("series", "simulated"),
            name=label,
            params=params,
            tokens=None if tokens is None else tokens[i],
            loss=loss,
            finetuned=group.flag("finetuned", default=True),
        )
        for i, (label, loss) in enumerate(zip(labels, losses, strict=True))
    ]
