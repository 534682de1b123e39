"""How long does an import of a whole model suite take, and how much does it say?

876 made files in the layout of a published suite of checkpoints: `SIZE/SIZE_stepSTEP.json` in the
harness's old format, 31 scores each, no chance levels, one metadata row a model, tokens from steps.
About 27,000 rows. The scores are invented. Then the same files with the pattern that takes steps of
pretraining for steps of finetuning, which must end in a message.
"""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
import time
from pathlib import Path

from _report import arguments, one_core, publish, table

# isort: split

import numpy as np

from emergecast.cli import app

SIZES = {"14m": 14, "31m": 31, "70m": 70, "160m": 160, "410m": 410, "1b": 1010}
"""Millions of parameters."""
FILES = 876
TASKS = 31
TOKENS_PER_STEP = 2_097_152


def suite(folder: Path) -> None:
    """Write the files and their metadata."""
    rng = np.random.default_rng(15)
    steps = [1 + 975 * i for i in range(FILES // len(SIZES))]
    for name in SIZES:
        (folder / name).mkdir(parents=True)
        for step in steps:
            results = {
                f"task_{i:02d}": {"acc": float(rng.uniform(0.2, 0.5)), "acc_stderr": 0.01}
                for i in range(TASKS)
            }
            config = {"model_args": f"pretrained=org/{name},revision=step{step}", "num_fewshot": 0}
            text = json.dumps({"results": results, "versions": {}, "config": config})
            (folder / name / f"{name}_step{step}.json").write_text(text, encoding="utf-8")
    lines = [f"{name},{millions * 10**6}" for name, millions in SIZES.items()]
    (folder / "models.csv").write_text("\n".join(["checkpoint,params", *lines, ""]))


def call(*words: object) -> tuple[int, float, int, str]:
    """Exit status, seconds, printed lines and what was printed of one command."""
    printed = io.StringIO()
    began = time.perf_counter()
    status = 0
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            app([str(word) for word in words], standalone_mode=False)
        except SystemExit as stopped:
            status = int(stopped.code or 0)
    text = printed.getvalue()
    return status, time.perf_counter() - began, len(text.splitlines()), text


def main() -> None:
    """Times both imports and prints a table."""
    options = arguments(__doc__ or "")
    one_core()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "suite"
        suite(folder)
        fixed = ("--checkpoints", folder / "models.csv", "--loss-from", "hoffmann")
        right = ("--pattern", "*/{checkpoint}_step{pretrain_step}.json")
        wrong = ("--pattern", "*/{checkpoint}_step{step}.json", "--batch-size", 1024)
        steps = ("--tokens-per-step", TOKENS_PER_STEP)
        calls = {
            "pretraining steps": (*right, *steps, "--chance", "0.25", "-o", Path(name, "t.csv")),
            "no chance level": (*right, *steps, "--dry-run"),
            "steps taken for finetuning": (*wrong, "--chance", "0.25", "--dry-run"),
        }
        rows = []
        for title, words in calls.items():
            _, seconds, lines, text = call("import", "lm-eval", folder, *fixed, *words)
            found = [line.split()[1] for line in text.splitlines() if line.startswith("  rows")]
            rows.append([title, found[0] if found else "none", f"{seconds:.1f}", lines])
    publish(
        "import_speed",
        table([f"{FILES} files, {TASKS} metrics each", "rows", "s", "lines printed"], rows),
        write=options.write,
    )


if __name__ == "__main__":
    main()
