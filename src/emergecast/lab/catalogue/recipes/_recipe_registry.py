"""The recipes of the catalogue, read from its files."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from emergecast.errors import LabError, near
from emergecast.records import from_json

_FILES: Final = files("emergecast.lab.catalogue.recipes")
_END: Final = ".yaml"
_PUBLISHED: Final = "published.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedForecast:
    """A published forecast of a few-shot elbow, and the elbow that was found later; nats."""

    task: str
    """Name of the task."""
    p05: float
    """5% quantile."""
    p50: float
    """Median."""
    p95: float
    """95% quantile."""
    mode: float
    """The most likely value."""
    truth: float | None = None
    """The elbow of all few-shot scores; None where no model has reached it yet."""
    series: str | None = None
    """Name of the series, where the recipe has several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """An experiment that can be written down and run."""

    name: str
    """Its name."""
    about: str
    """What it measures, in a sentence: the first line of the file."""
    text: str
    """The experiment file."""
    published: tuple[PublishedForecast, ...]
    """What is published of it; losses are of other held-out text."""


@cache
def recipe_names() -> tuple[str, ...]:
    """Names of the recipes, sorted."""
    names = (each.name for each in _FILES.iterdir())
    return tuple(sorted(name.removesuffix(_END) for name in names if name.endswith(_END)))


@cache
def catalogued_recipe(name: str) -> Recipe:
    """The recipe of a name.

    Raises:
        LabError: there is none.
    """
    if name not in recipe_names():
        raise LabError(f'the catalogue has no recipe "{name}". {near(name, recipe_names())}')
    text = _FILES.joinpath(f"{name}{_END}").read_text("utf-8")
    rows = tomllib.loads(_FILES.joinpath(_PUBLISHED).read_text("utf-8")).get(name, [])
    return Recipe(
        name=name,
        about=text.splitlines()[0].removeprefix("#").strip(),
        text=text,
        published=tuple(from_json(PublishedForecast, row, what=_PUBLISHED) for row in rows),
    )
