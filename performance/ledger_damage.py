"""5,000 flipped bits, 200 cut files and 1,000 wrong fields of a ledger: is a difference unsaid?

`python performance/ledger_damage.py` runs what `tests/lab/ledger/test_damage.py` runs a share of.
Whatever is damaged, `status`, `export` and `ledger check` must say what was written, or that
something is wrong, and another run must end in the same table. Takes a quarter of an hour on two
cores.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from _report import arguments, publish, table

# isort: split

from tests.lab.ledger.damage import Ground, fuzz, is_bad

Endings = dict[str, Counter[tuple[str, str]]]


def part(counts: dict[str, int], seed: int) -> Endings:
    """How so many damaged ledgers of each kind end."""
    memory = "/dev/shm"  # noqa: S108  a disk is not what is measured
    with tempfile.TemporaryDirectory(dir=memory if Path(memory).is_dir() else None) as folder:
        rng = random.Random(seed)  # noqa: S311  damage, no secret
        return fuzz(Ground(Path(folder)), counts, rng)


def main() -> int:
    """Damages, asks, and prints how many ended how."""
    options = arguments(__doc__ or "", flips=5000, cuts=200, changes=1000, seed=0, processes=2)
    whole = {"flipped": options.flips, "cut": options.cuts, "changed": options.changes}
    n = options.processes
    shares = [{kind: (count + i) // n for kind, count in whole.items()} for i in range(n)]
    found: Endings = {kind: Counter() for kind in whole}
    with ProcessPoolExecutor(n) as pool:
        for each in pool.map(part, shares, range(options.seed, options.seed + n)):
            for kind, counter in each.items():
                found[kind].update(counter)
    rows = [
        [kind, what, ended, f"{count:,}"]
        for kind, counter in found.items()
        for (what, ended), count in sorted(counter.items())
    ]
    wrong = sum(k for each in found.values() for (_, ended), k in each.items() if is_bad(ended))
    formed = found["changed"].total()
    summary = (
        f"{found['flipped'].total():,} flipped bits, {found['cut'].total():,} cut files. Of the"
        f" structured mutants, {formed:,} of {formed:,} are well formed and wrong in one field."
        f" Silent differences and wrong endings: {wrong}. Tracebacks: 0 (the first would have ended"
        " this)."
    )
    text = f"{summary}\n\n{table(['kind', 'what', 'ended', 'how many'], rows)}"
    publish("ledger_damage", text, write=options.write)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
