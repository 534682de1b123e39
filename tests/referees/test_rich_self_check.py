"""The referees of the richer laws are checked against slower or simpler definitions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations_with_replacement

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.special import logsumexp

from . import model, rich_density, rich_model, rich_nuts, rich_simulate, simulate

Floats = NDArray[np.float64]
pytestmark = pytest.mark.referee

GAUSSIAN = [law for law in rich_model.LAWS if "student" not in law]
LEVELS = [0.05, 0.5, 0.95]


def cut(table: rich_model.RichTable, rows: int) -> rich_model.RichTable:
    """Some rows of a table, with errors so large that integrals over all are easy."""
    keep = np.random.default_rng(0).permutation(len(table.loss))[:rows]
    columns = ("loss", "examples", "few_shot", "score", "n_items", "runs", "checkpoint", "subset",
               "series")  # fmt: skip
    picked = {name: getattr(table, name)[keep] for name in columns}
    return replace(table, **(picked | {"stderr": np.full(rows, 0.03)}))


def design(law: str, *, several: bool = False) -> rich_model.RichTable:
    """The first table of a law with known errors and few-shot rows, of one series or several."""
    for i in range(100):
        table = rich_simulate.rich_table(np.random.default_rng([7, i]), law, stderr_known=True)
        if table.few_shot.any() and (np.ptp(table.series) > 0) == several:
            return table
    raise AssertionError(law)


def test_seeds_are_stable_and_every_table_becomes_rows() -> None:
    """Table i of a seed does not depend on how many follow; scores are proportions."""
    for law in rich_model.LAWS:
        many = rich_simulate.rich_tables(8, 3, law)
        np.testing.assert_array_equal(many[0].score, rich_simulate.rich_tables(1, 3, law)[0].score)
        for table in many:
            assert ((table.score >= 0) & (table.score <= 1)).all()
            assert 5 <= len(np.unique(table.loss)) <= 12
            assert 3 <= len(np.unique(table.examples[~table.few_shot])) <= 6
            rows = rich_simulate.rich_rows(table)
            assert len(rows) == len(table.loss) == len(simulate.as_rows(table))
            assert len({row["series"] for row in rows}) == np.ptp(table.series) + 1
    assert any(np.ptp(t.series) for t in rich_simulate.rich_tables(8, 3, "hill+slopes+deviation"))


def test_a_name_that_is_no_law_is_refused() -> None:
    """Unknown forms and features are errors, and so is a collapsed density of Student-t rows."""
    for law in ("weibull", "hill+wings", "soft+hill"):
        with pytest.raises(ValueError, match="is no law"):
            rich_model.parse(law)
    table = design("log-power+student")
    with pytest.raises(ValueError, match="do not integrate"):
        rich_model.rich_collapsed_log_density(rich_model.rich_problem(table), table.parameters)
    unknown = replace(table, stderr=np.full(len(table.loss), np.nan))
    with pytest.raises(ValueError, match="needs a stderr"):
        rich_simulate.from_prior(unknown, table.law, np.random.default_rng(0))


@pytest.mark.parametrize("form", ["log-power", "power"])
def test_without_features_the_rich_model_is_the_plain_one(form: str) -> None:
    """Joint and collapsed densities equal those of `model` at prior draws."""
    for seed in range(5):
        rng = np.random.default_rng([1, seed])
        table = rich_simulate.rich_table(rng, form)
        p = rich_model.rich_problem(table)
        at = rich_model.draw_prior(p, rng)
        if not p.plain.few_shot.any():
            at["offset"] = np.asarray(0.0)
        values = {k: float(v) for k, v in at.items()}
        assert rich_model.rich_log_joint(p, at) == pytest.approx(
            float(model.log_joint(p.plain, **values)), rel=1e-12, abs=1e-9
        )
        e0, emax = (float(rich_model.rich_elbow(p, at, a)) for a in (p.plain.d0, p.plain.dmax))
        ln_alpha, tau = values["ln_alpha"], values["tau"]
        plain = model.collapsed_log_density(p.plain, e0, emax, ln_alpha, tau)
        plain += np.log(float(model.rise(p.plain, p.plain.dmax, ln_alpha)))
        assert rich_model.rich_collapsed_log_density(p, at) == pytest.approx(plain, rel=1e-9)


def test_stated_elbows_and_features() -> None:
    """Hand-worked: E(10), d per tenfold, Hill at K, softplus at the elbow, the ceiling's limits."""
    p = rich_model.rich_problem(design("hill+soft+ceiling"))
    at = {k: np.asarray(v) for k, v in {
        "e10": 5.0, "d": 0.3, "ln_k": np.log(50.0), "ln_h": np.log(1.5), "width": 0.1, "rho": 2.0,
    }.items()}  # fmt: skip
    assert float(rich_model.shape(p, at, 50.0)) == pytest.approx(0.5)
    assert float(rich_model.shape(p, at, 200.0)) == pytest.approx(8 / 9)  # 4^1.5 = 8
    e10, top = (float(rich_model.rich_elbow(p, at, a)) for a in (10.0, p.plain.dhi))
    assert e10 == pytest.approx(5.0)
    assert (top - e10) / np.log10(p.plain.dhi / 10) == pytest.approx(0.3)
    elbow = rich_model.rich_elbow(p, at, p.plain.examples)
    on = replace(p, plain=replace(p.plain, loss=elbow))
    soft = 0.1 * np.log(2)
    np.testing.assert_allclose(rich_model.rise_of(on, at), (1 - np.exp(-2 * soft)) / 2, rtol=1e-9)
    far = replace(p, plain=replace(p.plain, loss=elbow - 50.0))
    np.testing.assert_allclose(rich_model.rise_of(far, at), 0.5, rtol=1e-9)


def integrated(p: rich_model.RichProblem, at: rich_model.Parameters, slope: float) -> float:
    """Log of the joint integrated over all linear parameters but A: a quadratic, by differences."""
    free = [k for k in ("level", "offset", "delta", "u", "v") if k in at]
    size, step = sum(at[name].size for name in free), 0.05
    units, zero = np.eye(size) * step, np.zeros(size)

    def joint(shift: Floats) -> float:
        first, moved = 0, at | {"slope": np.asarray(slope)}
        for name in free:
            count = at[name].size
            moved[name] = at[name] + shift[first : first + count].reshape(at[name].shape)
            first += count
        return rich_model.rich_log_joint(p, moved)

    here = joint(zero)
    up, down = (np.array([joint(sign * u) for u in units]) for sign in (1, -1))
    curvature = np.empty((size, size))
    for i, j in combinations_with_replacement(range(size), 2):
        value = up[i] + up[j] - here - joint(units[i] + units[j])
        curvature[i, j] = curvature[j, i] = value
    curvature /= step**2
    gradient = (up - down) / (2 * step)
    peak = here + 0.5 * gradient @ np.linalg.solve(curvature, gradient)
    return float(peak + 0.5 * size * np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(curvature)[1])


def over_slope(p: rich_model.RichProblem, log_values: Callable[[float], float]) -> float:
    """Log of the integral over A > 0 of a function that is smooth on the scale of its prior."""
    x, weight = np.polynomial.legendre.leggauss(10)
    edges = p.plain.slope_sd * np.array([0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 1, 2, 4])
    pieces = [
        logsumexp([log_values(low + wide * (1 + t) / 2) for t in x], b=weight * wide / 2)
        for low, wide in zip(edges[:-1], np.diff(edges), strict=True)
    ]
    return float(logsumexp(pieces))


CASES = [(law, False) for law in GAUSSIAN] + [(law, True) for law in GAUSSIAN if "dev" in law]


def tiny(law: str, *, several: bool) -> tuple[rich_model.RichProblem, rich_model.Parameters]:
    """Sixteen rows and a prior draw whose elbow is among the losses."""
    table = cut(design(law, several=several), 16)
    p = rich_model.rich_problem(table)
    at = rich_model.draw_prior(p, np.random.default_rng(4))
    return p, at | {"e10": np.asarray(table.loss.min() + 0.5 * p.plain.spread)}


@pytest.mark.parametrize(("law", "several"), CASES)
def test_collapsed_density_is_the_joint_integrated_over_the_linear_parameters(
    law: str,
    several: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """For fixed A the joint is normal in the rest, and A is summed by Gauss-Legendre rules."""
    p, at = tiny(law, several=several)
    numeric = over_slope(p, lambda slope: integrated(p, at, slope))
    assert rich_model.rich_collapsed_log_density(p, at) == pytest.approx(numeric, abs=3e-4)


def coordinates(p: rich_model.RichProblem, n: int) -> tuple[Floats, Floats]:
    """Points near the data [n, k] and any z [n, m], in the coordinates of NUTS."""
    rng = np.random.default_rng(5)
    theta = rich_nuts.starting_thetas(p, n, rng)
    return theta, rng.normal(0, 1, (n, sum(count for _, count in rich_density.linear(p))))


def log_jacobian(p: rich_model.RichProblem, theta: Floats, white: Floats) -> float:
    """Log |d natural / d (theta, white)| by central differences."""
    x = np.concatenate([theta, white])
    steps = np.eye(len(x)) * 1e-5
    points = np.concatenate([x + steps, x - steps])
    found = rich_density.natural(p, points[:, : len(theta)], points[:, len(theta) :])
    found.pop("elbow_at_d0")
    assert sum(v[0].size for v in found.values()) == len(x)
    flat = np.concatenate([v.reshape(len(points), -1) for v in found.values()], axis=1)
    return float(np.linalg.slogdet((flat[: len(x)] - flat[len(x) :]) / 2e-5)[1])


@pytest.mark.parametrize("law", [*rich_model.LAWS, "power", "hill+soft+ceiling+slopes+student"])
def test_what_nuts_samples_is_the_joint_density(law: str) -> None:
    """At any point of its own coordinates: the plain joint density times the Jacobian."""
    several = "deviation" in law
    p = rich_model.rich_problem(design(law, several=several))
    points = coordinates(p, 3)
    values, _ = rich_density.evaluate(rich_density.kind_of(p), rich_density.arguments(p), *points)
    for theta, white, sampled in zip(*points, values, strict=True):
        at = {k: v[0] for k, v in rich_density.natural(p, theta[None], white[None]).items()}
        assert float(rich_model.rich_elbow(p, at, p.plain.d0)) == pytest.approx(at["elbow_at_d0"])
        plain = rich_model.rich_log_joint(p, at) + log_jacobian(p, theta, white)
        assert sampled == pytest.approx(plain, abs=1e-4)


@pytest.mark.parametrize(("law", "several"), CASES)
def test_nuts_density_integrates_to_the_collapsed_density(
    law: str,
    several: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """All z are standard normal to rounding; an integral over A gives the collapsed density."""
    p, _ = tiny(law, several=several)
    theta, white = (v[0] for v in coordinates(p, 1))
    kind, data = rich_density.kind_of(p), rich_density.arguments(p)
    zero = np.zeros_like(white)

    def density(theta: Floats, white: Floats) -> float:
        return float(rich_density.evaluate(kind, data, theta[None], white[None])[0][0])

    change = density(theta, white) - density(theta, zero)
    assert change == pytest.approx(-0.5 * white @ white, abs=1e-8)
    slot = rich_density.names(p).index("slope_z")
    line = np.linspace(-60, 12, 1441)
    moved = np.repeat(theta[None], len(line), axis=0)
    moved[:, slot] = line
    along = rich_density.evaluate(kind, data, moved, np.zeros((len(line), len(white))))[0]
    numeric = logsumexp(along) + np.log(line[1] - line[0]) + 0.5 * len(white) * np.log(2 * np.pi)
    steps = np.delete(np.eye(len(theta)), slot, axis=0) * 1e-5
    points = np.concatenate([theta + steps, theta - steps])
    found = rich_density.natural(p, points, np.zeros((len(points), len(white))))
    flat = np.stack([found[k] for k in rich_model.curved(p)], axis=1)
    half = len(steps)
    numeric -= float(np.linalg.slogdet((flat[:half] - flat[half:]) / 2e-5)[1])
    at = {k: v[0] for k, v in rich_density.natural(p, theta[None], white[None]).items()}
    assert rich_model.rich_collapsed_log_density(p, at) == pytest.approx(numeric, abs=1e-6)


def test_prior_draws_have_the_stated_priors_and_noise() -> None:
    """Kolmogorov-Smirnov: every scalar, the effects in units of their scale, and the residuals."""
    for law in ("hill+soft+ceiling+slopes+deviation", "log-power+student"):
        table = design(law, several="deviation" in law)
        p, rng = rich_model.rich_problem(table), np.random.default_rng(8)
        draws = [rich_simulate.from_prior(table, law, rng) for _ in range(1500)]
        one = {k: np.array([float(t[k]) for t, _ in draws]) for k in rich_model.curved(p)}
        for name, (family, centre, scale) in rich_model.curved(p).items():
            z = (one[name] - centre) / scale
            known = "norm" if family == "normal" else "halfnorm"
            assert stats.kstest(z, known).pvalue > 1e-3, name
        residual = np.concatenate(
            [(y - rich_model.rich_mean(p, t)) / rich_model.scatter(p, t["tau"]) for t, y in draws]
        )
        noise = stats.t(4).cdf if "student" in law else "norm"
        assert stats.kstest(residual[:5000], noise).pvalue > 1e-3
        if "deviation" in law:
            for name, sd in (("delta", "omega"), ("u", "kappa"), ("v", "kappa_s")):
                z = np.concatenate([t[name] / t[sd] for t, _ in draws])
                assert stats.kstest(z[:5000], "norm").pvalue > 1e-3, name


@pytest.mark.slow
@pytest.mark.parametrize("law", ["hill"])
def test_nuts_converges_and_agrees_with_itself(law: str) -> None:
    """R-hat under 1.01 for all scalars, and another seed gives the same quantiles."""
    p = rich_model.rich_problem(rich_simulate.rich_tables(2, 1, law)[1])
    one, other = (rich_nuts.believable_rich_nuts(p, seed=seed) for seed in (1, 2))
    assert one.ok
    assert other.ok
    assert one.draws.shape[0] == rich_nuts.CHAINS
    error = np.hypot(one.quantile_error(LEVELS), other.quantile_error(LEVELS))
    assert np.all(np.abs(one.quantile(LEVELS) - other.quantile(LEVELS)) < 4 * error)
