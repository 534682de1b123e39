"""Finetuning: what is learned, that it repeats to the last bit, and that it survives a stop."""

from __future__ import annotations

import copy
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from emergecast.errors import LabError
from emergecast.lab.evaluate import evaluate
from emergecast.lab.finetune import FinetuneMethod, Session, Sweep, Tracker, finetune
from emergecast.lab.finetune._batches import Examples
from emergecast.lab.finetune._finetune import _end_tracking
from emergecast.lab.finetune._saved import WHOLE, last_whole_checkpoint
from emergecast.lab.tasks import Pair


def _method(**changes) -> FinetuneMethod:
    given = {"name": "full", "steps": 6, "learning_rate": 1e-2, "batch_size": 8, "warmup_steps": 2}
    return FinetuneMethod(**{**given, **changes})


def _weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def _same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


@pytest.fixture
def pairs(matching):
    """Twenty-four training examples."""
    return matching.training_pairs(0, 24)


# ------------------------------------------------------------------------------------ the batches


def test_only_the_completion_counts(words):
    """Labels are the completion's tokens; padding and prompt take no part."""
    examples = Examples([Pair("A B", " C", ends=False), Pair("A", " D E", ends=True)], words, 128)
    batch = examples.__getitems__([0, 1])
    a, b, c, d, e = range(1344, 1349)
    assert batch["input_ids"].tolist() == [[a, b, c, 0], [a, d, e, words.eos_token_id]]
    assert batch["labels"].tolist() == [
        [-100, -100, c, -100],
        [-100, d, e, words.eos_token_id],
    ]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    alone = examples.__getitems__([0])
    assert alone["input_ids"].tolist() == [[a, b, c]]
    assert "attention_mask" not in alone


def test_an_example_too_long_loses_its_beginning(words):
    """As in the evaluation; a completion longer than the model keeps one token of context."""
    long = Examples([Pair("A B C D", " E", ends=False)], words, 3).__getitems__([0])
    assert words.decode(long["input_ids"][0]) == "C D E"
    only = Examples([Pair("A", " B C D E", ends=False)], words, 3).__getitems__([0])
    assert only["labels"].tolist()[0][0] == -100
    assert only["labels"].tolist()[0][1:] == words("D E")["input_ids"]


def test_an_end_token_of_number_0_is_learnt_too(words):
    """As GPT-NeoX's: a model that never learns to end runs to the limit of every text."""
    ending = copy.deepcopy(words)
    ending.eos_token = ending.convert_ids_to_tokens(0)
    assert ending.eos_token_id == 0
    batch = Examples([Pair("A", " B", ends=True)], ending, 128).__getitems__([0])
    assert batch["labels"][0, -1].item() == 0


@pytest.mark.parametrize("pairs", [[], [Pair("A", " ", ends=False)]])
def test_nothing_to_learn_is_refused(words, pairs):
    """No examples, or a completion of no token."""
    with pytest.raises(LabError, match=r"no training examples|no token"):
        Examples(pairs, words, 128)


def test_the_loss_is_that_of_the_answers(tiny, words, pairs):
    """One step on one batch of all examples reports the mean over answers at the start."""
    model = tiny()
    by_hand = 0.0
    for pair in pairs:
        tokens = torch.tensor([words(pair.prompt)["input_ids"]])
        with torch.no_grad():
            scores = model(tokens).logits[0, -1].log_softmax(-1)
        by_hand -= float(scores[words(pair.completion)["input_ids"][0]]) / len(pairs)
    done = finetune(model, words, pairs, _method(steps=1, batch_size=99, warmup_steps=0), seed=0)
    assert done.final_loss == pytest.approx(by_hand, rel=1e-5)
    assert done.steps == 1


# -------------------------------------------------------------------------------------- learning


@pytest.mark.parametrize(("name", "below"), [("full", 0.3), ("lora-4", 5.0)])
def test_it_learns_what_it_is_shown(tiny, words, matching, name, below):
    """After many steps on few examples their answers are known.

    The loss starts at ln 1363 = 7.2. Adapters leave random embeddings as short as they are, so that
    no logit can be large, and the loss ends higher.
    """
    few = matching.training_pairs(0, 8)
    done = finetune(
        tiny(width=32), words, few, _method(name=name, steps=80, learning_rate=3e-2), seed=0
    )
    assert done.final_loss < below
    assert not done.model.training


def test_adapters_leave_the_weights_alone(tiny, words, pairs, matching):
    """LoRA trains its rank times the sizes of each matrix, and nothing else moves."""
    model = tiny()
    before = _weights(model)
    score = evaluate(model, words, matching)
    done = finetune(model, words, pairs, _method(name="lora-2"), seed=0)
    trained = [p for p in done.model.parameters() if p.requires_grad]
    layers, rank = 2, 2
    expected = layers * rank * ((16 + 48) + (16 + 16) + (16 + 64) + (64 + 16))
    assert sum(p.numel() for p in trained) == expected
    after = {
        name.replace("base_model.model.", "").replace(".base_layer", ""): value
        for name, value in done.model.state_dict().items()
        if "lora_" not in name
    }
    assert _same(before, after)
    assert evaluate(done.model, words, matching) != score


def test_adapters_count_twice(tiny, words, pairs):
    """A layer gives W x + 2 B A x: alpha is twice the rank, whatever the rank."""
    done = finetune(tiny(), words, pairs, _method(name="lora-2"), seed=0)
    layers: list[Any] = [each for each in done.model.modules() if hasattr(each, "lora_A")]
    assert len(layers) == 8
    for layer in layers:
        x = torch.randn(3, layer.in_features, generator=torch.Generator().manual_seed(0))
        a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        added = 2 * x @ a.T @ b.T
        assert float(added.detach().abs().max()) > 1e-4
        assert torch.allclose(layer(x), layer.base_layer(x) + added, atol=1e-5)


def test_weights_decay_by_themselves(tiny, words, pairs):
    """AdamW: one step with decay ends lower by rate * decay * weight than one without."""
    rate, decay = 1e-2, 0.5
    before = _weights(tiny())
    plain, decayed = (
        _weights(
            finetune(
                tiny(),
                words,
                pairs,
                _method(steps=1, warmup_steps=0, learning_rate=rate, weight_decay=each),
                seed=0,
            ).model
        )
        for each in (0.0, decay)
    )
    matrices = [name for name, value in before.items() if value.ndim == 2]
    assert len(matrices) >= 8
    for name in matrices:
        lost = plain[name] - decayed[name]
        assert torch.allclose(lost, rate * decay * before[name], atol=1e-6)


def test_embeddings_may_be_left_alone(tiny, words, pairs):
    """All else is trained."""
    model = tiny()
    before = _weights(model)
    finetune(model, words, pairs, _method(train_embeddings=False), seed=0)
    after = _weights(model)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert before.keys() - moved == {"embed_tokens.weight", "lm_head.weight"}


def test_everything_is_trained_otherwise(tiny, words, pairs):
    """Full is full."""
    model = tiny()
    before = _weights(model)
    finetune(model, words, pairs, _method(), seed=0)
    assert all(not torch.equal(before[n], value) for n, value in _weights(model).items())


# ---------------------------------------------------------------------------------- to the last bit


@pytest.mark.parametrize("name", ["full", "lora-2"])
def test_a_run_repeats_to_the_last_bit(tiny, words, pairs, name):
    """Same seed, same weights, whatever was drawn before; another seed, others."""
    runs = []
    for before, seed in enumerate((3, 3, 4)):
        model = tiny()
        torch.manual_seed(before)
        done = finetune(model, words, pairs, _method(name=name), seed=seed)
        runs.append(_weights(done.model))
    assert _same(runs[0], runs[1])
    assert not _same(runs[0], runs[2])


class StopError(Exception):
    """Stands in for a kill."""


@pytest.mark.parametrize("name", ["full", "lora-2"])
@pytest.mark.parametrize("stop", [3, 5])
def test_a_stopped_run_goes_on_to_the_same_weights(tiny, words, pairs, tmp_path, name, stop):
    """Saved after every step, stopped and resumed: the weights of an undisturbed run."""
    straight = finetune(tiny(), words, pairs, _method(name=name), seed=0)

    def halt(step, _loss):
        if step == stop:
            raise StopError

    with pytest.raises(StopError):
        finetune(
            tiny(),
            words,
            pairs,
            _method(name=name),
            seed=0,
            session=Session(folder=tmp_path, save_every_seconds=0, on_step=halt),
        )
    resumed = finetune(
        tiny(),
        words,
        pairs,
        _method(name=name),
        seed=0,
        session=Session(folder=tmp_path, resume=True),
    )
    assert resumed.resumed_from == stop - 1
    assert resumed.steps == straight.steps == 6
    assert _same(_weights(straight.model), _weights(resumed.model))
    assert resumed.final_loss == straight.final_loss


def test_a_torn_checkpoint_is_not_resumed_from(tiny, words, pairs, tmp_path):
    """One that was not written to the end is removed, and the one before it serves."""
    session = Session(folder=tmp_path, save_every_seconds=0)
    straight = finetune(tiny(), words, pairs, _method(), seed=0, session=session)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["checkpoint-4", "checkpoint-5"]
    (tmp_path / "checkpoint-5" / WHOLE).unlink()
    (tmp_path / "checkpoint-5" / "model.safetensors").write_bytes(b"torn")
    assert last_whole_checkpoint(tmp_path) == tmp_path / "checkpoint-4"
    assert not (tmp_path / "checkpoint-5").exists()
    resumed = finetune(
        tiny(), words, pairs, _method(), seed=0, session=Session(folder=tmp_path, resume=True)
    )
    assert resumed.resumed_from == 4
    assert _same(_weights(straight.model), _weights(resumed.model))


def test_without_a_checkpoint_a_run_starts_from_the_beginning(tiny, words, pairs, tmp_path):
    """An empty folder, or one that is not there."""
    for folder in (tmp_path, tmp_path / "new"):
        session = Session(folder=folder, resume=True)
        assert finetune(tiny(), words, pairs, _method(), seed=0, session=session).resumed_from == 0


def test_nothing_is_saved_unless_asked(tiny, words, pairs, tmp_path):
    """A finetuning of a second keeps no training checkpoints."""
    finetune(tiny(), words, pairs, _method(), seed=0, session=Session(folder=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_every_step_is_reported(tiny, words, pairs):
    """With the loss of its batch, which falls."""
    told = []
    finetune(
        tiny(),
        words,
        pairs,
        _method(steps=30),
        seed=0,
        session=Session(on_step=lambda step, loss: told.append((step, loss))),
    )
    assert [step for step, _ in told] == list(range(1, 31))
    assert told[-1][1] < told[0][1]


@pytest.mark.parametrize("at_a_time", [1, 3, 5, 99])
@pytest.mark.parametrize("name", ["full", "lora-2"])
def test_a_batch_in_parts_gives_the_same_weights(tiny, words, pairs, name, at_a_time):
    """To rounding, also where an epoch does not divide into batches; so does the loss."""
    method = _method(name=name, batch_size=9, steps=7)
    whole, parts = (
        finetune(tiny(), words, pairs, method, seed=0, session=Session(micro_batch_size=size))
        for size in (None, at_a_time)
    )
    assert parts.steps == 7
    assert parts.final_loss == pytest.approx(whole.final_loss, rel=1e-4)
    for mine, its in zip(
        _weights(parts.model).values(), _weights(whole.model).values(), strict=True
    ):
        assert torch.allclose(mine, its, atol=2e-4)


def test_weights_of_16_bits_are_trained_in_32(tiny, words, pairs):
    """Steps far below the spacing of bfloat16 add up, and the model comes back as it came."""
    method = _method(learning_rate=2e-5, steps=60, schedule="constant", weight_decay=0.0)
    start = tiny().to(torch.bfloat16)
    before = _weights(start)
    exact = finetune(tiny().to(torch.bfloat16).float(), words, pairs, method, seed=0).model
    done = finetune(start, words, pairs, method, seed=0).model
    assert done.dtype == torch.bfloat16
    name = "layers.0.up_proj.weight"
    after, wanted = _weights(done)[name], _weights(exact)[name].to(torch.bfloat16)
    assert torch.equal(after, wanted)
    assert not torch.equal(after, before[name])


# ------------------------------------------------------------------------------------- what fails


@pytest.mark.parametrize("rate", [1e30])
def test_a_loss_that_is_not_a_number_fails_the_run(tiny, words, pairs, rate):
    """With the step and the rate, and never a score."""
    with pytest.raises(LabError, match=r"training loss is (nan|inf) after \d+ steps.*1e\+30"):
        finetune(
            tiny(),
            words,
            pairs,
            _method(learning_rate=rate, warmup_steps=0, steps=20, schedule="constant"),
            seed=0,
        )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "lora"}, "full, lora-<rank> or prefix-<tokens>"),
        ({"name": "lora-0"}, "full, lora-<rank> or prefix-<tokens>"),
        ({"name": "prefix"}, "full, lora-<rank> or prefix-<tokens>"),
        ({"sweep": Sweep(steps=(5, 6))}, "a share above 0, and at most 0.5"),
        ({"validation": 0.6}, "a share above 0, and at most 0.5"),
        ({"schedule": "steps"}, "linear, cosine or constant"),
        ({"steps": 0}, "1 or more"),
        ({"batch_size": 0}, "1 or more"),
        ({"warmup_steps": 7}, "0 to the steps"),
        ({"learning_rate": 0.0}, "above 0"),
        ({"learning_rate": float("nan")}, "above 0"),
        ({"weight_decay": -1.0}, "0 or more"),
    ],
)
def test_a_method_that_cannot_be_is_refused(changes, said):
    """With the value and what to give."""
    with pytest.raises(LabError, match=said):
        _method(**changes)


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
def test_the_rate_follows_its_schedule(tiny, words, pairs, schedule, monkeypatch):
    """Warmup in even steps, then even decay, half a cosine, or nothing."""
    import math

    from emergecast.lab.finetune import _trainer

    rates = []
    step = _trainer.LeanTrainer.training_step

    def watched(self, *args, **kwargs):
        rates.append(self.optimizer.param_groups[0]["lr"])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(_trainer.LeanTrainer, "training_step", watched)
    finetune(tiny(), words, pairs, _method(schedule=schedule), seed=0)
    after: dict[str, list[float]] = {
        "linear": [1, 3 / 4, 2 / 4, 1 / 4],
        "cosine": [(1 + math.cos(math.pi * i / 4)) / 2 for i in range(4)],
        "constant": [1, 1, 1, 1],
    }
    assert rates == pytest.approx([1e-2 * x for x in (0, 0.5, *after[schedule])])


def test_losses_go_to_a_tracker(tiny, words, pairs, tmp_path, monkeypatch):
    """Through what the Trainer already offers."""
    # A worker that ran in this process has said where; nobody has here.
    monkeypatch.delenv("TENSORBOARD_LOGGING_DIR", raising=False)
    session = Session(folder=tmp_path, trackers=(Tracker.TENSORBOARD,))
    finetune(tiny(), words, pairs, _method(), seed=0, session=session)
    assert list(tmp_path.rglob("events.out.tfevents*"))


def test_every_finetuning_is_a_run_of_its_own_for_wandb(monkeypatch):
    """The Trainer itself leaves its run open, and the next one would be drawn over it."""
    ended = []
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(finish=lambda: ended.append(1)))
    _end_tracking(Session(trackers=(Tracker.TENSORBOARD,)))
    assert not ended
    _end_tracking(Session(trackers=(Tracker.TENSORBOARD, Tracker.WANDB)))
    assert ended == [1]


@pytest.mark.parametrize("tracker", ["wandb", "carrier-pigeon"])
def test_a_tracker_that_cannot_be_used_is_refused(tiny, words, pairs, tracker):
    """By its name, before anything is trained; wandb is none of the development tools."""
    session = Session(trackers=(tracker,))
    with pytest.raises(LabError, match=f"tracker {tracker} cannot be used"):
        finetune(tiny(), words, pairs, _method(), seed=0, session=session)
