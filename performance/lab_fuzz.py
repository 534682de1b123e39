"""80,000 safetensors headers, 4,000 configurations, 30,000 experiment files: how do they end?

`python performance/lab_fuzz.py` runs twenty times what `tests/lab/test_lab_fuzz.py` runs. About
seven in ten are well formed and wrong in one field, the others have damaged bytes. Each must be
read rightly or refused with a message; of headers the library safetensors is the judge, and every
configuration that passes is loaded. Takes some minutes on one core.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

from _report import arguments, one_core, publish, table

# isort: split

from tests.lab import test_lab_fuzz as fuzz

CHUNKS = 20


def main() -> None:
    """Runs every chunk and prints how many cases of each form ended how."""
    options = arguments(__doc__ or "", chunks=CHUNKS)
    one_core()
    counts = {name: fuzz.Counts() for name in ("safetensors header", "model folder", "experiment")}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        files = fuzz.make_model(folder / "model")
        for chunk in range(options.chunks):
            counts["safetensors header"] += fuzz.fuzz_headers(chunk, folder)
            counts["model folder"] += fuzz.fuzz_configs(chunk, folder / "model", files)
            counts["experiment"] += fuzz.fuzz_experiments(chunk, folder)
    rows = []
    for name, found in counts.items():
        forms = Counter[str]()
        for (form, ended), count in sorted(found.items(), reverse=True):
            rows.append([name, form, ended, f"{count:,}"])
            forms[form] += count
        rows += [[name, form, "all", f"{count:,}"] for form, count in forms.items()]
    text = table(["what", "form", "ended", "how many"], rows)
    said = "None ended in a traceback, and every header was read as safetensors reads it."
    publish(
        "lab_fuzz",
        f"{said}\n\n{text}",
        write=options.write,
        also=("safetensors", "transformers", "tokenizers", "pyyaml"),
    )


if __name__ == "__main__":
    main()
