"""5,000 flipped bits, 200 cut files and 5,200 wrong fields of a ledger: is a difference unsaid?

`python performance/ledger_damage.py` runs what `tests/lab/ledger/test_damage.py` runs a share of.
Whatever is damaged, `status`, `export` and `ledger check` must say what was written, or that
something is wrong, and another run must end in the same table. Takes half an hour on one core.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

from _report import arguments, one_core, publish, table

# isort: split

from tests.lab.ledger.damage import Ground, fuzz, is_bad


def main() -> int:
    """Damages, asks, and prints how many ended how."""
    options = arguments(__doc__ or "", flips=5000, cuts=200, changes=5200, seed=0)
    one_core()
    counts = {"flipped": options.flips, "cut": options.cuts, "changed": options.changes}
    memory = "/dev/shm"  # noqa: S108  a disk is not what is measured
    with tempfile.TemporaryDirectory(dir=memory if Path(memory).is_dir() else None) as folder:
        ground = Ground(Path(folder))
        found = fuzz(ground, counts, random.Random(options.seed))  # noqa: S311  damage, no secret
    rows = [
        [kind, what, ended, f"{count:,}"]
        for kind, counter in found.items()
        for (what, ended), count in sorted(counter.items())
    ]
    wrong = sum(n for each in found.values() for (_, ended), n in each.items() if is_bad(ended))
    summary = (
        f"{sum(each.total() for each in found.values()):,} damaged ledgers,"
        f" {found['changed'].total():,} of them well formed and wrong in one field. Silent"
        f" differences and wrong endings: {wrong}. Tracebacks: 0 (the first would have ended this)."
    )
    text = f"{summary}\n\n{table(['kind', 'what', 'ended', 'how many'], rows)}"
    publish("ledger_damage", text, write=options.write)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
