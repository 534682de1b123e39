"""Losses of a series as lines of text, and what is left to measure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emergecast.cli._wrap import wrapped
from emergecast.cli.texts.experiments import duration, size
from emergecast.errors import others, said_once
from emergecast.lab.evaluate import BYTES_PER_TOKEN
from emergecast.scaling import CPU_FLOPS_PER_SECOND, GPU_FLOPS_PER_SECOND

if TYPE_CHECKING:
    from emergecast.lab.evaluate import LossEstimate, LossReport, LossRow
    from emergecast.lab.fetching import Need

_SHOWN = 8
"""Missing losses that are named at most."""


def report_text(report: LossReport, out: Path) -> str:
    """Every loss with its error, and what to do next."""
    lines = [*_table(report.rows)]
    kept = len(report.rows) - report.measured
    said = f"{report.measured:,} losses measured, {kept:,} kept"
    if report.unseen:
        said += f", {report.unseen:,} of them of checkpoints that are not on this machine any more"
    wrote = f" Wrote {out}." if report.rows else ""
    lines += ["", *wrapped(f"{said}.{wrote}")] if lines else wrapped(f"{said}.{wrote}")
    if report.rows:
        lines += wrapped(f"Next: emergecast join SCORES.csv {out} -o table.csv")
    return "\n".join(lines)


def _table(rows: tuple[LossRow, ...]) -> Iterator[str]:
    """One line a row, one block a corpus and the same tokens."""
    block: tuple[str, ...] = ()
    for row in sorted(rows, key=lambda row: (row.loss_corpus, row.series)):
        mine = (row.loss_corpus, row.series, row.fed_hash)
        if mine != block:
            block = mine
            bos = "no token before a text"
            if row.bos_documents:
                bos = f"token {row.bos_id} before {row.bos_documents:,} of the texts"
            yield from wrapped(
                f"{row.series} on {row.loss_corpus} (hash {row.corpus_hash[:12]}):"
                f" {row.loss_tokens:,} tokens of {row.loss_documents:,} documents in windows of"
                f" {row.context:,}, {bos}.",
                "  ",
            )
        error = "" if row.loss_stderr is None else f" +- {row.loss_stderr:.4f}"
        yield (
            f"  {row.checkpoint:<24} {row.loss:.4f}{error} nats per token,"
            f" {row.loss_per_byte:.4f} per byte"
        )


def seconds_of(left: LossEstimate) -> tuple[float, str]:
    """Seconds that the arithmetic takes on this machine, and what that rests on."""
    from emergecast.lab.executors import default_workers

    count, on_gpu = default_workers()
    speed = GPU_FLOPS_PER_SECOND if on_gpu else CPU_FLOPS_PER_SECOND * count
    return left.flops / speed, f"at {speed:.2g} FLOP per second"


def estimate_text(left: LossEstimate, needs: Sequence[Need], out: Path) -> str:
    """What is there, what is missing, and what that takes, the download included."""
    lines = []
    for name, facts in left.texts.items():
        lines += wrapped(
            f"{name}: {facts.documents:,} documents, {size(facts.bytes)}, hash {facts.hash[:12]}"
        )
    lines += wrapped(f"{left.done:,} losses are in {out}; {len(left.missing):,} are missing.")
    lines += [f"  {title}" for title in left.missing[:_SHOWN]]
    if len(left.missing) > _SHOWN:
        lines.append(f"  and {len(left.missing) - _SHOWN:,} more")
    if left.missing:
        seconds, basis = seconds_of(left)
        said = (
            f"About {left.tokens:,} tokens at {BYTES_PER_TOKEN} bytes each, {left.flops:.2g} FLOP,"
            f" {duration(seconds)} {basis}, and loading."
        )
        if left.unknown:
            said += (
                f" {left.unknown:,} losses are of checkpoints that are not here and whose size is"
                " not stated: their time comes on top."
            )
        lines += wrapped(said)
    lines += _download_lines(needs)
    return "\n".join([*lines, "Nothing was measured (dry run)."])


def _download_lines(needs: Sequence[Need]) -> Iterator[str]:
    """What is to be downloaded first, and what cannot be had."""
    missing = [each for each in needs if not each.here and each.problem is None]
    if missing:
        amount = size(_bytes(needs))
        names = ", ".join(each.title for each in missing[:_SHOWN])
        more = f" and {len(missing) - _SHOWN:,} more" if len(missing) > _SHOWN else ""
        yield from wrapped(f"{amount} are to be downloaded before: {names}{more}.")
    gone = ((each.title, each.problem) for each in needs if each.problem is not None)
    for problem, titles in said_once(gone):
        yield from wrapped(f"{titles[0]}: {problem} {others(titles[1:])}", "  ")


def _bytes(needs: Sequence[Need]) -> int:
    return sum(each.bytes or 0 for each in needs if not each.here)


def estimate_record(left: LossEstimate, needs: Sequence[Need]) -> dict[str, Any]:
    """The same for a program."""
    from emergecast.records import as_json

    seconds, basis = seconds_of(left)
    record = {key: value for key, value in as_json(left).items() if key != "absent"}
    cannot = {each.title: each.problem for each in needs if each.problem is not None}
    download = {"bytes_to_fetch": _bytes(needs), "cannot_be_fetched": cannot}
    return {**record, "seconds": seconds, "basis": basis, **download}
