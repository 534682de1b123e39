"""A cache of the hub with tiny models under the names of real repositories and revisions.

`HubCache` writes what a download would leave: `refs/REVISION` and `snapshots/COMMIT` with plain
files. In this process `in_use` points huggingface_hub at it; a child process gets `environment`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

TEXTS = [
    "the cat sat on the mat and the dog sat on the log",
    "a plant takes up carbon dioxide and gives off oxygen",
    "Question: which gas do plants take up? Answer: carbon dioxide",
    "Ann has 3 bags of 4 nuts. How many nuts? 12",
]
"""What the tokenizers are trained on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubCache:
    """A folder that HF_HOME may name."""

    home: Path

    def put(
        self, repository: str, files: Path, *, revision: str = "main", kind: str = "models"
    ) -> Path:
        """Copy the files of a folder into the cache as a revision; where they lie there.

        Files that the revision holds already stay. `kind` is models or datasets.
        """
        commit = hashlib.sha1(f"{repository} {revision}".encode()).hexdigest()  # noqa: S324  as git
        place = self.home / "hub" / f"{kind}--{repository.replace('/', '--')}"
        ref = place / "refs" / revision
        ref.parent.mkdir(parents=True, exist_ok=True)
        ref.write_text(commit, "utf-8")
        snapshot = place / "snapshots" / commit
        shutil.copytree(files, snapshot, dirs_exist_ok=True)
        return snapshot

    def in_use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have huggingface_hub in this process read this cache, and ask nobody."""
        from huggingface_hub import constants

        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(self.home / "hub"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    @property
    def environment(self) -> dict[str, str]:
        """The same for a child process."""
        return {"HF_HOME": str(self.home), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


def open_llama(
    cache: HubCache, work: Path, steps: Sequence[int], *, size: str = "3b", pickled: bool = True
) -> None:
    """Tiny Llamas as OpenLLaMA's steps, without a tokenizer; that is in the final repository."""
    from transformers import LlamaConfig, LlamaForCausalLM

    final = f"openlm-research/open_llama_{size}"
    tokenizer = sentencepiece_tokenizer(work / "tokenizer")
    cache.put(final, tokenizer)
    config = LlamaConfig(
        vocab_size=96, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=8192,
    )  # fmt: skip
    for step in steps:
        folder = tiny(LlamaForCausalLM, config, work / f"llama-{step}", seed=step, pickled=pickled)
        cache.put(f"{final}_step_{step}", folder)


def pythia(
    cache: HubCache, work: Path, steps: Sequence[int], *, size: str = "70m", shards: bool = False
) -> None:
    """Tiny GPT-NeoX models as revisions of Pythia, each with its fast tokenizer.

    With `shards` each is stored in two files.
    """
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    words = fast_tokenizer()
    config = GPTNeoXConfig(
        vocab_size=len(words) + 8, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=8192,
    )  # fmt: skip
    for step in steps:
        folder = tiny(GPTNeoXForCausalLM, config, work / f"neox-{step}", seed=step, shards=shards)
        words.save_pretrained(folder)
        cache.put(f"EleutherAI/pythia-{size}", folder, revision=f"step{step}")


def tiny(
    kind: Any, config: Any, folder: Path, *, seed: int, pickled: bool = False, shards: bool = False
) -> Path:
    """A model of random weights in a folder; pickled as torch does it, if asked for."""
    import torch

    torch.manual_seed(seed)
    model = kind(config)
    half = sum(each.numel() for each in model.parameters()) * 4 * 6 // 10
    model.save_pretrained(folder, max_shard_size=half if shards else "5GB")
    if pickled:
        (folder / "model.safetensors").unlink()
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return folder


def fast_tokenizer() -> Any:
    """A byte-level BPE tokenizer as Pythia has one."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(TEXTS, trainer)
    end = "<|endoftext|>"
    return PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token=end, eos_token=end, unk_token=end
    )


def sentencepiece_tokenizer(folder: Path) -> Path:
    """A folder with tokenizer.model and its settings, as OpenLLaMA's; spaces are merged."""
    trainer = pytest.importorskip("sentencepiece").SentencePieceTrainer
    folder.mkdir(parents=True, exist_ok=True)
    corpus = folder.parent / "corpus.txt"
    corpus.write_text("\n".join(TEXTS), "utf-8")
    trainer.train(
        input=str(corpus), model_prefix=str(folder / "tokenizer"), vocab_size=80,
        model_type="bpe", character_coverage=1.0, minloglevel=2, num_threads=1,
    )  # fmt: skip
    (folder / "tokenizer.vocab").unlink()
    settings = {
        "add_bos_token": True, "add_eos_token": False, "tokenizer_class": "LlamaTokenizer",
        "bos_token": {"content": "<s>", "__type": "AddedToken"},
        "eos_token": {"content": "</s>", "__type": "AddedToken"},
        "unk_token": {"content": "<unk>", "__type": "AddedToken"},
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    return folder
