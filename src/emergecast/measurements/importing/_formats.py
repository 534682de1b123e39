"""Files of other tools: lighteval's, brought into the harness's shape, and those refused by name.

lighteval writes `suite|task|shots` (and `|0` or `|1` after it) over each task's scores, an entry
`all` that averages over everything, and `suite|group:_average|shots` that averages over a group.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from emergecast.measurements.importing._revision import Weights, first_revision

_TASK: Final = re.compile(r"(?P<suite>[^|]+)\|(?P<task>[^|]+)\|(?P<shots>\d+)(?:\|\d+)?")
_ALL: Final = "all"
_AVERAGE: Final = ":_average"
_TABLE: Final = (
    "Make a table of its scores (`emergecast template` writes an example), or evaluate with"
    " lm-evaluation-harness."
)


def is_lighteval(loaded: Mapping[str, Any]) -> bool:
    """Whether this is a result file of lighteval."""
    results = loaded.get("results")
    if not isinstance(results, Mapping):
        return False
    named = [key for key in results if key != _ALL]
    return "config_general" in loaded or (
        bool(named) and all(isinstance(key, str) and _TASK.fullmatch(key) for key in named)
    )


def from_lighteval(loaded: Mapping[str, Any]) -> tuple[dict[str, Any], Weights]:
    """The same results as the harness would write them, and whose they are.

    Averages are left out: of which tasks they are one, the file does not say.
    """
    results: dict[str, Any] = {}
    shots: dict[str, int] = {}
    for key, values in loaded["results"].items():
        found = _TASK.fullmatch(key)
        if found is None or found["task"].endswith(_AVERAGE):
            continue
        name = found["task"]
        if name in results:  # the same task with other shots, or of another suite
            name = f"{found['suite']}|{name}|{found['shots']}"
        results[name] = values
        shots[name] = int(found["shots"])
    general = loaded.get("config_general")
    general = general if isinstance(general, Mapping) else {}
    model = general.get("model_config")
    model = model if isinstance(model, Mapping) else {}
    name = first_revision((general.get("model_name"), model.get("model_name")))
    revision = first_revision((general.get("model_revision"), model.get("revision")))
    limit = general.get("max_samples")
    config = {"limit": limit} if isinstance(limit, int) else {}
    return (
        {"results": results, "n-shot": shots, "config": config},
        Weights(name=name, revision=revision),
    )


def foreign(content: bytes, loaded: object) -> tuple[str, str] | None:
    """What a file of another tool is, and what to do about it; None for one of the harness."""
    if content[:4] == b"PK\x03\x04":
        return "the file is a ZIP archive, as inspect writes its logs (.eval).", _TABLE
    if not isinstance(loaded, Mapping):
        return None
    keys = set(loaded)
    if {"eval", "status"} <= keys or {"eval", "plan"} <= keys:
        return "the file is a log of inspect, which is not read.", _TABLE
    if {"metrics", "task_config"} <= keys or {"task_name", "metrics"} <= keys:
        return "the file is of OLMES, which is not read.", _TABLE
    if isinstance(loaded.get("metrics"), list) or {"all_primary_scores"} & keys:
        return "the file is a summary of OLMES, which is not read.", _TABLE
    return None
