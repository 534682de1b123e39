"""Experiments by name: files to write down and run, with the figures that are published for them.

What a paper does not say is marked in the file as our choice. It refuses to mix the two.
"""

from __future__ import annotations

from emergecast.lab.catalogue.recipes._recipe_registry import (
    PublishedForecast,
    Recipe,
    catalogued_recipe,
    recipe_names,
)

__all__ = ["PublishedForecast", "Recipe", "catalogued_recipe", "recipe_names"]
