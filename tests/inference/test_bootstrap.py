"""The bootstrap against refitting each resample on its own."""

from __future__ import annotations

import numpy as np
import pytest
from tests.referees import simulate

import emergecast
from emergecast.inference import ExactPosterior, FitOptions, Resample
from emergecast.inference._bootstrap import SharedNodes, _counts
from emergecast.measurements import SelectOptions


@pytest.fixture(scope="module")
def fit():
    """A table with two separate runs a cell."""
    for table in simulate.random_tables(40, seed=21):
        repeated = len(set(table.subset)) > 1
        if repeated and len(set(table.checkpoint)) >= 7 and table.law == "log-power":
            return emergecast.fit(
                simulate.as_rows(table),
                SelectOptions(task="t"),
                FitOptions(few_shot_examples=table.few_shot_examples),
            )
    raise AssertionError


@pytest.mark.parametrize("resample", Resample)
def test_modes_equal_those_of_the_resampled_table(fit, resample):
    """On shared nodes and alone: the modes of 8 resamples agree to 0.35 standard deviations.

    Alone means rows written as often as they were drawn, priors anchored at the original table.
    """
    from dataclasses import replace

    data = fit.data
    noise = float(np.median(fit.posterior.draws(1000, np.random.default_rng(0)).noise))
    counts = _counts(data, resample, 8, np.random.default_rng(0))
    assert counts is not None
    shared, _ = SharedNodes(data, fit.coordinates, noise).modes(counts)
    for column in range(8):
        rows = np.repeat(np.arange(data.loss.size), counts[:, column].astype(int))
        alone = replace(
            data,
            **{
                name: getattr(data, name)[rows]
                for name in (
                    "loss", "score", "level", "sampling_sd", "repeats", "checkpoint", "snapshot",
                )
            },
        )  # fmt: skip
        posterior = ExactPosterior(alone, fit.coordinates)
        found = float(data.to_nats(shared[column]))
        assert found == pytest.approx(posterior.mode, abs=0.35 * posterior.sd)


def test_counts_of_checkpoints_and_of_runs(fit):
    """By checkpoint all rows of one share a count; by run every cell keeps its number of rows."""
    data = fit.data
    by_checkpoint = _counts(data, Resample.CHECKPOINT, 20, np.random.default_rng(1))
    assert by_checkpoint is not None
    for checkpoint in np.unique(data.checkpoint):
        assert np.all(np.ptp(by_checkpoint[data.checkpoint == checkpoint], axis=0) == 0)
    by_run = _counts(data, Resample.RUN, 20, np.random.default_rng(1))
    assert by_run is not None
    cells = np.unique(np.column_stack([data.checkpoint, data.level]), axis=0, return_inverse=True)[
        1
    ]
    for cell in np.unique(cells):
        rows = cells == cell
        assert np.all(by_run[rows].sum(axis=0) == rows.sum())
    assert np.all(by_run[data.few_shot] == 1)


def test_nothing_to_resample_is_none_and_not_a_narrow_interval(fit):
    """Tables with one row a cell have no bootstrap by run; neither have snapshots of one run."""
    rows = fit.selection.rows.filter(~pl_duplicate())
    records = [
        {
            "checkpoint": row["checkpoint"], "loss": row["loss"], "task": "t",
            "chance": fit.data.chance,
            "setting": "few_shot" if row["few_shot"] else "finetuned",
            "shots": 1 if row["few_shot"] else None, "examples": row["examples"],
            "score": row["score"], "stderr": row["stderr"], "n_items": row["n_items"],
        }
        for row in rows.to_dicts()
    ]  # fmt: skip
    single = emergecast.fit(records, SelectOptions(task="t"))
    assert single.bootstrap(Resample.RUN, 10) is None
    assert single.bootstrap(Resample.CHECKPOINT, 10) is not None
    snapshots = [
        {**record, "epochs": epochs, "snapshot": True}
        for record in records
        if record["setting"] == "finetuned"
        for epochs in (1, 2)
    ]
    assert emergecast.fit(snapshots, SelectOptions(task="t")).bootstrap(Resample.RUN, 10) is None


def pl_duplicate():
    """Rows after the first of their cell."""
    import polars as pl

    return pl.struct("checkpoint", "few_shot", "examples").is_first_distinct().not_()


def test_degenerate_resamples_are_counted():
    """With four checkpoints most resamples hold fewer than four, and are counted, not fitted."""
    rng = np.random.default_rng(2)
    rows = []
    for i, loss in enumerate((3.0, 2.6, 2.3, 2.0)):
        for amount, elbow in ((16, 2.2), (128, 2.5), (1024, 2.8)):
            score = 0.25 + 0.5 * max(elbow - loss, 0) + 0.003 * rng.standard_normal()
            rows.append(
                {
                    "checkpoint": f"c{i}", "loss": loss, "task": "t", "chance": 0.25,
                    "setting": "finetuned", "examples": amount, "score": score, "stderr": 0.003,
                }
            )  # fmt: skip
    result = emergecast.fit(rows).bootstrap(Resample.CHECKPOINT, 100)
    assert result is not None
    assert result.n == 100
    assert result.degenerate > 60  # 4!/4^4 = 9% of resamples hold all four
    assert result.modes.size == 100 - result.degenerate
