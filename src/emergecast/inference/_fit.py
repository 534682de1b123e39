"""From a table to a `Fit`: rows, law, priors, and everything inferred from them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from emergecast.emergence_law import Law, LawForm
from emergecast.errors import OptionError, given
from emergecast.inference._bootstrap import BOOTSTRAPS, Bootstrap, Resample, SharedNodes, bootstrap
from emergecast.inference._coordinates import Coordinates
from emergecast.inference._data import FitData, fit_data, nothing_to_follow
from emergecast.inference._draws import SEED
from emergecast.inference._fit_options import FitOptions
from emergecast.inference._mixture import Mixture, MixturePosterior, Weighting, tempered
from emergecast.inference._point import PointEstimate, maximum_likelihood
from emergecast.inference._priors import Priors
from emergecast.inference._side_by_side import side_by_side
from emergecast.inference._stacking import stacking_weights
from emergecast.inference.exact import ExactPosterior
from emergecast.inference.levels import (
    LevelPosterior,
    LevelPriors,
    SharedTables,
    level_posterior,
    prior_level_elbows,
)
from emergecast.inference.sampled import QUICK, Model, SampledPosterior, prior_elbows, sampled
from emergecast.measurements import MetricKind, SelectOptions, read_table, select

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emergecast.inference._data import Floats
    from emergecast.inference._posterior import Posterior
    from emergecast.inference.sampled import Effort
    from emergecast.measurements import Selection

PRIOR_DRAWS = 20_000


class FitStatus(StrEnum):
    """How the inference itself went; whether to trust its answer is the verdict's business."""

    EXACT = "exact"
    UNBOUNDED = "unbounded"
    INACCURATE = "inaccurate"
    NOT_COMPUTED = "not_computed"

    @property
    def sentence(self) -> str:
        """Cause and remedy."""
        return {
            FitStatus.EXACT: "The posterior is integrated to within its tolerance, and the "
            "likelihood has a maximum.",
            FitStatus.UNBOUNDED: "The posterior is integrated to within its tolerance, but the "
            "likelihood has no maximum in any sensible range, so there is no maximum likelihood "
            "estimate: without priors these rows do not bound the elbow. Measure more data "
            "amounts, or stronger checkpoints.",
            FitStatus.INACCURATE: "The posterior could not be integrated to within its tolerance; "
            "the quantiles may be off by the error stated beside them. Report this table.",
            FitStatus.NOT_COMPUTED: "Nothing was inferred, because the rows do not allow it.",
        }[self]


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A law, or a mixture of laws, on the rows of one task; inference happens when asked for."""

    selection: Selection
    data: FitData
    law: Law | Mixture
    priors: Priors
    weighting: Weighting = Weighting.EVIDENCE
    """Where the weights of the laws of a mixture come from."""
    _tables: SharedTables = field(default_factory=SharedTables, repr=False, compare=False)

    @property
    def laws(self) -> tuple[Law, ...]:
        """The laws of a mixture, or the single law."""
        return (self.law,) if isinstance(self.law, Law) else self.law.laws

    @cached_property
    def members(self) -> tuple[Fit, ...]:
        """One fit for each law of a mixture; the fit itself for a single law."""
        if isinstance(self.law, Law):
            return (self,)
        return tuple(replace(self, law=law) for law in self.laws)

    @cached_property
    def weights(self) -> tuple[float, ...]:
        """Weight of each member."""
        if not isinstance(self.law, Mixture):
            return (1.0,)
        if self.weighting is Weighting.FIXED:
            return self.law.weights
        # not `posterior`: in Python 3.11 a cached property waits for one of another fit
        posteriors = side_by_side(lambda member: member.posterior_if(), self.members)
        return self._weights(self.law, posteriors)

    def _weights(self, law: Mixture, posteriors: list[Posterior]) -> tuple[float, ...]:
        """Weights of the laws of a mixture, given their posteriors from the same rows."""
        if self.weighting is Weighting.STACKING:
            return stacking_weights(self.data, law.laws, posteriors)
        if self.weighting is Weighting.FIXED:
            return law.weights
        return tempered(law.weights, [each.log_evidence for each in posteriors])

    @cached_property
    def posterior(self) -> Posterior:
        """The posterior of the few-shot elbow and of all parameters."""
        return self.posterior_if()

    def posterior_if(
        self,
        *,
        priors: Priors | None = None,
        few_shot_examples: float | None = None,
        keep: NDArray[np.bool_] | None = None,
        effort: Effort = QUICK,
    ) -> Posterior:
        """The posterior under other priors, at another D0, or from some of the rows.

        Units (S, R and the strongest loss) and the prior's anchor stay those of all rows. A sampled
        posterior is reweighted rather than sampled again, where the two are close enough.

        Args:
            priors: priors to use instead.
            few_shot_examples: D0 to read off at instead.
            keep: rows to look at, shape (rows,).
            effort: of sampling again.
        """
        self._refuse_few_shot_only()
        if isinstance(self.law, Mixture):
            # not `posterior`, as in `weights`
            members = side_by_side(
                lambda member: member.posterior_if(
                    priors=priors, few_shot_examples=few_shot_examples, keep=keep, effort=effort
                ),
                self.members,
            )
            whole = self.weighting is not Weighting.EVIDENCE
            weights = self.weights if whole else self._weights(self.law, members)
            return MixturePosterior(tuple(members), weights)
        same = priors is None and few_shot_examples is None and keep is None
        data = self.data
        if few_shot_examples is not None:
            data = replace(data, few_shot_examples=few_shot_examples)
        chosen = priors or self.priors
        if self.law.levelled:
            found = self._levels(self.law)
            if same:
                return found
            return found.under(self._tables.of(data, LevelPriors(scales=chosen), keep))
        if self.law.plain:
            rows = data if keep is None else data.rows(keep)
            coordinates = Coordinates.of(data, self.law.form, chosen)
            return self.exact if same else ExactPosterior(rows, coordinates)
        start = self._sampled(self.law)
        return start if same else start.under(Model(data, self.law, chosen, keep), effort)

    def _refuse_few_shot_only(self) -> None:
        if not self.data.amounts.size:
            raise nothing_to_follow(self.selection.task)

    @cached_property
    def exact(self) -> ExactPosterior:
        """The posterior of the plain law behind this one."""
        if self.plain is not self:
            return self.plain.exact
        return ExactPosterior(self.data, self.coordinates)

    @cached_property
    def _levelled(self) -> dict[Law, LevelPosterior]:
        return {}

    def _levels(self, law: Law) -> LevelPosterior:
        """The posterior of a law with levels, sampled once."""
        if law not in self._levelled:
            tables = self._tables.of(self.data, LevelPriors(scales=self.priors))
            self._levelled[law] = level_posterior(tables, law.form)
        return self._levelled[law]

    @cached_property
    def _samples(self) -> dict[Law, SampledPosterior]:
        return {}

    def _sampled(self, law: Law) -> SampledPosterior:
        """The posterior of a law that is sampled, sampled once."""
        if law not in self._samples:
            self._samples[law] = sampled(Model(self.data, law, self.priors))
        return self._samples[law]

    @cached_property
    def plain(self) -> Fit:
        """The plain law behind this one, which is fast: the log power law for hill and mixtures."""
        if isinstance(self.law, Law) and self.law.plain:
            return self
        return replace(self, law=Law(form=self.plain_form))

    @property
    def plain_form(self) -> LawForm:
        """The form of that law."""
        form = self.law.form if isinstance(self.law, Law) else LawForm.LOG_POWER
        return form if form is LawForm.POWER else LawForm.LOG_POWER

    @cached_property
    def coordinates(self) -> Coordinates:
        """Coordinates in which the posterior of the plain law is integrated."""
        self._refuse_few_shot_only()
        return Coordinates.of(self.data, self.plain_form, self.priors)

    @property
    def log_bayes_factor(self) -> float:
        """Ln evidence for the plain law over scores that never leave chance."""
        return self.exact.log_bayes_factor

    @cached_property
    def mle(self) -> PointEstimate | None:
        """Maximum likelihood of the plain law; None where it leaves every sensible range."""
        self._refuse_few_shot_only()
        return maximum_likelihood(self.data, self.plain_form)

    @property
    def status(self) -> FitStatus:
        """How the inference went."""
        if not self.posterior.converged:
            return FitStatus.INACCURATE
        return FitStatus.EXACT if self.mle is not None else FitStatus.UNBOUNDED

    @cached_property
    def prior_sd(self) -> float:
        """Standard deviation of E(D0) under the priors alone, nats."""
        self._refuse_few_shot_only()
        parts = [self._prior_elbows(law) for law in self.laws]
        mean = sum(w * float(part.mean()) for w, part in zip(self.weights, parts, strict=True))
        square = [float(np.mean((part - mean) ** 2)) for part in parts]
        return math.sqrt(sum(w * part for w, part in zip(self.weights, square, strict=True)))

    def _prior_elbows(self, law: Law) -> Floats:
        if not law.levelled:
            return prior_elbows(self.data, law, self.priors)
        tables = self._tables.of(self.data, LevelPriors(scales=self.priors))
        return prior_level_elbows(tables, law.form, PRIOR_DRAWS)

    def bootstrap(
        self, resample: Resample, n: int = BOOTSTRAPS, seed: int = SEED
    ) -> Bootstrap | None:
        """Refit `n` resamples with the plain law; None where no cell holds several runs."""
        rng = np.random.default_rng([seed, list(Resample).index(resample)])
        return bootstrap(self._shared_nodes, resample, n=n, rng=rng)

    @cached_property
    def _shared_nodes(self) -> SharedNodes:
        """What the resamples of both kinds share."""
        draws = self.exact.draws(1000, np.random.default_rng(SEED))
        return SharedNodes(self.data, self.coordinates, float(np.median(draws.noise)))

    def with_law(self, law: Law | LawForm | Mixture | str) -> Fit:
        """The same rows and priors under another law."""
        return replace(self, law=law if isinstance(law, Mixture) else Law.parse(law))

    def with_priors(self, priors: Priors) -> Fit:
        """The same rows and law under other priors."""
        return replace(self, priors=priors)

    def with_few_shot_examples(self, examples: float) -> Fit:
        """The same fit, read off at another D0."""
        return replace(self, data=replace(self.data, few_shot_examples=examples))

    def to_arviz(self, n: int = 4000, seed: int = SEED) -> Any:  # noqa: ANN401  arviz is optional
        """Posterior draws as an `arviz.InferenceData` (one chain of independent draws).

        Raises:
            OptionError: arviz is not installed.
        """
        try:
            import arviz
        except ImportError as error:
            message = "arviz is not installed; pip install 'emergecast[arviz]'."
            raise OptionError(message) from error
        drawn = self.posterior.draws(n, np.random.default_rng(seed)).parameters()
        return arviz.from_dict(posterior={name: value[None, :] for name, value in drawn.items()})

    def __repr__(self) -> str:
        data = self.data
        amounts = "no data amounts"
        if data.amounts.size:
            amounts = f"{data.amounts.size} data amounts {data.amounts[0]:,.0f}"
            amounts += f"-{data.amounts[-1]:,.0f}"
        return (
            f"Fit({_named(self.law)}, task {self.selection.task!r}, {data.loss.size} scores of "
            f"{data.n_checkpoints} checkpoints, {amounts}, D0 = {data.few_shot_examples:g})"
        )

    def _repr_html_(self) -> str:
        from html import escape

        next_step = "<code>emergecast.forecast(fit)</code> gives the answer."
        return f"<p>{escape(repr(self))}<br>{next_step}</p>"


def fit(
    table: object,
    rows: SelectOptions | None = None,
    options: FitOptions | None = None,
    *,
    few_shot_only: bool = False,
) -> Fit:
    """The emergence law fitted to the rows of one task.

    Args:
        table: what `read_table` takes: Measurements, a path (CSV, Parquet, JSON Lines), a polars or
            pandas frame, records.
        rows: which rows to fit; all of them if not given.
        options: how to fit them.
        few_shot_only: take rows of which none is finetuned too, though nothing is inferred from
            those: whatever needs a posterior is then a FitError.

    Raises:
        TableError: the table has bad rows (all of them listed).
        SelectionError: the rows asked for do not make one fit.
        OptionError: an impossible option or prior.
        FitError: no estimate exists for these rows.
    """
    rows, options = given(rows, SelectOptions, "rows"), given(options, FitOptions, "options")
    law = options.chosen_law
    picked = select(read_table(table, axis=rows.axis, shift=rows.shift), rows)
    few_shot_examples = options.few_shot_examples
    tuned = not picked.rows["few_shot"].all()
    if not (tuned or few_shot_only or options.planned_amounts):
        raise nothing_to_follow(picked.task)
    if tuned and not picked.shift.is_examples:
        smallest = float(picked.rows["examples"].drop_nulls().to_numpy().min())
        few_shot_examples = picked.shift.few_shot_amount(few_shot_examples, smallest)
    return Fit(
        selection=picked,
        data=fit_data(
            picked,
            few_shot_examples=few_shot_examples,
            planned_amounts=options.planned_amounts,
        ),
        law=law,
        priors=options.chosen_priors(proportion=picked.metric_kind is MetricKind.PROPORTION),
        weighting=Weighting(options.weights),
    )


def _named(law: Law | Mixture) -> str:
    return f"{law} law" if isinstance(law, Law) else f"mixture of {len(law.laws)} laws"
