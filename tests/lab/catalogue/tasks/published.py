"""A few invented items in the published schema of each task of the catalogue."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lm_eval.tasks
import polars as pl
import yaml

HARNESS = Path(str(lm_eval.tasks.__file__)).parent
SUBJECTS = tuple(
    sorted(
        yaml.safe_load(file.read_text("utf-8"))["dataset_name"]
        for file in (HARNESS / "mmlu" / "default").glob("mmlu_*.yaml")
    )
)
_THINGS = ("nut", "key", "cup", "hat", "pen", "map", "box", "jar", "fan", "mug")
_PLACES = ("oven", "roof", "lake", "shoe", "desk", "yard", "hall", "barn", "shop", "boat")
_NAMES = ("Ann", "Bob", "Cid", "Dot", "Eva", "Flo", "Gus", "Ida")

Rows = list[dict[str, Any]]


def mmlu(*, dev: int = 5) -> dict[str, Rows]:
    """One to three test items a subject, so that the weighting shows; training items without."""
    rng = random.Random(1)  # noqa: S311  no secret

    def rows(subject: str, count: int) -> Rows:
        return [
            {
                "question": f" Which of {subject.replace('_', ' ')} is {rng.randrange(10**6)}? ",
                "subject": subject,
                "choices": rng.sample(_THINGS, 4),
                "answer": rng.randrange(4),
            }
            for _ in range(count)
        ]

    return {
        "all/test": [row for i, subject in enumerate(SUBJECTS) for row in rows(subject, 1 + i % 3)],
        "all/dev": [row for subject in SUBJECTS for row in rows(subject, dev)],
        "auxiliary_train/train": [
            {"train": row | {"subject": ""}} for row in rows("common things", 40)
        ],
    }


def gsm8k() -> dict[str, Rows]:
    """Sums with the marks of the calculator."""
    rng = random.Random(2)  # noqa: S311  no secret

    def row() -> dict[str, Any]:
        a, b = rng.randrange(2, 90), rng.randrange(2, 90)
        who, what = rng.choice(_NAMES), rng.choice(_THINGS)
        return {
            "question": f"{who} has {a} bags of {b} {what}s. How many {what}s?",
            "answer": f"There are {a}*{b}=<<{a}*{b}={a * b}>>{a * b} {what}s.\n#### {a * b:,}",
        }

    return {"main/train": [row() for _ in range(60)], "main/test": [row() for _ in range(4)]}


def commonsense_qa() -> dict[str, Rows]:
    """Where things are kept."""
    rng = random.Random(3)  # noqa: S311  no secret

    def row() -> dict[str, Any]:
        what, places = rng.choice(_THINGS), rng.sample(_PLACES, 5)
        return {
            "id": f"{rng.randrange(10**9):x}",
            "question": f"Where would {rng.choice(_NAMES)} keep {what} {rng.randrange(1000)}?",
            "question_concept": what,
            "choices": {"label": list("ABCDE"), "text": places},
            "answerKey": rng.choice("ABCDE"),
        }

    rows = [row() for _ in range(68)]
    return {"data/train": rows[:60], "data/validation": rows[60:]}


def cola() -> dict[str, Rows]:
    """Sentences of which seven of ten are said to be acceptable."""
    rng = random.Random(4)  # noqa: S311  no secret
    rows = [
        {
            "sentence": f"{rng.choice(_NAMES)} put {rng.choice(_THINGS)} {i} on the {place}.",
            "label": int(i % 10 < 7),
            "idx": i,
        }
        for i, place in enumerate(rng.choices(_PLACES, k=70))
    ]
    return {"cola/train": rows[:60], "cola/validation": rows[60:]}


PUBLISHED = {"mmlu": mmlu, "gsm8k": gsm8k, "commonsense_qa": commonsense_qa, "cola": cola}
REPOS = {
    "mmlu": "cais/mmlu",
    "gsm8k": "openai/gsm8k",
    "commonsense_qa": "tau/commonsense_qa",
    "cola": "nyu-mll/glue",
}


def write_published(name: str, folder: Path, data: Mapping[str, Rows] | None = None) -> Path:
    """The data of a task as a copy of its repository: Parquet in numbered parts."""
    for place, rows in (PUBLISHED[name]() if data is None else data).items():
        file = folder / f"{place}-00000-of-00001.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pl.DataFrame(rows, infer_schema_length=None).write_parquet(file)
    return folder


def write_cache(name: str, home: Path) -> Path:
    """The same in the form of the hub's cache, below HF_HOME; the folder of its files."""
    revision = "1234567890abcdef" * 2 + "12345678"
    place = home / "hub" / f"datasets--{REPOS[name].replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(revision)
    return write_published(name, place / "snapshots" / revision)


def write_for_harness(folder: Path, shots: Mapping[str, int]) -> Path:
    """The harness's own definitions on the same items, as lm-evaluation-harness takes own data."""

    def define(source: str, name: str, splits: Mapping[str, Sequence[Any]], count: int) -> None:
        files = {}
        for split, rows in splits.items():
            files[split] = str(folder / f"{name}-{split}.jsonl")
            Path(files[split]).write_text("\n".join(map(json.dumps, rows)), "utf-8")
        settings = {
            "include": str(HARNESS / source),
            "dataset_path": "json",
            "dataset_name": None,
            "dataset_kwargs": {"data_files": files},
            "num_fewshot": count,
        }
        own = yaml.safe_load((HARNESS / source).read_text("utf-8"))
        settings |= {key: own[key] for key in ("task", "tag") if key in own}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(settings), "utf-8")

    for group in (HARNESS / "mmlu" / "default").glob("_mmlu*.yaml"):
        (folder / group.name).write_text(group.read_text("utf-8"), "utf-8")
    rows = mmlu()
    for subject in SUBJECTS:
        parts = {
            split: [row for row in rows[f"all/{split}"] if row["subject"] == subject]
            for split in ("test", "dev")
        }
        name = f"mmlu_{subject}"
        define(f"mmlu/default/{name}.yaml", name, parts, shots["mmlu"])
    for name, source, make in (
        ("gsm8k", "gsm8k/gsm8k.yaml", gsm8k),
        ("commonsense_qa", "commonsense_qa/default.yaml", commonsense_qa),
        ("cola", "glue/cola/default.yaml", cola),
    ):
        splits = {place.split("/")[1]: rows for place, rows in make().items()}
        define(source, name, splits, shots[name])
    return folder
