"""Choosing the settings of a finetuning on a part of its own training data."""

from __future__ import annotations

import gc
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from emergecast.errors import LabError
from emergecast.files import write_whole
from emergecast.lab.finetune._finetune import Finetuned, Tried, finetune
from emergecast.lab.finetune._within_memory import within_memory
from emergecast.records import as_json, from_json

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from emergecast.lab.finetune._method import FinetuneMethod
    from emergecast.lab.finetune._session import Session
    from emergecast.lab.tasks import Pair

_TRIED: Final = "tried.json"
"""What a sweep has found so far, in the folder of the session."""


def choose_and_finetune(
    load: Callable[[], tuple[PreTrainedModel, PreTrainedTokenizerBase]],
    pairs: Sequence[Pair],
    method: FinetuneMethod,
    *,
    seed: int,
    session: Session,
) -> Finetuned:
    """Finetune a model with the settings that its method states, or that its sweep chooses.

    A sweep trains with each of the settings on all examples but those held out, and takes those of
    the lowest loss on these; of equal ones the first. Then the model is finetuned with them as if
    the method had stated them. What was tried is kept in the session's folder, so that a stopped
    run does none of it twice. The trackers hear of the last training alone.

    Args:
        load: The checkpoint as it is, with weights of its own each time.
        pairs: The examples.
        method: How.
        seed: As in `finetune`, the same for all.
        session: Where work is kept; `on_step` counts the steps of all trainings.

    Raises:
        LabError: As in `finetune`; or no setting had a loss that is a number.
    """

    def train(how: FinetuneMethod, here: Session, *, done: int) -> Finetuned:
        told = session.on_step
        if told is not None:
            here = replace(here, on_step=lambda step, loss: told(done + step, loss))
        return within_memory(
            lambda model, at_once: finetune(*model, pairs, how, seed=seed, session=at_once),
            how,
            here,
            load(),
            again=load,
        )

    if method.sweep is None:
        return train(method, session, done=0)
    tried = _try_all(train, method, session)
    chosen = method.candidates[_best(tried)].chosen
    here = session if session.folder is None else replace(session, folder=session.folder / "chosen")
    return replace(train(chosen, here, done=method.all_steps - chosen.steps), tried=tuple(tried))


class _Train(Protocol):
    """One training, of which `done` steps came before."""

    def __call__(self, how: FinetuneMethod, here: Session, *, done: int) -> Finetuned: ...


def _try_all(train: _Train, method: FinetuneMethod, session: Session) -> list[Tried]:
    """Each setting of a sweep with its loss; what an interrupted sweep tried is taken as it is."""
    tried = _kept(session)
    for number, candidate in enumerate(method.candidates):
        if number < len(tried):
            continue
        folder = None if session.folder is None else session.folder / f"candidate-{number}"
        here = replace(session, folder=folder, trackers=())
        loss = _held_out_loss(train, candidate, here, done=sum(each.steps for each in tried))
        rate = candidate.learning_rate
        tried.append(Tried(steps=candidate.steps, learning_rate=rate, held_out_loss=loss))
        if session.folder is not None and folder is not None:
            write_whole(session.folder / _TRIED, json.dumps(as_json(tried)))
            shutil.rmtree(folder, ignore_errors=True)
    return tried


def _kept(session: Session) -> list[Tried]:
    """What an interrupted sweep has found."""
    path = None if session.folder is None else session.folder / _TRIED
    if path is None or not session.resume or not path.is_file():
        return []
    return list(from_json(tuple[Tried, ...], json.loads(path.read_text("utf-8")), what=str(path)))


def _held_out_loss(
    train: _Train, candidate: FinetuneMethod, here: Session, *, done: int
) -> float | None:
    """The loss of a training on what was held out; None where it had no loss that is a number."""
    from emergecast.lab.finetune._held_out import NoLossError

    try:
        return train(candidate, here, done=done).held_out_loss
    except NoLossError:
        pass
    gc.collect()  # a failed training leaves a cycle of objects with its weights
    return None


def _best(tried: Sequence[Tried]) -> int:
    """The place of the lowest loss.

    Raises:
        LabError: there is none.
    """
    losses = [
        (each.held_out_loss, i) for i, each in enumerate(tried) if each.held_out_loss is not None
    ]
    if not losses:
        raise LabError(
            f"the loss is no longer a number with any of the {len(tried)} settings of the sweep,"
            " so this run has no score. Add lower learning rates, or lengthen the warmup."
        )
    return min(losses)[1]
