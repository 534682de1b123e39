"""Kill -9 the runner at random moments and see whether anything is lost, done twice, or torn.

`python performance/kill.py` rehearses an experiment (no model needed); `--experiment FILE` takes a
real one, such as the smoke preset of the proving ground. Each of `--kills` sessions is killed: the
runner alone, a worker and then the runner, or all of them at once. Then the experiment is finished,
and the table is compared with that of an undisturbed run, byte by byte. Where the experiment is
finished before so many kills, it starts again.

With `--hard` every kill falls within 50 ms after a write, and most come with a stopped worker, a
disk that fills up, or a log that is removed afterwards: what went with it must be said.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path

from emergecast.lab.experiment import Experiment, read_experiment
from emergecast.lab.ledger import Ledger

EMERGECAST = (sys.executable, "-m", "emergecast")

REHEARSED = """\
name: killed
output: results
worker: rehearsal
rehearsal: {{seconds: {seconds}}}
series:
  - name: v1
    tokenizer: words
    pretraining_learning_rate: 0.001
    checkpoints:
{checkpoints}
    choose: {{count: {taken}}}
corpora:
  - {{name: held-out, path: held-out.txt}}
tasks:
  - {{name: matching, shots_in_document: 8, chance: {{acc: 0.25, logprob: -1.39}}}}
finetune:
  examples: [16, 64, 256]
  seeds: {{16: 2, 64: 1, 256: 1}}
  methods:
    - {{name: full, steps: 100, lr_times_pretraining: 0.5}}
    - {{name: lora-8, epochs: 4, learning_rate: 1e-4}}
"""


class Victim(StrEnum):
    """Who is killed."""

    RUNNER = "runner"
    WORKER = "worker"
    ALL = "all"


class Trouble(StrEnum):
    """What comes with a kill."""

    NONE = "no trouble"
    STOPPED = "a worker stopped"
    FULL = "a full disk"
    LOG_REMOVED = "the log removed"


_AFTER_WRITE = 0.05
"""Seconds after a write within which a hard kill falls."""
_ROOM = 60_000  # bytes that a disk still has at most when it fills up
_MOST_WRITES = 40  # that are waited for until a disk is full


@dataclass(slots=True)
class Found:
    """What a series of kills did."""

    kills: Counter[Victim] = field(default_factory=Counter)
    troubles: Counter[Trouble] = field(default_factory=Counter)
    """What came with them."""
    filled: int = 0
    """Sessions that found the disk full and said so before they were killed."""
    said: int = 0
    """Logs that were removed with results in them: each time the next command said so."""
    resumed: int = 0
    """Sessions that began with a training checkpoint of the one before."""
    runs: int = 0
    rounds: int = 0
    """Experiments that were finished."""
    wrong: list[str] = field(default_factory=list)

    def add(self, other: Found) -> None:
        """Take in what another series of kills did: counts and lists are added."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


def rehearsal(folder: Path, *, checkpoints: int, seconds: float) -> Path:
    """Write an experiment that invents its scores, and return its file."""
    lines = "\n".join(
        f"      - {{name: S-{i}, path: S-{i}, params: 80614, tokens: {i * 1000}}}"
        for i in range(1, checkpoints + 1)
    )
    taken = max(1, checkpoints - 1)
    file = folder / "killed.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(REHEARSED.format(seconds=seconds, checkpoints=lines, taken=taken), "utf-8")
    return file


def kill_and_finish(
    file: Path, kills: int, rng: random.Random, longest: float, *, hard: bool = False
) -> Found:
    """Kill `kills` sessions within `longest` seconds of the first result, then finish.

    There are fewer kills where the experiment is finished before. Hard ones fall just after a
    write, and most come with some trouble.
    """
    found = Found()
    experiment = read_experiment(file)
    seen: dict[str, float] = {}
    for _ in range(kills):
        training = experiment.output / "training"
        found.resumed += training.is_dir() and any(training.glob("*/*"))
        victim = rng.choice(list(Victim))
        trouble = rng.choice(list(Trouble)) if hard else Trouble.NONE
        if not (
            _hard_kill(experiment, victim, trouble, rng, found)
            if hard
            else _killed_session(file, victim, rng.uniform(0.0, longest), rng)
        ):
            break
        found.kills[victim] += 1
        found.troubles[trouble] += 1
        _look(experiment, seen, found)
        if trouble is Trouble.LOG_REMOVED:
            _remove_log(experiment, seen, found)
    last = said_by("run", str(file))
    if last.returncode:
        found.wrong.append(f"the last session ended with {last.returncode}: {last.stderr[-500:]}")
    _look(experiment, seen, found)
    _check_end(experiment, found)
    found.runs, found.rounds = len(seen), 1
    return found


def kill_often(
    fresh: Callable[[str], Path],
    kills: int,
    rng: random.Random,
    longest: float,
    *,
    hard: bool = False,
) -> Found:
    """Kill so many sessions, with a fresh experiment whenever one is finished before.

    Every table is compared with that of an undisturbed experiment, byte by byte.
    """
    expected = undisturbed(fresh("undisturbed"))
    whole = Found()
    while whole.kills.total() < kills:
        file = fresh(f"killed-{whole.rounds}")
        left = kills - whole.kills.total()
        whole.add(kill_and_finish(file, left, rng, longest, hard=hard))
        if table_of(file) != expected:
            whole.wrong.append("ANOTHER TABLE")
    return whole


def _killed_session(file: Path, victim: Victim, delay: float, rng: random.Random) -> bool:
    """Start a session and kill it; False where it ended by itself."""
    process = subprocess.Popen(
        [*EMERGECAST, "run", str(file), "--workers", "2"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    # A third of the kills fall into the start, the others after the first result.
    if rng.random() < 1 / 3:
        time.sleep(rng.uniform(0.1, 1.5))
    else:
        process.stderr.readline()  # type: ignore[union-attr]  # it is a pipe
        time.sleep(delay)
    children = _children(process.pid)
    if victim is Victim.WORKER and children:
        _kill(rng.choice(children))
        time.sleep(rng.uniform(0.0, 0.5))
    alive = process.poll() is None
    process.kill()
    if victim is Victim.ALL:
        for child in children:
            _kill(child)
    process.communicate()
    return alive


def _hard_kill(
    experiment: Experiment, victim: Victim, trouble: Trouble, rng: random.Random, found: Found
) -> bool:
    """Start a session and kill it just after a write; False where it ended by itself, well."""
    ledger = experiment.ledger
    files = [ledger.with_name(ledger.name + end) for end in ("-wal", "-count")]
    writes, limited = rng.randrange(1, 12), []
    if trouble is Trouble.FULL:
        sizes = [each.stat().st_size for each in (*files, ledger) if each.is_file()]
        room = max([*sizes, _ROOM]) + rng.randrange(_ROOM)
        writes, limited = _MOST_WRITES, ["prlimit", f"--fsize={room}"]
    process = subprocess.Popen(
        [*limited, *EMERGECAST, "run", str(experiment.file), "--workers", "2"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    for _ in range(writes):
        _wait_for_write(rng.choice(files), process)
    children = _children(process.pid)
    stopped = rng.choice(children) if trouble is Trouble.STOPPED and children else None
    if stopped is not None:
        _kill(stopped, signal.SIGSTOP)
        _wait_for_write(files[1], process, seconds=2.0)
    time.sleep(rng.uniform(0.0, _AFTER_WRITE))
    if victim is Victim.WORKER and children:
        _kill(rng.choice(children))
    alive = process.poll() is None
    process.kill()
    for child in children if victim is Victim.ALL else [] if stopped is None else [stopped]:
        _kill(child)
    _, said = process.communicate()
    found.filled += "the disk is full" in said
    if "Traceback" in said:
        found.wrong.append(f"a traceback: {said[-500:]}")
    return alive or process.returncode != 0


def said_by(*words: str) -> subprocess.CompletedProcess[str]:
    """A command that has ended, well or not."""
    return subprocess.run([*EMERGECAST, *words], capture_output=True, text=True, check=False)


def _wait_for_write(file: Path, process: subprocess.Popen[str], seconds: float = 10.0) -> None:
    """Until a file changes, its process ends, or nothing happens for so long."""
    until = time.monotonic() + seconds
    first = _time_of(file)
    while _time_of(file) == first and process.poll() is None and time.monotonic() < until:
        time.sleep(0.0005)


def _time_of(file: Path) -> int:
    with contextlib.suppress(OSError):
        return file.stat().st_mtime_ns
    return 0


def _remove_log(experiment: Experiment, seen: dict[str, float], found: Found) -> None:
    """Remove the write-ahead log; what was lost with it must be said.

    But for a result that was committed and not counted yet when the session was killed: it was
    never reported as done.
    """
    ledger = experiment.ledger
    count = ledger.with_name(ledger.name + "-count")
    counted = json.loads(count.read_bytes())["results"] if count.is_file() else 0
    if not len(seen) - 1 <= counted <= len(seen):
        found.wrong.append(f"{counted} results are counted of {len(seen)}")
    for end in ("-wal", "-shm"):
        ledger.with_name(ledger.name + end).unlink(missing_ok=True)
    left = _keys_in(ledger)
    lost = seen.keys() - left
    status = said_by("status", str(experiment.file))
    for key in lost:
        del seen[key]
    if len(left) >= counted:
        if status.returncode:
            found.wrong.append(f"nothing was lost, and it is refused: {status.stderr[-500:]}")
        return
    if status.returncode == 0 or f"{len(left)} of the {counted} results" not in status.stderr:
        found.wrong.append(f"{len(lost)} results were lost in silence: {status.stderr[-500:]}")
    found.said += 1
    repaired = said_by("ledger", "repair", str(experiment.file))
    if repaired.returncode != 1 or "lost: " not in repaired.stdout:
        found.wrong.append(f"not repaired: {repaired.stdout}{repaired.stderr}")


def _keys_in(ledger: Path) -> set[str]:
    """Keys of the results that SQLite finds in a file, whatever else there should be."""
    uri = f"{ledger.absolute().as_uri()}?immutable=1"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
        tables = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'results'")
        rows = connection.execute("SELECT key FROM results") if tables.fetchone() else ()
        return {key for (key,) in rows}


def _children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    with contextlib.suppress(OSError):
        return [int(word) for word in path.read_text("ascii").split()]
    return []


def _kill(pid: int, how: signal.Signals = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, how)


def _look(experiment: Experiment, seen: dict[str, float], found: Found) -> None:
    """Every result that was there is there still, the very same one."""
    if not experiment.ledger.is_file():
        return
    with Ledger.open_to_read(experiment.ledger) as ledger:
        now = {key: result.started for key, result in ledger.results().items()}
    found.wrong += [f"lost: {key[:12]}" for key in seen if key not in now]
    found.wrong += [f"done twice: {key[:12]}" for key, at in seen.items() if now.get(key, at) != at]
    seen.update(now)


def _check_end(experiment: Experiment, found: Found) -> None:
    """Nothing is torn and nothing is left behind."""
    with contextlib.closing(sqlite3.connect(experiment.ledger)) as connection:
        (sound,) = connection.execute("PRAGMA integrity_check").fetchone()
        if sound != "ok":
            found.wrong.append(f"the ledger is damaged: {sound}")
        for name in ("claims", "failures"):
            (count,) = connection.execute(f"SELECT count(*) FROM {name}").fetchone()  # noqa: S608
            if count:
                found.wrong.append(f"{count} {name} are left")
    left = (experiment.output / "training").glob("*")
    found.wrong += [f"left behind: {path}" for path in left]


def table_of(file: Path) -> bytes:
    """The exported table, as it is on disk."""
    out = file.parent / "table.csv"
    subprocess.run(
        [*EMERGECAST, "export", str(file), "-o", str(out)], check=True, capture_output=True
    )
    return out.read_bytes()


def undisturbed(file: Path) -> bytes:
    """The table of the experiment without any kill."""
    subprocess.run([*EMERGECAST, "run", str(file)], check=True, capture_output=True)
    return table_of(file)


def main() -> int:
    """Kill, finish, compare, say."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--experiment", type=Path, help="a real experiment; a rehearsal if absent")
    parser.add_argument("--hard", action="store_true", help="just after a write, with trouble")
    parser.add_argument("--longest", type=float, default=1.0, help="seconds after the first result")
    options = parser.parse_args()
    rng = random.Random(options.seed)  # noqa: S311  moments, not secrets
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:

        def fresh(name: str) -> Path:
            folder = Path(scratch, name)
            if options.experiment is not None:
                return copy_of(options.experiment, folder)
            return rehearsal(folder, checkpoints=max(4, options.kills // 3), seconds=0.4)

        whole = kill_often(fresh, options.kills, rng, options.longest, hard=options.hard)
    kinds = ", ".join(f"{count} {victim}" for victim, count in sorted(whole.kills.items()))
    total = whole.kills.total()
    print(f"{total} kills ({kinds}), {whole.runs} runs, {whole.rounds} times to the end;")
    if options.hard:
        troubles = ", ".join(f"{count} {what}" for what, count in sorted(whole.troubles.items()))
        print(f"within 50 ms after a write, with {troubles};")
        print(f"sessions that found the disk full first: {whole.filled};")
        print(f"logs with results in them that were removed, and said to be missing: {whole.said};")
    print(f"{whole.resumed} sessions began with a training checkpoint of the one before;")
    print(f"{time.monotonic() - began:.0f} s; wrong: {'; '.join(whole.wrong) or 'nothing'}")
    return 1 if whole.wrong else 0


def copy_of(file: Path, folder: Path) -> Path:
    """The experiment's folder without its results."""
    output = read_experiment(file).output.name
    shutil.copytree(file.parent, folder, ignore=shutil.ignore_patterns(output))
    return folder / file.name


if __name__ == "__main__":
    sys.exit(main())
