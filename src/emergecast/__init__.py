"""Forecast at which pretraining loss a capability will emerge, from checkpoints at chance.

import emergecast

forecast = emergecast.forecast("table.csv", emergecast.SelectOptions(task="mmlu"))
print(forecast, forecast.quantile([0.05, 0.5, 0.95]), forecast.emerged(1.9))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emergecast.backtests import backtest
    from emergecast.comparison import compare
    from emergecast.errors import EmergecastError
    from emergecast.forecasts import Forecast, ForecastOptions, Verdict, forecast, forecast_each
    from emergecast.inference import Fit, FitOptions, Posterior, Priors, fit
    from emergecast.measurements import Measurements, SelectOptions, read_table
    from emergecast.simulation import simulate
    from emergecast.suggestions import suggest

__all__ = [
    "EmergecastError",
    "Fit",
    "FitOptions",
    "Forecast",
    "ForecastOptions",
    "Measurements",
    "Posterior",
    "Priors",
    "SelectOptions",
    "Verdict",
    "backtest",
    "compare",
    "fit",
    "forecast",
    "forecast_each",
    "read_table",
    "simulate",
    "suggest",
]

_ROOM = {
    "EmergecastError": "errors",
    "Fit": "inference",
    "FitOptions": "inference",
    "Forecast": "forecasts",
    "ForecastOptions": "forecasts",
    "Measurements": "measurements",
    "Posterior": "inference",
    "Priors": "inference",
    "SelectOptions": "measurements",
    "Verdict": "forecasts",
    "backtest": "backtests",
    "compare": "comparison",
    "fit": "inference",
    "forecast": "forecasts",
    "forecast_each": "forecasts",
    "read_table": "measurements",
    "simulate": "simulation",
    "suggest": "suggestions",
}
"""Where each public name lives. No room bears a name of this list."""


def __getattr__(name: str) -> Any:  # noqa: ANN401  whatever the name stands for
    """Import a public name when it is first used, so that `import emergecast` stays fast."""
    from importlib import import_module

    if name == "__version__":
        from importlib.metadata import version

        return version("emergecast")
    if name not in _ROOM:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"emergecast.{_ROOM[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
