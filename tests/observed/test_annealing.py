"""Annealed checkpoints beside running ones: the warning, and how far their losses lie apart."""

from __future__ import annotations

import numpy as np
import pytest

import emergecast
from emergecast.errors import TableError
from emergecast.forecasts import ForecastOptions
from emergecast.inference import FitOptions
from emergecast.measurements import Selection, SelectOptions, read_table, select
from emergecast.observed import annealing_offset

OFFSET = 0.08


def rows(
    *, lr: tuple[float | None, float | None] = (1.0, 0.0), noise: float = 0.0, seed: int = 0
) -> list[dict[str, object]]:
    """12 running and 5 annealed checkpoints; at equal skill the latter have 0.08 nats less."""
    rng = np.random.default_rng(seed)
    skills = [*np.linspace(3.0, 2.0, 12), *np.linspace(2.7, 2.1, 5)]
    found = []
    for i, skill in enumerate(skills):
        annealed = i >= 12
        for examples, elbow in ((None, 2.3), (64, 2.5), (512, 2.7), (4096, 2.9)):
            score = 0.25 + 0.5 * max(elbow - skill, 0) + noise * rng.standard_normal()
            found.append(
                {
                    "checkpoint": f"{'annealed' if annealed else 'running'}-{i}",
                    "loss": skill - OFFSET * annealed, "lr_fraction": lr[annealed], "task": "t",
                    "setting": "few_shot" if examples is None else "finetuned",
                    "examples": examples, "score": float(np.clip(score, 0, 1)), "n_items": 5000,
                    "chance": 0.25,
                }
            )  # fmt: skip
    return found


def picked(**options) -> Selection:
    """The rows of one fit."""
    return select(read_table(rows(**options)), SelectOptions())


def mixed(warnings: tuple[str, ...]) -> list[str]:
    """The warnings of annealing among these."""
    return [text for text in warnings if "annealed" in text]


def test_the_offset_is_the_distance_between_the_curves():
    """Without noise to the bend of the curve between two checkpoints."""
    found = annealing_offset(picked())
    assert found is not None
    assert found.nats == pytest.approx(OFFSET, abs=0.005)
    assert found.checkpoints == 5


def test_its_error_is_that_of_the_scatter():
    """Of 40 tables with noise, the mean is right and the errors are of the size of the scatter."""
    found = [annealing_offset(picked(noise=0.01, seed=seed)) for seed in range(40)]
    offsets = [each.nats for each in found if each is not None]
    errors = [each.stderr for each in found if each is not None and each.stderr is not None]
    assert len(errors) == 40
    assert np.mean(offsets) == pytest.approx(OFFSET, abs=0.015)
    assert 0.4 < np.mean(errors) / np.std(offsets) < 2.5


def test_a_fit_that_mixes_them_says_which_and_by_how_much():
    """In the selection which; in the forecast also how far apart."""
    (text,) = mixed(picked().warnings)
    assert "5 of the 17 checkpoints" in text
    assert "annealed-16" in text
    made = emergecast.forecast(
        rows(), fitting=FitOptions(law="log-power"),
        options=ForecastOptions(bootstraps=0, diagnostics=False),
    )  # fmt: skip
    offset = annealing_offset(made.fit.selection)
    assert offset is not None
    assert made.warnings[-1] == offset.sentence
    assert f"{offset.nats:+.3f}" in offset.sentence


@pytest.mark.parametrize("lr", [(1.0, 0.2), (0.0, 0.05), (None, 0.0), (None, None)])
def test_one_kind_alone_says_nothing(lr):
    """All running, all annealed, or the others not known."""
    found = picked(lr=lr)
    assert not mixed(found.warnings)
    assert annealing_offset(found) is None


def test_it_is_a_share():
    """Of its peak: from 0 to 1, and one value a checkpoint."""
    with pytest.raises(TableError, match="lr_fraction"):
        read_table(rows(lr=(1.5, 0.0)))
    table = rows()
    table[0]["lr_fraction"] = 0.5
    with pytest.raises(TableError, match="lr_fraction"):
        read_table(table)
