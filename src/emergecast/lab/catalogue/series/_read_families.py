"""From the TOML files to `CataloguedSeries`, each value checked.

A series takes what it does not say from `[shared]`. Words in braces are replaced in names,
revisions and repositories: {step}, {billions} (of tokens, rounded as `billions` says), any value
of the series, and those of `each`, which makes a series for every combination.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, Final

from emergecast.errors import LabError, near
from emergecast.lab.catalogue.series._catalogued import (
    BadRevision,
    CataloguedSeries,
    ListedCheckpoint,
    StoredAs,
)

_FOLDER: Final = Path(__file__).parent
_LEFT_OUT: Final = "left_out.toml"
_BILLION: Final = 10**9
_TEXTS: Final = (
    *("name", "class", "repository", "revision", "subfolder", "tokenizer", "licence", "dtype"),
    *("weights", "phase", "billions", "size", "seed", "variant"),
)
_NUMBERS: Final = (
    *("tokens_per_step", "tokens_at_step_0", "params", "params_without_embeddings"),
    *("active_params", "context"),
)
_FIELDS: Final[Mapping[str, type]] = {
    **dict.fromkeys(_TEXTS, str),
    **dict.fromkeys(_NUMBERS, int),
    "lr_fraction": float,
    **dict.fromkeys(("slow_tokenizer", "gated"), bool),
    **dict.fromkeys(("steps", "absent", "unverified", "listed", "bad"), list),
    "each": dict,
}
_NEEDED: Final = ("name", "class", "repository", "context", "licence", "dtype", "weights", "phase")


def series_names() -> tuple[str, ...]:
    """Names of all series, family by family."""
    return tuple(_catalogue())


def catalogued_series(name: str) -> CataloguedSeries:
    """The series of this name.

    Raises:
        LabError: there is none.
    """
    found = _catalogue().get(name)
    if found is None:
        raise LabError(
            f'there is no series "{name}" in the catalogue. {near(name, series_names())}'
            " emergecast series list shows all."
        )
    return found


def left_out_families() -> Mapping[str, str]:
    """Known families that cannot be loaded, and why."""
    reasons: Mapping[str, str] = _read(_FOLDER / _LEFT_OUT)["reasons"]
    return reasons


@cache
def _catalogue() -> dict[str, CataloguedSeries]:
    found: dict[str, CataloguedSeries] = {}
    for file in sorted(_FOLDER.glob("*.toml")):
        for each in read_family(file) if file.name != _LEFT_OUT else ():
            if each.name in found:
                raise LabError(f'"{file}" has a second series "{each.name}". Rename one.')
            found[each.name] = each
    return found


def read_family(file: Path) -> Iterator[CataloguedSeries]:
    """The series of one file.

    Raises:
        LabError: it is not TOML, or something in it is missing, unknown or of another type.
    """
    content = _read(file)
    for key in ("family", "source", "series"):
        if key not in content:
            raise LabError(f'"{file}" has no {key}. Add it.')
    shared = content.get("shared", {})
    for number, own in enumerate(content["series"]):
        entry = _Entry(file=file, number=number, values=_merged(shared, own))
        entry.check()
        each = entry.values.get("each", {})
        lists = content.get("lists", {})
        choices = [lists[values] if isinstance(values, str) else values for values in each.values()]
        for chosen in product(*choices):
            words = dict(zip(each, chosen, strict=True))
            one = _Entry(file=file, number=number, values=entry.values | words)
            yield one.series(content["family"], content["source"])


def _merged(shared: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """What a series says, and else what all say; doubts add up."""
    doubts = [*shared.get("unverified", []), *own.get("unverified", [])]
    return {**shared, **own, "unverified": doubts}


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise LabError(f'"{file}" cannot be read as TOML: {error}. Correct it.') from None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One [[series]] of a file."""

    file: Path
    number: int
    values: dict[str, Any]

    def check(self) -> None:
        """Refuse unknown fields, wrong types and what is missing."""
        for key, value in self.values.items():
            kind = _FIELDS.get(key)
            if kind is None:
                raise self.wrong(key, f"is not known. {near(key, tuple(_FIELDS))}")
            if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
                raise self.wrong(key, f"should be {kind.__name__}, and is {value!r}.")
        for key in _NEEDED:
            if key not in self.values:
                raise self.wrong(key, "is missing.")
        if self.values["weights"] not in tuple(StoredAs):
            raise self.wrong("weights", f"is none of {', '.join(StoredAs)}.")

    def wrong(self, key: str, what: str) -> LabError:
        """An error that names the place."""
        name = self.values.get("name", f"number {self.number + 1}")
        return LabError(f'"{self.file}", series {name}: {key} {what}')

    def series(self, family: str, source: str) -> CataloguedSeries:
        """The series that this describes."""
        values = self.values
        stepped = [self._at_step(step) for step in self._steps("steps")]
        gone = {f"step{step}" for step in self._numbers(values.get("absent", []), "absent")}
        listed = [each for entry in values.get("listed", []) for each in self._listed(entry)]
        found = [each for each in stepped if each.name not in gone] + listed
        found.sort(key=lambda each: math.inf if each.step is None else each.step)
        names = [each.name for each in found]
        if not names or len(set(names)) < len(names):
            raise self.wrong("steps", "name no checkpoint, or one of them twice.")
        known: dict[str, Any] = {
            field: values.get(field)
            for field in (
                *("tokens_per_step", "params_without_embeddings", "active_params"),
                "lr_fraction",
            )
        }
        return CataloguedSeries(
            name=self._filled("name"),
            family=family,
            checkpoints=tuple(found),
            architecture=values["class"],
            tokenizer=self._filled("tokenizer") if "tokenizer" in values else None,
            slow_tokenizer=values.get("slow_tokenizer", False),
            weights=StoredAs(values["weights"]),
            params=values.get("params"),
            gated=values.get("gated", False),
            bad=tuple(self._bad(names)),
            unverified=tuple(values["unverified"]),
            source=source,
            **{field: values[field] for field in ("dtype", "context", "licence", "phase")},
            **known,
        )

    def _bad(self, names: list[str]) -> Iterator[BadRevision]:
        for entry in self.values.get("bad", []):
            for step in self._numbers(entry["steps"], "bad.steps"):
                if f"step{step}" not in names:
                    raise self.wrong("bad.steps", f"names step {step}, which the series lacks.")
                yield BadRevision(
                    checkpoint=f"step{step}", reason=entry["reason"], source=entry["source"]
                )

    def _steps(self, key: str) -> Iterator[int]:
        yield from self._numbers(self.values.get(key, []), key)

    def _numbers(self, entries: list[Any], key: str) -> Iterator[int]:
        """Numbers, and ranges `{from, to, by}` whose end is among them."""
        for entry in entries:
            if isinstance(entry, int):
                yield entry
            elif isinstance(entry, dict) and entry.keys() == {"from", "to", "by"}:
                yield from range(entry["from"], entry["to"] + 1, entry["by"])
            else:
                raise self.wrong(key, f"holds {entry!r}, and neither a number nor from, to, by.")

    def _tokens(self, step: int | None) -> int | None:
        each = self.values.get("tokens_per_step")
        if step is None or each is None:
            return None
        first: int = self.values.get("tokens_at_step_0", 0)
        return first + step * int(each)

    def _at_step(self, step: int) -> ListedCheckpoint:
        tokens = self._tokens(step)
        words: dict[str, Any] = {"step": step}
        if tokens is not None:
            up = self.values.get("billions") == "up"
            words["billions"] = math.ceil(tokens / _BILLION) if up else round(tokens / _BILLION)
        return ListedCheckpoint(
            name=f"step{step}",
            repository=self._filled("repository", words),
            revision=self._filled("revision", words) if "revision" in self.values else None,
            subfolder=self._filled("subfolder", words) if "subfolder" in self.values else None,
            step=step,
            tokens=tokens,
            params=self.values.get("params"),
        )

    def _listed(self, entry: Mapping[str, Any]) -> Iterator[ListedCheckpoint]:
        """Checkpoints that are named one by one, or by revisions of one pattern."""
        pattern = re.compile(entry.get("pattern", ""))
        for revision in entry.get("revisions", [entry.get("revision")]):
            found = pattern.match(revision or "")
            if found is None:
                raise self.wrong("listed", f'has "{revision}", which does not fit its pattern.')
            read = {key: int(value) for key, value in found.groupdict().items()}
            step = read.get("step", entry.get("step"))
            tokens = entry.get("tokens", self._tokens(step))
            if "billions" in read:
                tokens = read["billions"] * _BILLION
            yield ListedCheckpoint(
                name=entry.get("name") or (f"step{step}" if "step" in read else revision),
                repository=self._fill(entry.get("repository", self.values["repository"])),
                revision=revision,
                subfolder=entry.get("subfolder"),
                step=step,
                tokens=tokens,
                params=entry.get("params", self.values.get("params")),
            )

    def _filled(self, key: str, words: Mapping[str, Any] | None = None) -> str:
        return self._fill(self.values[key], words)

    def _fill(self, text: str, words: Mapping[str, Any] | None = None) -> str:
        known = {k: v for k, v in self.values.items() if isinstance(v, str)}
        try:
            filled = text.format(**{**known, **(words or {})})
            return filled.format(**known) if "{" in filled else filled
        except (KeyError, ValueError, IndexError) as error:
            raise self.wrong(
                f'"{text}"', f"names {error}, which the series does not say."
            ) from None
