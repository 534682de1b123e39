"""Tables and pictures of docs/calibration.md from what the parts have measured so far.

`python -m performance.calibration.summary` prints the tables as Markdown; with `--write` it puts
them into the page and draws the picture.
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import altair as alt  # noqa: E402  the path comes first
from performance._report import table  # noqa: E402
from scipy.stats import kstest  # noqa: E402

from emergecast.report import save  # noqa: E402

RESULTS = ROOT / "performance" / "results" / "calibration"
PICTURES = ROOT / "docs" / "pictures"
PAGE = ROOT / "docs" / "calibration.md"
Record = dict[str, Any]


def records(part: str) -> list[Record]:
    """What a part has measured; an ablation job holds nineteen records."""
    path = RESULTS / f"{part}.jsonl"
    if not path.exists():
        return []
    found: list[Record] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)["record"]
        found += record if isinstance(record, list) else [record]
    return found


def share(hits: Iterable[bool]) -> str:
    """A percentage with its standard error; a dash of nothing."""
    values = np.array(list(hits), dtype=float)
    if not values.size:
        return "-"
    p, n = float(values.mean()), values.size
    return f"{100 * p:.1f} ± {100 * math.sqrt(max(p * (1 - p), 0.25 / n) / n):.1f}"


def covered(places: Iterable[float], width: float) -> list[bool]:
    """Whether each truth lies in the central interval, from its place in the distribution."""
    return [abs(place - 0.5) <= width / 2 for place in places]


def grouped(rows: list[Record], key: str) -> dict[Any, list[Record]]:
    """Rows by the value of a key, in the order of their first appearance."""
    found: dict[Any, list[Record]] = {}
    for row in rows:
        found.setdefault(row[key], []).append(row)
    return found


def laws() -> str:
    """Coverage and rank tests of every law under its own prior."""
    rows = records("laws")
    tests: list[tuple[float, str, str]] = []
    lines = []
    for law, own in grouped(rows, "law").items():
        places = [row["ranks"]["forecast"] for row in own]
        for name in own[0]["ranks"].keys() | {"few_shot_offset"}:
            values = [row["ranks"][name] for row in own if name in row["ranks"]]
            if values and name != "elbow":
                tests.append((float(kstest(values, "uniform").pvalue), law, name))
        worst = min(test for test in tests if test[1] == law)
        lines.append(
            [
                f"`{law}`",
                len(own),
                share(covered(places, 0.9)),
                share(covered(places, 0.5)),
                f"{worst[0]:.2g} ({worst[2]})",
            ]
        )
    if not tests:
        return "nothing measured"
    bound = 0.05 / len(tests)
    below = sum(test[0] < bound for test in tests)
    text = table(["law", "tables", "90% covers", "50% covers", "smallest KS p (of)"], lines)
    return text + (
        f"\n\n{len(tests)} rank tests in all; the Bonferroni bound at 5% is {bound:.1g}, and "
        f"{below} of them lie below it."
    )


def mixture() -> str:
    """Coverage of the mixture for truths of each of its laws, and of all."""
    rows = records("mixture")
    lines = []
    for law, own in [*grouped(rows, "law").items(), ("all five", rows)]:
        fixed = [row["fixed"] for row in own]
        updated = [row["evidence"] for row in own]
        lines.append(
            [
                f"`{law}`" if law != "all five" else "**all five**",
                len(own),
                share(covered(fixed, 0.9)),
                share(covered(fixed, 0.5)),
                f"{kstest(fixed, 'uniform').pvalue:.2g}",
                share(covered(updated, 0.9)),
                share(covered(updated, 0.5)),
                f"{kstest(updated, 'uniform').pvalue:.2g}",
            ]
        )
    head = ["truth from", "tables", "90% covers", "50% covers", "KS p"]
    return table([*head, "by evidence: 90%", "50%", "KS p"], lines)


def skill(own: list[Record], rival: str) -> str:
    """1 - CRPS / rival's CRPS over tables, with a bootstrap standard error."""
    ours = np.array([row["crps"] for row in own])
    theirs = np.array([row[f"crps_{rival}"] for row in own])
    pick = np.random.default_rng(0).integers(ours.size, size=(500, ours.size))
    resampled = 1 - ours[pick].mean(axis=1) / theirs[pick].mean(axis=1)
    return f"{1 - ours.mean() / theirs.mean():+.2f} ± {resampled.std():.2f}"


def departures() -> str:
    """Coverage, error and skill under each departure."""
    lines = []
    for name, every in grouped(records("departures"), "departure").items():
        own = [row for row in every if "crps" in row]
        errors = [abs(row["p50"] - row["truth"]) for row in own]
        lines.append(
            [
                name,
                len(own),
                sum(row.get("verdict") == "refused" for row in every),
                share(covered([row["pit"] for row in own], 0.9)),
                share(covered([row["pit"] for row in own], 0.5)),
                f"{np.median(errors):.3f}",
                skill(own, "no_change"),
                skill(own, "prior"),
            ]
        )
    head = ["departure", "forecasts", "refused", "90% covers", "50% covers", "median error, nats"]
    return table([*head, "skill over no change", "over the prior"], lines)


def verdicts(own: list[Record]) -> Counter[str]:
    """How often each verdict was given."""
    return Counter(row["verdict"] for row in own if "verdict" in row)


def judged(own: list[Record]) -> list[object]:
    """Verdict counts, and how wrong the identified ones are."""
    counts = verdicts(own)
    sure = [
        abs(row["p50"] - row["truth"])
        for row in own
        if row.get("verdict") == "identified" and "p50" in row
    ]
    loose = [
        abs(row["p50"] - row["truth"])
        for row in own
        if row.get("verdict") == "weak" and "p50" in row
    ]
    return [
        counts["identified"],
        counts["weak"],
        counts["refused"],
        counts["observed"],
        share(np.array(sure) > 0.1) if sure else "-",
        sum(error > 0.5 for error in sure),
        share(np.array(loose) > 0.1) if loose else "-",
        share(covered([row["pit"] for row in own if "pit" in row], 0.9)),
    ]


JUDGED = [
    "identified", "weak", "refused", "observed", "identified off by > 0.1, %", "by > 0.5",
    "weak off by > 0.1, %", "90% covers",
]  # fmt: skip


def ablations() -> str:
    """Verdicts and errors of the nineteen designs, by task and by design."""
    rows = [row for row in records("ablations") if "verdict" in row]
    if not rows:
        return "nothing measured"
    by_task = [[task, *judged(own)] for task, own in grouped(rows, "task").items()]
    by_task.append(["**all**", *judged(rows)])
    by_design = [[name, *judged(own)] for name, own in grouped(rows, "ablation").items()]
    return table(["task", *JUDGED], by_task) + "\n\n" + table(["design", *JUDGED], by_design)


def horizons() -> str:
    """Coverage, skill and verdicts by how far ahead the elbow lies, and identified by design."""
    rows = records("horizons")
    ratios = sorted({row["ratio"] for row in rows})
    by_design = [
        [f"`{design}`"]
        + [
            f"{verdicts(part)['identified']} of {len(part)}"
            for part in ([row for row in own if row["ratio"] == ratio] for ratio in ratios)
        ]
        for design, own in grouped(rows, "design").items()
    ]
    counted = table(["identified", *(f"{ratio:g}x" for ratio in ratios)], by_design)
    lines = []
    for ratio, own in grouped(records("horizons"), "ratio").items():
        scored = [row for row in own if "crps" in row]
        lines.append(
            [
                f"{ratio:g}x",
                len(own),
                skill(scored, "no_change"),
                skill(scored, "prior"),
                *judged(own),
            ]
        )
    lines.sort(key=lambda line: float(str(line[0])[:-1]))
    head = ["FLOPs ahead", "tables", "skill over no change", "over the prior", *JUDGED]
    return f"{table(head, lines)}\n\n{counted}"


def coverage_picture() -> None:
    """Coverage of 90% intervals with two standard errors, for all that was measured."""
    groups: list[tuple[str, str, list[float]]] = []
    for law, own in grouped(records("laws"), "law").items():
        groups.append(("each law, own prior", law, [row["ranks"]["forecast"] for row in own]))
    for law, own in grouped(records("mixture"), "law").items():
        groups.append(("mixture, truth from one law", law, [row["fixed"] for row in own]))
    for name, own in grouped(records("departures"), "departure").items():
        groups.append(("mixture, law broken", name, [row["pit"] for row in own if "pit" in row]))
    panels = [
        panel(part, [(name, places) for each, name, places in groups if each == part])
        for part in dict.fromkeys(group[0] for group in groups)
    ]
    chart = (
        alt.vconcat(*panels, spacing=24)
        .resolve_scale(x="shared")
        .properties(title="Does a 90% interval hold the truth nine times in ten?")
        .configure_view(stroke=None)
    )
    save(chart, PICTURES, "calibration-coverage")


def panel(part: str, rows: list[tuple[str, list[float]]]) -> alt.LayerChart:
    """Coverage of some groups, a line each, with two standard errors on both sides."""
    values = []
    for name, places in rows:
        hits = np.array(covered(places, 0.9), dtype=float)
        error = 2 * math.sqrt(max(hits.mean() * (1 - hits.mean()), 0.25 / hits.size) / hits.size)
        values.append(
            {
                "name": name,
                "coverage": 100 * hits.mean(),
                "low": 100 * (hits.mean() - error),
                "high": min(100.0, 100 * (hits.mean() + error)),
            }
        )
    scale = alt.Scale(domain=[45, 100], clamp=True)
    names = [value["name"] for value in values]
    base = alt.Chart(alt.Data(values=values)).encode(
        y=alt.Y("name:N", sort=names, title=None, axis=alt.Axis(labelLimit=320, ticks=False))
    )
    points = base.mark_circle(size=60, color="#1b5e8c", opacity=1).encode(
        x=alt.X("coverage:Q", scale=scale, title="90% intervals that hold the truth, %")
    )
    bars = base.mark_rule(color="#1b5e8c").encode(x=alt.X("low:Q", scale=scale), x2="high:Q")
    wanted = alt.Chart(alt.Data(values=[{"x": 90}])).mark_rule(color="#b3261e", strokeDash=[4, 3])
    line = wanted.encode(x=alt.X("x:Q", scale=scale))
    title = alt.Title(part, anchor="start", fontSize=12)
    return alt.layer(line, bars, points).properties(width=460, title=title)


def main() -> None:
    """Print every table, or write them into the page; draw the picture."""
    parts: dict[str, Callable[[], str]] = {
        "laws": laws,
        "mixture": mixture,
        "departures": departures,
        "horizons": horizons,
        "ablations": ablations,
    }
    page = PAGE.read_text(encoding="utf-8")
    for name, made in parts.items():
        text = made() if records(name) else "Not measured yet."
        print(f"## {name}\n\n{text}\n")
        start = page.index(f"<!-- {name} -->") + len(f"<!-- {name} -->")
        page = f"{page[:start]}\n\n{text}\n\n{page[page.index('<!-- end -->', start) :]}"
    if "--write" in sys.argv:
        PAGE.write_text(page, encoding="utf-8")
        coverage_picture()


if __name__ == "__main__":
    main()
