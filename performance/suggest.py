"""How many GPU-hours does `suggest` save on the way to a given width of the forecast's interval?

Each simulated table is a pool of runs that nobody has made yet: eight checkpoints at chance, eight
amounts of data, two data subsets, all with outcomes drawn from a law that no prior drew. Every
policy starts from the few-shot rows alone and makes one run after another until the 90% interval of
the few-shot elbow is as narrow as can be:

    suggest    what `suggest` says, a fifth of the runs so far (at least one) at a time
    random     any run that is left
    cheapest   the cheapest run that is left
    largest    the most data first, over all checkpoints

    python -m performance.suggest [--tables 200] [--processes 2]    goes on where it stopped
    python -m performance.suggest --write                           docs/suggest.md and its picture
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import sys
from collections.abc import Callable
from multiprocessing import Pool
from pathlib import Path
from typing import Any

from emergecast.inference import FitOptions

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ[_name] = "1"
ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import altair as alt  # noqa: E402  the environment comes first
import numpy as np  # noqa: E402
from performance._report import table  # noqa: E402

from emergecast.emergence_law import LawForm  # noqa: E402
from emergecast.inference import fit  # noqa: E402
from emergecast.report import save  # noqa: E402
from emergecast.simulation import Design, load_design, random_truth, simulate  # noqa: E402
from emergecast.suggestions import Cost, SuggestOptions, suggest  # noqa: E402

RESULTS = ROOT / "performance" / "results" / "suggest.jsonl"
PAGE, PICTURES = ROOT / "docs" / "suggest.md", ROOT / "docs" / "pictures"
AMOUNTS = (30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000)
LAW = "log-power"
FORMS = (LawForm.LOG_POWER, LawForm.POWER)
SHARE = 0.2
"""Of the runs made so far, how many `suggest` is asked for at a time."""
LEAST = 1e-4
"""Nats that a run must add to be named; the rest of a plan is then made by price."""
STEP = 1.3
"""The other policies are fitted again each time they have this many times as many runs."""
NARROW = 0.12
"""Nats at which a policy may stop: no target is narrower."""
TARGETS = (0.25, 0.2, 0.15)
COST = Cost(flops_per_second=4e14)
"""The rate that the results were made with; it scales all but the overhead."""
Cell = tuple[str, int]
Row = dict[str, Any]


def pool_design() -> Design:
    """The checkpoints of the small design that are there now, on eight amounts, twice each."""
    small = load_design("small")
    return dataclasses.replace(
        small, name="pool", examples=AMOUNTS, checkpoints=small.present, horizon=None, subsets=2
    )


class Runs:
    """The runs of one table that can still be made, and those that were."""

    def __init__(self, number: int) -> None:
        """Table `number`, with its truth."""
        design = pool_design()
        rng = np.random.default_rng([29, number])
        self.truth = random_truth(design, rng, forms=FORMS)
        rows = simulate(design, self.truth, rng=rng).table.frame.to_dicts()
        self.made: list[Row] = [row for row in rows if row["setting"] == "few_shot"]
        self.left: dict[Cell, list[Row]] = {}
        self.hours: dict[Cell, float] = {}
        for row in rows:
            if row["setting"] == "finetuned":
                cell = (row["checkpoint"], row["examples"])
                self.left.setdefault(cell, []).append(row)
                self.hours[cell] = COST.hours(row["params"], row["examples"], row["n_items"])
        self.spent, self.runs = 0.0, 0

    def make(self, cell: Cell) -> None:
        """Make a run."""
        self.made.append(self.left[cell].pop(0))
        self.spent += self.hours[cell]
        self.runs += 1
        if not self.left[cell]:
            del self.left[cell]

    def state(self) -> list[float]:
        """GPU-hours, runs, and the 5, 50 and 95% quantiles of the forecast."""
        found = fit(self.made, options=FitOptions(law=LAW)).posterior.quantile([0.05, 0.5, 0.95])
        return [self.spent, self.runs, *map(float, found)]


def one(number: int) -> Row:
    """The course of every policy on one table: a list of states each."""
    record: Row = {"number": number, "elbow": Runs(number).truth.elbow}
    for name, order in POLICIES.items():
        pool = Runs(number)
        rng = np.random.default_rng([31, number])
        record[name] = follow_suggest(pool) if order is None else follow(pool, order(pool, rng))
        record["total_hours"] = sum(
            pool.hours[row["checkpoint"], row["examples"]]
            for row in [*pool.made, *(row for rows in pool.left.values() for row in rows)]
            if row["setting"] == "finetuned"
        )
    return record


def follow_suggest(pool: Runs) -> list[list[float]]:
    """Ask, make the runs, ask again."""
    course: list[list[float]] = []
    while pool.left and not (course and course[-1][4] - course[-1][2] <= NARROW):
        offered = [
            {"checkpoint": name, "examples": amount, "runs": len(rows)}
            for (name, amount), rows in pool.left.items()
        ]
        most = max(1, int(SHARE * pool.runs))
        options = SuggestOptions(budget=1e9, most=most, least=LEAST, cost=COST)
        plan = suggest(pool.made, options, fitting=FitOptions(law=LAW), candidates=offered)
        if pool.runs:
            course.append([pool.spent, pool.runs, *plan.quantiles])
        for run in plan.runs:
            pool.make((run.candidate.checkpoint, run.candidate.examples or 0))
        if not plan.runs:  # nothing says anything: make the cheapest, and go on
            pool.make(min(pool.left, key=lambda cell: pool.hours[cell]))
    return [*course, pool.state()]


def follow(pool: Runs, order: list[Cell]) -> list[list[float]]:
    """Make the runs in a given order."""
    course: list[list[float]] = []
    due = 1.0
    for cell in order:
        pool.make(cell)
        if pool.runs >= due or not pool.left:
            course.append(pool.state())
            due = max(pool.runs + 1.0, STEP * pool.runs)
            if course[-1][4] - course[-1][2] <= NARROW:
                break
    return course


def cells(pool: Runs, rng: np.random.Generator, key: Callable[[Cell], Any]) -> list[Cell]:
    """Every run by a key, in random order where it ties."""
    runs = [cell for cell, rows in pool.left.items() for _ in rows]
    return sorted((runs[i] for i in rng.permutation(len(runs))), key=key)


POLICIES: dict[str, Callable[[Runs, np.random.Generator], list[Cell]] | None] = {
    "suggest": None,
    "random": lambda pool, rng: cells(pool, rng, lambda _: 0),
    "cheapest": lambda pool, rng: cells(pool, rng, lambda cell: pool.hours[cell]),
    "largest": lambda pool, rng: cells(pool, rng, lambda cell: -cell[1]),
}


def run_missing(tables: int, processes: int) -> None:
    """Every table that is not there yet."""
    done = {record["number"] for record in records()}
    wanted = [number for number in range(tables) if number not in done]
    with RESULTS.open("a", encoding="utf-8") as out, Pool(processes) as workers:
        for i, record in enumerate(workers.imap_unordered(one, wanted), start=1):
            out.write(json.dumps(record) + "\n")
            out.flush()
            if i % 10 == 0 or i == len(wanted):
                print(f"suggest: {i} of {len(wanted)}", flush=True)


def records() -> list[Row]:
    """What is measured so far."""
    if not RESULTS.exists():
        return []
    return [json.loads(line) for line in RESULTS.read_text("utf-8").splitlines()]


# -------------------------------------------------------------------------------- the summary


def hours_to(course: list[list[float]], width: float) -> float:
    """GPU-hours at which the interval is first this narrow; inf where it never is.

    Between two fits the width is taken to fall evenly with the hours.
    """
    before = course[0]
    for state in course:
        if state[4] - state[2] <= width:
            wide, narrow = before[4] - before[2], state[4] - state[2]
            share = (wide - width) / (wide - narrow) if wide > width else 1.0
            return float(before[0] + share * (state[0] - before[0]))
        before = state
    return math.inf


def summary(found: list[Row]) -> str:
    """GPU-hours of each policy to each width, and the ratio to choosing at random."""
    lines: list[list[object]] = []
    for width in TARGETS:
        for name in POLICIES:
            own = np.array([hours_to(row[name], width) for row in found])
            random = np.array([hours_to(row["random"], width) for row in found])
            both = np.isfinite(own) & np.isfinite(random)
            ratio = float(np.sum(own[both]) / np.sum(random[both]))
            middle = float(np.median(own))
            lines.append(
                [
                    f"{width:g}",
                    name,
                    int(np.isfinite(own).sum()),
                    "not reached" if math.isinf(middle) else f"{middle:.2f}",
                    f"{100 * ratio:.0f} ± {100 * jackknife(own[both], random[both]):.0f}%",
                    f"{100 * np.median(own[both] / random[both]):.0f}%",
                    f"{100 * held(found, name, width):.0f}%",
                ]
            )
    head = [
        "90% width, nats", "policy", f"reached, of {len(found)}", "median GPU-hours",
        "GPU-hours over random's", "median ratio", "then holds the truth",
    ]  # fmt: skip
    return table(head, lines)


def jackknife(own: np.ndarray[Any, Any], random: np.ndarray[Any, Any]) -> float:
    """Standard error of the ratio of the sums."""
    n = own.size
    if n < 2:
        return math.nan
    without = (own.sum() - own) / (random.sum() - random)
    return float(math.sqrt((n - 1) / n * np.sum((without - without.mean()) ** 2)))


def held(found: list[Row], name: str, width: float) -> float:
    """How often the 90% interval holds the truth when it is first this narrow."""
    first = [
        (next((s for s in row[name] if s[4] - s[2] <= width), None), row["elbow"]) for row in found
    ]
    hits = [state[2] <= elbow <= state[4] for state, elbow in first if state is not None]
    return float(np.mean(hits)) if hits else math.nan


def curve(found: list[Row]) -> alt.LayerChart:
    """Median width of the interval against GPU-hours, with quartiles, for each policy."""
    hours = np.geomspace(0.05, max(row["total_hours"] for row in found), 60)
    values = []
    for name in POLICIES:
        widths = np.array([widths_at(row[name], hours) for row in found])
        low, middle, high = np.quantile(widths, [0.25, 0.5, 0.75], axis=0)
        values += [
            {"policy": name, "hours": h, "low": a, "width": b, "high": c}
            for h, a, b, c in zip(hours, low, middle, high, strict=True)
        ]
    names = list(POLICIES)
    colours = ["#e8862e", "#1a1a1a", "#21918c", "#3b528b"]
    legend = alt.Legend(title="next run", symbolOpacity=1, symbolType="stroke", symbolStrokeWidth=3)
    scale = alt.Scale(domain=names, range=colours)
    colour = alt.Color("policy:N", sort=names, scale=scale, legend=legend)
    ends = alt.Scale(type="log", domain=[float(hours[0]), float(hours[-1])], nice=False)
    x = alt.X("hours:Q", scale=ends, title="GPU-hours spent on finetuning")
    tall = alt.Scale(domain=[0.0, 0.34], clamp=True)
    base = alt.Chart(alt.InlineData(values=values))
    title = "width of the 90% interval of the few-shot elbow, nats"
    line = base.mark_line(strokeWidth=2).encode(
        x=x, y=alt.Y("width:Q", title=title, scale=tall), color=colour
    )
    two = base.transform_filter("datum.policy == 'suggest' || datum.policy == 'random'")
    band = two.mark_area(opacity=0.15).encode(
        x=x, y=alt.Y("low:Q", scale=tall), y2="high:Q", color=colour
    )
    return (
        alt.LayerChart(layer=[band, line])
        .properties(
            width=560, height=320,
            title=f"Median over {len(found)} simulated tables; bands: half of the tables",
        )
        .configure_view(stroke=None)
    )  # fmt: skip


def widths_at(course: list[list[float]], hours: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Width at each number of GPU-hours: that of the last fit before it."""
    spent = np.array([0.0, *(state[0] for state in course)])
    first = course[0][4] - course[0][2]
    width = np.array([first, *(state[4] - state[2] for state in course)])
    return width[np.searchsorted(spent, hours, side="right") - 1]


def main() -> None:
    """Run what is missing, or write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=int, default=200)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    if not options.write:
        run_missing(options.tables, options.processes)
    found = sorted(records(), key=lambda row: row["number"])[: options.tables]
    text = summary(found)
    print(text)
    if options.write:
        page = PAGE.read_text("utf-8")
        start = page.index("<!-- saved -->") + len("<!-- saved -->")
        end = page.index("<!-- end -->", start)
        PAGE.write_text(f"{page[:start]}\n\n{text}\n\n{page[end:]}", "utf-8")
        save(curve(found), PICTURES, "suggest-saved")


if __name__ == "__main__":
    main()
