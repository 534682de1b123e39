"""How fast is the posterior? Against NUTS and emcee, each to 1,000 effective draws of E(D0).

NUTS counts twice: with its compilation, and a second run with everything compiled (warm-up is part
of both). A run of more or fewer effective draws is scaled: what is fixed stays, sampling scales.
"""

from __future__ import annotations

from typing import Any

from _report import arguments, one_core, publish, table, timed
from emergecast.emergence_law import Law
from emergecast.inference import FitOptions, Model, Priors, sampled
from emergecast.measurements import SelectOptions

# isort: split

import numpy as np
from performance.calibration._laws import data_of
from tests.inference.sampled.test_sampled import known
from tests.referees import ensemble, model, nuts, rich_model, rich_nuts, simulate

WANTED = 1000.0
RICH = "log-power+slopes+deviation"
RICH_HEADER = [
    "law", "rows", "sampler, s", "its error, posterior sd", "NUTS, s", "NUTS compiled, s",
    "NUTS effective draws", "against NUTS", "against NUTS compiled",
]  # fmt: skip


def main() -> None:
    """Times the three on the same tables, in one process."""
    import emergecast

    options = arguments(__doc__ or "", tables=6, seed=1)
    one_core()
    rows: list[list[object]] = []
    ratios = []
    for i, drawn in enumerate(simulate.random_tables(options.tables, options.seed)):
        listed = simulate.as_rows(drawn)
        loaded = emergecast.read_table(listed)

        def product(loaded: object = loaded, drawn: simulate.SimulatedTable = drawn) -> Any:  # noqa: ANN401
            return emergecast.fit(
                loaded,
                SelectOptions(task="t"),
                FitOptions(few_shot_examples=drawn.few_shot_examples, law=drawn.law),
            ).posterior.quantile([0.05, 0.5, 0.95])

        seconds, _ = timed(product)
        problem = model.problem(drawn)
        sampled = nuts.nuts(problem, seed=i, draws=1000, warmup=1000, time_again=True)
        scaled = sampled.sampling_seconds * (WANTED / sampled.ess_bulk - 1)
        first, again = sampled.first_seconds + scaled, sampled.again_seconds + scaled
        walkers = ensemble.ensemble(problem, seed=i, effective=WANTED)
        emcee_seconds = walkers.seconds * WANTED / walkers.ess
        ratio = [first / seconds, again / seconds, emcee_seconds / seconds]
        ratios.append(ratio)
        rows.append(
            [
                i,
                drawn.law,
                len(drawn.loss),
                f"{seconds:.3f}",
                f"{first:.1f}",
                f"{again:.1f}",
                f"{sampled.ess_bulk:.0f}",
                f"{emcee_seconds:.2f}",
                f"{walkers.ess:.0f}",
                *(f"{r:.0f}x" for r in ratio),
            ]
        )
    middle = [f"{r:.0f}x" for r in np.median(ratios, axis=0)]
    rows.append(["median", *[""] * 8, *middle])
    header = [
        "table", "law", "rows", "posterior, s", "NUTS, s", "NUTS compiled, s",
        "NUTS effective draws", "emcee, s", "emcee effective draws", "against NUTS",
        "against NUTS compiled", "against emcee",
    ]  # fmt: skip
    text = (
        table(header, rows) + "\n\n" + table(RICH_HEADER, [rich(RICH, number) for number in (1, 2)])
    )
    publish("posterior", text, write=options.write)


def rich(law: str, number: int) -> list[object]:
    """A law that is sampled: ours, NUTS with its compilation, and NUTS again."""
    drawn = known(law, number)
    made = Model(data_of(drawn), Law.parse(law), Priors.default())
    sampled(made)  # machine code is read
    seconds, found = timed(lambda: sampled(made))
    problem = rich_model.rich_problem(drawn, law)
    first, again = (rich_nuts.rich_nuts(problem, seed=number) for _ in range(2))
    scaled = [each.seconds * WANTED / each.ess_bulk for each in (first, again)]
    return [
        law,
        drawn.loss.size,
        f"{seconds:.2f}",
        f"{found.error / found.sd:.2f}",
        *(f"{each:.1f}" for each in scaled),
        f"{first.ess_bulk:.0f}",
        *(f"{each / seconds:.0f}x" for each in scaled),
    ]


if __name__ == "__main__":
    main()
