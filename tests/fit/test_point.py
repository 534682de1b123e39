"""Maximum likelihood: recovery without noise, and no lucky starts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

import emergecast
from emergecast.fit import FitStatus
from emergecast.law import EmergenceLaw, LawForm

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
    found = emergecast.fit(noiseless(truth, losses), law=form).mle
    assert found is not None
    assert found.elbow == pytest.approx(float(truth.elbow(4.0)), abs=1e-6)
    for name in ("alpha", "c", "slope", "chance", "few_shot_offset"):
        assert getattr(found.law, name) == pytest.approx(getattr(truth, name), abs=1e-6), name
    assert found.law.k == pytest.approx(truth.k, rel=1e-5)
    assert found.noise < 1e-4


def test_no_random_start_finds_a_higher_likelihood(simulated_tables, simulated_fits):
    """Nelder-Mead from 30 random starts, on the plain likelihood, never beats the estimate."""
    rng = np.random.default_rng(8)
    compared = 0
    for table, fit in zip(simulated_tables, simulated_fits, strict=True):
        if fit.mle is None:
            continue
        compared += 1
        data = fit.data
        loss, score = data.standard_loss, data.standard_score
        sampling = data.sampling_sd / data.score_range
        x = data.few_shot_examples if table.law == "power" else np.log(data.few_shot_examples)
        amounts = np.concatenate([[data.few_shot_examples], data.amounts])
        x = fit.form.abscissa(amounts)

        def cost(theta, loss=loss, score=score, sampling=sampling, x=x, data=data) -> float:
            h, ln_t, ln_alpha, a, b, delta, ln_tau = theta
            if not -3.9 < ln_alpha < 3.6 or a < 0 or ln_tau > 1:
                return 1e9
            powered = (x / x[-1]) ** np.exp(ln_alpha)
            rise = (powered - powered[0]) / (1 - powered[0])
            elbow = h - np.exp(min(ln_t, 5.0)) * (1 - rise)
            mean = b + delta * data.few_shot + a * np.maximum(elbow[data.level] - loss, 0)
            variance = sampling**2 + np.exp(2 * ln_tau) / data.repeats
            ln_terms = np.log(2 * np.pi * variance) + (score - mean) ** 2 / variance
            return float(0.5 * np.sum(ln_terms))

        best = np.inf
        for _ in range(30):
            start = [
                rng.uniform(0, 2.5), rng.uniform(-2, 1), rng.uniform(-1, 1.5), rng.uniform(0, 1),
                0.0, 0.0, rng.uniform(-6, -2),
            ]  # fmt: skip
            options = {"maxiter": 1500, "maxfev": 1500}
            best = min(best, minimize(cost, start, method="Nelder-Mead", options=options).fun)
        assert fit.mle.log_likelihood > -best - 1e-3
    assert compared >= 4


def test_a_likelihood_without_a_maximum_is_unbounded_not_a_number():
    """Two visible elbows and a third that never shows: the likelihood runs off, and says so."""
    rng = np.random.default_rng(0)
    rows = []
    for i, loss in enumerate(np.linspace(3.0, 2.0, 9)):
        for amount, elbow in ((16, 0.0), (512, 2.2), (1024, 2.5)):
            score = 0.25 + 0.6 * max(elbow - loss, 0.0) + 0.004 * rng.standard_normal()
            rows.append(
                {
                    "checkpoint": f"c{i}", "loss": loss, "task": "t", "chance": 0.25,
                    "setting": "finetuned", "examples": amount, "score": score, "stderr": 0.004,
                }
            )  # fmt: skip
    fit = emergecast.fit(rows, law="power")
    if fit.mle is None:
        assert fit.status is FitStatus.UNBOUNDED
        assert "no maximum" in fit.status.sentence
    else:
        assert np.isfinite(fit.mle.elbow)
