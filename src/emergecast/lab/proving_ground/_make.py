"""Make a proving ground: train what is missing, several models at a time, and write its files."""

from __future__ import annotations

import json
import multiprocessing
import os
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any, Final, TypeAlias

from emergecast.errors import LabError
from emergecast.files import save_text
from emergecast.lab.checkpoints import Checkpoint, write_series
from emergecast.lab.proving_ground._experiment_file import EXPERIMENT, experiment_text
from emergecast.lab.proving_ground._files import write_files
from emergecast.lab.proving_ground._pretrain import Pretraining, Progress, pretrain
from emergecast.lab.proving_ground._recipe import PRESETS, Preset, Quality
from emergecast.lab.worker import end_with_parent

MANIFEST: Final = "proving-ground.json"
"""Says what a folder holds, and whether it is finished."""
SERIES: Final = "series"
_TICK: Final = 0.2
"""Seconds between two looks at what the workers report."""

Reports: TypeAlias = "Queue[tuple[str, Progress]]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Which proving ground to make."""

    preset: Preset
    """Sizes, losses and finetunings."""
    seeds: tuple[int, ...]
    """One series for each, and each corpus."""
    qualities: tuple[Quality, ...] = (Quality.HIGH,)
    """Corpora to pretrain on."""

    @property
    def pretrainings(self) -> tuple[Pretraining, ...]:
        """The models to pretrain, the slowest first."""
        return tuple(
            Pretraining(
                size=size,
                seed=seed,
                quality=quality,
                targets=self.preset.targets,
                most_steps=self.preset.most_steps,
                stop=self.preset.stop,
                plan=self.preset.plan,
                with_control=quality is self.qualities[0],
            )
            for size in self.preset.sizes
            for seed in self.seeds
            for quality in self.qualities
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A finished proving ground."""

    folder: Path
    """Where it is."""
    experiment: Path
    """The experiment file."""
    checkpoints: int
    """In all series, controls not counted."""
    trained: int
    """Models pretrained this time; the others were there."""
    seconds: float
    """How long it took this time."""


def order(preset: str, seeds: tuple[int, ...] = (), qualities: tuple[Quality, ...] = ()) -> Order:
    """An order for this preset, with its own seeds and good corpus unless others are given.

    Raises:
        LabError: There is no such preset.
    """
    if preset not in PRESETS:
        raise LabError(f'there is no preset "{preset}". Choose one of {", ".join(PRESETS)}.')
    if low := [seed for seed in seeds if seed < 0]:
        raise LabError(f"seed {low[0]} is below 0. Give 0 or more.")
    found = PRESETS[preset]
    return Order(
        preset=found,
        seeds=tuple(dict.fromkeys(seeds)) or found.seeds,
        qualities=tuple(dict.fromkeys(qualities)) or (Quality.HIGH,),
    )


def missing(order: Order, folder: Path) -> tuple[Pretraining, ...]:
    """The models that are not in this folder yet.

    Raises:
        LabError: The folder holds another proving ground, or something else.
    """
    _check_folder(order, folder)
    return tuple(plan for plan in order.pretrainings if not _record(folder, plan).is_file())


def make(
    order: Order,
    folder: Path,
    *,
    jobs: int | None = None,
    on_progress: Callable[[str, Progress], None] = lambda _title, _progress: None,
) -> Made:
    """Make a proving ground in this folder; what is there already is kept.

    Args:
        order: Which one.
        folder: Where; it is made if it is not there.
        jobs: Models trained at a time, on one core each; as many as there are cores where None.
        on_progress: Told the title of a model and where its pretraining is.

    Raises:
        LabError: The folder holds something else, a pretraining failed, or its process died.
    """
    start = time.perf_counter()
    todo = missing(order, folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_text(_json({**_described(order), "finished": False}), folder, MANIFEST)
    write_files(folder, order.preset)
    if todo:
        _train(todo, folder, jobs or os.cpu_count() or 1, on_progress)
    count = _write_all_series(order, folder)
    names = list(dict.fromkeys(plan.series for plan in order.pretrainings))
    controls = list(dict.fromkeys(plan.controls for plan in order.pretrainings))
    experiment = folder / EXPERIMENT
    experiment.write_text(experiment_text(order.preset, names, controls), encoding="utf-8")
    save_text(_json({**_described(order), "finished": True}), folder, MANIFEST)
    return Made(
        folder=folder,
        experiment=experiment,
        checkpoints=count,
        trained=len(todo),
        seconds=time.perf_counter() - start,
    )


def _train(
    todo: tuple[Pretraining, ...],
    folder: Path,
    jobs: int,
    on_progress: Callable[[str, Progress], None],
) -> None:
    context = multiprocessing.get_context("spawn")
    reports: Reports = context.Queue()
    pool = ProcessPoolExecutor(
        max_workers=min(jobs, len(todo)),
        mp_context=context,
        initializer=_start_worker,
        initargs=(reports,),
    )
    with pool:
        futures = [pool.submit(_pretrain_one, plan, folder) for plan in todo]
        pending: set[Future[None]] = set(futures)
        try:
            while pending:
                _pass_on(reports, on_progress)
                done, pending = wait(pending, timeout=_TICK)
                for future in done:
                    future.result()
        except BrokenProcessPool as error:
            raise LabError(
                "a process that pretrains a model died; the system may have killed it because"
                " memory ran out. What is finished is kept: start again, with fewer --jobs."
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        _pass_on(reports, on_progress)


_REPORTS: list[Reports] = []
"""In a worker: where it reports to."""


def _start_worker(reports: Reports) -> None:
    end_with_parent()
    _REPORTS.append(reports)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End a worker whose parent was killed, working or not: the next command trains its model."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _pretrain_one(plan: Pretraining, folder: Path) -> None:
    def report(progress: Progress) -> None:
        _REPORTS[0].put((plan.title, progress))

    done = pretrain(plan, folder / SERIES, on_progress=report)
    described = {
        "kept": [_as_json(checkpoint, folder) for checkpoint in done.kept],
        "control": None if done.control is None else _as_json(done.control, folder),
    }
    path = _record(folder, plan)
    save_text(_json(described), path.parent, path.name)


def _pass_on(reports: Reports, on_progress: Callable[[str, Progress], None]) -> None:
    while True:
        try:
            title, progress = reports.get_nowait()
        except queue.Empty:
            return
        on_progress(title, progress)


def _write_all_series(order: Order, folder: Path) -> int:
    """Write the `series.json` of every series; how many checkpoints there are."""
    listed: dict[str, list[Checkpoint]] = {}
    count = 0
    for plan in order.pretrainings:
        record = json.loads(_record(folder, plan).read_text(encoding="utf-8"))
        kept = [_from_json(entry, folder) for entry in record["kept"]]
        count += len(kept)
        listed.setdefault(plan.series, []).extend(kept)
        if record["control"] is not None:
            listed.setdefault(plan.controls, []).append(_from_json(record["control"], folder))
    for name, checkpoints in listed.items():
        write_series(folder / SERIES / name, name, checkpoints)
    return count


def _record(folder: Path, plan: Pretraining) -> Path:
    """The file that says that a model is finished; it is written last."""
    return folder / SERIES / plan.series / f"{plan.size.name}.json"


def _as_json(checkpoint: Checkpoint, folder: Path) -> dict[str, Any]:
    path = Path(str(checkpoint.path))
    return {**asdict(checkpoint), "path": path.relative_to(folder).as_posix()}


def _from_json(entry: dict[str, Any], folder: Path) -> Checkpoint:
    return Checkpoint(**{**entry, "path": folder / entry["path"]})


def _described(order: Order) -> dict[str, Any]:
    return {
        "preset": order.preset.name,
        "seeds": list(order.seeds),
        "qualities": [str(quality) for quality in order.qualities],
    }


def _check_folder(order: Order, folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise LabError(f'"{folder}" is not a folder. Give another one.')
    manifest = folder / MANIFEST
    if not manifest.is_file():
        if any(folder.iterdir()):
            raise LabError(
                f'"{folder}" holds files that are not a proving ground. Give an empty or new'
                " folder."
            )
        return
    try:
        found = json.loads(manifest.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    wanted = _described(order)
    if not isinstance(found, dict) or any(found.get(key) != wanted[key] for key in wanted):
        seen = found if isinstance(found, dict) else {}
        raise LabError(
            f'"{folder}" holds another proving ground: preset {seen.get("preset")}, seeds'
            f" {seen.get('seeds')}, corpora {seen.get('qualities')}. Give another folder, or ask"
            " for the same."
        )


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1) + "\n"
