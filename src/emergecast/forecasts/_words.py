"""A forecast in a few words: above a picture, in a notebook."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from emergecast.measurements import marked

if TYPE_CHECKING:
    from emergecast.forecasts._elbow import Elbow
    from emergecast.inference import Fit
    from emergecast.measurements import Axis, Selection
    from emergecast.observed import GroundTruth


def number(axis: Axis, elbow: Elbow | None, value: float, places: int) -> str:
    """A value of the axis as text, precise enough for the width of the 90% interval."""
    width = 0.0 if elbow is None else elbow.p95 - elbow.p05
    return axis.number(value, axis.places(width, places))


def title(selection: Selection, elbow: Elbow | None, seen: GroundTruth | None) -> str:
    """The answer in a few words; `seen` is what few-shot rows show where nothing is forecast."""
    series, axis = ", ".join(selection.series), selection.axis
    name = f"{selection.task} ({series})" if 0 < len(series) <= 30 else selection.task
    name = marked(name, invented=selection.invented)
    if elbow is None and seen is not None:
        return f"{name}: few-shot emergence at {axis.number(seen.loss)} {axis.unit}"
    if elbow is None:
        return f"{name}: no forecast"
    return f"{name}: few-shot emergence at {number(axis, elbow, elbow.p50, 2)} {axis.unit}"


def basis(fit: Fit, elbow: Elbow) -> str:
    """The 90% interval, and from how many checkpoints and amounts."""
    axis, shift = fit.selection.axis, fit.selection.shift
    low, high = (number(axis, elbow, value, 2) for value in (elbow.p05, elbow.p95))
    kind = "data amounts" if shift.is_examples else f"amounts of {shift.unit}"
    return (
        f"90% interval {low} to {high} {axis.unit}; {fit.data.n_checkpoints} checkpoints, "
        f"{fit.data.amounts.size} {kind}"
    )


def lines(fit: Fit, drawn: Fit) -> str:
    """What the lines of a picture are: a draw of a law, where there are several of which one."""
    if len(fit.members) == 1:
        return "Lines: one typical draw of the posterior."
    return f"Lines: one typical draw of one of the {len(fit.members)} laws, {drawn.law}."


def html(title: str, subtitle: str, reasons: tuple[str, ...], cells: dict[str, str]) -> str:
    """A forecast in a notebook; `cells` are the numbers of the elbow by name, as text."""
    table = ""
    if cells:
        names = "".join(f"<th>{name}</th>" for name in cells)
        values = "".join(f"<td>{value}</td>" for value in cells.values())
        table = f"<table><tr>{names}</tr><tr>{values}</tr></table>"
    listed = "".join(f"<li>{escape(reason)}</li>" for reason in reasons)
    return f"<b>{escape(title)}</b><br>{escape(subtitle)}{table}<ul>{listed}</ul>"
