"""How often is a series called implausible, rightly and wrongly?

Simulated series of measured losses under a published law or under laws of their own near it, with
scatter; then some with a part offset, in bits, or as perplexities.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from _report import arguments, publish, table
from emergecast.measurements._plausible import suspicions
from emergecast.scaling import CHINCHILLA_LAWS

SERIES = 200
"""Of each kind."""
LAYOUTS = ("tokens in proportion", "several sizes", "one size")
MIDDLE = (1e9, 2e10)
"""Params and tokens at which laws of their own are near the published one."""


def layout(rng: np.random.Generator, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Params and tokens of 8 to 21 checkpoints."""
    n = int(rng.integers(8, 22))
    if kind == "tokens in proportion":
        params = np.geomspace(rng.uniform(5e7, 4e8), rng.uniform(3e9, 3e10), n)
        return params, params * rng.uniform(10, 40)
    if kind == "several sizes":
        sizes = np.geomspace(1e8, 1e10, int(rng.integers(2, 5)))
        each = -(-n // sizes.size)
        return np.repeat(sizes, each)[:n], np.tile(np.geomspace(2e9, 1e12, each), sizes.size)[:n]
    return np.full(n, rng.choice([1e9, 7e9])), np.geomspace(2e9, 2e12, n)


def losses(
    rng: np.random.Generator, params: np.ndarray, tokens: np.ndarray, *, own: bool
) -> np.ndarray:
    """Under Hoffmann et al.'s law, or under one whose constants are drawn about it."""
    law, (n, d) = CHINCHILLA_LAWS["hoffmann"], MIDDLE
    if not own:
        return np.asarray(law.loss(params, tokens))
    alpha, beta = law.alpha + rng.uniform(-0.05, 0.05), law.beta + rng.uniform(-0.05, 0.08)
    by_params = law.a * n**-law.alpha * rng.uniform(0.7, 1.4) * (params / n) ** -alpha
    by_tokens = law.b * d**-law.beta * rng.uniform(0.7, 1.4) * (tokens / d) ** -beta
    floor = law.floor_nats * rng.uniform(0.85, 1.1)
    return np.asarray((floor + by_params + by_tokens) * rng.uniform(0.85, 1.1))


def called(params: np.ndarray, tokens: np.ndarray, loss: np.ndarray) -> bool:
    """Whether anything is said of the series."""
    rows = {
        "series": ["s"] * loss.size,
        "checkpoint": [f"c{i}" for i in range(loss.size)],
        "params": params.astype(int),
        "tokens": tokens.astype(int),
        "loss": loss,
        "loss_source": ["measured"] * loss.size,
    }
    return bool(suspicions(pl.DataFrame(rows)))


def shares(rng: np.random.Generator, kind: str, scatter: float, *, own: bool) -> list[object]:
    """A line of the table."""
    found = np.zeros(6)
    for _ in range(SERIES):
        params, tokens = layout(rng, kind)
        loss = losses(rng, params, tokens, own=own)
        loss = loss + scatter * rng.standard_normal(loss.size)
        order, half = np.argsort(-loss), loss.size // 2
        strong, weak, single = loss.copy(), loss.copy(), loss.copy()
        strong[order[half:]] -= 0.1
        weak[order[: int(rng.integers(3, half + 1))]] += 0.15
        single[rng.integers(loss.size)] += 0.2
        kinds = (loss, strong, weak, single, loss / np.log(2), np.exp(loss))
        found += [called(params, tokens, each) for each in kinds]
    law = "of its own" if own else "published"
    return [kind, law, f"{scatter:g}", *(f"{share:.0%}" for share in found / SERIES)]


def main() -> None:
    """Prints the shares of series of which something is said."""
    options = arguments(__doc__ or "")
    rng = np.random.default_rng(0)
    lines = [
        shares(rng, kind, scatter, own=own)
        for kind in LAYOUTS
        for own in (False, True)
        for scatter in (0.0, 0.003, 0.01, 0.02)
    ]
    heads = [
        "series", "law", "scatter, nats", "as it is", "strong half -0.1", "weak part +0.15",
        "one +0.2", "in bits", "perplexities",
    ]  # fmt: skip
    said = f"Of {SERIES} series each, the share of which something is said."
    publish("plausibility", f"{said}\n\n{table(heads, lines)}", write=options.write)


if __name__ == "__main__":
    main()
