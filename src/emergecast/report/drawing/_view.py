"""What a picture needs to know of a forecast."""

from __future__ import annotations

from typing import Protocol

import polars as pl

from emergecast.measurements import Axis, Shift


class ElbowView(Protocol):
    """Quantiles and point estimates of the few-shot elbow, in nats, or on another axis.

    Quantiles are of the printed number: `p05` is the numerically low one, on loss the later
    emergence.
    """

    @property
    def p05(self) -> float:
        """5% quantile."""
        ...

    @property
    def p25(self) -> float:
        """25% quantile."""
        ...

    @property
    def p50(self) -> float:
        """Median."""
        ...

    @property
    def p75(self) -> float:
        """75% quantile."""
        ...

    @property
    def p95(self) -> float:
        """95% quantile."""
        ...

    @property
    def mode(self) -> float:
        """Most likely value: the mode of the posterior density."""
        ...

    @property
    def mle(self) -> float | None:
        """Maximum likelihood estimate; None where it leaves every sensible range."""
        ...


class ForecastView(Protocol):
    """A forecast as the pictures see it. Scores are such that higher is better.

    What is called loss here is a value of `axis`, and examples are amounts of `shift`.
    """

    @property
    def axis(self) -> Axis:
        """What stands for capability: loss in nats, or something else."""
        ...

    @property
    def shift(self) -> Shift:
        """What moves the elbow: finetuning examples, or something else."""
        ...

    @property
    def task(self) -> str:
        """Name of the task."""
        ...

    @property
    def metric(self) -> str:
        """Name of the metric in the table."""
        ...

    @property
    def negated(self) -> bool:
        """Whether scores (and chance) are the metric's negative."""
        ...

    @property
    def chance(self) -> float:
        """Score of a guess, in the unit and with the sign of the scores."""
        ...

    @property
    def title(self) -> str:
        """The answer in a few words."""
        ...

    @property
    def subtitle(self) -> str:
        """Verdict and what it rests on; the reason where the forecast is refused."""
        ...

    @property
    def few_shot_examples(self) -> float:
        """D0, the number of examples at which the few-shot elbow is read off."""
        ...

    @property
    def elbow(self) -> ElbowView | None:
        """The few-shot elbow; None where the forecast is refused."""
        ...

    @property
    def truth(self) -> float | None:
        """A few-shot elbow measured later, in nats; None where nobody has measured it."""
        ...

    def points(self) -> pl.DataFrame:
        """One row per score.

        Columns: checkpoint, loss, score, stderr (null where unknown), setting ("few-shot" or
        "finetuned"), examples (null for few-shot), label ("few-shot", "64", "4,096"), hidden (true
        for a later checkpoint that the forecast did not see).
        """
        ...

    def curves(self) -> pl.DataFrame:
        """Fitted lines; no rows where the forecast is refused.

        Columns: label, examples, loss, score, extrapolated (true for the few-shot line beyond the
        checkpoints seen).
        """
        ...

    @property
    def lines(self) -> str:
        """What these lines are, in a sentence; empty where the forecast is refused."""
        ...

    @property
    def plain_law(self) -> str | None:
        """The law of the maximum likelihood estimate, where it is not the forecast's own."""
        ...

    def distribution(self) -> pl.DataFrame:
        """Posterior of the few-shot elbow; no rows where the forecast is refused.

        Columns: loss, density (per nat), cumulative (the probability that a model of this loss has
        emerged, which rises as the loss falls).
        """
        ...
