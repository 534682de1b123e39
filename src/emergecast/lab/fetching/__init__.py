"""What an experiment needs of the hub: how much that is, getting it, and letting it go again.

Everything goes through the cache of the hub, so a download that was stopped goes on where it
stopped. It refuses to start where the disk has too little room, and deletes nothing but weights
that were fetched for the experiment.
"""

from __future__ import annotations

from emergecast.lab.fetching._fetch import Fetched, fetch
from emergecast.lab.fetching._fetch_ahead import FetchAhead
from emergecast.lab.fetching._needs import Need, NeedKind, Needs, needs_of, weights_of

__all__ = ["FetchAhead", "Fetched", "Need", "NeedKind", "Needs", "fetch", "needs_of", "weights_of"]
