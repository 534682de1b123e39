"""The published schema of forecast.json."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any


def json_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of one forecast as `Forecast.to_dict` returns it."""
    text = files("emergecast.forecasts").joinpath("forecast.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
