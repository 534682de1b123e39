"""Colours, type and wording that the pictures share."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, TypeVar

import altair as alt

if TYPE_CHECKING:
    from emergecast.forecasts import Forecast

WIDTH = 620  # px of the plotting area; with axis, margin and legend a picture is about 900 wide
FONT = "Liberation Sans, Arial, Helvetica, sans-serif"  # these three have the same widths

INK = "#1a1a1a"  # few-shot scores and the line through them
QUIET = "#5f5f5f"  # secondary text, chance
FAINT = "#8a8a8a"  # axes
LATER = "#4a4a4a"  # few-shot scores that the forecast did not see
BAND = "#e8862e"  # the few-shot elbow
BAND_TEXT = "#9a4d0a"  # the same, dark enough to read
TRUTH = "#b0125b"  # what was measured later

AMOUNT = "replace(format(datum.value, '.2~s'), 'G', 'B')"  # a count at an axis or a legend: 7B

# Viridis at steps of 1/8, without its last, too pale on white, eighth.
_VIRIDIS = ("#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30")

_METRICS = {
    "acc": "accuracy (acc)",
    "accuracy": "accuracy",
    "acc_norm": "accuracy, length-normalised (acc_norm)",
    "brier_score": "Brier score (brier_score)",
    "exact_match": "exact match (exact_match)",
    "f1": "F1 score (f1)",
    "mcc": "Matthews correlation (mcc)",
}

_Chart = TypeVar("_Chart", alt.LayerChart, alt.VConcatChart)


def amount_colours(count: int) -> list[str]:
    """Colours of `count` data amounts, from few examples (dark, next to few-shot) to many."""
    if count == 1:
        return [_blend(0.5)]
    return [_blend(0.06 + 0.86 * i / (count - 1)) for i in range(count)]


def _blend(fraction: float) -> str:
    """Colour at `fraction` in [0, 1] of the scale, linear between its anchors."""
    place = fraction * (len(_VIRIDIS) - 1)
    left = min(int(place), len(_VIRIDIS) - 2)
    weight = place - left
    return between(_VIRIDIS[left], _VIRIDIS[left + 1], weight)


def between(low: str, high: str, weight: float) -> str:
    """The colour between two, linear in red, green and blue: `high` where the weight is 1."""
    channels = zip(_channels(low), _channels(high), strict=True)
    return "#" + "".join(f"{round((1 - weight) * a + weight * b):02x}" for a, b in channels)


def ink_on(colour: str) -> str:
    """`INK` or white, whichever is easier to read on a colour: the one of the higher contrast.

    Source: contrast ratio (L1 + 0.05) / (L2 + 0.05) of WCAG 2.2.
    """
    own, dark = _luminance(colour), _luminance(INK)
    return INK if (own + 0.05) / (dark + 0.05) > 1.05 / (own + 0.05) else "white"


def _luminance(colour: str) -> float:
    """Relative luminance of sRGB, 0 for black and 1 for white; source: WCAG 2.2."""
    linear = (
        channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4
        for channel in (each / 255 for each in _channels(colour))
    )
    return sum(share * each for share, each in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _channels(colour: str) -> list[int]:
    """Red, green and blue of "#rrggbb"."""
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


def score_title(forecast: Forecast) -> str:
    """Title of the score axis: the metric, and its sign where that was turned."""
    name = forecast.metric.partition(",")[0]
    title = _METRICS.get(name, name)
    return f"{title}, negated so that higher is better" if forecast.negated else title


def loss_text(loss: float, forecast: Forecast) -> str:
    """A loss as text, to a hundredth of a nat, or a thousandth where the interval is narrow."""
    elbow = forecast.elbow
    narrow = forecast.axis.is_loss and elbow is not None and elbow.p95 - elbow.p05 < 0.05
    return forecast.number(loss, 3 if narrow else 2)


def dress(chart: _Chart, title: str, subtitle: str) -> _Chart:
    """Give a picture its title, its description for screen readers and its typography."""
    head = alt.TitleParams(
        text=textwrap.wrap(title, 90) or [""],
        subtitle=textwrap.wrap(subtitle, 120),
        anchor="start",
        frame="bounds",
        offset=14,
        fontSize=18,
        fontWeight=600,
        subtitleFontSize=13,
        subtitleColor=QUIET,
        subtitlePadding=6,
    )
    return chart.properties(
        title=head,
        description=f"{title}. {subtitle}",
        background="white",
        config=_typography(),
    )


def _typography() -> alt.Config:
    """Type, rules and colours of axes and legends."""
    axis = alt.AxisConfig(
        domainColor=FAINT,
        gridColor="#ececec",
        labelColor=INK,
        labelFontSize=12,
        labelPadding=5,
        tickColor=FAINT,
        titleColor=INK,
        titleFontSize=13,
        titleFontWeight="normal",
        titlePadding=10,
    )
    legend = alt.LegendConfig(
        labelColor=INK,
        labelFontSize=12,
        rowPadding=4,
        symbolSize=80,
        titleColor=QUIET,
        titleFontSize=12,
        titleFontWeight="normal",
        titlePadding=7,
    )
    view = alt.ViewConfig(stroke=None)
    return alt.Config(font=FONT, padding=12, view=view, axis=axis, legend=legend)
