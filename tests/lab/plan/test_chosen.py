from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from emergecast.errors import OptionError
from emergecast.lab.executors import RunOptions, run_all
from emergecast.lab.experiment import read_experiment
from emergecast.lab.ledger import State
from emergecast.lab.plan import Chosen, Plan, Shard, clear_failures, survey

Write = Callable[..., Path]


def plan(file: Path, chosen: Chosen | None = None) -> Plan:
    """The plan of an experiment, or a part of it."""
    return survey(read_experiment(file), chosen=chosen).plan


def test_titles_choose_runs_for_plan_and_run(write: Write):
    """Several patterns add up; nothing else is counted, or done."""
    file = write()
    chosen = Chosen(only=("*S-2 loss*", "*/S-[13] finetuned* D=64 *"))
    titles = [run.title for run in plan(file, chosen).runs]
    assert titles == [
        "v1/S-2 loss held-out",
        "v1/S-1 finetuned matching D=64 subset 0 seed 0 full",
        "v1/S-3 finetuned matching D=64 subset 0 seed 0 full",
    ]
    report = run_all(read_experiment(file), options=RunOptions(workers=1, chosen=chosen))
    assert report.done == 3
    assert report.plan.count() == {State.DONE: 3}
    assert plan(file).count() == {State.DONE: 3, State.MISSING: 12}


@pytest.mark.parametrize("number", [1, 2, 3, 7])
def test_shares_are_the_whole_each_run_once(write: Write, number: int):
    """And combine with titles."""
    file = write()
    shares = [plan(file, Chosen(shard=Shard(i + 1, number))).runs for i in range(number)]
    keys = [run.key for share in shares for run in share]
    assert sorted(keys) == sorted(run.key for run in plan(file).runs)
    first = Chosen(only=("*finetuned*",), shard=Shard(1, number))
    assert {run.key for run in plan(file, first).runs} == {
        run.key for run in shares[0] if "finetuned" in run.title
    }


def test_a_run_stays_in_its_share_when_others_are_added(write: Write):
    """Whoever has begun with a share is not disturbed."""
    some = write(("      - {name: S-1, path: S-1, params: 80614, tokens: 1e6}\n", ""))
    before = {run.key for run in plan(some, Chosen(shard=Shard(1, 2))).runs}
    after = {run.key for run in plan(write(), Chosen(shard=Shard(1, 2))).runs}
    assert 0 < len(before) < 10
    assert before <= after


def test_a_share_waits_for_losses_of_others_and_says_so(write: Write):
    """With `choose`, scores follow when all losses are known."""
    file = write(("corpora:", "    choose: {count: 2}\ncorpora:"))
    found = plan(file, Chosen(only=("*finetuned*",)))
    assert not found.runs
    assert (len(found.undecided), found.awaited) == (6, 3)
    assert plan(file).awaited == 0
    run_all(read_experiment(file), options=RunOptions(chosen=Chosen(only=("*loss*",))))
    found = plan(file, Chosen(only=("*finetuned*",)))
    assert (len(found.runs), len(found.undecided), found.awaited) == (6, 0, 0)


def test_a_pattern_that_fits_nothing_is_a_mistake(write: Write):
    """A title that there is helps."""
    with pytest.raises(OptionError, match=r'fits --only .s-1 loss.; there is "v1/S-1 loss held-'):
        plan(write(), Chosen(only=("s-1 loss",)))


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", "1/2/3", ""])
def test_what_names_no_share_is_refused(text: str):
    """From 1 to the number of shares."""
    with pytest.raises(OptionError, match="Give one like 2/4"):
        Shard.parse(text)
    assert Shard.parse(" 2/4 ") == (2, 4)


def test_failed_runs_are_cleared_by_title_and_share(write: Write):
    """Two failures in different shares, or of different titles."""
    file = write(("{seconds: 0}", '{fail: "*few_shot*"}'))
    run_all(read_experiment(file), options=RunOptions(workers=1))
    experiment = read_experiment(file)
    assert clear_failures(experiment, chosen=Chosen(only=("*S-9*",))) == 0
    assert clear_failures(experiment, chosen=Chosen(only=("*S-1 *",))) == 1
    shares = [clear_failures(experiment, chosen=Chosen(shard=Shard(i, 2))) for i in (1, 2)]
    assert sum(shares) == 2
