"""A sandbox for programs that a model wrote.

`run` executes a Python program as `__main__` from a file, with a real pipe as its standard input,
and says how it ended: one process, cut off from the machine. bubblewrap (Debian package
`bubblewrap`, 0.8 or later) on Linux 5.14 or later makes the walls; where it is missing or may not
work, nothing is run. What holds what:

* Files: the root is a read-only copy of the interpreter, its standard library, the shared libraries
  they load and, if asked for, numpy. Nothing can be written anywhere, so no memory hides in files.
* Network: a namespace of its own with nothing but loopback, and `socket` is refused.
* User: nobody (65534) inside. Where emergecast runs as root, bubblewrap itself is started as nobody
  too, since root is exempt from limits and owns the kernel's switches under /proc/sys.
* Processes: one. A seccomp filter refuses `fork`, `vfork` and `clone` of anything but a thread, so
  limits of a process are limits of the whole tree. Threads are counted by RLIMIT_NPROC, which
  Linux 5.14 counts for each sandbox by itself.
* Namespaces: `unshare`, `setns`, `mount` and their like are refused by the filter, and bubblewrap
  sets the number of further user namespaces to 0 (`--disable-userns`).
* Other processes: a process namespace of its own, in which it is number 1, so that a signal that it
  sends itself counts only if it has a handler; `ptrace` and reading another's memory are refused.
* Memory: RLIMIT_AS, enforced by the kernel at every allocation. Shared memory outside the address
  space (memfd, System V, message queues) is refused; descriptors are at most 64, which bounds what
  pipes hold.
* CPU: RLIMIT_CPU kills at the next whole second; the verdict compares the seconds that the kernel
  counted, to the millisecond. They include starting bubblewrap and Python, about 0.03 s.
* Output: the parent stops reading at the limit and kills.
* Wall time: the parent kills the process namespace, from which nothing survives.
* The parent's death: `--die-with-parent`.

What it does not protect from: faults of the kernel or of bubblewrap; side channels through caches
and timing; a program that reads what /proc tells everybody about the machine (number of cores,
memory, load, uptime, kernel) or its clock; use of the limits to the full by as many programs as run
at a time. Outside of Linux on x86-64 and arm64 there is no filter, and nothing is run.
"""

from emergecast.lab.sandbox._image import Interpreter
from emergecast.lab.sandbox._limits import Ending, Limits, ProgramOutcome
from emergecast.lab.sandbox._run_program import interpreter_version, run, why_not
from emergecast.lab.sandbox._trials import Trial, Trials, hostile_programs, try_all

__all__ = [
    "Ending",
    "Interpreter",
    "Limits",
    "ProgramOutcome",
    "Trial",
    "Trials",
    "hostile_programs",
    "interpreter_version",
    "run",
    "try_all",
    "why_not",
]
