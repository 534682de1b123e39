"""Build the wheel and try it in an empty environment of every Python that is here.

`make wheel` runs this. A wheel can lack a data file, or a dependency that only the tests bring;
neither shows in a checkout. Every Python that `VERSIONS` names is looked for; one that this machine
lacks is named and left out, but there must be one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
VERSIONS = ("3.11", "3.12", "3.13")
VERSION = "import sys; print(sys.version.split()[0])"
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check")
TRIALS: tuple[tuple[str, ...], ...] = (
    ("--version",),
    ("template", "-o", "table.csv"),
    ("check", "table.csv"),
    ("simulate", "--design", "small", "--seed", "1", "-o", "known.csv"),
    ("fit", "table.csv", "--law", "log-power", "--bootstrap", "0", "-o", "out"),
)
"""With IMPORTS they touch every kind of file the wheel carries, and draw."""
IMPORTS = (
    "import importlib, pkgutil, emergecast; from emergecast.forecasts import json_schema;"
    " from emergecast.measurements import proving_ground; assert len(proving_ground()) > 2000;"
    " [importlib.import_module('emergecast.' + m.name) for m in pkgutil.iter_modules("
    "emergecast.__path__) if m.name != '__main__']; assert json_schema()"
)


class TrialError(Exception):
    """A command failed; the message is what it printed."""


def run(*command: str | Path, folder: Path, status: int = 0) -> str:
    """Standard output of a command that ends with this status.

    Raises:
        TrialError: it ends with another one.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment = {**kept, "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != status:
        words = " ".join(map(str, command))
        raise TrialError(f"{words} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def pythons(folder: Path) -> Iterator[tuple[str, str]]:
    """Version and command of every Python that starts."""
    for version in VERSIONS:
        for command in (f"python{version}", *homes(version)):
            try:
                said = run(
                    command, "-c", "import sys; print(sys.version.split()[0])", folder=folder
                )
            except (OSError, TrialError):  # not there, or a stand-in for one that is not chosen
                continue
            yield said.strip(), command
            break
        else:
            print(f"Python {version}: not on this machine")


def homes(version: str) -> Iterator[str]:
    """Where pyenv keeps interpreters that its stand-ins do not start."""
    for found in sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python")):
        yield str(found)


def trial(wheel: Path, python: str, folder: Path) -> None:
    """Install the wheel alone, outside the checkout, and use it.

    Raises:
        TrialError: something that should work does not.
    """
    folder.mkdir()
    run(python, "-m", "venv", "env", folder=folder)
    binary = folder / "env" / "bin"
    run(binary / "python", *PIP, "install", "--no-compile", wheel, folder=folder)
    run(binary / "python", "-c", IMPORTS, folder=folder)
    for words in TRIALS:
        run(binary / "emergecast", *words, folder=folder)
    if not (folder / "out" / "fan.png").stat().st_size:
        raise TrialError("fit drew an empty fan.png")
    (folder / "e.yaml").write_text("name: e\n", "utf-8")
    said = run(binary / "emergecast", "plan", "e.yaml", folder=folder, status=2)
    if "pip install 'emergecast[lab]'" not in said:
        raise TrialError(f"without the extra lab, `plan` says {said!r} and not what to install")


def main() -> int:
    """Every Python in turn; 1 where the wheel fails in one of them."""
    with tempfile.TemporaryDirectory(prefix="emergecast-wheel-") as name:
        folder = Path(name)
        run(sys.executable, *PIP, "wheel", "--no-deps", "-w", folder, ROOT, folder=folder)
        (wheel,) = folder.glob("*.whl")
        print(f"Built {wheel.name}, {wheel.stat().st_size / 1e6:.1f} MB")
        found = list(pythons(folder))

        def timed(version_and_command: tuple[str, str]) -> str | None:
            version, command = version_and_command
            start = time.perf_counter()
            try:
                trial(wheel, command, folder / version)
            except TrialError as error:
                print(f"Python {version}: {error}", file=sys.stderr)
                return version
            print(f"Python {version}: the wheel works ({time.perf_counter() - start:.0f} s)")
            return None

        with ThreadPoolExecutor(2) as pool:
            failed = [version for version in pool.map(timed, found) if version is not None]
    return 1 if failed or not found else 0


if __name__ == "__main__":
    sys.exit(main())
