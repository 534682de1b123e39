"""Reading YAML with every mistake at its line: what was written, why it is wrong, what to write.

Values are taken from the nodes of the document, not from what YAML would make of them: a name may
be `no`, and `1e-3` is a number (YAML 1.1 calls it text).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import yaml

from emergecast.errors import ExperimentError, Mistake, alike, meant
from emergecast.files import read_whole
from emergecast.lab.tasks import yaml_faults

_MERGE: Final = "tag:yaml.org,2002:merge"
_NULL: Final = "tag:yaml.org,2002:null"
_LONGEST_NAME: Final = 255
"""Bytes of one part of a path, on the file systems that there are."""
_LARGEST: Final = 1e60
"""Above any number of anything; sums and products of such numbers are finite."""
_WHOLE: Final = re.compile(r"[-+]?[0-9]+(_[0-9]+)*|[-+]?[0-9]{1,3}(,[0-9]{3})+")
_TRUE: Final = frozenset({"true", "yes", "on"})
_FALSE: Final = frozenset({"false", "no", "off"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A place in a file, as messages quote it."""

    file: str
    """The file as the user named it."""
    line: int | None = None
    """1-based; None where the file as a whole is meant."""
    text: str | None = None
    """That line, without its indentation."""
    where: str | None = None
    """Path of the entry from the root, like "tasks[0].name"."""

    def mistake(self, what: str, remedy: str) -> Mistake:
        """What is wrong here, and what to do about it."""
        return Mistake(
            file=self.file,
            line=self.line,
            text=self.text,
            where=self.where,
            what=what,
            remedy=remedy,
        )


@dataclass(slots=True, kw_only=True)
class Document:
    """One YAML file, and what was found wrong with it so far."""

    file: Path
    """As the user named it; relative paths in it start from its folder."""
    lines: tuple[str, ...]
    problems: list[Mistake] = field(default_factory=list)

    def spot(self, line: int | None, where: str = "") -> Spot:
        """A place in it."""
        known = line is not None and 1 <= line <= len(self.lines)
        text = self.lines[line - 1].strip() if line is not None and known else None
        return Spot(file=str(self.file), line=line, text=text, where=where or None)

    def add(self, line: int | None, where: str, what: str, remedy: str) -> None:
        """Note one mistake at the 1-based `line`."""
        mistake = self.spot(line, where).mistake(what, remedy)
        if mistake not in self.problems:
            self.problems.append(mistake)

    def refusal(self) -> ExperimentError:
        """All mistakes in the order of their lines, as an error to raise."""
        return ExperimentError(sorted(self.problems, key=lambda problem: problem.line or 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One value of the document, at its place."""

    node: yaml.Node
    document: Document
    where: str
    """Path from the root, like "tasks[0].name"; empty for the root."""
    line: int
    """1-based line where it is written."""

    @property
    def spot(self) -> Spot:
        """Its place in the file."""
        return self.document.spot(self.line, self.where)

    def wrong(self, what: str, remedy: str) -> None:
        """Note a mistake here."""
        self.document.add(self.line, self.where, what, remedy)

    @property
    def is_null(self) -> bool:
        """Whether nothing, `~` or `null` is written."""
        return self.node.tag == _NULL

    @property
    def is_mapping(self) -> bool:
        """Whether names with values are written."""
        return isinstance(self.node, yaml.MappingNode)

    @property
    def is_list(self) -> bool:
        """Whether a list is written."""
        return isinstance(self.node, yaml.SequenceNode)

    @property
    def shown(self) -> str:
        """What is written, short enough to quote."""
        if self.is_mapping:
            return "names with values"
        if self.is_list:
            return "a list"
        return "nothing" if self.is_null else f'"{_short(str(self.node.value))}"'

    def pairs(self) -> Iterator[tuple[str, Entry]]:
        """Names with their values, merge keys (`<<`) resolved; each name once.

        Reports a name that is not text, and one that is written twice.
        """
        seen: dict[str, int] = {}
        merged: list[tuple[str, Entry]] = []
        for key, value in self.node.value if self.is_mapping else ():
            if key.tag == _MERGE:
                for node in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    if isinstance(node, yaml.MappingNode) and node is not self.node:
                        merged += self._at(node, self.where).pairs()
                continue
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                self.document.add(line, self.where, "a name here is a list.", "Write text.")
                continue
            name = str(key.value)
            if name in seen:
                what = f'"{_short(name)}" is written a second time (first in line {seen[name]}).'
                self.document.add(line, self.where, what, "Keep one of them.")
                continue
            seen[name] = line
            yield name, self._at(value, f"{self.where}.{name}" if self.where else name, line)
        for name, entry in merged:
            if name not in seen:
                seen[name] = entry.line
                yield name, entry

    def mapping(self, known: Sequence[str], required: Sequence[str] = ()) -> dict[str, Entry]:
        """The values by name; reports unknown names, missing ones, and what is not a mapping."""
        if not self.is_mapping:
            names = ", ".join(known)
            self.wrong(f"{self.shown} is written here.", f"Write names with values: {names}.")
            return {}
        found: dict[str, Entry] = {}
        misspelt: set[str] = set()
        for name, entry in self.pairs():
            if name in known:
                if not entry.is_null:
                    found[name] = entry
                continue
            misspelt |= set(alike(name, known))
            remedy = meant(name, known) or f"Known are {', '.join(known)}."
            entry.wrong(f'there is no entry called "{_short(name)}".', remedy)
        for name in required:
            if name not in found and name not in misspelt:
                self.wrong(f'"{name}" is missing.', f"Add {name}.")
        return found

    def items(self) -> list[Entry]:
        """The members of a list; a single value counts as a list of one."""
        if not self.is_list:
            return [self]
        return [self._at(node, f"{self.where}[{i}]") for i, node in enumerate(self.node.value)]

    def members(self) -> list[Entry]:
        """The members of a list that holds something."""
        items = self.items()
        if not items:
            self.wrong("the list is empty.", "Name at least one, or leave the entry out.")
        return items

    def path(self) -> Path | None:
        """A path; a relative one starts from the folder of the file."""
        text = self.text()
        if text is None:
            return None
        try:
            path = self.document.file.parent / Path(text).expanduser()
        except RuntimeError:
            self.wrong(f"{self.shown} begins in the home of nobody.", "Write the path out.")
            return None
        if max(len(part.encode()) for part in path.parts) > _LONGEST_NAME:
            self.wrong(f"{self.shown} is too long for a path.", "Write a shorter one.")
            return None
        return path

    def text(self) -> str | None:
        """Text that is not empty."""
        if not isinstance(self.node, yaml.ScalarNode) or self.is_null or not self.node.value:
            self.wrong(
                f"{self.shown} is written where text is expected.", "Write a name or a path."
            )
            return None
        return str(self.node.value)

    def word(self, words: Sequence[str]) -> str | None:
        """One of `words`."""
        text = self.text()
        if text is not None and text not in words:
            what = f'"{_short(text)}" is not known here. {meant(text, words)}'.rstrip()
            self.wrong(what, f"Use {', '.join(words)}.")
            return None
        return text

    def flag(self) -> bool | None:
        """True or false."""
        text = str(self.node.value).lower() if isinstance(self.node, yaml.ScalarNode) else ""
        if text not in _TRUE | _FALSE:
            self.wrong(f"{self.shown} is written here.", "Write true or false.")
            return None
        return text in _TRUE

    def whole(self, *, minimum: int) -> int | None:
        """A whole number of at least `minimum`; 1e6, 16_384 and 16,384 are whole numbers too."""
        number = self._parsed()
        if number is None or not number.is_integer() or abs(number) >= 2**53:
            self.wrong(f"{self.shown} is not a whole number.", f"Write one, at least {minimum}.")
            return None
        if number < minimum:
            self.wrong(f"{self.shown} is too small.", f"Write at least {minimum}.")
            return None
        return int(number)

    def number(
        self,
        *,
        above: float | None = None,
        minimum: float | None = None,
        maximum: float = _LARGEST,
    ) -> float | None:
        """A finite number within the bounds."""
        number = self._parsed()
        if number is None:
            self.wrong(f"{self.shown} is not a number.", "Write a finite number.")
            return None
        if above is not None and not number > above:
            self.wrong(f"{self.shown} is too small.", f"Write a number above {above:g}.")
            return None
        if minimum is not None and number < minimum:
            self.wrong(f"{self.shown} is too small.", f"Write at least {minimum:g}.")
            return None
        if abs(number) > maximum:
            self.wrong(f"{self.shown} is too large.", f"Write at most {maximum:g}.")
            return None
        return number

    def _parsed(self) -> float | None:
        if not isinstance(self.node, yaml.ScalarNode):
            return None
        text = str(self.node.value).strip()
        if _WHOLE.fullmatch(text):
            text = text.replace(",", "").replace("_", "")
        try:
            number = float(text)
        except ValueError:
            return None
        return number if math.isfinite(number) else None

    def _at(self, node: yaml.Node, where: str, line: int | None = None) -> Entry:
        at = node.start_mark.line + 1 if line is None else line
        return Entry(node=node, document=self.document, where=where, line=at)


def _short(text: str, *, width: int = 60) -> str:
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 3] + "..."


def read_document(text: str, file: Path) -> Entry:
    """The root of the YAML document in `text`; `file` is how messages call it.

    Raises:
        ExperimentError: it is not one YAML document, or its aliases stand for too much.
    """
    document = Document(file=file, lines=tuple(text.splitlines()))
    loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    line, remedy = None, "Look at the indentation, the colons and the quotes there."
    try:
        node = yaml.compose(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else mark.line + 1
        said = ", ".join(part for part in (error.context, error.problem) if part)
        what = f"this is not YAML: {said}."
    except yaml.YAMLError as error:
        what = f"this is not YAML: {' '.join(str(error).split())}."
    except RecursionError:
        what, remedy = "lists are nested too deeply.", "Write it with less nesting."
    else:
        if node is not None:
            for fault in yaml_faults(node):
                document.add(fault.line, "", fault.what, fault.remedy)
            if document.problems:
                raise document.refusal()
            return Entry(node=node, document=document, where="", line=node.start_mark.line + 1)
        what, remedy = "the file is empty.", "Describe an experiment in it."
    raise ExperimentError([document.spot(line).mistake(what, remedy)])


def read_text(path: Path) -> str:
    """The text of an experiment file.

    Raises:
        ExperimentError: it does not exist, cannot be read, or is not text.
    """
    what, remedy = "", "Check the path and its permissions."
    try:
        return read_whole(path).decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        what = f"the file cannot be read: {error.strerror or error}."
    except UnicodeDecodeError as error:
        what, remedy = f"the file is not UTF-8 text: {error}.", "Save it as UTF-8."
    raise ExperimentError([Spot(file=str(path)).mistake(what, remedy)])
