"""Made-up forecasts of several designs, with the columns of real ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl
import pytest

from emergecast.measurements import Axis, Shift


@dataclass(frozen=True, kw_only=True)
class Elbow:
    """Quantiles and point estimates of a made-up elbow."""

    p05: float
    p25: float
    p50: float
    p75: float
    p95: float
    mode: float
    mle: float | None


@dataclass(frozen=True, kw_only=True)
class Design:
    """What a made-up forecast looks like."""

    losses: tuple[float, ...]
    amounts: tuple[int, ...] = (64, 512, 4096)
    hidden_losses: tuple[float, ...] = ()
    centre: float = 2.06
    sd: float = 0.06
    top: float = 2.35
    slope: float = 1.6
    chance: float = 0.25
    truth: float | None = None
    metric: str = "acc"
    negated: bool = False
    refused: bool = False
    stderr: float | None = 0.008
    noise: float = 0.01
    mle: float | None = 2.075
    title: str = "mmlu: few-shot emergence at 2.06 nats"
    subtitle: str = "weak: 90% interval 1.96 to 2.16; 11 checkpoints"
    task: str = "mmlu"
    few_shot_examples: float = 5.0
    few_shot_rows: bool = True
    lines: str = "Lines: one typical draw of the posterior."
    plain_law: str | None = None
    axis: Axis = Axis()  # noqa: RUF009  frozen
    shift: Shift = Shift()  # noqa: RUF009  frozen


@dataclass(frozen=True)
class View:
    """A forecast, as the report room sees one."""

    design: Design
    task: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "task", self.design.task)

    def __getattr__(self, name: str) -> object:
        return getattr(self.design, name)

    def _elbow_at(self, examples: int | None) -> float:
        d = self.design
        if examples is None:
            return d.centre
        g = (np.log(examples) - np.log(5)) / (np.log(max(d.amounts)) - np.log(5))
        return float(d.centre + (d.top - d.centre) * g**1.5)

    @property
    def elbow(self) -> Elbow | None:
        """Quantiles of a normal with a tail towards low loss."""
        d = self.design
        if d.refused:
            return None
        p05, p25, p75, p95 = (d.centre + d.sd * z for z in (-2.1, -0.75, 0.6, 1.5))
        return Elbow(
            p05=p05, p25=p25, p50=d.centre, p75=p75, p95=p95, mode=d.centre + 0.2 * d.sd, mle=d.mle
        )

    def points(self) -> pl.DataFrame:
        """Every checkpoint under every setting."""
        d = self.design
        rng = np.random.default_rng(7)
        rows = []
        for examples in (None, *d.amounts) if d.few_shot_rows else d.amounts:
            for loss in (*d.losses, *d.hidden_losses):
                mean = d.chance + d.slope * max(self._elbow_at(examples) - loss, 0.0)
                rows.append(
                    {
                        "checkpoint": f"model-{loss:.3f}",
                        "loss": loss,
                        "score": min(mean + d.noise * rng.normal(), d.chance + 0.74),
                        "stderr": d.stderr,
                        "setting": "few-shot" if examples is None else "finetuned",
                        "examples": examples,
                        "label": "few-shot" if examples is None else f"{examples:,}",
                        "hidden": loss in d.hidden_losses,
                    }
                )
        schema_overrides = {"examples": pl.Int64, "stderr": pl.Float64}
        return pl.DataFrame(rows, schema_overrides=schema_overrides)

    def curves(self) -> pl.DataFrame:
        """The law's line of every setting, few-shot beyond the checkpoints."""
        d = self.design
        rows = []
        for examples in (None, *d.amounts):
            edge = min(d.losses)
            low = min(self._elbow_at(None) - 6 * d.sd, edge) if examples is None else edge
            rows += [
                {
                    "label": "few-shot" if examples is None else f"{examples:,}",
                    "examples": examples,
                    "loss": float(loss),
                    "score": d.chance + d.slope * max(self._elbow_at(examples) - loss, 0.0),
                    "extrapolated": bool(examples is None and loss < edge),
                }
                for loss in np.linspace(low, max(d.losses), 400)
            ]
        frame = pl.DataFrame(rows, schema_overrides={"examples": pl.Int64})
        return frame.clear() if d.refused else frame

    def distribution(self) -> pl.DataFrame:
        """A normal density, and the probability that the elbow is at each loss or above it."""
        d = self.design
        loss = np.linspace(d.centre - 6 * d.sd, d.centre + 6 * d.sd, 600)
        density = np.exp(-0.5 * ((loss - d.centre) / d.sd) ** 2) / (d.sd * np.sqrt(2 * np.pi))
        below = np.cumsum(density) * (loss[1] - loss[0])
        frame = pl.DataFrame(
            {"loss": loss, "density": density, "cumulative": 1 - below / below[-1]}
        )
        return frame.clear() if d.refused else frame


ELEVEN = (2.61, 2.52, 2.44, 2.37, 2.31, 2.27, 2.23, 2.19, 2.15, 2.12, 2.09)

DESIGNS = {
    "three": Design(losses=ELEVEN),
    "seven": Design(
        losses=ELEVEN,
        amounts=(1920, 6400, 16000, 32000, 64000, 99842, 256000),
        hidden_losses=(2.05, 2.0, 1.96, 1.93),
        truth=2.069,
        sd=0.035,
    ),
    "refused": Design(
        losses=ELEVEN[:5],
        amounts=(64, 512),
        refused=True,
        slope=0.0,
        title="mmlu: no forecast",
        subtitle="refused: no finetuned curve shows an elbow; two data amounts, at least three are "
        "needed. Finetune the strongest checkpoints on more examples.",
    ),
    "negated": Design(
        losses=ELEVEN,
        metric="brier_score",
        negated=True,
        chance=-0.75,
        slope=0.8,
        stderr=None,
        sd=0.15,
        mle=None,
        title="mmlu: few-shot emergence at 2.06 nats",
        subtitle="weak: 90% interval 1.75 to 2.29; 11 checkpoints",
    ),
    "outlying": Design(
        losses=(6.53, 6.5, 5.83, 5.77, 5.45, 5.43, 5.36, 5.35, 5.3, 5.29, 5.26, 5.23, 5.22, 5.2),
        amounts=(16, 64, 256, 1024, 4096),
        hidden_losses=(5.16, 5.13, 5.1, 5.08, 5.05, 5.02, 5.0),
        centre=5.16,
        sd=0.03,
        top=5.29,
        slope=4.0,
        noise=0.02,
        truth=5.143,
        mle=5.18,
        title="proving ground: few-shot emergence at 5.16 nats",
        subtitle="identified: 90% interval 5.10 to 5.21; 14 checkpoints",
    ),
    "far": Design(
        losses=ELEVEN,
        centre=1.6,
        sd=0.35,
        mle=-40.0,
        title="gsm8k: few-shot emergence at 1.60 nats",
        subtitle="weak: 90% interval 0.87 to 2.13; 11 checkpoints; measure more data amounts",
    ),
}

DESIGNS["finetuned only"] = replace(DESIGNS["three"], few_shot_rows=False)
DESIGNS["all zero"] = Design(
    losses=(2.3, 2.2, 2.1),
    amounts=(64,),
    chance=0.0,
    slope=0.0,
    noise=0.0,
    stderr=None,
    refused=True,
    title="gsm8k: no forecast",
    subtitle="refused: no finetuned curve shows an elbow.",
)
DESIGNS["one checkpoint"] = replace(DESIGNS["refused"], losses=(2.3,))


@pytest.fixture
def view_of() -> Callable[[str], View]:
    """The made-up forecast of a design, by its name."""
    return lambda name: View(DESIGNS[name])


@pytest.fixture(params=list(DESIGNS))
def any_view(request: pytest.FixtureRequest) -> View:
    """The made-up forecast of every design in turn."""
    return View(DESIGNS[request.param])
