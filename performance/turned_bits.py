"""10,000 single bits turned in tables and frozen files: does any of them change a number unsaid?

`python performance/turned_bits.py` runs what `tests/measurements/reading/test_what_was_written.py`
runs a share of. Parquet tables hold a digest of their cells; the CSV and JSON Lines tables have one
beside them; frozen files hold a hash. Takes some minutes on one core.
"""

from __future__ import annotations

import collections
import tempfile
from pathlib import Path

from _report import arguments, one_core, publish, table

# isort: split

from tests.measurements.reading import turned_bits

SEED = 15


def main() -> None:
    """Turns the bits and prints how many readings ended how."""
    options = arguments(__doc__ or "", count=10_000)
    one_core()
    with tempfile.TemporaryDirectory() as folder:
        counts = turned_bits.turn(SEED, options.count, Path(folder))
    ends = (turned_bits.ERROR, turned_bits.SAME, turned_bits.OTHER)
    names = dict.fromkeys(key.partition(":")[0] for key in sorted(counts))
    rows = [[name, *(f"{counts[f'{name}: {end}']:,}" for end in ends)] for name in names]
    total = collections.Counter[str]()
    for key, count in counts.items():
        total[key.partition(": ")[2]] += count
    rows.append(["all", *(f"{total[end]:,}" for end in ends)])
    text = table(["file", *ends], rows)
    text += f"\n\n{counts.total():,} bits; any traceback would have ended the script.\n"
    publish("turned_bits", text, write=options.write)


if __name__ == "__main__":
    main()
