"""What a model scores on a task, and its loss on held-out text.

The harness's tasks and metrics, with a lean backend: requests come tokenised, those that share
their tokens share a pass, and logits are computed only where an answer stands. It refuses a score
or a loss that is not finite.
"""

from __future__ import annotations

from emergecast.lab.evaluate._corpus import (
    C4,
    C4_REPOSITORY,
    Corpus,
    HeldOutFacts,
    facts_of,
    hub_files,
    named_corpus,
)
from emergecast.lab.evaluate._evaluate import LOGPROB, Evaluation, evaluate
from emergecast.lab.evaluate._logprobs import logprobs, max_length
from emergecast.lab.evaluate._loss import (
    LOSS_VERSION,
    FirstToken,
    HeldOutLoss,
    Loss,
    LossOptions,
    corpus_loss,
    held_out_loss,
)
from emergecast.lab.evaluate._loss_rows import LossRow, read_rows
from emergecast.lab.evaluate._proxies import PROXIES, PROXY_VERSION, Signals, reference_signals
from emergecast.lab.evaluate._scores import Score
from emergecast.lab.evaluate._series_loss import (
    BYTES_PER_TOKEN,
    LossEstimate,
    LossFailure,
    LossOrder,
    LossReport,
    Precision,
    estimate_losses,
    measure_losses,
)

__all__ = [
    "BYTES_PER_TOKEN",
    "C4",
    "C4_REPOSITORY",
    "LOGPROB",
    "LOSS_VERSION",
    "PROXIES",
    "PROXY_VERSION",
    "Corpus",
    "Evaluation",
    "FirstToken",
    "HeldOutFacts",
    "HeldOutLoss",
    "Loss",
    "LossEstimate",
    "LossFailure",
    "LossOptions",
    "LossOrder",
    "LossReport",
    "LossRow",
    "Precision",
    "Score",
    "Signals",
    "corpus_loss",
    "estimate_losses",
    "evaluate",
    "facts_of",
    "held_out_loss",
    "hub_files",
    "logprobs",
    "max_length",
    "measure_losses",
    "named_corpus",
    "read_rows",
    "reference_signals",
]
