"""Public series of checkpoints by name: where they are, how long they trained, which are bad.

One TOML file a family; `left_out.toml` says which families cannot be loaded, and why. It refuses to
guess: a number of tokens that is not known is None, and a bad revision is left out with its reason.
"""

from __future__ import annotations

from emergecast.lab.catalogue.series._catalogued import (
    BadRevision,
    CataloguedSeries,
    ListedCheckpoint,
    StoredAs,
)
from emergecast.lab.catalogue.series._expand import Expansion, checkpoint_of, expand
from emergecast.lab.catalogue.series._read_families import (
    catalogued_series,
    left_out_families,
    series_names,
)
from emergecast.lab.catalogue.series._verify import Suspicion, Verification, WhoSaid, verify

__all__ = [
    "BadRevision",
    "CataloguedSeries",
    "Expansion",
    "ListedCheckpoint",
    "StoredAs",
    "Suspicion",
    "Verification",
    "WhoSaid",
    "catalogued_series",
    "checkpoint_of",
    "expand",
    "left_out_families",
    "series_names",
    "verify",
]
