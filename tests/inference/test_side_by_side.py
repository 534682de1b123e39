"""Several threads: the order of results, errors, and forecasts that do not depend on cores."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from emergecast.diagnostics import diagnose
from emergecast.inference import Mixture, both, side_by_side
from emergecast.inference import _side_by_side as threads

LEVELS = [0.05, 0.5, 0.95]


def cores(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Pretend that this process may use so many."""
    monkeypatch.setattr(threads, "cores", lambda: number)


def test_results_come_in_the_order_of_the_items(monkeypatch: pytest.MonkeyPatch):
    """On several threads at once; where all cores are busy, inner calls go on on their own."""
    cores(monkeypatch, 3)
    together = threading.Barrier(3, timeout=20)

    def work(item: int) -> int:
        together.wait()  # only three threads at once can pass
        inner = side_by_side(lambda _: threading.get_ident(), range(4))
        together.wait()  # so that none has ended meanwhile
        assert set(inner) == {threading.get_ident()}
        return item * item

    assert side_by_side(work, range(6)) == [0, 1, 4, 9, 16, 25]
    assert side_by_side(work, []) == []


def test_a_core_that_has_nothing_left_to_do_helps_inner_calls(monkeypatch: pytest.MonkeyPatch):
    """Of two items one ends at once; the other's own items then run on two threads."""
    cores(monkeypatch, 2)
    ended, together = threading.Event(), threading.Barrier(2, timeout=20)

    def long() -> list[int]:
        assert ended.wait(20)
        while threads._busy:
            time.sleep(0.01)  # until the other thread has ended or waits
        return side_by_side(lambda item: together.wait() * 0 + item, range(2))

    for order in (True, False):
        ended.clear()
        works = (long, ended.set) if order else (ended.set, long)
        found = both(*works)
        assert [0, 1] in found


def test_an_error_of_one_is_an_error_of_all(monkeypatch: pytest.MonkeyPatch):
    """As it was raised."""
    cores(monkeypatch, 2)
    with pytest.raises(ZeroDivisionError):
        side_by_side(lambda item: 1 // item, [1, 0, 1])


def test_the_number_of_cores_changes_no_result(monkeypatch: pytest.MonkeyPatch, simulated_fits):
    """Quantiles, draws and influence are the same to the last digit."""
    found = []
    for number in (1, 4):
        cores(monkeypatch, number)
        fit = simulated_fits[2].with_law(Mixture.of(["log-power+student", "hill+deviation"]))
        draws = fit.posterior.draws(100, np.random.default_rng(0))
        influence = [(each.what, each.p05, each.p50) for each in diagnose(fit).influence]
        found.append((fit.posterior.quantile(LEVELS).tolist(), draws.slope.tolist(), influence))
    assert found[0] == found[1]
