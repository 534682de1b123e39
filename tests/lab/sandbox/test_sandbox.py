"""What an ordinary program sees of the sandbox: a real interpreter, a real pipe, real limits."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tests.cli.flat import flat

from emergecast.errors import LabError, OptionError
from emergecast.lab.sandbox import Ending, Interpreter, Limits, interpreter_version, run
from emergecast.lab.sandbox._filter import system_call_filter

pytestmark = pytest.mark.usefixtures("bubblewrap")


def test_a_program_is_the_main_module_of_a_file_with_a_pipe():
    """As when a person runs it: `__main__`, a path, a pipe whose end comes."""
    program = """
import os, stat, sys
print(__name__, __file__, stat.S_ISFIFO(os.fstat(0).st_mode))
print(sys.stdin.buffer.readline(), sys.stdin.read().strip(), sys.argv)
"""
    found = run(program, "première\nréal\n")
    second = "b'premi\\xc3\\xa8re\\n' réal ['/program.py']"
    assert found.stdout.splitlines() == ["__main__ /program.py True", second]
    assert (found.ending, found.exit_status) == (Ending.FINISHED, 0)


@pytest.mark.parametrize(
    ("program", "ending", "status"),
    [
        ("raise SystemExit(3)", Ending.FAILED, 3),
        ("1 / 0", Ending.FAILED, 1),
        ("def f(:", Ending.FAILED, 1),
        ("import os; os._exit(0)", Ending.FINISHED, 0),
        ("import os; os.abort()", Ending.FAILED, 139),
        ("x = bytearray(2**40)", Ending.MEMORY, 1),
        ("\0", Ending.FAILED, 1),
    ],
)
def test_exit_statuses(program: str, ending: Ending, status: int):
    """Only a program that ends with 0 has finished."""
    found = run(program, "")
    assert (found.ending, found.exit_status) == (ending, status)


def test_large_streams_in_both_directions():
    """Input is written while output is read: neither side waits for the other for ever."""
    text = "".join(f"{number}\n" for number in range(200_000))
    found = run("import sys\nfor line in sys.stdin: print(line, end='')", text)
    assert found.stdout == text


def test_input_that_nobody_reads():
    """A program may end before it has read all."""
    assert run("print(1)", "x" * 2**22).stdout == "1\n"


def test_output_is_kept_up_to_the_limit():
    """Up to the last byte that is allowed it is no flood."""
    limits = Limits(output_bytes=1000)
    assert run("print('x' * 999)", "", limits).ending == Ending.FINISHED
    assert run("print('x' * 1000)", "", limits).ending == Ending.OUTPUT


def test_cpu_seconds_are_the_kernels():
    """A program that measures itself finds what the outcome says, up to the start of Python."""
    program = """
import time
while time.process_time() < 0.5: pass
print(time.process_time())
"""
    found = run(program, "")
    assert float(found.stdout) <= found.cpu_seconds < float(found.stdout) + 0.2
    assert run("import time; time.sleep(0.3)", "").cpu_seconds < 0.25


def test_stdlib_streams_by_name():
    """Programs open them by their path, too."""
    assert run("print(open('/dev/stdin').read(), open(0, closefd=False))", "5").stdout[0] == "5"


def test_numpy_is_there_or_not():
    """As the interpreter's option says; no other package ever is."""
    assert "numpy" in interpreter_version()
    assert run("import numpy; print(numpy.arange(3).sum())", "").stdout == "3\n"
    without = Interpreter(numpy=False)
    assert "numpy" not in interpreter_version(without)
    assert "ModuleNotFoundError" in run("import numpy", "", interpreter=without).stderr
    assert "ModuleNotFoundError" in run("import polars", "").stderr


def test_sets_of_texts_have_one_order():
    """So that a grade does not depend on the run."""
    program = "print(list({str(n) for n in range(50)}))"
    assert run(program, "").stdout == run(program, "").stdout


def test_threads_for_deep_recursion():
    """The usual way to recurse deeply works within the limits."""
    program = """
import sys, threading
sys.setrecursionlimit(10**6)
threading.stack_size(2**28)
def depth(n): return 0 if n == 0 else 1 + depth(n - 1)
thread = threading.Thread(target=lambda: print(depth(10**5)))
thread.start()
thread.join()
"""
    assert run(program, "").stdout == "100000\n"


def test_many_at_a_time():
    """Each has its own limits: processes are not counted together."""
    found: list[str] = []
    limits = Limits(threads=10)
    program = (
        "import threading, time\n"
        "ts = [threading.Thread(target=time.sleep, args=(.3,)) for _ in range(10)]\n"
        "for t in ts: t.start()\n"
        "print(len(ts))"
    )
    threads = [
        threading.Thread(target=lambda: found.append(run(program, "", limits).stdout))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["10\n"] * 4


def test_idle_is_told_once_and_only_of_a_program_that_waits():
    """A program that computes keeps its core."""
    told: list[float] = []
    run("import time; time.sleep(1)", "", on_idle=lambda: told.append(time.monotonic()))
    assert len(told) == 1
    run("import time\nwhile time.process_time() < 0.7: pass", "", on_idle=lambda: told.append(0.0))
    assert len(told) == 1


def test_nothing_survives_a_parent_that_is_killed():
    """The sandbox ends with the process that made it."""
    code = (
        "from emergecast.lab.sandbox import Interpreter, run\n"
        "run('import time; time.sleep(99)', '', interpreter=Interpreter(numpy=False))"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as parent:
        _wait_for(lambda: _stays(parent.pid))
        processes = _below(parent.pid)
        parent.kill()
    assert len(processes) == 2  # bubblewrap and the program
    _wait_for(lambda: not [each for each in processes if Path(f"/proc/{each}").exists()])


def test_an_interpreter_that_is_none():
    """It is named, with what happened."""
    with pytest.raises(LabError, match="no-such-python"):
        run("", "", interpreter=Interpreter(executable="no-such-python"))
    with pytest.raises(LabError, match='"/bin/false" for programs of models cannot be used'):
        run("", "", interpreter=Interpreter(executable="/bin/false"))


def test_without_bubblewrap_nothing_is_run():
    """The package is named, and nothing is printed as if it had worked."""
    command = [sys.executable, "-m", "emergecast", "sandbox", "check"]
    environment = {**os.environ, "PATH": "/nowhere"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "apt-get install bubblewrap" in flat(done.stderr)
    assert not done.stdout


@pytest.mark.parametrize("name", ["cpu_seconds", "wall_seconds", "memory_bytes", "output_bytes"])
def test_impossible_limits(name: str):
    """A limit of nothing is a mistake."""
    with pytest.raises(OptionError, match=name):
        Limits(**{name: 0})


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_by_a_machine_of_its_own(machine: str):
    """Interpreted by the rules of classic BPF, it says what the table says."""
    architecture = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[machine]
    unshare, clone, read = {"x86_64": (272, 56, 0), "aarch64": (97, 220, 63)}[machine]
    allow, eperm, enosys, kill = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
    program = system_call_filter(machine)

    def verdict(number: int, first: int = 0, arch: int = architecture) -> int:
        data = struct.pack("=IIQ6Q", number, arch, 0, first, 0, 0, 0, 0, 0)
        return _interpret(program, data)

    assert verdict(read) == allow
    assert verdict(unshare) == eperm
    assert verdict(clone, 0x11) == eperm
    assert verdict(clone, 0x003D0F00) == allow  # what pthread_create asks for
    assert verdict(435) == enosys
    assert verdict(463) == enosys
    assert verdict(0x40000000 + 57) == enosys
    assert verdict(read, arch=0x40000003) == kill


def test_a_machine_without_a_table():
    """Nothing is run where system calls have other numbers."""
    with pytest.raises(LabError, match="riscv64"):
        system_call_filter("riscv64")


def _interpret(program: bytes, data: bytes) -> int:
    """Classic BPF, as far as the filter uses it."""
    code = list(struct.iter_unpack("=HBBI", program))
    accumulator, place = 0, 0
    while True:
        what, if_true, if_false, k = code[place]
        place += 1
        if what == 0x20:
            accumulator = struct.unpack_from("=I", data, k)[0]
        elif what == 0x06:
            return int(k)
        else:
            holds = {0x15: accumulator == k, 0x25: accumulator > k, 0x45: bool(accumulator & k)}
            place += if_true if holds[what] else if_false


def _below(pid: int) -> list[int]:
    """The processes that a process and its children have started."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii")
    except OSError:
        return []
    children = [int(each) for each in text.split()]
    return children + [each for child in children for each in _below(child)]


def _stays(pid: int) -> bool:
    """Whether bubblewrap and a program are below a process, and still are a second later."""
    found = _below(pid)
    time.sleep(1)
    return len(found) == 2 and found == _below(pid)


def _wait_for(condition) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
