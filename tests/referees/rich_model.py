"""The richer laws of `docs/model.md`, plainly: means, priors and a dense collapsed density.

A law is a string such as `hill+slopes+deviation`. Its parameters are a dict of natural values:
`e10`, `d`, `ln_alpha` (or `ln_k` and `ln_h`), `tau`, `level`, `slope`, and where the law or the
table has them `offset`, `width`, `rho`, `omega`, `delta` [levels], `kappa`, `u` [checkpoints],
`kappa_s` and `v` [series].
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import expit

from . import model, simulate

Floats = NDArray[np.float64]
Parameters = dict[str, Floats]

FORMS = ("log-power", "power", "hill")
FEATURES = ("soft", "ceiling", "slopes", "deviation", "student")
LAWS = (
    "log-power+soft",
    "log-power+ceiling",
    "log-power+slopes",
    "log-power+deviation",
    "log-power+student",
    "hill",
    "hill+slopes+deviation",
    "log-power+soft+ceiling+deviation",
)
FREEDOM = 4.0  # degrees of freedom of a `student` row


@dataclass(frozen=True, slots=True, kw_only=True)
class RichTable(simulate.SimulatedTable):
    """A simulated table whose law has features. It is data alone, so it may extend a record."""

    series: NDArray[np.int64]
    """Series of each row."""
    parameters: Parameters
    """The truth in the law's own parameters; `truth` states what all laws share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RichProblem:
    """Everything the density of one law needs: the plain problem and what the features add."""

    law: str
    form: str
    features: frozenset[str]
    plain: model.Problem  # rows, constants and the priors that all laws share
    level: NDArray[np.int64]  # which slope a row has: 0 to J - 1, few-shot first
    checkpoint: NDArray[np.int64]  # 0 to C - 1
    series: NDArray[np.int64]  # 0 to V - 1
    ln_k_mean: float
    ln_k_sd: float
    ln_h_sd: float
    width_sd: float
    rho_sd: float
    omega_sd: float
    kappa_sd: float  # of kappa and of kappa_s

    @property
    def levels(self) -> int:
        """Number of slopes: data amounts, and one for few-shot rows."""
        return int(self.level.max()) + 1

    @property
    def checkpoints(self) -> int:
        """Number of checkpoints."""
        return int(self.checkpoint.max()) + 1

    @property
    def several(self) -> int:
        """Number of series where there are several, else 0: then there is no v."""
        found = int(self.series.max()) + 1
        return found if found > 1 else 0


def parse(law: str) -> tuple[str, frozenset[str]]:
    """Form and features of a law's name; ValueError for a name that is no law."""
    form, *features = law.split("+")
    if form not in FORMS or not set(features) <= set(FEATURES):
        raise ValueError(f"{law!r} is no law: a form of {FORMS} and features of {FEATURES}")
    return form, frozenset(features)


def rich_problem(table: simulate.SimulatedTable, law: str | None = None) -> RichProblem:
    """Constants and default priors of a law, by default the table's own, on a table."""
    law = law or table.law
    form, features = parse(law)
    plain = model.problem(replace(table, law="log-power" if form == "hill" else form))
    series = table.series if isinstance(table, RichTable) else np.zeros(len(table.loss), int)
    amounts = np.where(table.few_shot, -1.0, plain.examples)

    def numbered(values: Floats | NDArray[np.int64]) -> NDArray[np.int64]:
        return np.unique(values, return_inverse=True)[1].astype(np.int64)

    return RichProblem(
        law=law,
        form=form,
        features=features,
        plain=plain,
        level=numbered(amounts),
        checkpoint=numbered(table.checkpoint),
        series=numbered(series),
        ln_k_mean=float(np.log(np.sqrt(10 * plain.dhi))),
        ln_k_sd=1.5,
        ln_h_sd=0.6,
        width_sd=0.15 * plain.spread,
        rho_sd=1 / plain.spread,
        omega_sd=0.5 * plain.score_range / plain.spread,
        kappa_sd=0.03 * plain.score_range,
    )


def shape(p: RichProblem, parameters: Parameters, examples: Floats | float) -> Floats:
    """q(D): x(D)^alpha, or D^h / (K^h + D^h)."""
    amounts = np.asarray(examples, dtype=np.float64)
    if p.form == "hill":
        h = np.exp(parameters["ln_h"])
        return np.asarray(expit(h * (np.log(amounts) - parameters["ln_k"])))
    top = simulate.coordinate(p.form, p.plain.dhi)
    alpha = np.exp(parameters["ln_alpha"])
    return np.asarray((simulate.coordinate(p.form, amounts) / top) ** alpha)


def gain(p: RichProblem, parameters: Parameters, examples: Floats | float) -> Floats:
    """[E(D) - E(10)] / d: nats gained over 10 examples per nat of shift per tenfold data."""
    q, q10, q_hi = (shape(p, parameters, a) for a in (examples, 10.0, p.plain.dhi))
    return np.asarray(np.log10(p.plain.dhi / 10) * (q - q10) / (q_hi - q10))


def rich_elbow(p: RichProblem, parameters: Parameters, examples: Floats | float) -> Floats:
    """E(D), nats."""
    return np.asarray(parameters["e10"] + parameters["d"] * gain(p, parameters, examples))


def rise_of(p: RichProblem, parameters: Parameters) -> Floats:
    """P of every row: what the slope multiplies, nats past the elbow after `soft` and `ceiling`."""
    x = rich_elbow(p, parameters, p.plain.examples) - p.plain.loss
    height = np.maximum(x, 0.0)
    if "soft" in p.features:
        height = parameters["width"] * np.logaddexp(0.0, x / parameters["width"])
    if "ceiling" in p.features:
        height = (1 - np.exp(-parameters["rho"] * height)) / parameters["rho"]
    return np.asarray(height)


def rich_mean(p: RichProblem, parameters: Parameters) -> Floats:
    """The centre of every row, deviations included."""
    slope = np.full(len(p.level), parameters["slope"])
    if "slopes" in p.features:
        slope = slope + parameters["delta"][p.level]
    mean = parameters["level"] + slope * rise_of(p, parameters)
    if p.plain.few_shot.any():
        mean = mean + parameters["offset"] * p.plain.few_shot
    if "deviation" in p.features:
        mean = mean + parameters["u"][p.checkpoint]
        if p.several:
            mean = mean + parameters["v"][p.series]
    return np.asarray(mean)


def scatter(p: RichProblem, tau: Floats | float) -> Floats:
    """Scale of every row around its centre."""
    return np.asarray(np.sqrt(p.plain.s**2 + tau**2 / p.plain.r))


def curved(p: RichProblem) -> dict[str, tuple[str, float, float]]:
    """The parameters the mean is not linear in: name to (family, centre, scale) of its prior."""
    q = p.plain
    out = {"e10": ("normal", q.e10_mean, q.e10_sd), "d": ("half", 0.0, q.shift_sd)}
    if p.form == "hill":
        out["ln_k"] = ("normal", p.ln_k_mean, p.ln_k_sd)
        out["ln_h"] = ("normal", 0.0, p.ln_h_sd)
    else:
        out["ln_alpha"] = ("normal", q.ln_alpha_mean, q.ln_alpha_sd)
    out["tau"] = ("half", 0.0, q.tau_sd)
    if "soft" in p.features:
        out["width"] = ("half", 0.0, p.width_sd)
    if "ceiling" in p.features:
        out["rho"] = ("half", 0.0, p.rho_sd)
    if "slopes" in p.features:
        out["omega"] = ("half", 0.0, p.omega_sd)
    if "deviation" in p.features:
        out["kappa"] = ("half", 0.0, p.kappa_sd)
        if p.several:
            out["kappa_s"] = ("half", 0.0, p.kappa_sd)
    return out


def log_prior_curved(p: RichProblem, parameters: Parameters) -> float:
    """Log prior density of the parameters of `curved`."""
    total = 0.0
    for name, (family, centre, scale) in curved(p).items():
        value = float(parameters[name])
        if family == "normal":
            total += float(stats.norm.logpdf(value, centre, scale))
        else:
            total += float(stats.halfnorm.logpdf(value, scale=scale))
    return total


def draw_prior(p: RichProblem, rng: np.random.Generator) -> Parameters:
    """Every parameter of the law, drawn from the stated priors."""
    out: Parameters = {}
    for name, (family, centre, scale) in curved(p).items():
        value = rng.normal(centre, scale)
        out[name] = np.asarray(value if family == "normal" else abs(value))
    out["slope"] = np.asarray(abs(rng.normal(0, p.plain.slope_sd)))
    out["level"] = np.asarray(rng.normal(p.plain.chance, p.plain.level_sd))
    if p.plain.few_shot.any():
        out["offset"] = np.asarray(rng.normal(0, p.plain.level_sd))
    return out | draw_effects(p, out, rng)


def draw_effects(p: RichProblem, scales: Parameters, rng: np.random.Generator) -> Parameters:
    """delta, u and v, where the law has them, given omega, kappa and kappa_s."""
    out: Parameters = {}
    if "slopes" in p.features:
        out["delta"] = rng.normal(0, 1, p.levels) * scales["omega"]
    if "deviation" in p.features:
        out["u"] = rng.normal(0, 1, p.checkpoints) * scales["kappa"]
        if p.several:
            out["v"] = rng.normal(0, 1, p.several) * scales["kappa_s"]
    return out


def draw_scores(p: RichProblem, parameters: Parameters, rng: np.random.Generator) -> Floats:
    """Scores around the law, never clipped."""
    n = len(p.level)
    noise = rng.standard_t(FREEDOM, n) if "student" in p.features else rng.normal(0, 1, n)
    return np.asarray(rich_mean(p, parameters) + scatter(p, parameters["tau"]) * noise)


def same(groups: NDArray[np.int64]) -> Floats:
    """1 where two rows are of one group, else 0: [rows, rows]."""
    return np.asarray(groups[:, None] == groups, dtype=np.float64)


def rich_collapsed_log_density(p: RichProblem, parameters: Parameters) -> float:
    """Log density of (scores, all of `curved`), the linear parameters integrated out.

    B, Delta, delta, u and v are normal, so that the scores are one multivariate normal with a
    dense covariance. The half-normal A is twice a normal cut at 0: a factor 2 P(A > 0 | scores).
    Other keys of `parameters` are not used. ValueError for a law with `student`.
    """
    if "student" in p.features:
        raise ValueError(f"{p.law!r} has no collapsed density: Student-t rows do not integrate")
    q = p.plain
    reach = rise_of(p, parameters)
    few = q.few_shot.astype(np.float64)
    covariance = np.diag(scatter(p, parameters["tau"]) ** 2)
    covariance += q.level_sd**2 * (1.0 + np.outer(few, few))
    covariance += q.slope_sd**2 * np.outer(reach, reach)
    if "slopes" in p.features:
        covariance += parameters["omega"] ** 2 * np.outer(reach, reach) * same(p.level)
    if "deviation" in p.features:
        covariance += parameters["kappa"] ** 2 * same(p.checkpoint)
        if p.several:
            covariance += parameters["kappa_s"] ** 2 * same(p.series)
    y = q.score - q.chance
    weights = q.slope_sd**2 * np.linalg.solve(covariance, reach)
    slope_mean, slope_var = weights @ y, q.slope_sd**2 - q.slope_sd**2 * (weights @ reach)
    return float(
        stats.multivariate_normal.logpdf(y, cov=covariance)
        + np.log(2)
        + stats.norm.logcdf(slope_mean / np.sqrt(slope_var))
        + log_prior_curved(p, parameters)
    )


def rich_log_joint(p: RichProblem, parameters: Parameters) -> float:
    """Log density of (scores, all parameters), every one explicit, with all constants."""
    q = p.plain
    z = (q.score - rich_mean(p, parameters)) / (scale := scatter(p, parameters["tau"]))
    rows = stats.t.logpdf(z, FREEDOM) if "student" in p.features else stats.norm.logpdf(z)
    total = float(np.sum(rows - np.log(scale))) + log_prior_curved(p, parameters)
    total += float(stats.halfnorm.logpdf(parameters["slope"], scale=q.slope_sd))
    total += float(stats.norm.logpdf(parameters["level"], q.chance, q.level_sd))
    if q.few_shot.any():
        total += float(stats.norm.logpdf(parameters["offset"], 0, q.level_sd))
    effects = {"delta": "omega", "u": "kappa", "v": "kappa_s"}
    for name, sd in effects.items():
        if name in parameters:
            total += float(np.sum(stats.norm.logpdf(parameters[name], 0, parameters[sd])))
    return total
