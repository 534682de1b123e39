"""Settings chosen on a part of the training data, and training that ends when that is best."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch

from emergecast.errors import LabError
from emergecast.lab.finetune import (
    EarlyStopping,
    Finetuned,
    FinetuneMethod,
    Session,
    Sweep,
    choose_and_finetune,
    finetune,
)

SWEPT = FinetuneMethod(
    name="full",
    steps=4,
    learning_rate=1e-3,
    batch_size=8,
    validation=0.25,
    sweep=Sweep(learning_rates=(1e-3, 3e-2, 1e30), steps=(4, 9)),
)
"""The highest rate has no loss that is a number."""
STOPPED = FinetuneMethod(
    name="full",
    steps=40,
    learning_rate=3e-2,
    batch_size=8,
    validation=0.25,
    early_stopping=EarlyStopping(patience=3, every_steps=2),
)


@pytest.fixture
def pairs(matching):
    """Twenty-four training examples, of which the last six are held out."""
    return matching.training_pairs(0, 24)


def weights(model: Any) -> dict[str, torch.Tensor]:
    """Of a model, to compare."""
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one: Any, other: Any) -> bool:
    """To the last bit."""
    mine, its = weights(one), weights(other)
    return mine.keys() == its.keys() and all(torch.equal(mine[n], its[n]) for n in mine)


def loss_by_hand(model: Any, words: Any, pairs: Any) -> float:
    """Mean over completions of a single token, one by one."""
    total = 0.0
    for pair in pairs:
        tokens = torch.tensor([words(pair.prompt)["input_ids"]])
        with torch.no_grad():
            scores = model(tokens).logits[0, -1].log_softmax(-1)
        total -= float(scores[words(pair.completion)["input_ids"][0]]) / len(pairs)
    return total


def chosen(tiny: Callable[[], Any], words: Any, pairs: Any, **session: Any) -> Finetuned:
    """The sweep done."""
    return choose_and_finetune(
        lambda: (tiny(), words), pairs, SWEPT, seed=0, session=Session(**session)
    )


def test_the_lowest_loss_on_what_is_held_out_wins(tiny, words, pairs):
    """Each loss is that of a training on the rest; the winner is trained as if it were stated."""
    found = chosen(tiny, words, pairs)
    assert [(each.steps, each.learning_rate) for each in found.tried] == [
        (steps, rate) for steps in (4, 9) for rate in (1e-3, 3e-2, 1e30)
    ]
    for each in found.tried:
        if each.learning_rate == 1e30:
            assert each.held_out_loss is None
            continue
        how = FinetuneMethod(
            name="full", steps=each.steps, learning_rate=each.learning_rate, batch_size=8
        )
        alone = finetune(tiny(), words, pairs[:18], how, seed=0).model
        by_hand = loss_by_hand(alone, words, pairs[18:])
        assert each.held_out_loss == pytest.approx(by_hand, rel=1e-5)
    losses = [each.held_out_loss for each in found.tried]
    best = found.tried[losses.index(min(loss for loss in losses if loss is not None))]
    stated = FinetuneMethod(
        name="full", steps=best.steps, learning_rate=best.learning_rate, batch_size=8
    )
    assert found.method == stated
    assert same(found.model, finetune(tiny(), words, pairs, stated, seed=0).model)
    assert found.held_out_loss is None, "all examples were trained on"


@pytest.mark.parametrize("stop", [6, 30, 45])
def test_a_stopped_sweep_goes_on_to_the_same_choice(tiny, words, pairs, tmp_path, stop):
    """In whichever training it was stopped, and what was tried is not tried again."""
    told: list[int] = []

    def halt(step: int, _loss: float) -> None:
        told.append(step)
        if step >= stop:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        chosen(tiny, words, pairs, folder=tmp_path, save_every_seconds=0, on_step=halt)
    more: list[int] = []
    found = chosen(
        tiny,
        words,
        pairs,
        folder=tmp_path,
        resume=True,
        save_every_seconds=0,
        on_step=lambda step, _loss: more.append(step),
    )
    assert told == sorted(told)
    assert more == sorted(more)
    assert more[0] >= told[-1], "no step but the last one is done twice"
    assert more[-1] == SWEPT.all_steps == 3 * (4 + 9) + 9
    assert {each.name for each in tmp_path.iterdir()} == {"tried.json", "chosen"}
    whole = chosen(tiny, words, pairs)
    assert found.tried == whole.tried
    assert same(found.model, whole.model)


def test_a_sweep_without_any_loss_is_a_failed_run(tiny, words, pairs):
    """With what to do."""
    method = FinetuneMethod(
        name="full",
        steps=9,
        learning_rate=1e29,
        batch_size=8,
        validation=0.25,
        sweep=Sweep(learning_rates=(1e29, 1e30)),
    )
    with pytest.raises(LabError, match=r"any of the 2 settings.*Add lower learning rates"):
        choose_and_finetune(lambda: (tiny(), words), pairs, method, seed=0, session=Session())


def test_training_ends_when_it_no_longer_helps_and_the_best_weights_are_kept(tiny, words, pairs):
    """Looked at by hand after every other step of a training that goes on to the end."""
    seen: dict[int, float] = {}
    model = tiny()

    def look(step: int, _loss: float) -> None:
        if step % 2 == 0:
            seen[step] = loss_by_hand(model, words, pairs[18:])

    plain = FinetuneMethod(name="full", steps=40, learning_rate=3e-2, batch_size=8)
    finetune(model, words, pairs[:18], plain, seed=0, session=Session(on_step=look))
    steps = list(seen)
    end = next(
        steps[i]
        for i in range(3, len(steps))
        if min(steps[: i + 1], key=seen.__getitem__) <= steps[i - 3]
    )
    assert end < 40
    best = min((step for step in steps if step <= end), key=seen.__getitem__)
    told: list[int] = []
    session = Session(on_step=lambda step, _loss: told.append(step))
    done = finetune(tiny(), words, pairs, STOPPED, seed=0, session=session)
    assert told[-1] == end
    assert done.steps == best
    assert done.held_out_loss == pytest.approx(seen[best], rel=1e-5)
    assert loss_by_hand(done.model, words, pairs[18:]) == pytest.approx(seen[best], rel=1e-5)


@pytest.mark.parametrize("name", ["full", "lora-2"])
def test_early_stopping_survives_a_stop(tiny, words, pairs, tmp_path, name):
    """The best weights so far are in the training checkpoint."""
    method = FinetuneMethod(
        name=name,
        steps=40,
        learning_rate=3e-2,
        batch_size=8,
        validation=0.25,
        early_stopping=EarlyStopping(patience=3, every_steps=2),
    )
    last: list[int] = []
    session = Session(on_step=lambda step, _loss: last.append(step))
    straight = finetune(tiny(), words, pairs, method, seed=0, session=session)

    def halt(step: int, _loss: float) -> None:
        if step == last[-1] - 1:
            raise InterruptedError

    kept = Session(folder=tmp_path, save_every_seconds=0, on_step=halt)
    with pytest.raises(InterruptedError):
        finetune(tiny(), words, pairs, method, seed=0, session=kept)
    again = Session(folder=tmp_path, resume=True)
    resumed = finetune(tiny(), words, pairs, method, seed=0, session=again)
    assert resumed.resumed_from == last[-1] - 2
    assert resumed.steps == straight.steps
    assert resumed.last_step == straight.last_step == last[-1] < 40
    assert resumed.held_out_loss == straight.held_out_loss
    assert same(resumed.model, straight.model)


def test_too_few_are_held_out(tiny, words, pairs):
    """Three of twenty-four."""
    method = FinetuneMethod(name="full", steps=1, learning_rate=1e-3, validation=0.125)
    with pytest.raises(LabError, match=r"0\.125 of 24 examples are 3 to choose by"):
        finetune(tiny(), words, pairs, method, seed=0)


def test_the_work_of_a_sweep_is_that_of_its_trainings():
    """By hand: four candidates of 100 examples, then the longest; 10 held out, looked at once."""
    method = FinetuneMethod(
        name="full",
        steps=10,
        learning_rate=1e-3,
        batch_size=20,
        validation=0.1,
        sweep=Sweep(learning_rates=(1e-3, 1e-2), steps=(10, 30)),
    )
    assert method.work(100) == ((10 + 10 + 30 + 30 + 30) * 20, 4 * 10)
    assert STOPPED.work(24) == (40 * 8, 6 * 20), "after every other step"
    how = EarlyStopping(patience=1, every_steps=10)
    both = dataclasses.replace(method, early_stopping=how)
    assert both.work(100).looked_at == (1 + 1 + 3 + 3 + 3) * 10
