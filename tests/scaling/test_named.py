from __future__ import annotations

from typing import Any

import pytest

from emergecast import scaling
from emergecast.errors import ScalingError
from emergecast.scaling import NAMED_LAWS, ChinchillaLaw, named_law

run_at_loss: Any = scaling.run_at_loss


def test_the_names():
    """In the order in which they are listed, and each law knows its own."""
    assert list(NAMED_LAWS) == [
        "hoffmann",
        "epoch",
        "kaplan-params",
        "kaplan-tokens",
        "kaplan-compute",
        "snell-llama2",
    ]
    assert all(law.name == name for name, law in NAMED_LAWS.items())


def test_epochs_set_is_kept_together():
    """All five constants as published: E 1.81686, A 482.006, B 2085.434, 0.34781, 0.36585."""
    law = named_law("epoch")
    assert isinstance(law, ChinchillaLaw)
    found = (law.floor_nats, law.a, law.b, law.alpha, law.beta)
    assert found == (1.81686, 482.006, 2085.434, 0.34781, 0.36585)


@pytest.mark.parametrize(
    ("loss", "billions", "within"), [(1.361, 325, 0.005), (1.386, 250, 0.02), (1.324, 490, 0.005)]
)
def test_the_papers_forecast_for_apps(loss, billions, within):
    """Most likely, 95 and 5% loss of arXiv 2411.16035 and the LLaMA 2 sizes it gives for them."""
    found = run_at_loss(named_law("snell-llama2"), loss).params
    assert found == pytest.approx(billions * 1e9, rel=within)


@pytest.mark.parametrize(
    ("name", "scale"),
    [("kaplan-params", 8.8e13), ("kaplan-tokens", 5.4e13), ("kaplan-compute", 3.1e8 * 8.64e19)],
)
def test_kaplans_scales_are_where_the_loss_is_one_nat(name, scale):
    """L = (X_c / X)^alpha, so X_c has loss 1; compute was published in PF-days."""
    law: Any = named_law(name)
    assert float(law.loss(scale)) == pytest.approx(1.0, rel=1e-12)
    assert float(law.loss(scale / 10)) == pytest.approx(10.0**law.alpha, rel=1e-12)


@pytest.mark.parametrize(("name", "said"), [("hofman", 'mean "hoffmann"'), ("x", "There are")])
def test_an_unknown_name_lists_the_known(name, said):
    """The nearest first, if one is near."""
    with pytest.raises(ScalingError, match=f"{said}.*snell-llama2"):
        named_law(name)


@pytest.mark.parametrize("law", NAMED_LAWS.values(), ids=lambda law: law.name)
def test_a_source_is_plain_text(law):
    """It is printed in terminals and pictures, so it has no markup."""
    assert law.source
    assert not set("*`[]<>") & set(law.source)
