from __future__ import annotations

import pytest

from emergecast.errors import ScalingError
from emergecast.scaling import ChinchillaLaw, PowerLaw, Resource, named_law, parse_law


def test_constants_written_out():
    """Hoffmann's set gives Hoffmann's losses, in any order and with spaces."""
    law = parse_law("alpha=0.34, E=1.69, A=406.4,B=410.7, beta=.28")
    assert isinstance(law, ChinchillaLaw)
    hoffmann = named_law("hoffmann")
    assert isinstance(hoffmann, ChinchillaLaw)
    assert float(law.loss(7e9, 1e12)) == float(hoffmann.loss(7e9, 1e12))


def test_a_law_of_one_resource_has_no_floor_unless_given():
    """A and alpha and what it is of; E is optional there and nowhere else."""
    law = parse_law("A=8.04,alpha=0.067,of=params")
    assert isinstance(law, PowerLaw)
    assert (law.floor_nats, law.a, law.alpha, law.of) == (0.0, 8.04, 0.067, Resource.PARAMS)
    law = parse_law("A=8.04,alpha=0.067,of=flops,E=1.5")
    assert isinstance(law, PowerLaw)
    assert (law.floor_nats, law.of) == (1.5, Resource.FLOPS)


def test_a_name_is_a_name():
    """Without an equals sign."""
    assert parse_law(" epoch ") is named_law("epoch")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A=1,alph=2", "no constant 'alph' .* Did you mean \"alpha\""),
        ("A=1,alpha=.3", "lacks of"),
        ("A=1,B=2,alpha=.3,beta=.3", "lacks E"),
        ("E=1,A=1,B=2,beta=.3", "lacks alpha"),
        ("E=1,A=1,B=2,alpha=.3,beta=.3,of=params", "no constant 'of'"),
        ("A=1,alpha=.3,of=time", "of=time is unknown. Use params, tokens, flops"),
        ("A=1,A=2,alpha=.3,of=params", "A is given twice"),
        ("A=one,alpha=.3,of=params", "A=one is not a finite number"),
        ("A=inf,alpha=.3,of=params", "A=inf is not a finite number"),
        ("A=1,alpha=-.3,of=params", "alpha of .* is -0.3"),
        ("A=,alpha=.3", "'A=' is not NAME=VALUE"),
        ("A=1,,alpha=.3", "'' is not NAME=VALUE"),
        ("nowhere", 'no scaling law "nowhere"'),
    ],
)
def test_what_is_no_law_is_refused(text, message):
    """With the constant, and how to write one."""
    with pytest.raises(ScalingError, match=message):
        parse_law(text)
