from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CONFTEST = Path(__file__).with_name("conftest.py")
NEEDS_DATA = "def test_needs_data(shared_data):\n    assert shared_data.is_dir()\n"


@pytest.mark.parametrize(
    ("folder", "outcome"), [(None, "skipped"), ("missing", "errors"), (".", "passed")]
)
def test_a_missing_folder_fails_and_an_unset_variable_skips(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, folder, outcome
):
    """A moved folder cannot turn the tests on real tables off unnoticed."""
    pytester.makeconftest(CONFTEST.read_text())
    pytester.makepyfile(NEEDS_DATA)
    if folder is None:
        monkeypatch.delenv("EMERGECAST_SHARED", raising=False)
    else:
        monkeypatch.setenv("EMERGECAST_SHARED", str(pytester.path / folder))
    assert pytester.runpytest_subprocess("-p", "no:randomly").parseoutcomes() == {outcome: 1}
