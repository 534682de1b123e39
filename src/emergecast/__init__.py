"""Forecast at which pretraining loss a capability will emerge, from checkpoints at chance.

import emergecast

forecast = emergecast.fit("table.csv", task="mmlu").forecast()
print(forecast, forecast.quantile([0.05, 0.5, 0.95]), forecast.emerged(1.9))
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from emergecast.errors import EmergecastError
    from emergecast.fit import Fit, Posterior, Priors, fit
    from emergecast.forecast import Forecast, Verdict
    from emergecast.measurements import Measurements, SelectOptions, read_table

__all__ = [
    "EmergecastError",
    "Fit",
    "Forecast",
    "Measurements",
    "Posterior",
    "Priors",
    "SelectOptions",
    "Verdict",
    "fit",
    "read_table",
]

_HOME = {
    "EmergecastError": "errors",
    "Fit": "fit",
    "Forecast": "forecast",
    "Measurements": "measurements",
    "Posterior": "fit",
    "Priors": "fit",
    "SelectOptions": "measurements",
    "Verdict": "forecast",
    "fit": "fit",
    "read_table": "measurements",
}


def _public(name: str) -> Any:  # noqa: ANN401  whatever the name stands for
    from importlib import import_module

    return getattr(import_module(f"emergecast.{_HOME[name]}"), name)


def __getattr__(name: str) -> Any:  # noqa: ANN401  as above
    """Import a public name when it is first used, so that `import emergecast` stays fast."""
    if name == "__version__":
        from importlib.metadata import version

        return version("emergecast")
    if name not in _HOME:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return _public(name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


class _Package(ModuleType):
    """The room `fit` and the function `fit` share a name: the attribute is always the function."""

    @property
    def fit(self) -> Callable[..., Fit]:
        """`emergecast.fit.fit`, imported when first used."""
        function: Callable[..., Fit] = _public("fit")
        return function

    @fit.setter
    def fit(self, room: ModuleType) -> None:
        """Importing the room binds it here; it is reached by `from emergecast.fit import ...`."""


sys.modules[__name__].__class__ = _Package
