"""Maximum likelihood: recovery without noise, and no lucky starts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

import emergecast
from emergecast.emergence_law import EmergenceLaw, LawForm
from emergecast.inference import FitOptions, FitStatus

AMOUNTS = (32, 128, 512, 2048, 8192)


def noiseless(law: EmergenceLaw, losses, shots: int = 4):
    """Rows that lie on a law to the last digit."""
    rows = []
    for i, loss in enumerate(losses):
        base = {"checkpoint": f"c{i}", "loss": float(loss), "task": "t", "chance": 0.25}
        score = float(law.score(loss, shots, few_shot=True))
        rows.append({**base, "setting": "few_shot", "shots": shots, "score": score})
        for amount in AMOUNTS:
            score = float(law.score(loss, amount))
            rows.append({**base, "setting": "finetuned", "examples": amount, "score": score})
    return rows


@pytest.mark.parametrize(
    ("form", "alpha"),
    [
        (LawForm.LOG_POWER, 0.7), (LawForm.LOG_POWER, 1.5), (LawForm.LOG_POWER, 3.0),
        (LawForm.POWER, 0.15), (LawForm.POWER, 0.4),
    ],
)  # fmt: skip
@pytest.mark.parametrize("seed", range(3))
def test_noiseless_tables_give_the_parameters_back(form, alpha, seed):
    """k, alpha, c, slope, chance, offset and E(D0) to 1e-6, for both laws."""
    rng = np.random.default_rng(seed)
    losses = np.sort(rng.uniform(1.9, 3.0, 9))
    truth = EmergenceLaw.through(
        form,
        low=(4.0, 1.9 - 0.1 * rng.random()),
        high=(8192.0, 2.5 + 0.2 * rng.random()),
        alpha=alpha,
        slope=0.8,
        chance=0.26,
        few_shot_offset=-0.004,
    )
    found = emergecast.fit(noiseless(truth, losses), options=FitOptions(law=form)).mle
    assert found is not None
    assert found.elbow == pytest.approx(float(truth.elbow(4.0)), abs=1e-6)
    for name in ("alpha", "c", "slope", "chance", "few_shot_offset"):
        assert getattr(found.law, name) == pytest.approx(getattr(truth, name), abs=1e-6), name
    assert found.law.k == pytest.approx(truth.k, rel=1e-5)
    assert found.noise < 1e-4


def plain_cost(theta, data, x) -> float:
    """Negative log likelihood written out row by row; x(D) at D0 and at every amount."""
    h, ln_t, ln_alpha, a, b, delta, ln_tau = theta
    if not -3.9 < ln_alpha < 3.6 or a < 0 or ln_tau > 1:
        return 1e9
    powered = (x / x[-1]) ** np.exp(ln_alpha)
    rise = (powered - powered[0]) / (1 - powered[0])
    elbow = h - np.exp(min(ln_t, 5.0)) * (1 - rise)
    past = np.maximum(elbow[data.level] - data.standard_loss, 0)
    mean = b + delta * data.few_shot + a * past
    variance = (data.sampling_sd / data.score_range) ** 2 + np.exp(2 * ln_tau) / data.repeats
    squares = (data.standard_score - mean) ** 2 / variance
    return float(0.5 * np.sum(np.log(2 * np.pi * variance) + squares))


def test_no_random_start_finds_a_higher_likelihood(simulated_fits):
    """Nelder-Mead from 12 random starts, on the plain likelihood, never beats the estimate."""
    rng = np.random.default_rng(8)
    compared = 0
    for fit in simulated_fits:
        if fit.mle is None:
            continue
        compared += 1
        x = fit.coordinates.form.abscissa(
            np.concatenate([[fit.data.few_shot_examples], fit.data.amounts])
        )
        best = np.inf
        for _ in range(12):
            low = np.array([0.0, -2.0, -1.0, 0.0, 0.0, 0.0, -6.0])
            high = np.array([2.5, 1.0, 1.5, 1.0, 0.0, 0.0, -2.0])
            found = minimize(
                plain_cost,
                rng.uniform(low, high),
                args=(fit.data, x),
                method="Nelder-Mead",
                options={"maxiter": 1500, "maxfev": 1500},
            )
            best = min(best, float(found.fun))
        assert fit.mle.log_likelihood > -best - 1e-3
    assert compared >= 4


def test_a_likelihood_without_a_maximum_is_unbounded_not_a_number():
    """Elbows that saturate with data pull alpha to 0 and the few-shot elbow out of all range."""
    rng = np.random.default_rng(0)
    rows = []
    for i, loss in enumerate(np.linspace(3.0, 2.0, 9)):
        for amount, elbow in ((16, 1.5), (512, 2.45), (1024, 2.5), (8192, 2.52), (16384, 2.52)):
            score = 0.25 + 0.6 * max(elbow - loss, 0.0) + 0.002 * rng.standard_normal()
            rows.append(
                {
                    "checkpoint": f"c{i}", "loss": loss, "task": "t", "chance": 0.25,
                    "setting": "finetuned", "examples": amount, "score": score, "stderr": 0.002,
                }
            )  # fmt: skip
    fit = emergecast.fit(rows, options=FitOptions(few_shot_examples=1))
    assert fit.mle is None
    assert fit.status is FitStatus.UNBOUNDED
    assert "no maximum" in fit.status.sentence
    assert np.all(np.isfinite(fit.posterior.quantile([0.05, 0.5, 0.95])))
