"""What must not stand in a YAML file, seen in its nodes before anything is built of them.

An alias costs a few letters and stands for as much as one likes: thirty lines of aliases of
aliases, or of merges of merges, make more entries than any memory holds.
"""

from __future__ import annotations

import unicodedata
from typing import Final, NamedTuple

import yaml

_MOST_ENTRIES: Final = 200_000
"""Values that a file with aliases may stand for; without aliases it is as long as it is written."""
_WHITE: Final = frozenset("\t\n\r")
_NOT_TEXT: Final = frozenset({"Cc", "Cs"})
"""Control characters, and halves of characters, which no file name or database can hold."""


class YamlFault(NamedTuple):
    """Something that a file must not hold."""

    line: int
    """1-based."""
    what: str
    """What it is, in a sentence."""
    remedy: str
    """What to do."""


def yaml_faults(root: yaml.Node) -> list[YamlFault]:
    """Aliases that stand for too much or for themselves, and text with control characters.

    The work grows with what is written, not with what it stands for.
    """
    faults: list[YamlFault] = []
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()
    written = 0
    stack: list[tuple[yaml.Node, bool]] = [(root, False)]
    while stack:
        node, is_left = stack.pop()
        inside = _inside(node)
        if is_left:
            sizes[id(node)] = 1 + sum(sizes.get(id(each), 0) for each in inside)
            open_nodes.discard(id(node))
        elif id(node) in open_nodes:
            what = "an alias contains itself."
            return [YamlFault(node.start_mark.line + 1, what, "Write the values out.")]
        elif id(node) not in sizes:
            written += 1
            open_nodes.add(id(node))
            if isinstance(node, yaml.ScalarNode) and (shown := _not_text(str(node.value))):
                what = f"the text here holds the character {shown}, which no name or path can hold."
                faults.append(YamlFault(node.start_mark.line + 1, what, "Remove it."))
            stack.append((node, True))
            stack += [(each, False) for each in inside]
    meant = sizes[id(root)]
    if meant > max(written, _MOST_ENTRIES):
        about = f"{meant:,}" if meant < 10**15 else "more than 10^15"
        what = (
            f"the aliases of this file stand for {about} values; at most {_MOST_ENTRIES:,} are"
            " read."
        )
        faults.append(YamlFault(_largest_line(root, sizes), what, "Write out what is meant."))
    return faults


def _inside(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [each for pair in node.value for each in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _largest_line(root: yaml.Node, sizes: dict[int, int]) -> int:
    """Line of what stands for most within the file."""
    inside = _inside(root)
    largest = max(inside, key=lambda node: sizes[id(node)], default=root)
    return int(largest.start_mark.line) + 1


def _not_text(text: str) -> str | None:
    """The first character that no name or path can hold, as it may be shown."""
    for letter in text:
        if letter not in _WHITE and unicodedata.category(letter) in _NOT_TEXT:
            return f"U+{ord(letter):04X}"
    return None
