"""Is the posterior exact? Its quantiles against brute-force integration and against NUTS.

The 5, 50 and 95% quantiles of E(D0) must lie within 0.001 nats of brute force, and within the
larger of 0.004 nats and four Monte Carlo standard errors of NUTS (R-hat under 1.01, no divergence).
Those of laws that are sampled must lie within 0.25 posterior standard deviations of NUTS.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from _report import arguments, one_core, publish, table
from emergecast.inference import FitOptions
from emergecast.measurements import SelectOptions

# isort: split

import numpy as np
from numpy.typing import NDArray
from tests.inference.sampled.test_sampled import off_nuts
from tests.referees import brute_force, model, simulate

Floats = NDArray[np.float64]
LEVELS = [0.05, 0.5, 0.95]
BRUTE_LIMIT = 0.001
NUTS_LIMIT = 0.004
RICH = (
    "log-power+student", "log-power+slopes+deviation", "power+slopes+deviation",
    "hill+slopes+deviation", "log-power+soft+ceiling+deviation",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One table: the three answers, and what each says about itself. Quantiles in nats."""

    index: int
    table: simulate.SimulatedTable
    product: Floats | None
    product_error: float
    brute: brute_force.BruteForce
    nuts: Floats
    nuts_error: Floats
    r_hat: float
    divergences: int
    ess: float

    @property
    def off_brute(self) -> float:
        """Largest distance of the product from brute force."""
        if self.product is None:
            return float("nan")
        return float(np.abs(self.product - self.brute.quantiles[[0, 2, 4]]).max())

    @property
    def off_nuts(self) -> float:
        """Largest distance from NUTS over what is allowed: 1 is the limit."""
        mine = self.brute.quantiles[[0, 2, 4]] if self.product is None else self.product
        allowed = np.maximum(NUTS_LIMIT, 4 * self.nuts_error)
        return float((np.abs(mine - self.nuts) / allowed).max())

    @property
    def nuts_believable(self) -> bool:
        """NUTS itself converged."""
        return self.r_hat < 1.01 and self.divergences == 0

    @property
    def passed(self) -> bool:
        """Both rules hold."""
        brute = self.product is None or self.off_brute <= BRUTE_LIMIT
        return brute and self.off_nuts <= 1 and self.nuts_believable


def product_quantiles(drawn: simulate.SimulatedTable) -> tuple[Floats | None, float]:
    """The package's own quantiles and their estimated error."""
    import emergecast

    fit: Any = emergecast.fit(
        simulate.as_rows(drawn),
        SelectOptions(task="t"),
        FitOptions(few_shot_examples=drawn.few_shot_examples, law=drawn.law),
    )
    posterior = fit.posterior
    return np.asarray(posterior.quantile(LEVELS)), float(posterior.error)


def judge(index: int, drawn: simulate.SimulatedTable, *, referees_only: bool) -> Case:
    """One table under all three."""
    from tests.referees import nuts

    problem = model.problem(drawn)
    product, error = (None, float("nan")) if referees_only else product_quantiles(drawn)
    brute = brute_force.brute_force(problem)
    sampled = nuts.believable_nuts(problem, seed=index)
    return Case(
        index=index,
        table=drawn,
        product=product,
        product_error=error,
        brute=brute,
        nuts=sampled.quantile(LEVELS),
        nuts_error=sampled.quantile_error(LEVELS),
        r_hat=sampled.r_hat,
        divergences=sampled.divergences,
        ess=sampled.ess_bulk,
    )


def line(case: Case) -> list[object]:
    """One row of the printed table."""
    quantiles = " / ".join(f"{q:.3f}" for q in case.brute.quantiles[[0, 2, 4]])
    converged = max(case.brute.moved_by_elbow_step, case.brute.moved_by_inner_step)
    amounts = case.table.examples[~np.isnan(case.table.examples)]
    return [
        case.index,
        case.table.law,
        f"{len(case.table.loss)} ({len(np.unique(amounts))} amounts)",
        quantiles,
        f"{case.off_brute:.5f}",
        f"{case.product_error:.5f}",
        f"{converged:.5f}",
        f"{case.off_nuts:.2f}",
        f"{case.nuts_error.max():.4f}",
        f"{case.r_hat:.4f}",
        case.divergences,
        f"{case.ess:.0f}",
        "yes" if case.passed else "NO",
    ]


def main() -> None:
    """Judges the tables and prints the worst first."""
    options = arguments(__doc__ or "", tables=24, seed=1, referees_only=0)
    one_core()
    cases = []
    for i, drawn in enumerate(simulate.random_tables(options.tables, options.seed)):
        cases.append(judge(i, drawn, referees_only=bool(options.referees_only)))
        print(" | ".join(str(cell) for cell in line(cases[-1])), flush=True)
    cases.sort(key=lambda c: (c.passed, -np.nan_to_num(c.off_brute), -c.off_nuts))
    header = [
        "table", "law", "rows", "5 / 50 / 95% (brute force), nats", "off brute force, nats",
        "own error estimate", "brute force's own error", "off NUTS, share of limit",
        "NUTS error, nats", "R-hat", "divergences", "effective draws", "within limits",
    ]  # fmt: skip
    passed = sum(case.passed for case in cases)
    text = f"{passed} of {len(cases)} tables of seed {options.seed} within limits. Worst first.\n\n"
    text += table(header, map(line, cases))
    rich = [[law, f"{off_nuts(law, options.seed):.3f}"] for law in RICH]
    text += "\n\n" + table(["sampled law", "off NUTS, posterior standard deviations"], rich)
    publish("exactness", text, write=options.write)


if __name__ == "__main__":
    main()
