"""Suggestions of names: the nearest one, all that are equally near, or those there are."""

from __future__ import annotations

from difflib import get_close_matches

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emergecast.errors import alike, meant, near, nearest

NAMES = ("open_llama_v1_3b", "open_llama_v1_7b", "open_llama_v1_13b", "amber")


def test_all_equally_near_names_are_offered():
    """In their order, and one alone where it is nearer than the rest."""
    assert alike("open_llama_v1_5b", NAMES) == ("open_llama_v1_3b", "open_llama_v1_7b")
    question = 'Did you mean "open_llama_v1_3b" or "open_llama_v1_7b"?'
    assert meant("open_llama_v1_5b", NAMES) == near("open_llama_v1_5b", NAMES) == question
    assert near("ambr", NAMES) == 'Did you mean "amber"?'
    assert meant("pythia", NAMES) == ""
    assert near("pythia", NAMES).startswith("There are: open_llama_v1_3b, ")
    many = [f"run-{i}" for i in range(10, 30)]
    assert meant("run-1", many).count('"') == 16
    assert meant("run-1", many).endswith("or one of 3 more?")


def test_capitals_do_not_matter():
    """A name that is the same but for them is the nearest."""
    assert nearest("MMLU", ["mmlu", "MML"]) == "mmlu"
    assert nearest("s-108", ["s-10", "S-108"]) == "S-108"


@given(st.text("abc", min_size=1, max_size=6), st.lists(st.text("abc", max_size=6), max_size=8))
def test_the_nearest_are_as_near_as_the_standard_library_says(name: str, names: list[str]):
    """Its best match is among them, and none is there where it finds none."""
    found, best = alike(name, names), get_close_matches(name, names, n=1)
    assert (not best and not found) or best[0] in found
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(("least", "found"), [(0.5, ("abcd",)), (0.6, ())])
def test_a_name_must_be_alike_enough(least: float, found: tuple[str, ...]):
    """Two of four letters are half alike, which is enough where half is asked for."""
    assert alike("abxy", ["abcd"], least=least) == found
