"""Correct programs in both styles, and near misses of them.

Each case is a problem's tests as APPS publishes them (`input_output`), a right program, and a wrong
one that is nearly right. Written by hand; the expected answers are worked out by hand, too.
"""

# ruff: noqa: E501  a program stands on one line where it can
from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A problem with a right and a wrong program."""

    name: str
    """What is special about the right program."""
    right: str
    """It passes."""
    wrong: str
    """It fails."""
    miss: str
    """What is wrong with the wrong one."""
    tests: str
    """As in the column `input_output`."""


CASES: list[Case] = []
HUGE = "@HUGE@"
"""Stands for 10 ** 5000, which Python's own JSON would refuse to write."""


def _stdin(name: str, right: str, miss: str, wrong: str, *tests: tuple[object, object]) -> None:
    content = {"inputs": [given for given, _ in tests], "outputs": [wanted for _, wanted in tests]}
    CASES.append(Case(name=name, right=right, wrong=wrong, miss=miss, tests=json.dumps(content)))


def _call(
    name: str, function: str, right: str, miss: str, wrong: str, *tests: tuple[object, object]
) -> None:
    content = {
        "fn_name": function,
        "inputs": [given for given, _ in tests],
        "outputs": [wanted for _, wanted in tests],
    }
    text = json.dumps(content).replace(f'"{HUGE}"', "1" + "0" * 5000)
    CASES.append(Case(name=name, right=right, wrong=wrong, miss=miss, tests=text))


# ---------------------------------------------------------------------------------- standard input

_stdin(
    "a main guard",
    "def main():\n    print(sum(map(int, input().split())))\n\nif __name__ == '__main__':\n    main()",
    "it never calls main",
    "def main():\n    print(sum(map(int, input().split())))",
    ("1 2 3\n", "6\n"), ("-5 5\n", "0\n"),
)  # fmt: skip
_stdin(
    "sys.stdin.buffer",
    "import sys\ndata = sys.stdin.buffer.read().split()\nprint(len(data))",
    "it counts lines in place of words",
    "import sys\nprint(len(sys.stdin.buffer.readlines()))",
    ("a b\nc d\n", "4\n"), ("a\n", "1\n"),
)  # fmt: skip
_stdin(
    "input until the end",
    "try:\n    while True:\n        print(int(input()) * 2)\nexcept EOFError:\n    pass",
    "the last line is missing",
    "n = [int(input())]\ntry:\n    while True:\n        n.append(int(input()))\nexcept EOFError:\n    pass\nfor x in n[:-1]: print(2 * x)",
    ("1\n2\n3\n", "2\n4\n6\n"),
)  # fmt: skip
_stdin(
    "a loop over cases",
    "for _ in range(int(input())):\n    a, b = map(int, input().split())\n    print(max(a, b))",
    "the lines are in another order",
    "o = []\nfor _ in range(int(input())):\n    o.append(max(map(int, input().split())))\nfor x in sorted(o): print(x)",
    ("3\n9 2\n3 4\n5 5\n", "9\n4\n5\n"),
)  # fmt: skip
_stdin(
    "sys.stdin as an iterator",
    "import sys\nfor line in sys.stdin:\n    print(line.strip()[::-1])",
    "words are reversed, not letters",
    "import sys\nfor line in sys.stdin:\n    print(*line.split()[::-1])",
    ("ab cd\nxyz\n", "dc ba\nzyx\n"),
)  # fmt: skip
_stdin(
    "readline without its newline",
    "import sys\ninput = sys.stdin.readline\ns = input()[:-1]\nprint(len(s))",
    "it counts the newline",
    "import sys\nprint(len(sys.stdin.readline()))",
    ("hello", "5"), ("abc\n", "3\n"),
)  # fmt: skip
_stdin(
    "stdin by its descriptor",
    "import os\ndata = os.read(0, 10**6).split()\nprint(int(data[0]) ** int(data[1]))",
    "base and exponent are swapped",
    "import os\ndata = os.read(0, 10**6).split()\nprint(int(data[1]) ** int(data[0]))",
    ("2 10\n", "1024\n"),
)  # fmt: skip
_stdin(
    "open(0)",
    "n, *rest = map(int, open(0).read().split())\nprint(sum(sorted(rest)[:n]))",
    "it takes one number too many",
    "n, *rest = map(int, open(0).read().split())\nprint(sum(sorted(rest)[:n + 1]))",
    ("2\n5 1 4\n", "5\n"),
)  # fmt: skip
_stdin(
    "stdin replaced by its device",
    "import sys\nsys.stdin = open('/dev/stdin')\nprint(input().upper())",
    "letters have the wrong case",
    "print(input().title())",
    ("abc def\n", "ABC DEF\n"),
)  # fmt: skip
_stdin(
    "exit() at the end",
    "n = int(input())\nif n < 0:\n    print('negative')\n    exit()\nprint('other')\nexit(0)",
    "exit status 1 after the right answer",
    "n = int(input())\nprint('negative' if n < 0 else 'other')\nexit(1)",
    ("-1\n", "negative\n"), ("1\n", "other\n"),
)  # fmt: skip
_stdin(
    "decimals that are printed in another way",
    "a, b = map(int, input().split())\nprint(a / b)",
    "rounded to two digits",
    "a, b = map(int, input().split())\nprint(round(a / b, 2))",
    ("1 3\n", "0.333333333\n"), ("1 2\n", "0.50\n"),
)  # fmt: skip
_stdin(
    "decimals with an exponent",
    "print(float(input()) * 1e12)",
    "a relative error of 1e-5",
    "print(float(input()) * 1.00001e12)",
    ("2\n", "2e12\n"), ("3\n", "3.0E+12\n"),
)  # fmt: skip
_stdin(
    "whole numbers",
    "n = int(input())\nprint(n * (n + 1) // 2)",
    "a point where none is expected",
    "n = int(input())\nprint(n * (n + 1) / 2)",
    ("4\n", "10\n"),
)  # fmt: skip
_stdin(
    "large whole numbers",
    "n = int(input())\nprint(n * n)",
    "computed with floats",
    "n = int(input())\nprint(int(float(n) ** 2))",
    ("123456789123\n", "15241578780560891109129\n"),
)  # fmt: skip
_stdin(
    "blanks at the ends of lines and blank lines at both ends",
    "print()\nprint('1 2 ', end='  \\n')\nprint('3\\n\\n')",
    "a blank line in the middle",
    "print('1 2')\nprint()\nprint('3')",
    ("", "1 2\n3\n"),
)  # fmt: skip
_stdin(
    "no answer is an answer",
    "n = int(input())\nif n:\n    print(n)",
    "it prints None",
    "n = int(input())\nprint(n or None)",
    ("0\n", ""), ("2\n", "2\n"),
)  # fmt: skip
_stdin(
    "lists of lines in the data",
    "n = int(input())\nprint(n)\nprint(n + 1)",
    "the second line is missing",
    "print(int(input()))",
    (["7"], ["7", "8"]),
)  # fmt: skip
_stdin(
    "numpy",
    "import numpy as np\na = np.array(input().split(), dtype=int)\nprint(*np.cumsum(a))",
    "brackets of an array",
    "import numpy as np\nprint(np.cumsum(np.array(input().split(), dtype=int)))",
    ("1 2 3\n", "1 3 6\n"),
)  # fmt: skip
_stdin(
    "numpy is not needed",
    "try:\n    import numpy_that_is_not_there\nexcept ImportError:\n    print('without')",
    "it fails where the package is missing",
    "import numpy_that_is_not_there\nprint('without')",
    ("", "without\n"),
)  # fmt: skip
_stdin(
    "deep recursion in a thread",
    "import sys, threading\nsys.setrecursionlimit(300000)\nthreading.stack_size(2**27)\n"
    "def f(n):\n    return n and 1 + f(n - 1)\n"
    "t = threading.Thread(target=lambda: print(f(int(input()))))\nt.start()\nt.join()",
    "the recursion limit is left as it was",
    "def f(n):\n    return n and 1 + f(n - 1)\nprint(f(int(input())))",
    ("50000\n", "50000\n"),
)  # fmt: skip

# ------------------------------------------------------------------------------------------- calls

_call(
    "a function", "add", "def add(a, b):\n    return a + b",
    "it prints in place of returning", "def add(a, b):\n    print(a + b)",
    ([1, 2], 3), ([-1, 1], 0),
)  # fmt: skip
_call(
    "a method of a class", "twoSum",
    "class Solution:\n    def twoSum(self, nums: List[int], target: int) -> List[int]:\n"
    "        at = {}\n        for i, n in enumerate(nums):\n            if target - n in at:\n"
    "                return [at[target - n], i]\n            at[n] = i",
    "the order of the result",
    "class Solution:\n    def twoSum(self, nums, target):\n        at = {}\n        for i, n in enumerate(nums):\n"
    "            if target - n in at:\n                return [i, at[target - n]]\n            at[n] = i",
    ([[2, 7, 11], 9], [0, 1]),
)  # fmt: skip
_call(
    "a result in a list of one", "shout", "def shout(s):\n    return s.upper() + '!'",
    "a blank too many", "def shout(s):\n    return s.upper() + ' !'",
    (["ab"], ["AB!"]), ([""], ["!"]),
)  # fmt: skip
_call(
    "tuples are lists", "pairs", "def pairs(n):\n    return [(i, i * i) for i in range(n)]",
    "one pair too few", "def pairs(n):\n    return [(i, i * i) for i in range(n - 1)]",
    ([3], [[0, 0], [1, 1], [2, 4]]),
)  # fmt: skip
_call(
    "keys that are numbers", "count",
    "def count(d):\n    assert all(type(k) is int for k in d)\n    return {k + 1: v for k, v in d.items()}",
    "another key", "def count(d):\n    return {k: v for k, v in d.items()}",
    ([{"1": "a"}], {"2": "a"}),
)  # fmt: skip
_call(
    "decimals in a result", "mean", "def mean(xs):\n    return sum(xs) / len(xs)",
    "rounded", "def mean(xs):\n    return round(sum(xs) / len(xs), 3)",
    ([[1, 1, 2]], 1.3333333), ([[2, 4]], 3),
)  # fmt: skip
_call(
    "booleans", "even", "def even(n):\n    return n % 2 == 0",
    "numbers in place of booleans", "def even(n):\n    return 1 - n % 2",
    ([2], True), ([3], [False]),
)  # fmt: skip
_call(
    "nothing", "find", "def find(xs, x):\n    return xs.index(x) if x in xs else None",
    "-1 for nothing", "def find(xs, x):\n    return xs.index(x) if x in xs else -1",
    ([[1, 2], 2], 1), ([[1], 5], None),
)  # fmt: skip
_call(
    "prints beside the result", "double", "def double(n):\n    print('double', n)\n    return 2 * n",
    "the result as a text", "def double(n):\n    return str(2 * n)",
    ([4], 8),
)  # fmt: skip
_call(
    "integers of many digits", "power", "def power(a, b):\n    return a ** b",
    "the last digit", "def power(a, b):\n    return a ** b + 1",
    ([10, 5000], HUGE),
)  # fmt: skip
_call(
    "names that are imported where such problems come from", "top",
    "class Solution:\n    def top(self, xs, k):\n        return [x for x, _ in Counter(xs).most_common(k)]",
    "the counts in place of the values",
    "class Solution:\n    def top(self, xs, k):\n        return [n for _, n in Counter(xs).most_common(k)]",
    ([["a", "b", "a"], 1], ["a"]),
)  # fmt: skip
_call(
    "a main guard beside the function", "square",
    "def square(n):\n    return n * n\n\nif __name__ == '__main__':\n    print(square(int(input())))",
    "it waits for input first", "n = int(input())\n\ndef square(n):\n    return n * n",
    ([3], 9),
)  # fmt: skip
