"""The program that calls a function of a model's program, inside the sandbox."""

from __future__ import annotations

from typing import Final

# The names that programs with a class `Solution` expect to be there, as they were where they come
# from; APPS's own grader gives the same, and numpy.
_IMPORTS: Final = """
import bisect, collections, fractions, functools, heapq, itertools, math, random, re, string
import sys, time
from bisect import bisect_left, bisect_right, insort
from collections import ChainMap, Counter, OrderedDict, defaultdict, deque
from functools import lru_cache, reduce
from heapq import *
from itertools import accumulate, combinations, permutations, product
from math import ceil, cos, exp, fabs, floor, gcd, log, log2, sin, sqrt, tan
from typing import Any, Dict, Iterable, List, Optional, Set, Tuple, Union
"""
_SOURCE: Final = """
import json, os, sys, types

def call(source, name, answer):
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(0)
    arguments = [with_numbers(each) for each in json.loads(sys.stdin.read())]
    module = types.ModuleType("solution")
    sys.modules["solution"] = module
    exec(IMPORTS, module.__dict__)
    if "np." in source:
        import numpy
        module.np = numpy
    exec(compile(source, "solution.py", "exec"), module.__dict__)
    owner = getattr(module, "Solution", None)
    function = getattr(owner(), name) if hasattr(owner, name) else getattr(module, name)
    text = json.dumps(function(*arguments), allow_nan=False).encode()
    while text:
        text = text[os.write(answer, text):]

def with_numbers(value):
    # Keys of JSON are texts; where all are numbers, the function has them as numbers.
    try:
        return {int(key): each for key, each in value.items()} if type(value) is dict else value
    except ValueError:
        return value

# What the program prints is no answer.
answer = os.dup(1)
os.dup2(2, 1)
"""


def driver(program: str, function: str) -> str:
    """A program that reads JSON arguments, calls a function of `program`, and prints JSON.

    The answer goes to the real standard output, and what the program prints to standard error. A
    program that finds the descriptor can write an answer there; it does not know the right one, so
    that this is one more way to return it.
    """
    return f"IMPORTS = {_IMPORTS!r}\n{_SOURCE}\ncall({program!r}, {function!r}, answer)\n"
