"""From what a repository of the catalogue holds to what transformers loads.

Pickled weights are read by torch's reader that runs nothing (`weights_only=True`). Weights of the
package hf_olmo, whose class transformers lacks, are renamed key by key: `att_proj` holds queries,
keys and values one after the other, `ff_proj` the up and the gate projection
(https://github.com/allenai/OLMo, olmo/model.py and scripts/convert_olmo_to_hf_new.py). With norms
that have no weights such a model is transformers' Olmo; with RMS norms that have, as those of
DataDecide (scripts/ladder.py there), it is transformers' Llama.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from emergecast.errors import LabError
from emergecast.files import write_whole
from emergecast.lab.checkpoints._weights import (
    INDEX,
    WEIGHTS,
    named_weights,
    read_object,
)

if TYPE_CHECKING:
    import torch

HF_OLMO: Final = "OLMoForCausalLM"
"""Class of the package hf_olmo, as its config.json names it."""
_CONFIG: Final = "config.json"
_RECEIPT: Final = "converted.json"
_VERSION: Final = 1
"""Of this conversion: what an earlier one made is made again."""
_NOT_WEIGHTS: Final = re.compile(r"rotary_emb\.inv_freq$")
_BLOCK: Final = re.compile(r"transformer\.blocks\.(\d+)\.(\w+)\.(weight|bias)")
_RENAMED: Final = {
    "attn_out": "self_attn.o_proj",
    "ff_out": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ff_norm": "post_attention_layernorm",
}
_TOP: Final = {
    "transformer.wte.weight": "model.embed_tokens.weight",
    "transformer.ln_f.weight": "model.norm.weight",
    "transformer.ff_out.weight": "lm_head.weight",
}


def is_hf_olmo(config: Mapping[str, Any]) -> bool:
    """Whether a configuration is one of the package hf_olmo."""
    return config.get("architectures") == [HF_OLMO] or config.get("model_type") == "hf_olmo"


def loadable(published: Path, repository: str) -> Path:
    """The folder itself where transformers loads it, else one in the cache that is made of it.

    Raises:
        LabError: it cannot be converted; nothing is left behind.
    """
    names = named_weights(published)
    if not names or not (names[0].endswith(".bin") or is_hf_olmo(_config(published))):
        return published
    target = converted_folder(published, repository)
    if _is_whole(target):
        return target
    from safetensors import SafetensorError

    target.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=target.parent))
    try:
        convert(published, made)
        if not _is_whole(target):  # or another process was faster
            shutil.rmtree(target, ignore_errors=True)
            made.rename(target)
    except (OSError, SafetensorError) as error:
        raise LabError(
            f'"{target}" cannot be written ({error}). It needs as much room as the weights that it'
            " is made of."
        ) from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return target


def _config(published: Path) -> dict[str, Any]:
    file = published / _CONFIG
    return read_object(file) if file.is_file() else {}


def converted_folder(published: Path, repository: str) -> Path:
    """Where the folder that is made of a published one lies, or would lie: beside the cache.

    It bears the names of the repository, the commit and the subfolder.
    """
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE)
    inside = published.parts[::-1].index("snapshots")  # the last one: a cache may lie anywhere
    commit = published.parts[len(published.parts) - inside :]
    name = "--".join([*repository.split("/"), *commit, f"v{_VERSION}"])
    return cache.parent / "emergecast" / "converted" / name


def _is_whole(folder: Path) -> bool:
    """Whether a conversion came to its end, and its files are as long as they were."""
    if not (folder / _RECEIPT).is_file():
        return False
    written = read_object(folder / _RECEIPT)
    return written == {name: _size(folder / name) for name in written}


def _size(file: Path) -> int | None:
    return file.stat().st_size if file.is_file() else None


def convert(published: Path, folder: Path) -> None:
    """Write what transformers loads into a folder; what was published stays as it is.

    Raises:
        LabError: it cannot be converted.
    """
    from safetensors.torch import save_file

    config = _config(published)
    files = tuple(published / name for name in named_weights(published))
    olmo = is_hf_olmo(config)
    said = converted_config(config) if olmo else config
    folder.mkdir(parents=True, exist_ok=True)
    places: dict[str, str] = {}
    for number, file in enumerate(files, start=1):
        read = _tensors(file)
        made = dict(_renamed(read, said)) if olmo else read
        kept = {
            name: tensor.contiguous().clone()
            for name, tensor in made.items()
            if not _NOT_WEIGHTS.search(name)
        }
        name = WEIGHTS if len(files) == 1 else f"model-{number:05d}-of-{len(files):05d}.safetensors"
        save_file(kept, folder / name, metadata={"format": "pt"})
        places |= dict.fromkeys(kept, name)
    if len(files) > 1:
        index = {"metadata": {}, "weight_map": dict(sorted(places.items()))}
        write_whole(folder / INDEX, json.dumps(index))
    write_whole(folder / _CONFIG, json.dumps(said, indent=1))
    extra = "generation_config.json"
    if (published / extra).is_file():
        shutil.copyfile(published / extra, folder / extra)
    sizes = {name: _size(folder / name) for name in sorted({*places.values(), _CONFIG})}
    write_whole(folder / _RECEIPT, json.dumps(sizes, indent=1))


def _tensors(file: Path) -> dict[str, torch.Tensor]:
    """The tensors of a weight file, whichever of the two kinds."""
    import torch
    from safetensors.torch import load_file

    if file.suffix == ".safetensors":
        return load_file(file)
    try:
        read = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:
        # torch raises pickle's, its own and zipfile's errors for a bad file.
        raise LabError(
            f'"{file}" cannot be read by a reader that runs nothing: {type(error).__name__}:'
            f" {str(error).strip().splitlines()[0]}. Download it again; docs/trust.md says more."
        ) from error
    if not isinstance(read, dict) or not all(
        isinstance(each, torch.Tensor) for each in read.values()
    ):
        raise LabError(
            f'"{file}" holds something else than tensors by name. Take another revision.'
        )
    return read


def converted_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of the class in transformers that computes the same.

    Raises:
        LabError: there is none, and why.
    """
    affine = config.get("layer_norm_with_affine", True)
    norm = str(config.get("layer_norm_type", "default"))
    kinds = {("rms", True): "LlamaForCausalLM", ("default", False): "OlmoForCausalLM"}
    _refuse(
        config,
        {
            f"layer_norm_type {norm} with layer_norm_with_affine {affine}": (norm, affine)
            not in kinds,
            "bias": config.get("include_bias", False) or config.get("bias_for_layer_norm") or False,
            "no rotary positions": not config.get("rope", False) or config.get("alibi", False),
            "norms of queries and keys": config.get("attention_layer_norm", False),
            "norms after the blocks": config.get("norm_after", False),
            "an activation other than SwiGLU": config.get("activation_type", "swiglu") != "swiglu",
            "another block_type": config.get("block_type", "sequential") != "sequential",
            "clipped queries": kinds.get((norm, affine)) == "LlamaForCausalLM"
            and config.get("clip_qkv") is not None,
            "a layer norm of another eps": norm == "default"
            and config.get("layer_norm_eps", 1e-5) != 1e-5,
            "scaled logits": config.get("scale_logits", False),
        },
    )
    kind = kinds[norm, affine]
    width, heads = config["d_model"], config["n_heads"]
    hidden = config.get("mlp_hidden_size") or config["mlp_ratio"] * width
    shared_heads = 1 if config.get("multi_query_attention") else heads
    made = {
        "architectures": [kind],
        "model_type": "llama" if kind.startswith("Llama") else "olmo",
        "vocab_size": config.get("embedding_size") or config["vocab_size"],
        "hidden_size": width,
        "intermediate_size": hidden // 2,
        "num_hidden_layers": config["n_layers"],
        "num_attention_heads": heads,
        "num_key_value_heads": config.get("n_kv_heads") or shared_heads,
        "max_position_embeddings": config["max_sequence_length"],
        "hidden_act": "silu",
        "rope_theta": float(config.get("rope_theta", 10000)),
        "tie_word_embeddings": bool(config.get("weight_tying", True)),
        "attention_bias": False,
        "bos_token_id": None,
        "eos_token_id": config.get("eos_token_id"),
        "pad_token_id": config.get("pad_token_id"),
        "dtype": config.get("torch_dtype") or config.get("dtype") or "float32",
    }
    if kind.startswith("Llama"):
        return made | {"rms_norm_eps": config.get("layer_norm_eps", 1e-5), "mlp_bias": False}
    return made | {"clip_qkv": config.get("clip_qkv")}


def _refuse(config: Mapping[str, Any], faults: Mapping[str, bool]) -> None:
    if found := [what for what, is_so in faults.items() if is_so]:
        raise LabError(
            f"the model of class {config.get('architectures')} has {', '.join(found)}, and no class"
            " of transformers computes that. Take another series."
        )


def _renamed(
    tensors: Mapping[str, torch.Tensor], config: Mapping[str, Any]
) -> Iterator[tuple[str, torch.Tensor]]:
    """Tensors of hf_olmo under the names of transformers, fused ones taken apart.

    Raises:
        LabError: one of them is not known.
    """
    width, heads = config["hidden_size"], config["num_attention_heads"]
    shared = width // heads * config["num_key_value_heads"]
    for name, tensor in tensors.items():
        short = name.removeprefix("model.")
        found = _BLOCK.fullmatch(short)
        if short in _TOP:
            if not (short == "transformer.ff_out.weight" and config["tie_word_embeddings"]):
                yield _TOP[short], tensor
        elif found is not None and found[3] == "weight" and found[2] in {*_RENAMED, *_FUSED}:
            layer = f"model.layers.{found[1]}"
            if found[2] == "att_proj":
                parts = tensor.split([width, shared, shared])
                for letter, part in zip("qkv", parts, strict=True):
                    yield f"{layer}.self_attn.{letter}_proj.weight", part
            elif found[2] == "ff_proj":
                up, gate = tensor.chunk(2)
                yield f"{layer}.mlp.up_proj.weight", up
                yield f"{layer}.mlp.gate_proj.weight", gate
            else:
                yield f"{layer}.{_RENAMED[found[2]]}.weight", tensor
        else:
            raise LabError(
                f'the weights hold "{name[:80]}", which no class of transformers has a place for.'
                " Take another series."
            )


_FUSED: Final = ("att_proj", "ff_proj")
