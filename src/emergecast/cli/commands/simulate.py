"""Command that makes tables with a known truth: simulate."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emergecast.cli._options import DigestOption, JsonOption, RawOption, out_file
from emergecast.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emergecast.simulation import Design, Simulated, Truth

RANDOM = "random"
"""What `--truth` takes beside NAME=VALUE, and `--design` beside a name: one drawn at random."""


def simulate(
    design: Annotated[
        str | None,
        typer.Option(
            help="Bundled design, or a .toml file of your own. Or random: draw one.",
            metavar="FILE|NAME",
        ),
    ] = None,
    truth: Annotated[
        list[str] | None,
        typer.Option(
            help="Replace a value of the design's truth; repeatable. Or random: draw one.",
            metavar="NAME=VALUE",
        ),
    ] = None,
    ahead: Annotated[
        float | None,
        typer.Option(
            help="Put the elbow where it takes this many times the FLOPs of the strongest present"
            " checkpoint.",
            metavar="RATIO",
        ),
    ] = None,
    departure: Annotated[
        str | None, typer.Option(help="How to depart from the law; --list names them.")
    ] = None,
    future_by_chance: Annotated[
        bool,
        typer.Option(
            "--future-by-chance",
            help="Finetune later checkpoints too, and mark as future those that fit"
            " --at-chance-only hides.",
        ),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same table.")] = 0,
    out: Annotated[
        Path | None,
        out_file("Table to write; the truth goes beside it as JSON."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite the table and the truth if they are there.")
    ] = False,
    listing: Annotated[
        bool, typer.Option("--list", help="List the bundled designs and the departures.")
    ] = False,
    raw: RawOption = False,
    digest: DigestOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a table drawn from a known truth, to try a forecast on.

    Prints the truth and where a forecast should put the elbow, and writes both beside the table as
    NAME.truth.json. Checkpoints that come later are marked in the column future.

    Example: `emergecast simulate --design small --departure falling-slope --seed 1 -o table.csv`
    """
    if listing:
        _list(as_json=as_json)
        return
    import numpy as np

    from emergecast.files import save_text
    from emergecast.measurements import check_suffix
    from emergecast.simulation import load_design, random_design, random_truth, truth_ahead
    from emergecast.simulation import simulate as draw

    if design is None:
        raise OptionError(
            "nothing says what to simulate. Give --design NAME; --list shows all of them."
        )
    if out is None:
        raise OptionError("nothing says where to write the table. Give -o TABLE.")
    if ahead is not None and future_by_chance:
        raise OptionError(
            "--ahead puts the elbow past the design's horizon, and --future-by-chance counts every"
            " checkpoint before the elbow as present. Leave one of them out."
        )
    check_suffix(out)
    for path in (out, out.with_name(f"{out.stem}.truth.json")):
        if path.exists() and not force:
            raise OptionError(
                f'"{path}" is there already. Choose another name with -o, or overwrite it with '
                "--force."
            )
    rng = np.random.default_rng(seed)
    found = random_design(rng) if design == RANDOM else load_design(design)
    at_random, changes = _changes(truth)
    drawn = random_truth(found, rng) if at_random else found.truth
    drawn = _overridden(drawn, changes)
    drawn = drawn if ahead is None else truth_ahead(found, ahead, drawn)
    simulated = draw(found, drawn, departure=departure, future_by_chance=future_by_chance, rng=rng)
    simulated.table.write(out, raw=raw, digest=digest)
    record = {"seed": seed, "future_by_chance": future_by_chance, **_record(found, simulated)}
    beside = save_text(json.dumps(record, indent=2) + "\n", out.parent, f"{out.stem}.truth.json")
    if as_json:
        print(json.dumps({**record, "table": str(out), "sidecar": str(beside)}, indent=2))
        return
    for line in _lines(found, simulated, seed):
        print(line)
    hiding = " --where future=false" if _counts(simulated)[1] else ""
    print(f"Wrote {out} and {beside.name}. Next: emergecast fit {out}{hiding}")


def _changes(texts: list[str] | None) -> tuple[bool, dict[str, str]]:
    """Whether the truth is to be drawn, and the values to replace in it."""
    changes: dict[str, str] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if text.strip() == RANDOM:
            continue
        if not equals or not name.strip():
            raise OptionError(f'--truth takes NAME=VALUE or {RANDOM}, not "{text}".')
        changes[name.strip()] = value.strip()
    return any(text.strip() == RANDOM for text in texts or ()), changes


def _overridden(truth: Truth, changes: dict[str, str]) -> Truth:
    from emergecast.simulation import override_truth

    return override_truth(truth, changes) if changes else truth


def _record(design: Design, simulated: Simulated) -> dict[str, Any]:
    """What the table was drawn from, for JSON."""
    return {
        "design": simulated.design,
        "departure": simulated.departure,
        "effects": dataclasses.asdict(simulated.effects),
        "truth": _values(simulated.truth),
        "few_shot_examples": design.few_shot_examples,
        "horizon": design.horizon,
        "estimand": simulated.estimand,
        "crossing": simulated.crossing,
        "rows": len(simulated.table),
        "table_hash": simulated.table.hash,
    }


def _counts(simulated: Simulated) -> tuple[int, int]:
    """Present and future checkpoints of the table."""
    frame = simulated.table.frame.unique(["series", "checkpoint"])
    future = int(frame["future"].sum()) if "future" in frame.columns else 0
    return frame.height - future, future


def _values(truth: Truth) -> dict[str, Any]:
    """The truth by name, without the K of a hill law where the law has none."""
    values = dataclasses.asdict(truth)
    if truth.form != "hill":
        del values["half"]
    return values


def _lines(design: Design, simulated: Simulated, seed: int) -> Iterator[str]:
    present, future = _counts(simulated)
    yield (
        f"{simulated.design}: {len(simulated.table):,} scores of {present} present and {future} "
        f"future checkpoints, seed {seed}"
    )
    shown = ", ".join(
        f"{name} {value if isinstance(value, str) else format(value, '.5g')}"
        for name, value in _values(simulated.truth).items()
    )
    yield f"Truth: {shown}; D0 = {design.few_shot_examples:g}."
    yield f"Departure: {simulated.departure or 'none'}."
    yield (
        "Estimand: none, because no ReLU fits the noiseless few-shot scores."
        if simulated.estimand is None
        else f"Estimand: {simulated.estimand:.4f} nats, the elbow of a ReLU fitted to the "
        "noiseless few-shot scores."
    )
    yield (
        "Crossing: none, because no noiseless few-shot score goes from below to above chance + 0.02"
        " (best - chance)."
        if simulated.crossing is None
        else f"Crossing: {simulated.crossing:.4f} nats, where the noiseless few-shot score reaches"
        " chance + 0.02 (best - chance)."
    )


def _list(*, as_json: bool) -> None:
    from emergecast.simulation import Departure, design_names, load_design

    designs = {name: load_design(name).description for name in design_names()}
    designs[RANDOM] = "Drawn from the seed, as uneven as pools of real models"
    departures = {each.value: each.sentence for each in Departure}
    if as_json:
        print(json.dumps({"designs": designs, "departures": departures}, indent=2))
        return
    width = max(map(len, [*designs, *departures]))
    for title, lines in (("Designs", designs), ("Departures", departures)):
        print(title)
        for name, text in lines.items():
            print(f"  {name:<{width}}  {text}")
