"""From a catalogued series to the checkpoints of an experiment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from emergecast.errors import LabError
from emergecast.lab.catalogue.series._catalogued import CataloguedSeries, ListedCheckpoint
from emergecast.lab.checkpoints import CatalogueSource, Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """What a series of the catalogue is in an experiment."""

    checkpoints: tuple[Checkpoint, ...]
    """In the order of training."""
    left_out: tuple[str, ...]
    """A sentence for each reason to leave checkpoints out."""


def expand(series: CataloguedSeries, steps: Sequence[int] = ()) -> Expansion:
    """The checkpoints of a series but for bad ones; those of `steps` alone where some are given.

    Args:
        series: The series.
        steps: Training steps; all where empty.

    Raises:
        LabError: the series has no checkpoint at one of the steps, or none is left.
    """
    there = [each.step for each in series.checkpoints if each.step is not None]
    for step in steps:
        if step not in there:
            close = sorted(there, key=lambda known: (abs(known - step), known))[:2]
            shown = " and ".join(f"{each:,}" for each in sorted(close)) or "none"
            raise LabError(
                f'series "{series.name}" has no checkpoint at step {step:,}; the nearest are'
                f" {shown}. emergecast series show {series.name} lists all."
            )
    taken = [each for each in series.checkpoints if not steps or each.step in steps]
    reasons = {each.checkpoint: (each.reason, each.source) for each in series.bad}
    good = [each for each in taken if each.name not in reasons]
    groups: dict[tuple[str, str], list[str]] = {}
    for each in taken:
        if each.name in reasons:
            groups.setdefault(reasons[each.name], []).append(each.name)
    left_out = tuple(
        f"{_some(names)} of {series.name} {'is' if len(names) == 1 else 'are'} left out: {reason}"
        f" ({source})."
        for (reason, source), names in groups.items()
    )
    if not good:
        raise LabError(f"no checkpoint is left. {' '.join(left_out)} Name other steps.")
    return Expansion(
        checkpoints=tuple(checkpoint_of(series, each) for each in good),
        left_out=left_out,
    )


def checkpoint_of(series: CataloguedSeries, listed: ListedCheckpoint) -> Checkpoint:
    """One checkpoint of a series, as the lab loads it."""
    return Checkpoint(
        name=listed.name,
        series=series.name,
        repo=listed.repository,
        revision=listed.revision,
        subfolder=listed.subfolder,
        params=listed.params,
        tokens=listed.tokens or None,
        flops=series.flops(listed) or None,
        lr_fraction=series.lr_fraction,
        source=CatalogueSource(
            tokenizer=series.tokenizer,
            slow_tokenizer=series.slow_tokenizer,
            gated=series.gated,
        ),
    )


def _some(names: Sequence[str]) -> str:
    """A few of them, and how many there are."""
    if len(names) <= 4:
        return ", ".join(names)
    return f"{', '.join(names[:3])} and {len(names) - 3} more"
