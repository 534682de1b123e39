"""How fast is a scaling-law fit with its bootstrap? Against scipy's L-BFGS on the same objective.

The peer is scipy.optimize.minimize with method L-BFGS-B and the exact gradient in (ln A, ln B,
ln E, alpha, beta), tolerances down to rounding. It fits the table from a grid of starts, as
Hoffmann et al. 2022 (4,500 starts) and Besiroglu et al. 2024 did; then each bootstrap refit either
from the optimum of the table alone ("warm"), which is the least that one can do and shows no other
optimum, or from several starts ("multi-start"). Refits are timed on a subsample and scaled to all.
Seconds are CPU seconds of one process. Memory is the peak that tracemalloc sees, of NumPy and
Python together.
"""

from __future__ import annotations

import itertools
import time
import tracemalloc
from collections.abc import Callable
from typing import Any, TypeVar

from _report import arguments, one_core, publish, table

# isort: split

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Floats = NDArray[np.float64]
T = TypeVar("T")
DELTA = 1e-3


def simulated(runs: int, seed: int) -> tuple[Floats, Floats, Floats]:
    """Sizes, tokens and losses of a law like Epoch's, with noise and some runs that went wrong."""
    rng = np.random.default_rng(seed)
    n = np.exp(rng.uniform(np.log(5e7), np.log(2e10), runs))
    d = n * np.exp(rng.uniform(np.log(2), np.log(200), runs))
    loss = 1.81686 + 482.006 / n**0.34781 + 2085.434 / d**0.36585
    noise = 0.005 * rng.standard_t(3, runs)
    return n, d, loss * np.exp(noise)


def peer(
    n: Floats, d: Floats, loss: Floats, weights: Floats, starts: Floats
) -> tuple[Floats, float]:
    """The best of L-BFGS-B searches from each start."""
    ln_n, ln_d, ln_loss = np.log(n), np.log(d), np.log(loss)

    @np.errstate(all="ignore")  # a line search that overflows is its own business
    def value(x: Floats) -> tuple[float, Floats]:
        first = np.exp(x[0] - x[3] * ln_n)
        second = np.exp(x[1] - x[4] * ln_d)
        floor = np.exp(x[2])
        law = first + second + floor
        r = np.log(law) - ln_loss
        bent = np.clip(r, -DELTA, DELTA)
        pull = weights * bent
        share = pull / law
        one, two = share @ first, share @ second
        gradient = np.array(
            [one, two, floor * share.sum(), -(share * first) @ ln_n, -(share * second) @ ln_d]
        )
        return float(pull @ (r - 0.5 * bent)), gradient

    options = {"maxiter": 5000, "maxfun": 20000, "ftol": 1e-15, "gtol": 1e-12}
    best: Any = None
    for start in starts:
        found = minimize(value, start, jac=True, method="L-BFGS-B", options=options)
        if best is None or found.fun < best.fun:
            best = found
    return best.x, float(best.fun)


def grid(a: int) -> Floats:
    """A grid of starts that spans Hoffmann's: ln A, ln B to 25, ln E in -1 to 1, exponents to 2."""
    ends = ((0.0, 25.0), (0.0, 25.0), (-1.0, 1.0), (0.05, 1.5), (0.05, 1.5))
    return np.array(list(itertools.product(*(np.linspace(*each, a) for each in ends))))


def watched(function: Callable[[], T]) -> tuple[float, float, T]:
    """Seconds, and MiB of a second call under tracemalloc, which slows what it watches."""
    began = time.process_time()
    result = function()
    seconds = time.process_time() - began
    tracemalloc.start()
    function()
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return seconds, peak, result


def main() -> None:
    """Times both on one table, and compares their objectives refit by refit."""
    from emergecast.scaling import Runs, ScalingFitOptions, fit_scaling_law
    from emergecast.scaling.fitting._newton import Box, descend
    from emergecast.scaling.fitting._starts import best_start, exponents

    options = arguments(__doc__ or "", runs=1000, refits=1000, warm=200, few=40, multi=4, seed=1)
    one_core()
    n, d, loss = simulated(options.runs, options.seed)
    runs = Runs.of(loss, params=n, tokens=d)
    whole = ScalingFitOptions(bootstraps=options.refits)
    seconds, peak, fit = watched(lambda: fit_scaling_law(runs, options=whole))
    alone, _, _ = watched(lambda: fit_scaling_law(runs, options=ScalingFitOptions(bootstraps=0)))

    ones = np.ones(options.runs)
    many = grid(3)
    full_seconds, full_peak, (x, full) = watched(lambda: peer(n, d, loss, ones, many))
    few = many[np.random.default_rng(options.seed).choice(len(many), 8, replace=False)]

    # The same resamples for both, so that objectives can be compared one by one.
    rng = np.random.default_rng(options.seed)
    share = np.full(options.runs, 1 / options.runs)
    weights = rng.multinomial(options.runs, share, size=options.warm).astype(np.float64)
    box = Box.of(2, None)
    first = np.broadcast_to(fit.theta, (options.warm, 5))
    one = descend(fit.points, first, weights, delta=DELTA, box=box, near=True)
    own = best_start(fit.points, weights, exponents(2, 49), None)
    two = descend(fit.points, own, weights, delta=DELTA, box=box)
    ours = np.minimum(one.value, two.value)

    rows: list[list[object]] = [
        ["emergecast: fit (64 starts) and refits (2 starts each)", f"{seconds:.2f}", f"{peak:.0f}",
         "", ""],
        [f"L-BFGS: the fit alone ({len(many)} starts); emergecast's takes {alone:.2f} s",
         f"{full_seconds:.1f}", f"{full_peak:.1f}", f"{full_seconds / alone:.0f}x its fit",
         f"table: {full / fit.objective - 1:+.0e}"],
    ]  # fmt: skip
    for name, starts, count in (
        ("warm refits (1 start each)", x[None], options.warm),
        ("refits (8 starts each)", few, options.few),
        (f"refits ({len(many)} starts each)", many, options.multi),
    ):
        began = time.process_time()
        theirs = np.array([peer(n, d, loss, w, starts)[1] for w in weights[:count]])
        all_of_them = (time.process_time() - began) / count * options.refits + full_seconds
        excess = theirs / ours[:count] - 1
        lower = int(np.sum(excess < -1e-9))
        against = f"median {np.median(excess):+.0e}, most {excess.max():+.0e}; "
        against += f"below -1e-9 in {lower} of {count}"
        rows.append(
            [
                f"L-BFGS: that fit and {name}, from {count} of them",
                f"{all_of_them:.0f}",
                "",
                f"{all_of_them / seconds:.0f}x",
                against,
            ]
        )
    header = ["what", "CPU seconds", "peak, MiB", "times emergecast",
              "its objective over emergecast's, less 1"]  # fmt: skip
    note = (
        f"{options.runs:,} runs, {options.refits:,} bootstrap refits. Times of L-BFGS refits are "
        "scaled from the number of refits that the row names; objectives are compared on the same "
        "resamples, refit by refit. Peaks are of NumPy and Python as tracemalloc sees them."
    )
    publish("scaling_fit", f"{note}\n\n{table(header, rows)}", write=options.write)


if __name__ == "__main__":
    main()
