"""The derived constants of docs/model.md, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

import emergecast
from emergecast.errors import FitError, OptionError
from emergecast.inference import FitOptions

LOSSES = (3.0, 2.5, 2.2, 2.0, 1.9)


def rows(**changes):
    """A small table: five checkpoints, few-shot and three amounts."""
    out = []
    for loss in LOSSES:
        base = {"checkpoint": f"c{loss}", "loss": loss, "task": "t", "chance": 0.25}
        out.append({**base, "setting": "few_shot", "shots": 4, "score": 0.25, "n_items": 100})
        out += [
            {**base, "setting": "finetuned", "examples": amount, "score": 0.3, "n_items": 100}
            for amount in (16, 64, 256)
        ]
    return [{**row, **changes} for row in out]


def test_loss_spread_is_the_mean_absolute_deviation_from_the_median():
    """Losses 3.0 2.5 2.2 2.0 1.9 deviate from 2.2 by 0.8 0.3 0 0.2 0.3: S = 0.32."""
    data = emergecast.fit(rows()).data
    assert data.loss_spread == pytest.approx(0.32, abs=1e-12)
    assert data.strongest_loss == 1.9
    assert data.score_range == 0.75


def test_sampling_error_is_the_smoothed_binomial_where_only_items_are_known():
    """P = (100 * 0.25 + 1) / 102 = 0.254902, s = sqrt(p (1 - p) / 100) = 0.0435807."""
    data = emergecast.fit(rows()).data
    np.testing.assert_allclose(data.sampling_sd[data.few_shot], 0.0435807, atol=1e-7)


def test_a_perfect_score_has_a_sampling_error():
    """P = 101 / 102, so s = sqrt(p (1 - p) / 100) = 0.0098528 and not 0."""
    data = emergecast.fit(rows(score=1.0)).data
    np.testing.assert_allclose(data.sampling_sd, 0.0098528, atol=1e-7)


def test_stated_errors_win_and_nothing_falls_below_the_resolution():
    """A stderr is taken as it is; with neither stderr nor items the floor is 0.0005 R."""
    np.testing.assert_allclose(emergecast.fit(rows(stderr=0.01)).data.sampling_sd, 0.01)
    floor = emergecast.fit(rows(n_items=None)).data.sampling_sd
    np.testing.assert_allclose(floor, 0.0005 * 0.75)


def test_runs_divide_the_noise_of_finetuned_rows_only():
    """A few-shot row scatters around the law however often it was run."""
    data = emergecast.fit(rows(runs=3)).data
    assert set(data.repeats[data.few_shot]) == {1.0}
    assert set(data.repeats[~data.few_shot]) == {3.0}


def test_d0_is_the_number_of_shots_unless_asked():
    """Four shots give D0 = 4; no shots give 5; an amount is taken from the caller."""
    assert emergecast.fit(rows()).data.few_shot_examples == 4
    assert emergecast.fit(rows(shots=None)).data.few_shot_examples == 5
    assert (
        emergecast.fit(rows(), options=FitOptions(few_shot_examples=2)).data.few_shot_examples == 2
    )


def test_d0_stays_below_the_smallest_amount():
    """32 shots beside finetuning on 16 examples: D0 becomes 8, and asking for 32 is an error."""
    assert emergecast.fit(rows(shots=32)).data.few_shot_examples == 8
    with pytest.raises(OptionError, match="below the smallest"):
        emergecast.fit(rows(), options=FitOptions(few_shot_examples=32))
    with pytest.raises(OptionError, match="at least 1"):
        emergecast.fit(rows(), options=FitOptions(few_shot_examples=0.5))


def test_tables_that_allow_no_fit_are_named_errors():
    """No finetuned rows; one loss for all; every score equal to chance with an unknown best."""
    few_shot_only = [row for row in rows() if row["setting"] == "few_shot"]
    with pytest.raises(FitError, match="no finetuned rows"):
        emergecast.fit(few_shot_only)
    with pytest.raises(FitError, match="same loss"):
        emergecast.fit(rows(loss=2.0))
    with pytest.raises(FitError, match="range is unknown"):
        emergecast.fit(rows(metric="my_metric", score=0.25, n_items=None))
