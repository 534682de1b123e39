"""The density of a richer law that NUTS samples, and its coordinates: all parameters explicit.

The elbow is sampled as (E(Dmax), ln [E(Dmax) - E(Dmid)], shape), Dmid a finetuned amount in the
middle of the table, and scales as their logarithms. Given those the law is linear, and the linear
parameters are sampled relative to a normal guess at them, with mean m and precision L L':
z = L' (b - m), but for the slope, the last of b, whose logarithm is sampled relative to a guess
made of m and L. That is a change of variables, whatever m and L are: it removes the funnels of u, v
and delta and the ridge of slope and elbow, and the density is still that of the explicit law, row
by row, times the Jacobian.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln
from numpy.typing import NDArray

from .nuts import middle_amount
from .rich_model import FREEDOM, Parameters, RichProblem, curved

jax.config.update("jax_enable_x64", val=True)

Floats = NDArray[np.float64]
CHUNK = 128  # points that are evaluated at once


def arguments(p: RichProblem) -> dict[str, Any]:
    """The numbers the density is called with; amounts as ln D and as ln x(D) - ln x(Dhi)."""
    q = p.plain
    amounts = np.unique(q.examples)
    marks = np.array([q.d0, middle_amount(q), q.dmax, 10.0, q.dhi])

    def ln_ratio(d: Floats) -> Floats:
        x, top = (np.log(d), np.log(q.dhi)) if p.form == "log-power" else (d, q.dhi)
        return np.asarray(np.log(np.maximum(x / top, 1e-300)))

    def one_hot(groups: NDArray[np.int64], count: int) -> Floats:
        return np.asarray(groups[:, None] == np.arange(count), dtype=np.float64)

    scales = {name: scale for name, (_, _, scale) in curved(p).items()}
    return {
        "ln_d": np.log(amounts),
        "ln_x": ln_ratio(amounts),
        "ln_d_marks": np.log(marks),
        "ln_x_marks": ln_ratio(marks),
        "amount_of": np.searchsorted(amounts, q.examples),
        "decades": np.log10(q.dhi / 10),
        "loss": q.loss,
        "few": q.few_shot.astype(np.float64)[:, None],
        "level": one_hot(p.level, p.levels),
        "checkpoint": one_hot(p.checkpoint, p.checkpoints),
        "series": one_hot(p.series, p.several),
        "score": q.score - q.chance,
        "s2": q.s**2,
        "r": q.r,
        "spread": q.spread,
        "e10_mean": q.e10_mean,
        "ln_k_mean": p.ln_k_mean,
        "ln_alpha_mean": q.ln_alpha_mean,
        "level_sd": q.level_sd,
        "sd": scales | {"slope": q.slope_sd},
    }


def names(p: RichProblem) -> list[str]:
    """The sampler's own coordinates but for the white ones, in order."""
    shape = ["k_z", "h_z"] if p.form == "hill" else ["alpha_z"]
    halves = [name for name, (family, *_) in curved(p).items() if family == "half" and name != "d"]
    return ["max_z", "ln_gap", *shape, "slope_z", *(f"ln_{name}" for name in halves)]


def linear(p: RichProblem) -> list[tuple[str, int]]:
    """The linear parameters but the slope, and how many of each, in the order of `white`."""
    out = [("level", 1)]
    if p.plain.few_shot.any():
        out.append(("offset", 1))
    if "slopes" in p.features:
        out.append(("delta", p.levels))
    if "deviation" in p.features:
        out.append(("u", p.checkpoints))
        if p.several:
            out.append(("v", p.several))
    return out


Kind = tuple[str, tuple[str, ...], tuple[tuple[str, int], ...], bool]


def kind_of(p: RichProblem) -> Kind:
    """What the density is compiled for, beside the shapes of its arguments."""
    return p.form, tuple(names(p)), tuple(linear(p)), "student" in p.features


def _gains(form: str, at: dict[str, Any], data: dict[str, Any]) -> tuple[Any, Any]:
    """[E(D) - E(10)] / d at all amounts and at D0, Dmid, Dmax."""
    if form == "hill":
        h = jnp.exp(data["sd"]["ln_h"] * at["h_z"])
        ln_k = data["ln_k_mean"] + data["sd"]["ln_k"] * at["k_z"]
        where, marks = ((h * (data[k] - ln_k)) / 2 for k in ("ln_d", "ln_d_marks"))
        ten, top = marks[3], marks[4]

        # a difference of two logistic functions, without cancellation
        def gain(z: Any) -> Any:
            up = jnp.sinh(z - ten) / jnp.sinh(top - ten)
            return data["decades"] * up * jnp.cosh(top) / jnp.cosh(z)

        return gain(where), gain(marks[:3])
    alpha = jnp.exp(data["ln_alpha_mean"] + data["sd"]["ln_alpha"] * at["alpha_z"])
    power, marks = jnp.exp(alpha * data["ln_x"]), jnp.exp(alpha * data["ln_x_marks"])
    per_decade = (marks[4] - marks[3]) / data["decades"]
    return (power - marks[3]) / per_decade, (marks[:3] - marks[3]) / per_decade


def _normal(z: Any) -> Any:
    return -0.5 * z**2 - 0.5 * jnp.log(2 * jnp.pi)


def _half(ln_z: Any) -> Any:
    """Log density of ln z for a half-normal z of scale 1."""
    return jnp.log(2.0) + _normal(jnp.exp(ln_z)) + ln_z


def _elbow_part(form: str, at: dict[str, Any], data: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Log prior of the elbow's coordinates, and the elbow of every amount, E(D0), e10 and d."""
    gains, (gain_0, gain_mid, gain_max) = _gains(form, at, data)
    gap = data["spread"] * jnp.exp(at["ln_gap"])
    d = gap / (gain_max - gain_mid)
    e10 = data["e10_mean"] + data["spread"] * at["max_z"] - d * gain_max
    # d (E(10), d) / d (max_z, ln_gap) = spread d
    jacobian = jnp.log(data["spread"]) + jnp.log(d)
    e10_z, d_z = (e10 - data["e10_mean"]) / data["sd"]["e10"], d / data["sd"]["d"]
    prior = _normal(e10_z) - jnp.log(data["sd"]["e10"])
    prior += jnp.log(2.0) + _normal(d_z) - jnp.log(data["sd"]["d"])
    shape = ("k_z", "h_z") if form == "hill" else ("alpha_z",)
    prior += sum(_normal(at[name]) for name in shape)
    found = {"elbows": e10 + d * gains, "elbow_at_d0": e10 + d * gain_0, "e10": e10, "d": d}
    return prior + jacobian, found


def _columns(kind: Kind, reach: Any, scale: dict[str, Any], data: dict[str, Any]) -> Any:
    """What each linear parameter, in units of its prior, adds to each row: [rows, m + 1]."""
    blocks = {
        "level": lambda: data["level_sd"] * jnp.ones_like(data["few"]),
        "offset": lambda: data["level_sd"] * data["few"],
        "delta": lambda: scale["omega"] * reach[:, None] * data["level"],
        "u": lambda: scale["kappa"] * data["checkpoint"],
        "v": lambda: scale["kappa_s"] * data["series"],
    }
    slope = data["sd"]["slope"] * reach[:, None]
    return jnp.concatenate([*(blocks[name]() for name, _ in kind[2]), slope], axis=1)


def _guess(columns: Any, score: Any, variance: Any, *, student: bool) -> tuple[Any, Any]:
    """Mean and lower root of the precision of the linear parameters, were the slope's sign free."""

    def solve(weight: Any) -> tuple[Any, Any]:
        weighted = columns * weight[:, None]
        root = jnp.linalg.cholesky(weighted.T @ columns + jnp.eye(columns.shape[1]))
        return jax.scipy.linalg.cho_solve((root, True), weighted.T @ score), root

    if not student:
        return solve(1 / variance)
    weight = (FREEDOM + 1) / (FREEDOM + 3) / variance
    for _ in range(2):  # rows far off count less
        off = score - columns @ solve(weight)[0]
        weight = (FREEDOM + 1) / (FREEDOM * variance + off**2)
    return solve(weight)


def _linear_part(guess: tuple[Any, Any], slope_z: Any, white: Any) -> tuple[Any, Any]:
    """All b, the slope last and positive, from z; and log prior of b plus log |db / dz|."""
    mean, root = guess
    size = root[-1, -1]  # 1 / standard deviation of the slope
    ratio = mean[-1] * size
    wide = jnp.sqrt(ratio**2 + 4)
    # near `ratio` where that is large, near -1 / ratio where it is large and negative
    centre = jnp.where(ratio > 0, (wide + ratio) / 2, 2 / (wide + jnp.abs(ratio)))
    step = 1 / jnp.sqrt(1 + centre**2)  # relative standard deviation
    slope = centre / size * jnp.exp(step * slope_z)
    z = jnp.append(white, size * (slope - mean[-1]))
    b = mean + jax.scipy.linalg.solve_triangular(root.T, z, lower=False)
    jacobian = jnp.log(slope * step) - jnp.sum(jnp.log(jnp.diag(root)[:-1]))
    return b, jnp.sum(_normal(b)) + jnp.log(2.0) + jacobian


def log_density(
    kind: Kind, data: dict[str, Any], theta: Any, white: Any
) -> tuple[Any, dict[str, Any]]:
    """Log density of (scores, theta, white), and every parameter in its natural unit.

    theta holds the coordinates of `names`, white those of `linear`. All constants are kept.
    """
    form, order, _, student = kind
    at = {name: theta[i] for i, name in enumerate(order)}
    total, found = _elbow_part(form, at, data)
    scale = {
        name[3:]: data["sd"][name[3:]] * jnp.exp(at[name])
        for name in order
        if name.startswith("ln_") and name != "ln_gap"
    }
    total += sum(_half(at[f"ln_{name}"]) for name in scale)

    past = found["elbows"][data["amount_of"]] - data["loss"]
    reach = jnp.maximum(past, 0.0)
    if "width" in scale:
        reach = scale["width"] * jax.nn.softplus(past / scale["width"])
    if "rho" in scale:
        reach = -jnp.expm1(-scale["rho"] * reach) / scale["rho"]

    variance = data["s2"] + scale["tau"] ** 2 / data["r"]
    columns = _columns(kind, reach, scale, data)
    guess = _guess(columns, data["score"], variance, student=student)
    b, linear_part = _linear_part(guess, at["slope_z"], white)
    total += linear_part

    off = data["score"] - columns @ b
    if student:
        rows = gammaln((FREEDOM + 1) / 2) - gammaln(FREEDOM / 2) - 0.5 * jnp.log(FREEDOM * jnp.pi)
        rows -= (FREEDOM + 1) / 2 * jnp.log1p(off**2 / variance / FREEDOM)
    else:
        rows = _normal(off / jnp.sqrt(variance))
    total += jnp.sum(rows - 0.5 * jnp.log(variance))
    return total, found | scale | {"b": b, "slope": data["sd"]["slope"] * b[-1]}


def natural(p: RichProblem, theta: Floats, white: Floats) -> Parameters:
    """The parameters of `rich_model`, and `elbow_at_d0`, of draws [..., k] and [..., m]."""
    data = jax.tree.map(jnp.asarray, arguments(p))
    kind = kind_of(p)
    flat_t, flat_w = (v.reshape(-1, v.shape[-1]) for v in (theta, white))
    _, found = evaluate(kind, data, flat_t, flat_w)
    lead = theta.shape[:-1]
    out = {
        k: found[k].reshape(lead)
        for k in ("elbow_at_d0", "e10", "d", "slope", *curved(p))
        if k in found
    }
    at = {name: theta[..., i] for i, name in enumerate(names(p))}
    if p.form == "hill":
        out["ln_k"] = p.ln_k_mean + p.ln_k_sd * at["k_z"]
        out["ln_h"] = p.ln_h_sd * at["h_z"]
    else:
        out["ln_alpha"] = p.plain.ln_alpha_mean + p.plain.ln_alpha_sd * at["alpha_z"]
    b = found["b"].reshape(*lead, -1)
    first = 0
    for name, count in linear(p):
        part = b[..., first : first + count]
        first += count
        if name in {"level", "offset"}:
            centre = p.plain.chance if name == "level" else 0.0
            out[name] = centre + p.plain.level_sd * part[..., 0]
        else:
            scale = out[{"delta": "omega", "u": "kappa", "v": "kappa_s"}[name]]
            out[name] = scale[..., None] * part
    return out


def evaluate(
    kind: Kind, data: dict[str, Any], theta: Floats, white: Floats
) -> tuple[Floats, dict[str, Floats]]:
    """`log_density` at many points [n, k] and [n, m], in chunks of one size: one compilation."""
    n = len(theta)
    at = np.arange(-(-n // CHUNK) * CHUNK) % n
    parts = [_evaluate(kind, data, theta[rows], white[rows]) for rows in at.reshape(-1, CHUNK)]
    total, found = jax.tree.map(lambda *leaves: np.concatenate(leaves)[:n], *parts)
    return total, found


@partial(jax.jit, static_argnames=("kind",))
def _evaluate(kind: Kind, data: Any, theta: Any, white: Any) -> Any:
    return jax.vmap(lambda t, w: log_density(kind, data, t, w))(theta, white)


def gains_of_many(p: RichProblem, theta: Floats) -> Floats:
    """[E(D) - E(10)] / d at D0, Dmid, Dmax for coordinates [n, k]: [n, 3]."""
    form, order, *_ = kind_of(p)
    data = jax.tree.map(jnp.asarray, arguments(p))

    def one(row: Any) -> Any:
        return _gains(form, {name: row[i] for i, name in enumerate(order)}, data)[1]

    return np.asarray(jax.vmap(one)(jnp.asarray(theta)))
