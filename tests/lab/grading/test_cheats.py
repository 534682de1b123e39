"""Programs that try to pass without answering, or to harm the grader."""

from __future__ import annotations

import json
import time

import pytest

from emergecast.lab.grading import ProgramGrade, Submission, grade, read_tests

pytestmark = pytest.mark.usefixtures("bubblewrap")

SUM = read_tests('{"inputs": ["1 2\\n", "30 47\\n"], "outputs": ["3\\n", "77.5\\n"]}')
"""No program can know that the second sum is wrong."""
CALL = read_tests('{"fn_name": "f", "inputs": [[1, 2], [3, 4]], "outputs": [[3], {"seven": 7}]}')

PROGRAMS = {
    "the right status and no answer": "import os; os._exit(0)",
    "every number there is": "for n in range(1000): print(n)",
    "every number on one line": "print(*range(1000))",
    "words of a grader": "import sys\nprint('PASSED', file=sys.stderr)\nprint([True] * 9)",
    "looking for the expected output": """
import os
for folder, _, names in os.walk('/'):
    for name in names if folder[:5] not in ('/proc', '/dev') else ():
        try:
            text = open(os.path.join(folder, name), errors='replace').read(10000)
        except OSError:
            continue
        if "77.5\\n" in text:
            print(text)
""",
    "walking frames into the grader": """
import gc, sys
frame = sys._getframe()
while frame:
    for name, value in {**frame.f_globals, **frame.f_locals}.items():
        if 'expect' in name or 'test' in name or 'result' in name:
            print(value)
    frame = frame.f_back
for each in gc.get_objects():
    if isinstance(each, dict) and 'expected' in each:
        print(each['expected'])
""",
    "importing the grader": "import emergecast.lab.grading as g\ng.same_text = lambda a, b: True",
    "replacing what compares": """
import builtins, sys
builtins.all = builtins.any = lambda _: True
str.__eq__ = lambda a, b: True
""",
    "an object that is equal to all": """
class Always(str):
    def __eq__(self, other): return True
    def __hash__(self): return 0
print(Always('x'))
""",
    "numbers that are no numbers": "print('nan')",
    "an infinite number": "print('1e999999999999999999999')",
    "digits of another script": "print('\\u0663')",
    "brackets without end": "print('[' * 10**6)",
    "a number of a million digits": "print('7' * 10**6 + '.5')",
    "a million tokens": "print('1.5 ' * 10**6)",
    "a million lines": "print('\\n' * 10**6)",
    "bytes that are no text": "import os; os.write(1, bytes(range(256)) * 100)",
    "an answer from a child": "import os\nif not os.fork(): print(3)",
    "an answer after the end": """
import atexit, os, threading, time
atexit.register(lambda: print(3.0000001))
threading.Thread(target=lambda: time.sleep(.1) or print(4)).start()
""",
    "a syntax error after a print": "print(3)\ndef f(:",
}
CALLS = {
    "an object that is equal to all": """
class Always(int):
    def __eq__(self, other): return True
    def __hash__(self): return 0
def f(a, b): return Always()
""",
    "an object of its own": "class A:\n    __eq__ = lambda s, o: True\ndef f(a, b): return A()",
    "NaN": "def f(a, b): return float('nan')",
    "a set": "def f(a, b): return {3}",
    "a generator": "def f(a, b): yield 3",
    "bytes": "def f(a, b): return b'3'",
    "a list that holds itself": "def f(a, b):\n    x = []\n    x.append(x)\n    return x",
    "a list nested too deeply": """
import os
def f(a, b):
    for fd in range(3, 10):
        try: os.write(fd, b'[' * 10**5 + b']' * 10**5)
        except OSError: pass
    os._exit(0)
""",
    "an object with every key": """
import os
def f(a, b):
    text = b'{"seven": 8, "seven": 7}'
    for fd in range(3, 10):
        try: os.write(fd, text)
        except OSError: pass
    os._exit(0)
""",
    "a verdict in place of a result": """
import sys, os
def f(a, b):
    frame = sys._getframe(1)
    os.write(frame.f_globals['answer'], b'{"passed": true}')
    os._exit(0)
""",
    "another way to write JSON": """
import json
class Text(str):
    def encode(self, *_): return b'true'
json.dumps = lambda *a, **k: Text('true')
def f(a, b): return 0
""",
    "replacing the driver": """
import sys
main = sys.modules['__main__']
main.call = main.with_numbers = lambda *a: True
def f(a, b): return main
""",
    "leaving early": "import sys\ndef f(a, b): sys.exit(0)",
    "leaving at once": "raise SystemExit(0)",
    "the answer on standard output": "import os\ndef f(a, b): os.write(1, b'3')",
    "no function": "f = 3",
    "another function": "def g(a, b): return a + b",
    "waiting for more input": "import sys\ndef f(a, b): return json.loads(sys.stdin.read())",
}


@pytest.fixture(scope="module")
def grades() -> dict[tuple[str, str], ProgramGrade]:
    """All of them at once."""
    everything = [("text", name, each, SUM) for name, each in PROGRAMS.items()]
    everything += [("call", name, each, CALL) for name, each in CALLS.items()]
    began = time.monotonic()
    found = grade([Submission(program=each, tests=tests) for _, _, each, tests in everything])
    assert time.monotonic() - began < 120  # comparing takes no time either
    return {each[:2]: grade for each, grade in zip(everything, found, strict=True)}


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_program_passes(grades: dict[tuple[str, str], ProgramGrade], name: str):
    """Not a single test, for none of them adds."""
    assert not any(each.passed for each in grades["text", name].tests)


@pytest.mark.parametrize("name", CALLS)
def test_no_function_passes(grades: dict[tuple[str, str], ProgramGrade], name: str):
    """Not a single test either, whatever comes back."""
    assert not any(each.passed for each in grades["call", name].tests)


def test_what_the_program_sees_holds_nothing_that_is_expected():
    """The driver's source has the program and the function's name, and no more."""
    from emergecast.lab.grading._driver import driver

    text = driver("def f(a, b): return 0", "f")
    assert "seven" not in text
    assert json.dumps(CALL.tests[1].expected) not in text
