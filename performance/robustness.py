"""5,000 tables of every kind of damage, and 5,000 of pure chance: how do they end?

`python performance/robustness.py` runs what `tests/test_robustness.py` runs a share of. Any damaged
table must end in a verdict or in a named error, with no warning; none of pure chance may come back
identified or observed. Takes a quarter of an hour or more on one core.
"""

from __future__ import annotations

import warnings
from collections import Counter

from _report import arguments, one_core, publish, table

# isort: split

from tests import conftest  # noqa: F401  how hypothesis searches
from tests import test_robustness as robustness

FUZZ, CHANCE = 40, 40
"""Chunks."""


def main() -> None:
    """Runs every chunk and prints how many tables ended how."""
    options = arguments(__doc__ or "")
    one_core()
    warnings.simplefilter("error")
    damaged, chance = Counter[str](), Counter[str]()
    for chunk in range(FUZZ):
        damaged.update(robustness.fuzz(chunk))
    for chunk in range(CHANCE):
        chance.update(robustness.chance(chunk))
    rows = [
        [kind, ended, f"{count:,}"]
        for kind, counts in (("damaged", damaged), ("pure chance", chance))
        for ended, count in counts.most_common()
    ]
    publish("robustness", table(["tables", "ended", "how many"], rows), write=options.write)


if __name__ == "__main__":
    main()
