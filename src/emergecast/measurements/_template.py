"""An example table to start from."""

from __future__ import annotations

from typing import Final

import polars as pl

_CHECKPOINTS: Final = (
    (
        "example-1b-step10k",
        1_000_000_000,
        20_000_000_000,
        2.70,
        (0.249, 0.252, 0.256, 0.259, 0.271),
    ),
    (
        "example-1b-step50k",
        1_000_000_000,
        100_000_000_000,
        2.52,
        (0.254, 0.253, 0.262, 0.290, 0.332),
    ),
    (
        "example-3b-step25k",
        3_000_000_000,
        50_000_000_000,
        2.41,
        (0.247, 0.258, 0.281, 0.339, 0.387),
    ),
    (
        "example-3b-step100k",
        3_000_000_000,
        200_000_000_000,
        2.28,
        (0.253, 0.275, 0.340, 0.404, 0.452),
    ),
    (
        "example-7b-step100k",
        7_000_000_000,
        200_000_000_000,
        2.17,
        (0.258, 0.321, 0.396, 0.457, 0.508),
    ),
)
_AMOUNTS: Final = (100, 1_000, 10_000, 100_000)
_ITEMS: Final = 2_000


def template() -> pl.DataFrame:
    """A small table of invented checkpoints and scores that shows every column worth filling in.

    Five checkpoints, few-shot and finetuned on four amounts of data, two random subsets each;
    chance is 0.25.
    """
    rows: list[dict[str, object]] = []
    for name, params, tokens, loss, (few_shot, *finetuned) in _CHECKPOINTS:
        shared: dict[str, object] = {
            "series": "example",
            "checkpoint": name,
            "params": params,
            "tokens": tokens,
            "lr_fraction": 1.0,
            "loss": loss,
            "loss_corpus": "held-out-web",
            "task": "four-choice-quiz",
            "metric": "acc",
        }
        counted = {"n_items": _ITEMS, "chance": 0.25}
        rows.append(
            {**shared, "setting": "few_shot", "shots": 5, "examples": None, "subset": None}
            | {"method": None, "score": few_shot}
            | counted
        )
        for amount, score in zip(_AMOUNTS, finetuned, strict=True):
            for subset, shift in (("a", 0.004), ("b", -0.003)):
                rows.append(
                    {**shared, "setting": "finetuned", "shots": 0, "examples": amount}
                    | {"subset": subset, "method": "full", "score": round(score + shift, 3)}
                    | counted
                )
    return pl.DataFrame(rows, infer_schema_length=None)
