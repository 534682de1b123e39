"""Damaged ledgers: flipped bits, cut files, wrong fields; and what becomes of each.

They are the ledger of a rehearsal, its write-ahead log and the file that counts its results.
`status`, `export` and `ledger check` must say what was written, or that something is wrong. Then
the experiment is run again, after a repair where the ledger was refused, and must end in the table
that it had. `python performance/ledger_damage.py` does that in full.
"""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

# isort: split

from tests.lab.executors.in_process import InProcess
from tests.lab.small_experiment import EXPERIMENT

from emergecast.cli import app
from emergecast.errors import LabError
from emergecast.lab.executors import Event, EventKind, RunOptions, run_all
from emergecast.lab.experiment import Experiment, read_experiment
from emergecast.lab.ledger import Ledger
from emergecast.lab.ledger._digests import chain_of, digest_of
from emergecast.lab.ledger._tables import FAILURE, RESULT

FAILS = ("{seconds: 0}", '{seconds: 0, items: 20, fail: "*S-2 few_shot*"}')
LEDGER, LOG, COUNT = "ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-count"
MOVED = 7
"""Results that a killed session has moved from the log into the ledger."""
COLUMNS = {"results": RESULT, "failures": FAILURE, "facts": ("fingerprint", "facts")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the commands say of an experiment."""

    states: Any
    """Of every run, and its failures with their errors."""
    table: bytes | None
    """The exported file; None where there is none."""
    results: Any
    """Everything in the ledger, each test item included; None where it is refused."""
    said: bool
    """Whether any command said that something is wrong."""


class Ground:
    """A finished experiment, with its files as they were closed and as a kill leaves them.

    All damage is done in the same folder, since what is known of a checkpoint is kept by its path.
    """

    def __init__(self, folder: Path) -> None:
        made = [sys.executable, "-m", "tests.lab.ledger.damage", str(folder)]
        subprocess.run(made, check=True, cwd=Path(__file__).parents[3])
        self.file = folder / "experiment.yaml"
        self.experiment = read_experiment(self.file)
        self.results = self.experiment.output
        self.states = [files_in(folder / "killed"), files_in(self.results)]
        """The files by name: of a session that was killed at its end, and of one that closed."""
        self.truth = self.ask()

    def place(self, files: dict[str, bytes]) -> None:
        """Put files in place of what is there."""
        shutil.rmtree(self.results)
        self.results.mkdir()
        for name, content in files.items():
            (self.results / name).write_bytes(content)

    def ask(self) -> Told:
        """What status, export, check and Python say."""
        words = [str(self.file), "--json"]
        status, told = command("status", *words)
        out = self.file.parent / "table.csv"
        out.unlink(missing_ok=True)
        exported, _ = command("export", str(self.file), "-o", str(out))
        checked, _ = command("ledger", "check", *words)
        said = bool(status or exported or checked or json.loads(told).get("damaged"))
        states = None
        if status == 0:
            found = json.loads(told)
            states = [(run["key"], run["state"]) for run in found["runs"]], found["failures"]
        written = out.read_bytes() if exported == 0 else None
        return Told(states=states, table=written, results=self._all_results(), said=said)

    def _all_results(self) -> dict[str, Any] | None:
        try:
            with Ledger.open_to_read(self.experiment.ledger) as ledger:
                return {key: (each, ledger.items(key)) for key, each in ledger.results().items()}
        except LabError:
            return None

    def how_it_ends(self, files: dict[str, bytes]) -> str:
        """What becomes of a damaged ledger, in a word."""
        self.place(files)
        told, truth = self.ask(), self.truth
        same = (told.states, told.table, told.results) == (truth.states, truth.table, truth.results)
        if not told.said:
            if not same:
                return "SILENTLY ANOTHER"
        elif told.table not in {None, truth.table}:
            return "SAID, AND ANOTHER TABLE WRITTEN"
        return self._go_on(told)

    def _go_on(self, told: Told) -> str:
        """Run again, after a repair if need be: the table is the one that it was."""
        ended = "said, measured again" if told.said else "the same"
        refused = True
        with contextlib.suppress(LabError):
            run(self.experiment)
            refused = False
        if refused:
            status, text = command("ledger", "repair", str(self.file), "--json")
            if status not in {0, 1}:
                return f"NOT REPAIRED: {text[:200]}"
            run(self.experiment)
            if not json.loads(text)["vouched"]:
                return "said, refused, repaired, not vouched for"
            ended = "said, refused, repaired"
        again = self.ask()
        good = again.table == self.truth.table and again.states == self.truth.states
        return ended if good and not again.said else "ANOTHER TABLE AFTER A RUN"


def make(folder: Path) -> None:
    """Run an experiment to its end, in a process of its own, so that its claims are dead.

    Half of the results are moved from the log into the ledger on the way.
    """
    file = folder / "experiment.yaml"
    file.write_text(EXPERIMENT.replace(*FAILS), "utf-8")
    results = read_experiment(file).output
    done = 0

    def listen(event: Event) -> None:
        nonlocal done
        done += event.kind is EventKind.DONE
        if event.kind is EventKind.DONE and done == MOVED:
            with closing(sqlite3.connect(results / LEDGER)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        elif event.kind is EventKind.PLANNED and done:
            shutil.copytree(results, folder / "killed")

    run(read_experiment(file), listen)


def files_in(folder: Path) -> dict[str, bytes]:
    """The ledger's files by name."""
    names = [name for name in (LEDGER, LOG, COUNT) if (folder / name).is_file()]
    return {name: (folder / name).read_bytes() for name in names}


def run(experiment: Experiment, listener: Callable[[Event], None] = lambda _event: None) -> None:
    """Do what is missing, in this process."""
    options = RunOptions(workers=1)

    def start(experiment: Experiment, _workers: int | None) -> InProcess:
        return InProcess(experiment)

    run_all(experiment, options=options, listener=listener, executor=start)


def command(*words: str) -> tuple[int, str]:
    """Exit status and standard output of a command.

    Raises:
        AssertionError: it ends in a traceback.
    """
    done = CliRunner().invoke(app, words)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise AssertionError(f"traceback of {words}: {done.exception!r}") from done.exception
    return done.exit_code, done.stdout


def flipped(ground: Ground, rng: random.Random) -> tuple[str, dict[str, bytes]]:
    """One bit of the ledger or its log, at times of the count, as closed or as killed."""
    files = dict(rng.choice(ground.states))
    names = [name for name in files if files[name]]
    name = rng.choices(names, [0.02 if each == COUNT else 1.0 for each in names])[0]
    content = bytearray(files[name])
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return f"a bit of {name}", files | {name: bytes(content)}


def cut(ground: Ground, rng: random.Random) -> tuple[str, dict[str, bytes]]:
    """The ledger, its log or the count, cut at any length or gone."""
    files = dict(rng.choice(ground.states))
    name = rng.choice(list(files))
    if rng.random() < 0.1:
        return f"{name} gone", {each: files[each] for each in files if each != name}
    return f"{name} cut", files | {name: files[name][: rng.randrange(len(files[name]))]}


def changed(ground: Ground, rng: random.Random) -> tuple[str, dict[str, bytes]]:
    """A well-formed ledger, wrong in one field: without its digest, with it, or with the log."""
    ground.place(ground.states[1])
    kept = rng.choice(["as it was", "fitting", "fitting, and in the log"])
    with closing(sqlite3.connect(ground.results / LEDGER)) as connection:
        which = rng.choices(["results", "failures", "facts"], [8, 1, 1])[0]
        if which == "facts":  # which only save work, and which no log speaks of
            kept = "as it was"
        columns = COLUMNS[which]
        query = f"SELECT rowid, {', '.join(columns)} FROM {which}"  # noqa: S608
        number, *values = rng.choice(connection.execute(query).fetchall())
        place = rng.choice([i for i, value in enumerate(values) if isinstance(value, str | float)])
        values[place] = another(values[place], rng)
        connection.execute(
            f"UPDATE {which} SET {columns[place]} = ? WHERE rowid = ?",  # noqa: S608
            (values[place], number),
        )
        if kept != "as it was":
            row = connection.execute(f"{query} WHERE rowid = ?", (number,)).fetchone()[1:]
            set_digest = f"UPDATE {which} SET digest = ? WHERE rowid = ?"  # noqa: S608
            digest = digest_of(*row)
            connection.execute(set_digest, (digest, number))
            if kept == "fitting, and in the log":
                forge(connection, which, number, digest)
        connection.commit()
    files = {name: (ground.results / name).read_bytes() for name in (LEDGER, COUNT)}
    return f"a field of {which}, digest {kept}", files


def forge(connection: sqlite3.Connection, which: str, number: int, digest: str) -> None:
    """Write the log again with another digest of one row, and a chain that fits."""
    entry = number
    if which == "results":
        query = "SELECT number FROM log WHERE what = 'result' ORDER BY number"
        entry = connection.execute(query).fetchall()[number - 1][0]
    connection.execute("UPDATE log SET digest = ? WHERE number = ?", (digest, entry))
    before = ""
    for row in connection.execute("SELECT number, what, key, title, digest FROM log").fetchall():
        before = chain_of(before, *row)
        connection.execute("UPDATE log SET chain = ? WHERE number = ?", (before, row[0]))


def another(value: str | float, rng: random.Random) -> str | float:
    """Another number, another text, or JSON with another value in one place."""
    if isinstance(value, float):
        return rng.choice([value + 1, -value, value * 1000, value + 0.25])
    try:
        content = json.loads(value)
    except ValueError:
        return value + "x"
    places = list(leaves(content))
    if not places:
        return json.dumps({"unknown": 1})
    holder, key = rng.choice(places)
    old = holder[key]
    if rng.random() < 0.2 and isinstance(holder, dict):
        del holder[key]
    elif isinstance(old, bool) or old is None:
        holder[key] = rng.choice([not old, 0.5, "no"])
    elif isinstance(old, int | float):
        holder[key] = rng.choice([old + 1, old * 0.99 + 0.001, -old - 1, str(old), None, [old]])
    else:
        holder[key] = rng.choice([f"{old}x", 1, None, {}])
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def leaves(content: dict[str, Any] | list[Any]) -> Iterator[tuple[Any, Any]]:
    """Every place in JSON that holds no further places, as its holder and its key there."""
    pairs = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in pairs:
        if isinstance(value, dict | list) and value:
            yield from leaves(value)
        else:
            yield content, key


def fuzz(
    ground: Ground, counts: dict[str, int], rng: random.Random, seconds: float = float("inf")
) -> dict[str, Counter[tuple[str, str]]]:
    """How so many damaged ledgers of each kind end, or as many as there is time for."""
    kinds = {"flipped": flipped, "cut": cut, "changed": changed}
    found: dict[str, Counter[tuple[str, str]]] = {kind: Counter() for kind in kinds}
    until = time.monotonic() + seconds
    # Of each kind the same share at any time, and of those that are well formed never less.
    order = [((i + 1) / n, kind) for kind, n in counts.items() for i in range(n)]
    for _, kind in sorted(order):
        if time.monotonic() > until:
            break
        what, files = kinds[kind](ground, rng)
        found[kind][what, ground.how_it_ends(files)] += 1
    return found


def is_bad(ending: str) -> bool:
    """Whether an ending is one that may not be."""
    return ending != "the same" and not ending.startswith("said, ")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
