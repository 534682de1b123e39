"""Every result the moment it exists, exactly once, in one SQLite file.

It refuses a file that another program wrote, and never changes what was recorded.
"""

from __future__ import annotations

from emergecast.lab.ledger._damage import Damage
from emergecast.lab.ledger._ledger import Ledger
from emergecast.lab.ledger._outcome import Attempt, Failure, Outcome, Result, State
from emergecast.lab.ledger._owner import SILENCE, Owner, this_process

__all__ = [
    "SILENCE",
    "Attempt",
    "Damage",
    "Failure",
    "Ledger",
    "Outcome",
    "Owner",
    "Result",
    "State",
    "this_process",
]
