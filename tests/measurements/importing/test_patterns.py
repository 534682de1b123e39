from __future__ import annotations

import pytest

from emergecast.errors import OptionError
from emergecast.measurements.importing._patterns import compile_pattern

MATCHES = [
    ("few_shot/{checkpoint}/{task}.json", "few_shot/a-1.4b/mmlu.json", ("a-1.4b", "mmlu")),
    ("{checkpoint}/step_{step}/x.json", "a/step_250/x.json", ("a", "250")),
    ("./{checkpoint}.json", "a.json", ("a",)),
    ("{checkpoint}_{seed}.json", "a_b_1.json", ("a_b", "1")),
    ("{checkpoint}/{checkpoint}_{task}.json", "a/a_t.json", ("a", "t")),
    ("**/{checkpoint}/results_*.json", "x/y/a/results_1.json", ("a",)),
    ("**/{checkpoint}/results_*.json", "a/results_1.json", ("a",)),
    ("{checkpoint}/(1+1).json", "a/(1+1).json", ("a",)),
]


@pytest.mark.parametrize(("pattern", "path", "values"), MATCHES)
def test_fields_take_what_stands_in_their_place(pattern, path, values):
    """Literal parts are literal, also where they look like a regular expression."""
    compiled = compile_pattern(pattern)
    assert compiled.match(path) == dict(zip(compiled.fields, values, strict=True))


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("{checkpoint}.json", "a/b.json"),
        ("{checkpoint}/{task}.json", "a/.json"),
        ("{checkpoint}/{task}.json", "a/t.json.bak"),
        ("{checkpoint}/{checkpoint}.json", "a/b.json"),
        ("{checkpoint}/*.json", "a/b/c.json"),
        ("{checkpoint}/x.json", "a/xjson"),
    ],
)
def test_a_field_stays_within_one_part_of_the_path(pattern, path):
    """And the whole path must match."""
    assert compile_pattern(pattern).match(path) is None


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("{task}.json", "Add a field {checkpoint}"),
        ("{checkpoint.json", "brace"),
        ("checkpoint}.json", "brace"),
        ("/x/{checkpoint}.json", "relative"),
        ("", "relative"),
        ("{}/{checkpoint}.json", "no proper name"),
        ("{check point}/{checkpoint}.json", "no proper name"),
        ("{checkpoint}/{score}.json", "file itself says"),
        ("{checkpoint}/{metric}.json", "file itself says"),
        ("{checkpoint}/{source_file}.json", "file itself says"),
    ],
)
def test_an_impossible_pattern_says_why(pattern, says):
    """Before any file is read."""
    with pytest.raises(OptionError) as caught:
        compile_pattern(pattern)
    assert says in str(caught.value)
