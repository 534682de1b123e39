"""Held-out text: its documents one after the other, and what proves that two texts are the same."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from emergecast.errors import LabError, OptionError
from emergecast.lab.checkpoints import hub_advice, hub_errors

C4: Final = "c4"
"""Name of the validation split of C4 in English, which the hub has."""
C4_DOCUMENTS: Final = 5_000
"""Documents of C4 where nobody says how many: our choice, about 2.4 million tokens."""
C4_REPOSITORY: Final = "allenai/c4"
"""The data set of the hub."""
_C4_FILES: Final = tuple(f"en/c4-validation.{i:05}-of-00008.json.gz" for i in range(8))
"""364,608 documents in all."""
_C4_EACH: Final = 45_576
"""Documents of each of these files."""
_JSON_LINES: Final = frozenset({".jsonl", ".ndjson"})
_PACKED: Final = ".gz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Held-out text: a file of documents, or the validation split of C4."""

    name: str
    """How the table calls it."""
    path: Path | None = None
    """JSON Lines with the text of a document in the field "text", or plain text with a document a
    line, packed with gzip or not; None for C4 as the hub has it."""
    json_lines: bool = False
    """Whether it is JSON Lines whatever its name ends with."""
    documents: int | None = None
    """Only the first so many; None for all."""

    def __str__(self) -> str:
        """What messages call it."""
        return f'"{C4_REPOSITORY if self.path is None else self.path}"'

    @property
    def is_file(self) -> bool:
        """Whether it is a whole file, so that the file's own hash says what it is."""
        return self.path is not None and self.documents is None

    def state(self) -> tuple[int, int] | None:
        """Time and size of the file; None where there is none."""
        try:
            state = None if self.path is None else self.path.stat()
        except OSError:
            return None  # reading it says why
        return None if state is None else (state.st_mtime_ns, state.st_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutFacts:
    """What a held-out text is."""

    hash: str
    """SHA-256 over the SHA-256 of the text of each document in UTF-8, in their order: the same
    wherever the documents lie, and in whatever kind of file."""
    documents: int
    """Documents."""
    bytes: int
    """Their text in UTF-8, without what stands between them."""


def named_corpus(described: str, *, documents: int | None = None) -> Corpus:
    """The text that FILE, NAME=FILE, c4 or c4=FILE describes.

    Args:
        described: `c4` is the validation split of C4 in English from the hub or its cache, and
            `c4=FILE` a copy of it, whose lines are JSON whatever the file is called. The name of
            both holds the number of documents, since losses on other numbers do not compare.
        documents: The first so many; of C4 `C4_DOCUMENTS` where None, of a file all.

    Raises:
        OptionError: The name or the number of documents makes no sense.
    """
    if documents is not None and documents < 1:
        raise OptionError(f"documents is {documents}. Ask for 1 or more, or leave it out.")
    name, equals, file = described.rpartition("=")
    path = Path(file) if equals or file != C4 else None
    if path is None or name == C4:
        count = documents or C4_DOCUMENTS
        return Corpus(name=f"{C4}-{count}", path=path, json_lines=True, documents=count)
    if (equals and not name) or not file:
        raise OptionError(f'"{described}" is not FILE, NAME=FILE or {C4}. Name the text and file.')
    stem = Path(path.stem) if path.suffix == _PACKED else path
    return Corpus(name=name or stem.stem, path=path, documents=documents)


def hub_files(text: Corpus) -> tuple[str, ...]:
    """The files of `C4_REPOSITORY` that hold a text; none where it is a file of this machine."""
    if text.path is not None:
        return ()
    if text.documents is None:
        return _C4_FILES
    return _C4_FILES[: math.ceil(text.documents / _C4_EACH)]


def facts_of(text: Corpus) -> HeldOutFacts:
    """Hash and size of a held-out text, which is read once.

    Raises:
        LabError: As `documents_of`.
    """
    digest = hashlib.sha256()
    count = size = 0
    for document in documents_of(text):
        encoded = document.encode()
        digest.update(hashlib.sha256(encoded).digest())
        count += 1
        size += len(encoded)
    return HeldOutFacts(hash=digest.hexdigest(), documents=count, bytes=size)


def documents_of(text: Corpus) -> Iterator[str]:
    """The documents in their order; only one of them at a time is in memory.

    Raises:
        LabError: The text cannot be read, a line is not a JSON object with text, there is no text,
            or there are fewer documents than are asked for.
    """
    count, some = 0, False
    for path in _files(text):
        for number, line in _lines(path):
            document = _text(path, number, line) if _is_json(text, path) else line
            count += 1
            some = some or bool(document.strip())
            yield document
            if count == text.documents:
                break
        if count == text.documents:
            break
    if not some:
        raise LabError(f"the loss corpus {text} holds no text. Give one that does.")
    if text.documents is not None and count < text.documents:
        raise LabError(
            f"the loss corpus {text} holds {count:,} documents, and {text.documents:,} are asked"
            f" for. Ask for {count:,} or fewer."
        )


def _is_json(text: Corpus, path: Path) -> bool:
    name = path.with_suffix("") if path.suffix == _PACKED else path
    return text.json_lines or name.suffix in _JSON_LINES


def _files(text: Corpus) -> Iterator[Path]:
    """The files of the text; those of C4 are fetched when they are asked for."""
    if text.path is not None:
        yield text.path
        return
    from huggingface_hub import hf_hub_download

    for name in _C4_FILES:
        try:
            yield Path(hf_hub_download(C4_REPOSITORY, name, repo_type="dataset"))
        except hub_errors() as error:
            raise LabError(
                f'the loss corpus "{C4}" is "{name}" of "{C4_REPOSITORY}" on the hub, and that'
                f" could not be read ({type(error).__name__}). Give a copy of that file,"
                f" {C4}=FILE. {hub_advice()}"
            ) from error


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that hold something, with their numbers."""
    try:
        with _open(path) as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line.removesuffix("\n")
    except OSError as error:
        raise LabError(
            f'the loss corpus "{path}" cannot be read: {error.strerror or error}. Correct its path.'
        ) from None
    except (UnicodeDecodeError, EOFError, zlib.error) as error:
        raise LabError(
            f'the loss corpus "{path}" cannot be read: {error}. It should be text in UTF-8.'
        ) from None


def _open(path: Path) -> IO[str]:
    if path.suffix == _PACKED:
        return gzip.open(path, "rt", encoding="utf-8")
    return path.open(encoding="utf-8")


def _text(path: Path, number: int, line: str) -> str:
    try:
        text = json.loads(line)["text"]
        text.encode()
    except (ValueError, KeyError, TypeError, AttributeError):
        text = None
    if not isinstance(text, str):
        raise LabError(
            f'"{path}", line {number}: there is no JSON object with text in its field "text", but'
            f" {line[:60]!r}. Correct the line."
        )
    return text
