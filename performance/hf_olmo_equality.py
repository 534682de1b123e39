"""Does a converted checkpoint compute what the package hf_olmo computes?

That package (ai2-olmo 0.6.0) needs numpy below 2 and transformers below 5, so it lives in an
environment of its own, whose Python is named here:

    python3.11 -m venv OLD
    OLD/bin/pip install torch==2.13.0
    OLD/bin/pip install 'transformers<5' ai2-olmo==0.6.0
    python performance/hf_olmo_equality.py OLD/bin/python

The old environment saves small models of random weights and their logits; this one converts them
and compares. Real ones can be compared too: name a folder of a downloaded checkpoint after it.

Found on 27 November 2026 (torch 2.13.0, transformers 4.57.6 there and 5.23.0 here): no difference
in any logit of the three kinds of models below. No real checkpoint was at hand.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

TOLERANCE = 1e-4
"""Largest difference of a logit, in units of their standard deviation."""
LENGTH = 48

MAKE = """
import json, sys
import torch
from hf_olmo import OLMoConfig, OLMoForCausalLM
folder, settings, length = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
torch.manual_seed(0)
if settings is None:
    model = OLMoForCausalLM.from_pretrained(folder)
else:
    model = OLMoForCausalLM(OLMoConfig(**settings), init_params=True)
    for name, weight in model.named_parameters():
        torch.nn.init.normal_(weight, 1.0 if "norm" in name or "ln_f" in name else 0.0, 0.2)
    model.save_pretrained(folder, safe_serialization=False)
model = model.float().eval()
ids = torch.randint(0, model.config.vocab_size, (1, length))
with torch.no_grad():
    logits = model(input_ids=ids).logits[0]
torch.save({"ids": ids, "logits": logits}, sys.argv[4])
"""

COMMON = {
    "d_model": 64, "n_heads": 4, "n_layers": 3, "mlp_ratio": 8, "rope": True, "alibi": False,
    "flash_attention": False, "attention_dropout": 0.0, "residual_dropout": 0.0,
    "embedding_dropout": 0.0, "include_bias": False, "bias_for_layer_norm": False,
    "activation_type": "swiglu", "block_type": "sequential", "max_sequence_length": 64,
    "vocab_size": 280, "embedding_size": 304, "eos_token_id": 279, "pad_token_id": 1,
    "init_device": "cpu", "use_cache": True,
}  # fmt: skip
MODELS = {
    "DataDecide's kind": {
        "layer_norm_type": "rms", "layer_norm_with_affine": True, "layer_norm_eps": 1e-6,
        "attention_layer_norm": False, "weight_tying": False,
    },
    "DataDecide's kind, tied": {
        "layer_norm_type": "rms", "layer_norm_with_affine": True, "layer_norm_eps": 1e-6,
        "attention_layer_norm": False, "weight_tying": True,
    },
    "OLMo 1's kind": {
        "layer_norm_type": "default", "layer_norm_with_affine": False,
        "attention_layer_norm": False, "weight_tying": False,
    },
}  # fmt: skip


def difference(python: str, folder: Path, settings: dict[str, object] | None, work: Path) -> float:
    """Largest difference of a logit between both, in standard deviations of the logits."""
    import torch
    from transformers import AutoModelForCausalLM

    from emergecast.lab.checkpoints._converted import convert

    told = work / "logits.pt"
    words = [str(folder), json.dumps(settings), str(LENGTH), str(told)]
    subprocess.run([python, "-c", MAKE, *words], check=True)
    said = torch.load(told, weights_only=True)
    made = work / "converted"
    convert(folder, made)
    model = AutoModelForCausalLM.from_pretrained(made, dtype=torch.float32).eval()
    with torch.no_grad():
        found = model(said["ids"]).logits[0]
    wanted = said["logits"][:, : found.shape[1]]
    if not wanted.std() > 0.1:
        message = f"the logits of {folder} hardly differ: nothing would be seen"
        raise SystemExit(message)
    return float((found[:, : wanted.shape[1]] - wanted).abs().max() / wanted.std())


def main() -> int:
    """Compare all, and say what was found; status 1 where a difference is too large."""
    if len(sys.argv) < 2:
        print(__doc__)
        return 2
    python, *folders = sys.argv[1:]
    cases: list[tuple[str, Path | None, dict[str, object] | None]] = [
        (name, None, COMMON | settings) for name, settings in MODELS.items()
    ]
    cases += [(folder, Path(folder), None) for folder in folders]
    worst = 0.0
    for name, folder, settings in cases:
        with tempfile.TemporaryDirectory() as work:
            place = folder or Path(work) / "made"
            place.mkdir(exist_ok=True)
            found = difference(python, place, settings, Path(work))
        print(f"{name}: largest difference {found:.1e} standard deviations of the logits")
        worst = max(worst, found)
    return int(worst > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
