"""What a model scores on a task, and its loss on held-out text.

The harness's tasks and metrics, with a lean backend: requests come tokenised, those that share
their tokens share a pass, and logits are computed only where an answer stands. It refuses a score
or a loss that is not finite.
"""

from __future__ import annotations

from emergecast.lab.evaluate._corpus import Loss, corpus_loss
from emergecast.lab.evaluate._evaluate import (
    CHOICE_PROB,
    LOGPROB,
    Evaluation,
    Score,
    evaluate,
)
from emergecast.lab.evaluate._logprobs import logprobs, max_length

__all__ = [
    "CHOICE_PROB",
    "LOGPROB",
    "Evaluation",
    "Loss",
    "Score",
    "corpus_loss",
    "evaluate",
    "logprobs",
    "max_length",
]
