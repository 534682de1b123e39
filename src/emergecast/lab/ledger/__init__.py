"""Every result the moment it exists, exactly once, in one SQLite file.

It refuses a file that another program wrote, and never changes what was recorded. It proves what it
holds: what was lost or damaged is said, and never left out in silence.
"""

from __future__ import annotations

from emergecast.lab.ledger._backup import back_up
from emergecast.lab.ledger._damage import Damage, LedgerCheck
from emergecast.lab.ledger._examine import examine
from emergecast.lab.ledger._ledger import Ledger
from emergecast.lab.ledger._merge import Merged, merge
from emergecast.lab.ledger._outcome import (
    GRADING,
    HUB,
    LAST_STEP,
    Attempt,
    Failure,
    Outcome,
    Result,
    State,
)
from emergecast.lab.ledger._owner import SILENCE, Owner, this_process
from emergecast.lab.ledger._repair import Repaired, repair

__all__ = [
    "GRADING",
    "HUB",
    "LAST_STEP",
    "SILENCE",
    "Attempt",
    "Damage",
    "Failure",
    "Ledger",
    "LedgerCheck",
    "Merged",
    "Outcome",
    "Owner",
    "Repaired",
    "Result",
    "State",
    "back_up",
    "examine",
    "merge",
    "repair",
    "this_process",
]
