"""Each law under its own prior: ranks of every parameter, and coverage of the forecast.

The truth and the scores come from `tests.referees.rich_simulate.from_prior`, which knows the model
of docs/model.md and none of the code that is tested; the designs are random (5-12 checkpoints,
3-6 amounts). Nothing is selected: tables that would be refused count like all others.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from tests.referees.rich_model import RichTable, rich_problem
from tests.referees.rich_simulate import from_prior, rich_table

from emergecast.emergence_law import Law
from emergecast.inference import Draws, FitData, Model, Posterior, Priors, sampled
from emergecast.inference._coordinates import Coordinates
from emergecast.inference._mixture import MixturePosterior
from emergecast.inference.exact._exact import ExactPosterior

LAWS = (
    "log-power",
    "power",
    "hill",
    "log-power+soft",
    "log-power+ceiling",
    "log-power+slopes",
    "log-power+deviation",
    "log-power+student",
    "log-power+slopes+deviation",
    "power+slopes+deviation",
    "hill+slopes+deviation",
    "log-power+soft+ceiling+slopes+deviation",
)
DRAWS = 999


def data_of(table: RichTable) -> FitData:
    """The arrays of a fit, with the constants that the design alone determines."""
    p = rich_problem(table).plain
    amounts = np.unique(table.examples[~table.few_shot])
    level = np.searchsorted(amounts, np.nan_to_num(table.examples)) + 1
    return FitData(
        loss=table.loss,
        score=table.score,
        level=np.where(table.few_shot, 0, level),
        sampling_sd=p.s,
        repeats=p.r,
        checkpoint=np.unique(table.checkpoint, return_inverse=True)[1],
        series=np.unique(table.series, return_inverse=True)[1],
        snapshot=np.zeros(table.loss.size, bool),
        amounts=amounts,
        few_shot_examples=p.d0,
        chance=p.chance,
        score_range=p.score_range,
        loss_spread=p.spread,
        loss_unit=p.spread,
        strongest_loss=p.strongest,
    )


def simulated(law: str, seed: tuple[int, ...]) -> tuple[FitData, dict[str, float]]:
    """One table drawn from a law's prior, and the truth in the names of `Draws`."""
    rng = np.random.default_rng(seed)
    design = rich_table(rng, law, stderr_known=True)
    truth, scores = from_prior(design, law, rng)
    return data_of(replace(design, law=law, score=scores)), _named(truth)


def posterior_of(data: FitData, law: str) -> Posterior:
    """The posterior of one law, by the inference that `fit` uses."""
    kind, priors = Law.parse(law), Priors.default()
    if kind.plain:
        return ExactPosterior(data, Coordinates.of(data, kind.form, priors))
    return sampled(Model(data, kind, priors))


def one(law: str, number: int) -> dict[str, Any]:
    """Ranks of one table: share of posterior draws below the truth, per parameter."""
    data, truth = simulated(law, (7, number, *law.encode()))
    posterior = posterior_of(data, law)
    draws = posterior.draws(DRAWS, np.random.default_rng([11, number]))
    ranks = {
        name: float(np.mean(_column(draws, name) < value))
        for name, value in truth.items()
        if _column(draws, name) is not None
    }
    ranks["forecast"] = float(posterior.cumulative(truth["elbow"]))
    return {"law": law, "number": number, "ranks": ranks, "error": posterior.error / posterior.sd}


def mixed(laws: tuple[str, ...], law: str, number: int) -> dict[str, Any]:
    """A table drawn from one law's prior, forecast by a mixture of several."""
    data, truth = simulated(law, (13, number, *law.encode()))
    members = tuple(posterior_of(data, name) for name in laws)
    fixed = MixturePosterior(members, (1 / len(laws),) * len(laws))
    evidence = np.array([member.log_evidence for member in members])
    updated = np.exp(evidence - evidence.max())
    averaged = MixturePosterior(members, tuple(updated / updated.sum()))
    elbow = truth["elbow"]
    return {
        "law": law,
        "number": number,
        "fixed": float(fixed.cumulative(elbow)),
        "evidence": float(averaged.cumulative(elbow)),
        "width": float(np.ptp(fixed.quantile([0.05, 0.95]))),
        "width_evidence": float(np.ptp(averaged.quantile([0.05, 0.95]))),
        "members": [float(member.cumulative(elbow)) for member in members],
        "log_evidence": evidence.tolist(),
    }


def _named(truth: dict[str, Any]) -> dict[str, float]:
    """The referee's names as those of `Draws`; what varies by row or checkpoint is left out."""
    found = {
        "elbow": truth["elbow_at_d0"],
        "slope": truth["slope"] + (truth["delta"][0] if "delta" in truth else 0.0),
        "chance": truth["level"],
        "noise": truth["tau"],
    }
    others = {
        "offset": "few_shot_offset",
        "w": "width",
        "rho": "ceiling_rate",
        "kappa": "deviation_scale",
    }
    found |= {ours: truth[theirs] for theirs, ours in others.items() if theirs in truth}
    found["alpha"] = np.exp(truth["ln_h"] if "ln_h" in truth else truth["ln_alpha"])
    if "ln_k" in truth:
        found["half"] = np.exp(truth["ln_k"])
    return {name: float(value) for name, value in found.items()}


def _column(draws: Draws, name: str) -> Any:  # noqa: ANN401
    return getattr(draws, name, None)
