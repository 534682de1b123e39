"""Published constants under their names."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from emergecast.errors import ScalingError, meant
from emergecast.scaling._laws import ChinchillaLaw, PowerLaw, ScalingLaw
from emergecast.scaling.counting import Resource

_PF_DAY: Final = 1e15 * 86_400
"""FLOPs of a petaFLOP per second for a day."""
_KAPLAN: Final = "Kaplan et al. 2020, arXiv 2001.08361"
_FIGURE_4: Final = (1.4e18, 1.3e22)
"""Training FLOPs of the runs in figure 4 of arXiv 2203.15556, read off it by arXiv 2404.10102."""

CHINCHILLA_LAWS: Final[Mapping[str, ChinchillaLaw]] = MappingProxyType(
    {
        "hoffmann": ChinchillaLaw(
            name="hoffmann",
            source="Hoffmann et al. 2022, arXiv 2203.15556, approach 3",
            floor_nats=1.69,
            a=406.4,
            b=410.7,
            alpha=0.34,
            beta=0.28,
            span=_FIGURE_4,
        ),
        "epoch": ChinchillaLaw(
            name="epoch",
            source="Besiroglu et al. 2024, A replication attempt, arXiv 2404.10102",
            floor_nats=1.81686,
            a=482.006,
            b=2085.434,
            alpha=0.34781,
            beta=0.36585,
            span=_FIGURE_4,
        ),
    }
)
"""Published constants of L(N, D); every set is in nats per token of its own tokenizer and corpus,
and belongs together: the constants of two sets cannot be mixed."""

_POWER_LAWS: Final[Mapping[str, PowerLaw]] = MappingProxyType(
    {
        "kaplan-params": PowerLaw(
            name="kaplan-params",
            source=f"{_KAPLAN}, equation 1.1; parameters without embeddings, trained to "
            "convergence on enough data",
            of=Resource.PARAMS,
            floor_nats=0.0,
            a=8.8e13**0.076,
            alpha=0.076,
            span=(768.0, 1.5e9),
        ),
        "kaplan-tokens": PowerLaw(
            name="kaplan-tokens",
            source=f"{_KAPLAN}, equation 1.2; tokens of the data set, large models stopped early",
            of=Resource.TOKENS,
            floor_nats=0.0,
            a=5.4e13**0.095,
            alpha=0.095,
            span=(22e6, 23e9),
        ),
        "kaplan-compute": PowerLaw(
            name="kaplan-compute",
            source=f"{_KAPLAN}, equation 1.3; compute spent optimally, without embeddings, "
            "published in PF-days",
            of=Resource.FLOPS,
            floor_nats=0.0,
            a=(3.1e8 * _PF_DAY) ** 0.050,
            alpha=0.050,
        ),
        "snell-llama2": PowerLaw(
            name="snell-llama2",
            source="implied by the pairs of loss and parameters that Snell et al. 2024, arXiv "
            "2411.16035, print for APPS; our arithmetic, not constants of theirs",
            of=Resource.PARAMS,
            floor_nats=0.0,
            a=2.005 * 1e9**0.067,  # they imply 2.005 * N^-0.067 with N in billions
            alpha=0.067,
            span=(7e9, 70e9),
        ),
    }
)

NAMED_LAWS: Final[Mapping[str, ScalingLaw]] = MappingProxyType({**CHINCHILLA_LAWS, **_POWER_LAWS})
"""Every law known by name: those of L(N, D), then those of one resource."""


def named_law(name: str) -> ScalingLaw:
    """The law of a name.

    Raises:
        ScalingError: there is none; lists those there are, the nearest first.
    """
    if name in NAMED_LAWS:
        return NAMED_LAWS[name]
    question = meant(name, NAMED_LAWS)
    raise ScalingError(
        f'there is no scaling law "{name}". {question}{" " if question else ""}'
        f"There are {', '.join(NAMED_LAWS)}."
    )
