"""The root of the sandbox: a copy of what an interpreter needs, and nothing else.

A copy, not a mount of the original: a Python under /root cannot be reached by nobody, and one mount
starts faster than many.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from emergecast.errors import LabError

PROGRAM: Final = "/program.py"
"""Where the program lies inside."""
DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/urandom")

_PACKAGES: Final = "/packages"
_PROBE: Final = """
import importlib, json, os, sys, sysconfig
folder = sysconfig.get_config_var("DESTSHARED") or ""
for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
    try:
        "test" in name or "tkinter" in name or importlib.import_module(name.partition(".")[0])
    except ImportError:
        pass
numpy = None
if sys.argv[1:] == ["numpy"]:
    import numpy, numpy.fft, numpy.linalg, numpy.random
with open("/proc/self/maps") as stream:
    lines = [line.split(maxsplit=5) for line in stream]
print(json.dumps({
    "executable": os.path.realpath("/proc/self/exe"),
    "library": [each for each in (os.path.dirname(os.__file__), folder) if os.path.isdir(each)],
    "objects": sorted({l[5].strip() for l in lines if len(l) > 5 and ".so" in l[5]}),
    "version": ".".join(map(str, sys.version_info[:3])),
    "numpy": numpy and [numpy.__version__, os.path.dirname(numpy.__file__)],
}))
"""
_LEFT_OUT: Final = shutil.ignore_patterns(
    "site-packages", "dist-packages", "test", "tests", "idlelib", "tkinter", "turtledemo",
    "lib2to3", "ensurepip", "pydoc_data", "config-*", "sitecustomize.py", "*.opt-*.pyc", "*.pyi",
    "*.a", "*.pxd", "*.h", "f2py",
)  # fmt: skip
_INTERPRETER_OF: Final = re.compile(rb"/[\w./+-]+/ld[\w.+-]*\.so[\w.]*")
_lock = threading.Lock()
_made: dict[Interpreter, Image] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """Which Python runs the programs."""

    executable: str = sys.executable
    """Its file or its name on the search path; of a virtual environment, the Python below it."""
    numpy: bool = True
    """Whether programs may import its numpy; no other package is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A folder that can be the root of a sandbox."""

    root: Path
    """The folder."""
    executable: str
    """The interpreter, as it is called inside."""
    libraries: str
    """LD_LIBRARY_PATH inside."""
    version: str
    """Of Python and numpy: programs may answer differently in another one."""


def image_of(interpreter: Interpreter) -> Image:
    """The root for an interpreter; made once in this process, and deleted at its end.

    Raises:
        LabError: the interpreter does not start, or has no numpy although it should.
        OSError: the copy cannot be written.
    """
    with _lock:
        if interpreter not in _made:
            _made[interpreter] = _make(interpreter)
        return _made[interpreter]


def _make(interpreter: Interpreter) -> Image:
    words = ["numpy"] if interpreter.numpy else []
    facts = json.loads(_ask([interpreter.executable, "-c", _PROBE, *words]))
    root = Path(tempfile.mkdtemp(prefix="emergecast-sandbox-"))
    atexit.register(_delete, root, os.getpid())
    root.chmod(0o755)
    executable = Path(facts["executable"])
    library = [Path(each) for each in facts["library"]]
    for folder in library:
        _copy_folder(folder, root)
    packages = []
    if facts["numpy"]:
        home = Path(facts["numpy"][1])
        packages = [each for each in (home, home.with_name("numpy.libs")) if each.is_dir()]
        for folder in packages:
            _copy_folder(folder, root, Path(_PACKAGES, folder.name))
    _copy(executable, _inside(root, executable))
    loader = _INTERPRETER_OF.search(executable.read_bytes()[:8192])
    if loader is not None:
        path = Path(os.fsdecode(loader[0]))
        _copy(path, _inside(root, path))
    folders = []
    for text in facts["objects"]:
        path = Path(text)
        if not any(path.is_relative_to(each) for each in (*library, *packages)):
            _copy_object(path, root)
            folders.append(str(path.parent))
    for device in DEVICES:
        _inside(root, Path(device)).touch()
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        (root / "dev" / name).symlink_to(f"/proc/self/fd/{number}")
    (root / "proc").mkdir()
    _inside(root, Path(PROGRAM)).touch()
    version = "Python " + facts["version"]
    version += f", numpy {facts['numpy'][0]}" if facts["numpy"] else ""
    image = Image(
        root=root,
        executable=str(executable),
        libraries=":".join(dict.fromkeys(folders)),
        version=version,
    )
    _compile(image, library)
    return image


def environment(image: Image) -> dict[str, str]:
    """The environment variables inside: one thread, UTF-8, and sets in the same order each time."""
    return {
        "HOME": "/",
        "LANG": "C.UTF-8",
        "LD_LIBRARY_PATH": image.libraries,
        "MALLOC_ARENA_MAX": "1",  # each takes 64 MiB of address space
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PATH": str(Path(image.executable).parent),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": _PACKAGES,
        "PYTHONUTF8": "1",
    }


def _ask(command: Sequence[str]) -> str:
    """What a command prints."""
    what = f'the Python "{command[0]}" for programs of models'
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabError(f"{what} cannot be started: {error}") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise LabError(f"{what} cannot be used: {last}")
    return done.stdout


def _inside(root: Path, path: Path) -> Path:
    """Where a path of the machine lies in a root; its folder is made."""
    found = root / path.relative_to("/")
    found.parent.mkdir(parents=True, exist_ok=True)
    return found


def _copy(source: str | Path, target: str | Path) -> None:
    """Copy a file so that everybody may read it, with its time, by which Python knows its cache."""
    shutil.copyfile(source, target)
    found = Path(source).stat()
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
    Path(target).chmod(0o755)


def _copy_folder(source: Path, root: Path, path: Path | None = None) -> None:
    target = _inside(root, path or source)
    shutil.copytree(
        source, target, ignore=_LEFT_OUT, copy_function=_copy,
        ignore_dangling_symlinks=True, dirs_exist_ok=True,
    )  # fmt: skip
    for folder in (target, *(each for each in target.rglob("*") if each.is_dir())):
        folder.chmod(0o755)


def _copy_object(path: Path, root: Path) -> None:
    """Copy a shared library, and the links by whose names it is asked for."""
    target = _inside(root, path)
    _copy(path, target)
    for each in path.parent.iterdir():
        if (
            each.is_symlink()
            and each.resolve() == path
            and not (target.parent / each.name).exists()
        ):
            (target.parent / each.name).symlink_to(path)


def _compile(image: Image, library: Sequence[Path]) -> None:
    """Compile the standard library where it was delivered without: each start would do it again."""
    copies = [_inside(image.root, each) for each in library]
    if not any((each / "__pycache__").is_dir() for each in copies):
        _ask([image.executable, "-m", "compileall", "-q", *map(str, copies)])


def _delete(root: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked process has the same list of what to do at its end
        shutil.rmtree(root, ignore_errors=True)
