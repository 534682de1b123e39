"""Series of the catalogue, and what an experiment needs of the hub, as lines of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from emergecast.cli._wrap import wrapped
from emergecast.cli.texts.experiments import size
from emergecast.errors import others, said_once

if TYPE_CHECKING:
    from emergecast.lab.catalogue.series import CataloguedSeries, Verification
    from emergecast.lab.fetching import Needs

_SHOWN = 12
"""Checkpoints shown at most of a group."""
_LARGE = 40
"""Series of a family that are listed one by one at most."""
_INDENT = " " * 14


def summary(series: CataloguedSeries) -> dict[str, Any]:
    """One series of the list, for a program."""
    return {
        "name": series.name,
        "family": series.family,
        "checkpoints": len(series.checkpoints),
        "bad": len(series.bad),
        "params": series.params,
        "gated": series.gated,
        "licence": series.licence,
    }


def list_lines(
    taken: Sequence[CataloguedSeries], left_out: Mapping[str, str], *, short: bool
) -> Iterator[str]:
    """A line for each series; with `short` one for a family of very many."""
    count = Counter(each.family for each in taken)
    large = {family for family in count if short and count[family] > _LARGE}
    width = max((len(each.name) for each in taken if each.family not in large), default=0)
    said: set[str] = set()
    for each in taken:
        if each.family not in large:
            params = "" if each.params is None else f"{each.params / 1e9:.3g}B"
            notes = [f"{len(each.bad)} bad"] if each.bad else []
            notes += ["gated"] if each.gated else []
            known = f"{params:>7}  {len(each.checkpoints):>5} checkpoints"
            yield f"{each.name:<{width}}  {known}  {', '.join(notes)}".rstrip()
        elif each.family not in said:
            said.add(each.family)
            yield f"{each.name} and {count[each.family] - 1} more of {each.family}: use --match"
    if left_out:
        yield ""
        yield "Known, and not here:"
        for family, reason in left_out.items():
            yield from wrapped(f"{family}: {reason}", "    ", first="  ")


def show_lines(series: CataloguedSeries) -> Iterator[str]:
    """All that is known of a series."""
    first, last = series.checkpoints[0], series.checkpoints[-1]
    yield f"{series.name} ({series.family})"
    facts = {
        "class": series.architecture,
        "parameters": _numbers(series),
        "tokens": "not known: measure the loss"
        if last.tokens is None
        else f"{first.tokens or 0:,} to {last.tokens:,}",
        "context": f"{series.context:,} tokens",
        "stored as": f"{series.weights}, {series.dtype}",
        "tokenizer": (series.tokenizer or "in each repository")
        + (", read by sentencepiece itself" if series.slow_tokenizer else ""),
        "licence": series.licence + (", gated" if series.gated else ""),
        "phase": series.phase,
        "source": series.source,
    }
    for name, fact in facts.items():
        yield from wrapped(fact, _INDENT, first=f"  {name:<12}")
    for doubt in series.unverified:
        yield from wrapped(doubt, _INDENT, first="  not checked ")
    reasons: dict[tuple[str, str], list[str]] = {}
    for bad in series.bad:
        reasons.setdefault((bad.reason, bad.source), []).append(bad.checkpoint)
    for (reason, source), names in reasons.items():
        text = f"{_some(names)}: {reason} ({source})"
        yield from wrapped(text, _INDENT, first="  left out    ")
    yield f"  {len(series.checkpoints)} checkpoints"
    shown = {each.checkpoint for each in series.bad}
    for each in series.checkpoints:
        at = each.repository if each.revision is None else f"{each.repository}@{each.revision}"
        yield f"    {each.name}  {at}{'  (left out)' if each.name in shown else ''}"


def _numbers(series: CataloguedSeries) -> str:
    if series.params is None:
        return "counted from the weights"
    said = f"{series.params:,}"
    if series.params_without_embeddings is not None:
        said += f", {series.params_without_embeddings:,} without embeddings"
    if series.active_params is not None:
        said += f", {series.active_params:,} for each token"
    return said


def verify_lines(series: CataloguedSeries, found: Verification) -> Iterator[str]:
    """What is shared, what is missing, and whether that was known."""
    where = "the hub says" if found.asked == "hub" else "the cache holds"
    yield (
        f"{series.name}: {where} the weights of {len(found.hashes)} of"
        f" {len(series.checkpoints)} checkpoints."
    )
    for each in found.suspicions:
        what = "have the same weights" if each.whole else "share a weight file, so one is a chimera"
        known = " Known, and left out." if each.known else ""
        yield from wrapped(
            f"{_some(each.checkpoints)} {what} ({each.file}, SHA-256 {each.sha256[:12]}).{known}",
            "  ",
        )
    if found.asked == "hub":
        for reason, names in said_once(found.missing.items()):
            yield from wrapped(f"missing: {names[0]}: {reason} {others(names[1:])}", "  ")
    elif found.missing:
        yield f"{len(found.missing)} are not in the cache, and were not looked at."
    if not found.hashes:
        yield "Nothing was compared."
    elif not found.suspicions:
        yield "No two of them share a weight file."


def needs_lines(needs: Needs) -> Iterator[str]:
    """What an experiment needs of the hub, and what of it is here."""
    width = max((len(each.title) for each in needs.needs), default=0)
    for each in needs.needs:
        state = "here" if each.here else "cannot be had" if each.problem else "to be fetched"
        amount = "" if each.bytes is None else size(each.bytes)
        yield f"{each.kind:<9}  {each.title:<{width}}  {amount:>9}  {state}"
    for problem, titles in said_once((each.title, str(each.problem)) for each in needs.problems):
        yield from wrapped(f"{titles[0]}: {problem} {others(titles[1:])}", "  ")
    if not needs.needs:
        yield "Nothing of it is on the hub."
        return
    amount = f"{size(needs.bytes_to_fetch)} ({size(needs.bytes_on_disk)} on disk)"
    yield from wrapped(
        f"{len(needs.missing)} of {len(needs.needs)} are to be fetched, {amount}, into"
        f" {needs.cache}, where {size(needs.free_bytes)} are free."
    )


def _some(names: Sequence[str]) -> str:
    if len(names) <= _SHOWN:
        return ", ".join(names)
    return f"{', '.join(names[:_SHOWN])} and {len(names) - _SHOWN} more"
