"""Result files made for tests, and imports of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from emergecast.measurements import Imported, ImportOptions, import_lm_eval


def write(root: Path, name: str, content: object) -> None:
    """Put text or JSON into a file below `root`."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def run(root: Path, **options: Any) -> Imported:
    """Import a folder whose metadata lie in meta.csv."""
    return import_lm_eval([root], ImportOptions(checkpoints=root / "meta.csv", **options))


def case(shared_data: Path, name: str, **options: Any) -> Imported:
    """An import of one of the folders of inputs that go wrong."""
    folder = shared_data / "cases" / "import" / name
    meta = folder / ("models.csv" if name == "steptrap" else "ck.csv")
    return import_lm_eval([folder], ImportOptions(checkpoints=meta, **options))
