"""Forecast at which pretraining loss a capability will emerge, from checkpoints at chance."""

from __future__ import annotations


def __getattr__(name: str) -> str:
    """Look the version up only when asked: reading package metadata is slow."""
    if name == "__version__":
        from importlib.metadata import version

        return version("emergecast")
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
