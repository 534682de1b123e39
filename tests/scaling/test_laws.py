from __future__ import annotations

import math

import numpy as np
import pytest

from emergecast.errors import ScalingError
from emergecast.scaling import CHINCHILLA_LAWS, training_flops


def test_hoffmann_predicts_gopher_and_chinchilla_as_worked_by_hand():
    """1.69 + 406.4 / N^0.34 + 410.7 / D^0.28, evaluated with logarithms instead of powers."""
    for params, tokens in [(280e9, 300e9), (70e9, 1.4e12)]:
        by_hand = (
            1.69
            + math.exp(math.log(406.4) - 0.34 * math.log(params))
            + math.exp(math.log(410.7) - 0.28 * math.log(tokens))
        )
        assert float(CHINCHILLA_LAWS["hoffmann"].loss(params, tokens)) == pytest.approx(by_hand)


def test_published_losses_of_gopher_and_chinchilla():
    """Gopher (1.993) and Chinchilla (1.936), as in "chinchilla's wild implications" (2022)."""
    law = CHINCHILLA_LAWS["hoffmann"]
    losses = law.loss(np.array([280e9, 70e9]), np.array([300e9, 1.4e12]))
    assert losses == pytest.approx([1.993, 1.936], abs=1e-3)


def test_epochs_constants_lie_near_hoffmanns_in_the_range_both_fitted():
    """The refit has other exponents, but nearly the same loss for a Chinchilla-sized run."""
    ours = CHINCHILLA_LAWS["epoch"].loss(70e9, 1.4e12)
    assert float(ours) == pytest.approx(
        float(CHINCHILLA_LAWS["hoffmann"].loss(70e9, 1.4e12)), abs=0.05
    )


@pytest.mark.parametrize("name", CHINCHILLA_LAWS)
def test_loss_falls_with_size_and_data_towards_the_floor(name):
    """More of either never hurts, and nothing goes below the floor."""
    law = CHINCHILLA_LAWS[name]
    sizes = np.geomspace(1e6, 1e30, 40)
    assert np.all(np.diff(law.loss(sizes, 1e11)) < 0)
    assert np.all(np.diff(law.loss(1e9, sizes)) < 0)
    assert float(law.loss(1e60, 1e60)) == pytest.approx(law.floor_nats)


@pytest.mark.parametrize("bad", [0, -1, math.nan, math.inf])
def test_an_impossible_count_is_refused(bad):
    """A loss of a model without parameters does not exist."""
    with pytest.raises(ScalingError, match="positive and finite"):
        CHINCHILLA_LAWS["epoch"].loss(bad, 1e9)
    with pytest.raises(ScalingError, match="positive and finite"):
        CHINCHILLA_LAWS["epoch"].loss(1e9, bad)


def test_training_flops_of_chinchilla():
    """6 x 70e9 x 1.4e12 = 5.88e23, the compute that the Chinchilla paper states (5.76e23) to 3%."""
    assert float(training_flops(70e9, 1.4e12)) == pytest.approx(5.88e23)
    assert float(training_flops(70e9, 1.4e12)) == pytest.approx(5.76e23, rel=0.03)
