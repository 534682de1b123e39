"""Make a task of the catalogue: the harness's own definition, on published data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from emergecast.errors import LabError
from emergecast.lab.tasks._items import right_choice
from emergecast.lab.tasks._pool import takes_one_more
from emergecast.lab.tasks._published import read_split
from emergecast.lab.tasks._settled import SettledTask
from emergecast.lab.tasks._task import Task

if TYPE_CHECKING:
    import polars as pl
    from lm_eval.api.task import ConfigurableTask


class SettledParts(NamedTuple):
    """The tasks of the harness that a task of the catalogue is made of."""

    evaluated: list[ConfigurableTask]
    """Those that are evaluated, one or the members of a group."""
    finetuned: list[ConfigurableTask]
    """Those whose training documents are finetuned on: the same, or one for the whole group."""


def load_settled(task: Task, settled: SettledTask) -> SettledParts:
    """The task on its data.

    Raises:
        LabError: The data are not there, have another schema, or are too few.
    """
    splits = {name: read_split(settled, name, task.data) for name in settled.splits}
    if settled.part_column is None:
        part = _make(settled, _read(str(settled.definition)), splits)
        _check(task, settled, part)
        return SettledParts([part], [part])
    parts = list(_group(task, settled, splits))
    return SettledParts(parts, [_trainer(settled, splits[settled.finetuned])])


def _group(
    task: Task, settled: SettledTask, splits: Mapping[str, pl.DataFrame]
) -> Iterator[ConfigurableTask]:
    """The members of a group, each on its rows of the data, in the order of their names."""
    column = str(settled.part_column)
    rows = {
        name: {str(key[0]): each for key, each in frame.partition_by(column, as_dict=True).items()}
        for name, frame in splits.items()
        if name != settled.finetuned
    }
    files = sorted(_folder().joinpath(str(settled.definition)).glob(f"{settled.name}_*.yaml"))
    members = [settings for each in files if "dataset_name" in (settings := _read(each))]
    for settings in members:
        name = str(settings["dataset_name"])
        lacking = next((split for split, by_part in rows.items() if name not in by_part), None)
        if lacking is not None:
            raise LabError(
                f'task "{settled.name}": split {lacking} has no items of {name}. All'
                f" {len(members)} parts of the task are evaluated; give the whole data."
            )
        part = _make(settled, settings, {split: found[name] for split, found in rows.items()})
        _check(task, settled, part)
        yield part


def _trainer(settled: SettledTask, frame: pl.DataFrame) -> ConfigurableTask:
    """What makes the finetuning strings of a whole group; it is never evaluated."""
    name = settled.finetuned
    settings = {
        **_read(f"{settled.definition}/{settled.template}"),
        "task": f"{settled.name}_finetuning",
        "description": settled.finetuning_description or "",
        "training_split": name,
        "test_split": name,
        "fewshot_split": name,
    }
    return _make(settled, settings, {name: frame})


def _make(
    settled: SettledTask, settings: dict[str, Any], splits: Mapping[str, pl.DataFrame]
) -> ConfigurableTask:
    """A task of the harness with settings of its own definition, on these data."""
    added = [
        {"metric": name, "aggregation": "mean", "higher_is_better": True}
        for name in settled.added_metrics
    ]
    changes: dict[str, Any] = {"metric_list": [*settings["metric_list"], *added]}
    if settled.most_tokens is not None:
        limit = {"max_gen_toks": settled.most_tokens}
        changes["generation_kwargs"] = {**settings["generation_kwargs"], **limit}
    return task_on({**settings, **changes}, splits)


def task_on(settings: dict[str, Any], splits: Mapping[str, pl.DataFrame]) -> ConfigurableTask:
    """A task of the harness with these settings, on these data."""
    import datasets
    from lm_eval.api.task import ConfigurableTask

    data = datasets.DatasetDict(
        {name: datasets.Dataset.from_polars(frame) for name, frame in splits.items()}
    )
    part = ConfigurableTask(config={**settings, "custom_dataset": _Given(data)})
    part.set_config(key="custom_dataset", value=None)  # its content counts, not how it came in
    return part


class _Given:
    """Gives the harness data that are loaded already."""

    def __init__(self, data: Any) -> None:  # noqa: ANN401  datasets has no types
        self._data = data

    def __call__(self, **_: object) -> Any:  # noqa: ANN401  as above
        return self._data


def _read(where: str | Path) -> dict[str, Any]:
    """The settings of a definition of the harness, with those that it includes."""
    from lm_eval.tasks._yaml_loader import load_yaml

    load: Callable[[Path], dict[str, Any]] = load_yaml
    path = _folder() / where
    settings = load(path)
    settings = {name: value for name, value in settings.items() if name not in {"tag", "group"}}
    settings["metadata"] = {**settings.get("metadata", {}), "config_source": str(path)}
    return settings


def _folder() -> Path:
    """Where the harness keeps the definitions of its tasks."""
    import lm_eval.tasks

    return Path(str(lm_eval.tasks.__file__)).parent


def _check(task: Task, settled: SettledTask, part: ConfigurableTask) -> None:
    """There are shots enough, and every item has a right answer among its choices.

    Raises:
        LabError: there are not, or one has not.
    """
    found = len(part.fewshot_docs())
    if task.shots and found < task.shots + takes_one_more(part):
        raise LabError(
            f'task "{settled.name}": {part.config.task} has {found} items to take its shots from,'
            f" and {task.shots} shots are asked for. Give the whole data, or ask for fewer shots."
        )
    if part.OUTPUT_TYPE != "multiple_choice":
        return
    for number, doc in enumerate(part.eval_docs):
        right = right_choice(part, doc)
        if right is None or right >= len(part.doc_to_choice(doc)):
            raise LabError(
                f'task "{settled.name}": item {number} of split {settled.evaluated}'
                f" ({part.config.task}) names no right answer among its choices. Published test"
                " splits may hide their answers; give the data of the split that is evaluated."
            )
