"""The door of the sandbox: run a program, or say why nothing can be run."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from emergecast.errors import LabError
from emergecast.lab.sandbox._execution import Execution
from emergecast.lab.sandbox._filter import system_call_filter
from emergecast.lab.sandbox._image import Image, Interpreter, image_of
from emergecast.lab.sandbox._installed import ADVICE, bubblewrap
from emergecast.lab.sandbox._limits import Ending, Limits, ProgramOutcome


def run(
    program: str,
    stdin: str,
    limits: Limits | None = None,
    *,
    interpreter: Interpreter | None = None,
    on_idle: Callable[[], None] | None = None,
) -> ProgramOutcome:
    """Run a Python program in a sandbox of its own; may be called from many threads.

    Args:
        program: its source.
        stdin: what it reads from standard input, a pipe that is then closed.
        limits: what it may use; `Limits()` if absent.
        interpreter: which Python runs it; `Interpreter()` if absent.
        on_idle: called once if the program lives but hardly uses its core, so that another may.

    Raises:
        LabError: there is no working bubblewrap, or the interpreter cannot be used.
    """
    limits, interpreter = limits or Limits(), interpreter or Interpreter()
    image = _checked(interpreter)
    for _ in range(2):
        found = Execution(image, limits, on_idle).outcome(program, stdin)
        if found is not None:
            return found
        _must_work(image)  # whose fault was it?
    raise LabError("a program ended without a status, twice, in a sandbox that works otherwise.")


def interpreter_version(interpreter: Interpreter | None = None) -> str:
    """Of the Python that runs programs, and of its numpy; results of another may differ.

    Raises:
        LabError: it cannot be used, or there is no working bubblewrap.
    """
    return _checked(interpreter or Interpreter()).version


def why_not() -> str | None:
    """Why nothing can be run on this machine, in one sentence; None where it can."""
    try:
        _checked(Interpreter())
    except LabError as error:
        return str(error)
    return None


@cache
def _checked(interpreter: Interpreter) -> Image:
    """The root for an interpreter in which a first program has run."""
    bubblewrap()
    system_call_filter()
    image = image_of(interpreter)
    _must_work(image)
    return image


def _must_work(image: Image) -> None:
    """Run a program that cannot fail."""
    execution = Execution(image, Limits(), None)
    found = execution.outcome("print(6 * 7)", "")
    if found is None or found.ending != Ending.FINISHED or found.stdout != "42\n":
        said = execution.stderr.decode(errors="replace").strip() or "nothing"
        raise LabError(f"bubblewrap cannot make a sandbox here; it says: {said} {ADVICE}")
