"""Forecasts of simulated tables whose truth no prior drew: departures, ablations, horizons."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

import emergecast
from emergecast.backtests._ablations import ablations
from emergecast.baselines import Baseline, baselines
from emergecast.emergence_law import LawForm
from emergecast.errors import EmergecastError
from emergecast.forecasts import ForecastOptions, Thresholds
from emergecast.inference import DEFAULT_MIXTURE, Fit, FitOptions, fit
from emergecast.measurements import Measurements, SelectOptions
from emergecast.simulation import Departure, Design, Simulated, load_design, random_truth, simulate
from emergecast.track_record import crps, log_score

DESIGNS = ("small", "openllama-v1-gsm8k", "openllama-v1-mmlu", "rich")
PRESENT = SelectOptions(pool=True, where=(("future", "false"),))
"""What a forecast may use: the checkpoints that the design says are there now."""
FORMS = (LawForm.LOG_POWER, LawForm.POWER)
TASKS = ("gsm8k", "mmlu", "commonsenseqa", "cola")
RATIOS = (1.5, 2.0, 4.0, 8.0)


def departure(name: str, number: int) -> dict[str, Any]:
    """A random truth, one departure from the law ("none" for none), and the mixture's forecast."""
    rng = np.random.default_rng([5, number, *name.encode()])
    two = name == Departure.SERIES_OFFSETS
    design = load_design("two-series" if two else DESIGNS[number % len(DESIGNS)])
    truth = random_truth(design, rng, forms=FORMS)
    simulated = simulate(design, truth, departure=None if name == "none" else name, rng=rng)
    record: dict[str, Any] = {"departure": name, "number": number, "design": design.name}
    return record | _scored(simulated.table, simulated.estimand, verdict=False)


def ablation(task: str, number: int) -> list[dict[str, Any]]:
    """All nineteen ablations of one replicate of a task's design, with their verdicts."""
    design = load_design(f"openllama-v1-{task}")
    simulated = simulate(design, rng=np.random.default_rng([17, number, *task.encode()]))
    full = fit(simulated.table, PRESENT, FitOptions(law="log-power"))
    found = []
    for each in ablations(full.selection):
        record: dict[str, Any] = {"task": task, "number": number, "ablation": each.name}
        if each.reason is not None:
            found.append(record | {"impossible": each.reason})
            continue
        frame = simulated.table.frame
        table = (
            simulated.table
            if each.keep is None
            else replace(simulated.table, frame=frame.filter(each.keep))
        )
        found.append(record | _scored(table, simulated.estimand, verdict=True))
    return found


def horizon(ratio: float, number: int) -> dict[str, Any]:
    """A random truth whose elbow lies `ratio` times the FLOPs of the strongest checkpoint away."""
    rng = np.random.default_rng([23, number, int(10 * ratio)])
    design: Design = load_design(("small", "rich")[number % 2])
    truth = replace(random_truth(design, rng, forms=FORMS), elbow=design.loss_at_flops(ratio))
    simulated: Simulated = simulate(design, truth, rng=rng)
    record: dict[str, Any] = {"ratio": ratio, "number": number, "design": design.name}
    return record | _scored(simulated.table, simulated.estimand, verdict=True)


def _scored(table: Measurements, truth: float | None, *, verdict: bool) -> dict[str, Any]:
    """The forecast beside the truth; the verdict costs several more posteriors."""
    if truth is None:
        return {"error": "the few-shot scores of this table show no elbow"}
    try:
        fitted = fit(table, PRESENT)
    except EmergecastError as error:
        return {"error": str(error)}
    record: dict[str, Any] = {"truth": truth, "strongest": fitted.data.strongest_loss}
    record |= {"spread": fitted.data.loss_spread, "rows": int(fitted.data.loss.size)}
    if not verdict and fitted.log_bayes_factor < math.log(Thresholds().evidence):
        return record | {"verdict": "refused"}
    if verdict:
        forecast = emergecast.forecast(fitted, options=ForecastOptions(bootstraps=0))
        record |= {"verdict": str(forecast.verdict), "reasons": list(forecast.reasons)}
        if forecast.elbow is None:
            return record
    return record | _scores(fitted, truth)


def _scores(fitted: Fit, truth: float) -> dict[str, Any]:
    posterior = fitted.posterior
    low, first, median, third, high = posterior.quantile([0.05, 0.25, 0.5, 0.75, 0.95]).tolist()
    rivals = baselines(fitted, which=(Baseline.NO_CHANGE, Baseline.PRIOR))
    return {
        "p05": low,
        "p25": first,
        "p50": median,
        "p75": third,
        "p95": high,
        "pit": float(posterior.cumulative(truth)),
        "crps": crps(posterior, truth),
        "log_score": log_score(posterior, truth),
        "laws": {
            str(member.law): member.posterior.quantile([0.05, 0.5, 0.95]).tolist()
            for member in fitted.members
        },
        **{
            f"crps_{name.replace('-', '_')}": crps(guess.distribution, truth)
            for name, guess in rivals.items()
            if guess.distribution is not None
        },
    }


def laws_of_the_mixture() -> tuple[str, ...]:
    """Names of the laws of the default mixture."""
    return tuple(map(str, DEFAULT_MIXTURE.laws))
