"""Recipes of the catalogue, and forecasts beside the published ones, as lines of text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emergecast.cli._wrap import wrapped
from emergecast.errors import OptionError
from emergecast.files import read_whole

if TYPE_CHECKING:
    from emergecast.forecasts import ForecastRecord
    from emergecast.lab.catalogue.recipes import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnForecast:
    """What a forecast of ours says of a few-shot elbow; nats, None where it is refused."""

    task: str
    """Name of the task."""
    series: str
    """Name of the series, or of several."""
    corpus: str | None
    """Held-out text of the losses."""
    verdict: str
    """How far it can be trusted."""
    p05: float | None
    """5% quantile."""
    p50: float | None
    """Median."""
    p95: float | None
    """95% quantile."""
    strongest: float
    """Lowest loss of the checkpoints that were used."""


def forecasts_in(path: Path) -> list[OwnForecast]:
    """The forecasts of a forecast.json, one or several.

    Raises:
        OptionError: The file cannot be read or holds something else.
    """
    from emergecast.errors import RecordError
    from emergecast.forecasts import ForecastRecord
    from emergecast.records import from_json

    try:
        content = json.loads(read_whole(path))
        several = content.get("forecasts", [content]) if isinstance(content, dict) else [content]
        records = [from_json(ForecastRecord, each, what=str(path)) for each in several]
    except OSError as error:
        why = error.strerror or "it is not a regular file"
        raise OptionError(f'--beside: "{path}" cannot be read: {why}. Check the path.') from None
    except (ValueError, RecordError) as error:
        raise OptionError(
            f'--beside: "{path}" is not a forecast.json ({error}). emergecast fit -o writes one.'
        ) from None
    return [_own(each) for each in records]


def _own(record: ForecastRecord) -> OwnForecast:
    elbow, series = record.elbow, record.series
    return OwnForecast(
        task=record.task,
        series=series if isinstance(series, str) else ", ".join(series),
        corpus=record.loss_corpus,
        verdict=str(record.verdict),
        p05=None if elbow is None else elbow.p05,
        p50=None if elbow is None else elbow.p50,
        p95=None if elbow is None else elbow.p95,
        strongest=record.strongest_loss,
    )


def recipe_lines(known: Sequence[Recipe]) -> Iterator[str]:
    """A paragraph for each recipe."""
    for each in known:
        yield from wrapped(each.about, " " * 4, first=f"{each.name}: ")


def beside_lines(recipe: Recipe, ours: Sequence[OwnForecast]) -> Iterator[str]:
    """Ours beside the published ones, task by task."""
    yield f"{'':<36}     5%    50%    95%"
    for said in recipe.published:
        yield _line(
            f"{said.task} {said.series or ''}".strip(), "published", said.p05, said.p50, said.p95
        )
        truth = "not reached" if said.truth is None else f"{said.truth:6.3f}"
        yield f"  {'found later':<34} {'':>6} {truth}"
        mine = [
            each for each in ours if each.task == said.task and said.series in {None, each.series}
        ]
        for each in mine:
            yield _line(each.series, f"ours, {each.verdict}", each.p05, each.p50, each.p95)
            if each.p50 is not None:
                ahead = each.strongest - each.p50
                yield f"  {'past the strongest checkpoint':<34} {'':>6} {ahead:6.3f}"
    known = {said.task for said in recipe.published}
    for each in ours:
        if each.task not in known:
            yield _line(each.task, f"ours, {each.verdict}", each.p05, each.p50, each.p95)
    if not recipe.published:
        yield from wrapped("Nothing is published of this recipe.")
    corpora = sorted({each.corpus for each in ours if each.corpus})
    if recipe.published and corpora:
        yield from wrapped(
            f"Losses of ours are on the text {', '.join(corpora)}; the published ones are on the"
            " paper's own. Compare how far apart elbows are, not where they lie."
        )


def _line(what: str, who: str, p05: float | None, p50: float | None, p95: float | None) -> str:
    values = " ".join("     -" if each is None else f"{each:6.3f}" for each in (p05, p50, p95))
    return f"{what:<22} {who:<13} {values}"
