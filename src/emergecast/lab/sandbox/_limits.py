"""What a program may use, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from emergecast.errors import OptionError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one program may use."""

    cpu_seconds: float = 4.0
    """Seconds of CPU of all its threads together; the limit of APPS's own grader for a test."""
    wall_seconds: float = 20.0
    """Seconds from its start to its end, whatever it does; above `cpu_seconds`, since a program
    that shares a core is slow without being at fault."""
    memory_bytes: int = 2**30
    """Bytes of address space, shared libraries among them."""
    threads: int = 32
    """Threads beside the first one; each takes 64 MiB of address space, if it asks for no less."""
    output_bytes: int = 2**24
    """Bytes that it may write to standard output, and as many to standard error."""

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            if not getattr(self, name) >= least:
                raise OptionError(f"{name} is {getattr(self, name)}; it is {least:g} at least.")


_LEAST = {
    "cpu_seconds": 0.1,
    "wall_seconds": 0.1,
    "memory_bytes": 2**26,
    "threads": 0,
    "output_bytes": 1,
}


class Ending(StrEnum):
    """How a program ended."""

    FINISHED = "finished"
    """By itself, with exit status 0."""
    FAILED = "failed"
    """With another exit status: an exception, `sys.exit(1)`, a signal. Its stderr says more."""
    MEMORY = "out of memory"
    """With a MemoryError: raise `memory_bytes` if it should have had more."""
    CPU = "out of CPU time"
    """It used more than `cpu_seconds`."""
    WALL = "out of time"
    """It was still there after `wall_seconds`: it waited, or the machine was overloaded."""
    OUTPUT = "too much output"
    """It wrote more than `output_bytes`, and was killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramOutcome:
    """What a program did."""

    ending: Ending
    """How it ended."""
    exit_status: int | None
    """As a shell counts it, 128 + N for signal N; None where it was killed at a limit."""
    stdout: str
    """What it wrote to standard output until then; what is no UTF-8 is replaced."""
    stderr: str
    """The last 64 KiB that it wrote to standard error."""
    cpu_seconds: float
    """Seconds of CPU, the start of bubblewrap and of Python among them."""
    wall_seconds: float
    """Seconds from start to end."""
