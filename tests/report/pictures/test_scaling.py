"""The picture of a fitted scaling law."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emergecast.report import save, scaling
from emergecast.scaling import (
    CHINCHILLA_LAWS,
    Runs,
    ScalingFitOptions,
    fit_scaling_law,
    law_curve,
    points_frame,
    size_curves,
)


def fitted(form: str, *, high: float = 24.0, **options: Any) -> Any:
    """A fit of 40 runs, one of them far off."""
    rng = np.random.default_rng(0)
    params = np.exp(rng.uniform(18, high, 40))
    tokens = params * np.exp(rng.uniform(1, 5, 40))
    loss = CHINCHILLA_LAWS["epoch"].loss(params, tokens) * np.exp(0.003 * rng.normal(size=40))
    loss[7] *= 1.1
    runs = Runs.of(loss, params=params, tokens=tokens)
    return fit_scaling_law(
        runs, form, options=ScalingFitOptions(bootstraps=20, starts=16, **options)
    )


def texts(chart: Any, folder: Path) -> str:
    """The SVG, rendered."""
    return save(chart, folder, "scaling")[0].read_text("utf-8")


@pytest.mark.parametrize("form", ["chinchilla", "params", "tokens", "flops"])
def test_every_law_renders(form, tmp_path: Path):
    """With its formula, its axis and its outlier, and without a NaN."""
    fit = fitted(form)
    svg = texts(scaling(fit), tmp_path)
    assert fit.title in svg
    assert all(f"row {each.row}" in svg for each in fit.outliers[:5])
    assert bool(fit.outliers) == ("Ringed" in svg)
    for word in ("NaN", "Infinity", "undefined"):
        assert word not in svg


def test_the_curves_are_the_law(tmp_path: Path):
    """At one size over its tokens, and along the frontier inside its interval."""
    fit = fitted("chinchilla")
    curves, law = size_curves(fit), law_curve(fit)
    tokens = curves["amount"].to_numpy() / (6 * curves["params"].to_numpy())
    np.testing.assert_allclose(curves["loss"], fit.law.loss(curves["params"].to_numpy(), tokens))
    np.testing.assert_allclose(law["loss"], fit.law.frontier.loss(law["amount"].to_numpy()))
    assert curves["params"].n_unique() == 6
    assert (law["low"] < law["high"]).all()
    points = points_frame(fit)
    predicted = fit.law.loss(fit.runs.params, fit.runs.tokens)
    np.testing.assert_allclose(points["residual"], np.log(fit.runs.loss / predicted), atol=1e-12)
    assert points.filter("outlier")["row"].to_list() == [each.row for each in fit.outliers]
    assert "compute-optimal" in texts(scaling(fit), tmp_path)


def test_a_law_without_an_optimum_and_a_narrow_table(tmp_path: Path):
    """No frontier where a term is 0; sizes within one power of ten have a legend all the same."""
    fit = fitted("chinchilla", high=18.5)
    assert "parameters" in texts(scaling(fit), tmp_path)
    params, tokens = fit.runs.params, fit.runs.tokens
    loss = 1.7 + 400 / params**0.34 + 1e-4 * np.log(tokens)
    runs = Runs.of(loss, params=params, tokens=tokens)
    flat = fit_scaling_law(runs, options=ScalingFitOptions(bootstraps=0, starts=16))
    assert law_curve(flat).is_empty()
    assert "Orange" not in texts(scaling(flat), tmp_path)
