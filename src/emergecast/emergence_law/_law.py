"""The name of a law: how its elbow moves with data, and what it allows beyond the plain law."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from emergecast.emergence_law._forms import LawForm
from emergecast.errors import OptionError, meant

STUDENT_FREEDOM = 4.0
"""Degrees of freedom of the scatter under `Feature.STUDENT`."""

LEVELLED = (LawForm.LOG_POWER, LawForm.SATURATING)
"""Forms of laws with levels."""


class Feature(StrEnum):
    """What a law allows beyond a sharp elbow, one slope, and independent normal scatter."""

    SOFT = "soft"
    """The elbow is rounded (softplus)."""
    CEILING = "ceiling"
    """Scores level off far past the elbow."""
    SLOPES = "slopes"
    """Every data amount has its own slope, pooled towards a common one."""
    DEVIATION = "deviation"
    """All rows of a checkpoint share a deviation from the law, and so do those of a series."""
    STUDENT = "student"
    """Scores scatter like Student's t with four degrees of freedom."""
    LEVELS = "levels"
    """Every data amount is a level with an elbow, a slope, a ceiling and a noise of its own, which
    scatter around the law; the elbow is rounded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """A shift form and its features; `str` gives the name, such as "hill+slopes+deviation"."""

    form: LawForm = LawForm.LOG_POWER
    features: frozenset[Feature] = field(default_factory=frozenset)

    @classmethod
    def parse(cls, name: str | LawForm | Law) -> Law:
        """The law of a name.

        Raises:
            OptionError: a part of the name is unknown, or the shift form is not the first.
        """
        if isinstance(name, Law):
            return name
        form, *features = str(name).split("+")
        if form not in set(LawForm):
            raise OptionError(
                f"there is no law {str(name)!r}: a law begins with {', '.join(LawForm)}."
                f" {meant(form, LawForm)}".rstrip()
            )
        unknown = [part for part in features if part not in set(Feature)]
        if unknown:
            raise OptionError(
                f"there is no law {str(name)!r}: {unknown[0]!r} is not among the features "
                f"{', '.join(Feature)}. {meant(unknown[0], Feature)}".rstrip()
            )
        return cls(form=LawForm(form), features=frozenset(map(Feature, features)))

    def __post_init__(self) -> None:
        levels, others = Feature.LEVELS in self.features, self.features - {Feature.LEVELS}
        if levels and (others or self.form not in LEVELLED):
            raise OptionError(
                f"there is no law {str(self)!r}: levels go with {' or '.join(LEVELLED)}, and with "
                "no other feature."
            )
        if self.form is LawForm.SATURATING and not levels:
            raise OptionError(
                f"there is no law {str(self)!r}: name {LawForm.SATURATING}+{Feature.LEVELS}."
            )

    @property
    def plain(self) -> bool:
        """Whether it is one of the two laws of arXiv 2411.16035, which exact quadrature covers."""
        return not self.features and self.form in (LawForm.LOG_POWER, LawForm.POWER)

    @property
    def levelled(self) -> bool:
        """Whether its data amounts are levels of their own."""
        return Feature.LEVELS in self.features

    def __str__(self) -> str:
        return "+".join([self.form, *(name for name in Feature if name in self.features)])
