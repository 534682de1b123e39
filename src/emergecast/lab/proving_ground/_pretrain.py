"""Pretrain one model, and keep the checkpoints whose loss is nearest to the targets."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from emergecast.errors import LabError
from emergecast.lab.checkpoints import Checkpoint, quiet_transformers
from emergecast.lab.proving_ground._recipe import (
    BATCH,
    BETAS,
    CHOOSING,
    DOCUMENT,
    EVERY,
    MAX_GRAD_NORM,
    MOST_STEPS,
    RECIPES,
    START,
    STOP,
    WARMUP,
    WEIGHT_DECAY,
    Quality,
    Size,
)
from emergecast.lab.proving_ground._skill import ONE_SKILL, WorldPlan
from emergecast.lab.proving_ground._vocabulary import LONGEST, tokenizer
from emergecast.lab.proving_ground._world import CorpusRecipe, World, documents, world
from emergecast.measurements import RANDOM_WEIGHTS
from emergecast.scaling import FLOPS_PER_PARAM_AND_TOKEN

if TYPE_CHECKING:
    import torch

    from emergecast.lab.architecture import SmearedKeysForCausalLM

TOKENIZER_NAME: Final = "proving-ground"
_CHOOSING_SEED: Final = 98


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretraining:
    """One model to pretrain."""

    size: Size
    """Shape and learning rate."""
    seed: int
    """Of the weights and of the order of the documents."""
    quality: Quality
    """Corpus to pretrain on."""
    targets: tuple[float, ...]
    """Losses at which checkpoints are kept, in nats per token."""
    most_steps: int = MOST_STEPS
    """It ends after so many steps,"""
    stop: float = STOP
    """or below this loss."""
    plan: WorldPlan = ONE_SKILL
    """The world it learns of."""
    with_control: bool = True
    """Whether the model before its first step is kept too; one corpus of a seed is enough."""

    @property
    def recipe(self) -> CorpusRecipe:
        """What it is pretrained on."""
        return RECIPES[self.quality]

    @property
    def series(self) -> str:
        """Name of the series it belongs to."""
        return f"seed-{self.seed}" + ("" if self.quality is Quality.HIGH else f"-{self.quality}")

    @property
    def controls(self) -> str:
        """Name of the series of models with random weights: the same ones for every corpus."""
        return f"seed-{self.seed}{RANDOM_WEIGHTS}"

    @property
    def title(self) -> str:
        """Series and size."""
        return f"{self.series}/{self.size.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretrained:
    """What a pretraining left behind."""

    kept: tuple[Checkpoint, ...]
    """The checkpoints, in the order of training."""
    control: Checkpoint | None
    """The model before its first step, with random weights; None where it was not asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a pretraining is."""

    step: int
    """Steps done."""
    loss: float
    """Of the set by which checkpoints are chosen, in nats per token."""
    share: float
    """How much of it is done, a guess between 0 and 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    step: int
    loss: float
    weights: dict[str, torch.Tensor]


def pretrain(
    plan: Pretraining,
    folder: Path,
    *,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Pretrained:
    """Pretrain a model and write its checkpoints below `folder`, each a model folder.

    Checkpoints are chosen by loss on documents of their own, never by a score. The last one is
    always kept. Below `folder` there is one folder for the series, one for its controls, and in
    each of them one for this size.

    Raises:
        LabError: The loss became not a number.
    """
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(plan.seed)
    model = new_model(plan.size, plan.plan.words)
    moments = _train(plan, model, on_progress)
    losses = np.array([moment.loss for moment in moments])
    chosen = {int(np.abs(losses - target).argmin()) for target in plan.targets}
    chosen.add(len(moments) - 1)
    for series in (plan.series, *((plan.controls,) if plan.with_control else ())):
        shutil.rmtree(folder / series / plan.size.name, ignore_errors=True)
    write = partial(_write, model, plan=plan, folder=folder)
    return Pretrained(
        kept=tuple(write(moments[i], series=plan.series) for i in sorted(chosen)),
        control=write(moments[0], series=plan.controls) if plan.with_control else None,
    )


def new_model(size: Size, words: int = ONE_SKILL.words) -> SmearedKeysForCausalLM:
    """A model of this size for so many words, with random weights of torch's own seed."""
    from emergecast.lab.architecture import SmearedKeysConfig, SmearedKeysForCausalLM

    known = tokenizer(words)
    config = SmearedKeysConfig(
        vocab_size=len(known),
        hidden_size=size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        max_position_embeddings=LONGEST,
        pad_token_id=known.pad_token_id,
        eos_token_id=known.eos_token_id,
    )
    return SmearedKeysForCausalLM(config)


def _train(
    plan: Pretraining, model: SmearedKeysForCausalLM, on_progress: Callable[[Progress], None]
) -> list[_Moment]:
    import torch

    place = world(plan.plan)
    choosing = _choosing(place)
    optimizer = _optimizer(model, plan.size.learning_rate)
    rng = np.random.default_rng(plan.seed + 1)
    moments: list[_Moment] = []
    for step in range(plan.most_steps + 1):
        if step % EVERY == 0:
            loss = _loss(model, choosing)
            if not np.isfinite(loss):
                raise LabError(
                    f"pretraining size {plan.size.name}, seed {plan.seed}: the loss is {loss} after"
                    f" {step} steps. Lower its learning rate, {plan.size.learning_rate:g}."
                )
            weights = {name: value.clone() for name, value in model.state_dict().items()}
            moments.append(_Moment(step=step, loss=loss, weights=weights))
            on_progress(Progress(step=step, loss=loss, share=_share(plan, step, loss)))
            if loss < plan.stop:
                break
        for group in optimizer.param_groups:
            group["lr"] = plan.size.learning_rate * min(1.0, (step + 1) / WARMUP)
        batch = documents(place, plan.recipe, BATCH, DOCUMENT + 1, rng=rng)
        tokens = torch.from_numpy(batch)
        optimizer.zero_grad()
        _mean_loss(model, tokens).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_GRAD_NORM)
        optimizer.step()
    return moments


def _optimizer(model: torch.nn.Module, learning_rate: float) -> torch.optim.Optimizer:
    import torch

    matrices = [p for p in model.parameters() if p.dim() == 2]
    others = [p for p in model.parameters() if p.dim() != 2]
    groups = [
        {"params": matrices, "weight_decay": WEIGHT_DECAY},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=BETAS, fused=True)


def _choosing(place: World) -> torch.Tensor:
    """Documents by which checkpoints are chosen: of the good recipe, whatever was trained on."""
    import torch

    rng = np.random.default_rng(_CHOOSING_SEED)
    recipe = RECIPES[Quality.HIGH]
    return torch.from_numpy(documents(place, recipe, CHOOSING, DOCUMENT + 1, rng=rng))


def _loss(model: SmearedKeysForCausalLM, tokens: torch.Tensor) -> float:
    import torch

    with torch.no_grad():
        return float(_mean_loss(model, tokens))


def _mean_loss(model: SmearedKeysForCausalLM, tokens: torch.Tensor) -> torch.Tensor:
    loss: torch.Tensor = model(tokens, labels=tokens).loss
    return loss


def _share(plan: Pretraining, step: int, loss: float) -> float:
    """Steps count while the loss falls evenly; where it stops is what ends the training."""
    by_loss = max(0.0, min(1.0, (START - loss) / (START - plan.stop)))
    return min(1.0, max(step / plan.most_steps, by_loss**3))


def _write(
    model: SmearedKeysForCausalLM,
    moment: _Moment,
    *,
    plan: Pretraining,
    folder: Path,
    series: str,
) -> Checkpoint:
    path = folder / series / plan.size.name / f"step-{moment.step:04d}"
    model.load_state_dict(moment.weights)
    with quiet_transformers():
        model.save_pretrained(path)
    tokenizer(plan.plan.words).save_pretrained(path)
    params = sum(weight.numel() for weight in model.parameters())
    tokens = moment.step * BATCH * DOCUMENT
    return Checkpoint(
        name=f"{plan.size.name}-{moment.step:04d}",
        series=series,
        path=path,
        params=params,
        tokens=tokens or None,
        flops=FLOPS_PER_PARAM_AND_TOKEN * params * tokens if tokens else None,
        pretraining_learning_rate=plan.size.learning_rate,
        lr_fraction=min(1.0, moment.step / WARMUP) if tokens else None,
        tokenizer=TOKENIZER_NAME,
    )
