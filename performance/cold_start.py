"""Cold starts: `emergecast fit` and `--help` against `python -c "import scipy.optimize, polars"`.

New processes, taken in turn, so that a slow minute of the machine slows all alike.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _report import arguments, one_core, publish, table

# isort: split

import polars as pl
from tests.referees import simulate


def seconds(command: list[str]) -> float:
    """Wall time of one process; 0 (a forecast) and 3 (refused) are both answers."""
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in {0, 3}:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return time.perf_counter() - began


def main() -> None:
    """Times the commands in turn and prints medians and ratios."""
    options = arguments(__doc__ or "", repeats=7, seed=1)
    one_core()
    drawn = simulate.random_tables(1, options.seed)[0]
    shots = str(int(drawn.few_shot_examples))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "table.csv")
        pl.DataFrame(simulate.as_rows(drawn), infer_schema_length=None).write_csv(path)
        package = [sys.executable, "-m", "emergecast"]
        chosen = [str(path), "--task", "t", "--few-shot-examples", shots]
        commands = {
            "import scipy.optimize, polars": [
                sys.executable, "-c", "import scipy.optimize, polars",
            ],
            "emergecast --help": [*package, "--help"],
            "emergecast fit --json": [*package, "fit", *chosen, "--json"],
            "emergecast fit -o FOLDER": [*package, "fit", *chosen, "-o", folder],
        }  # fmt: skip
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for turn in range(options.repeats + 1):
            for name, command in commands.items():
                value = seconds(command)
                if turn:  # the first fills the disk cache
                    taken[name].append(value)
    medians = {name: statistics.median(values) for name, values in taken.items()}
    base = medians["import scipy.optimize, polars"]
    rows = [
        [f"`{name}`", f"{m:.2f}", f"{min(taken[name]):.2f}", f"{m / base:.2f}x"]
        for name, m in medians.items()
    ]
    text = table(["command", "median, s", "fastest, s", "ratio"], rows)
    publish("cold_start", text, write=options.write)


if __name__ == "__main__":
    main()
