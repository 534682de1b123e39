"""How long do 1,000 bootstrap refits take, by finetuning run and by checkpoint?"""

from __future__ import annotations

import time

from _report import arguments, one_core, publish, table
from emergecast.inference import FitOptions
from emergecast.measurements import SelectOptions

# isort: split

from tests.referees import simulate


def main() -> None:
    """Times both kinds of resampling on a few tables."""
    import emergecast
    from emergecast.inference import Resample

    options = arguments(__doc__ or "", tables=3, seed=1, refits=1000)
    one_core()
    rows: list[list[object]] = []
    for i, drawn in enumerate(simulate.random_tables(options.tables, options.seed)):
        fit = emergecast.fit(
            simulate.as_rows(drawn),
            SelectOptions(task="t"),
            FitOptions(few_shot_examples=drawn.few_shot_examples, law=drawn.law),
        )
        for kind in Resample:
            began = time.perf_counter()
            result = fit.bootstrap(kind, n=options.refits)
            seconds = time.perf_counter() - began
            done = "none" if result is None else f"{seconds:.1f}"
            each = "" if result is None else f"{1000 * seconds / options.refits:.1f}"
            rows.append([i, drawn.law, len(drawn.loss), kind.value, done, each])
    header = ["table", "law", "rows", "resampled", f"{options.refits} refits, s", "one refit, ms"]
    publish("bootstrap", table(header, rows), write=options.write)


if __name__ == "__main__":
    main()
