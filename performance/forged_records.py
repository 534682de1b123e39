"""10,000 forged or broken frozen files, and as many lines of a tally: how does reading them end?

`python performance/forged_records.py` runs what `tests/track_record/test_forged.py` runs a share
of. Two of three mutants are well formed, wrong in one field and signed again with the right hash;
the third is damaged. A traceback would end the script. A well-formed mutant may be wrong where no
rule can know it, as in a note, in a number that nothing is made of, or in a score of a tally.
"""

from __future__ import annotations

import collections

from _report import arguments, one_core, publish, table

# isort: split

from tests.track_record import forging

CHUNK = 1000


def main() -> None:
    """Forges them and prints how many ended how."""
    options = arguments(__doc__ or "", count=10_000)
    one_core()
    rows = []
    for of in ("frozen", "tally"):
        found = collections.defaultdict[str, collections.Counter[str]](collections.Counter)
        for seed in range(options.count // CHUNK):
            for kind, counts in forging.fuzz(seed, CHUNK, of=of).items():
                found[kind].update(counts)
        for kind, counts in found.items():
            rows.append([of, kind, "all", f"{counts.total():,}"])
            rows += [[of, kind, end, f"{count:,}"] for end, count in counts.most_common()]
    text = table(["file", "mutants", "ended", "how many"], rows)
    publish("forged_records", text, write=options.write)


if __name__ == "__main__":
    main()
