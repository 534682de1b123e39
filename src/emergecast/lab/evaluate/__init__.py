"""What a model scores on a task, and its loss on held-out text.

The harness's tasks and metrics, with a lean backend: requests come tokenised, those that share
their tokens share a pass, and logits are computed only where an answer stands. It refuses a score
or a loss that is not finite.
"""

from __future__ import annotations

from emergecast.lab.evaluate._corpus import HeldOut, HeldOutFacts, facts_of, held_out
from emergecast.lab.evaluate._evaluate import LOGPROB, Evaluation, Score, evaluate
from emergecast.lab.evaluate._logprobs import logprobs, max_length
from emergecast.lab.evaluate._loss import (
    FirstToken,
    HeldOutLoss,
    Loss,
    LossOptions,
    corpus_loss,
    held_out_loss,
)

__all__ = [
    "LOGPROB",
    "Evaluation",
    "FirstToken",
    "HeldOut",
    "HeldOutFacts",
    "HeldOutLoss",
    "Loss",
    "LossOptions",
    "Score",
    "corpus_loss",
    "evaluate",
    "facts_of",
    "held_out",
    "held_out_loss",
    "logprobs",
    "max_length",
]
