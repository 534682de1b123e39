"""A cache of the hub with tiny models under the names of real repositories and revisions.

`HubCache` writes what a download would leave: `refs/REVISION` and `snapshots/COMMIT` with plain
files. In this process `in_use` points huggingface_hub at it; a child process gets `environment`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.lab.hf_olmo_files import HF_OLMO, hf_olmo_files, hf_olmo_weights
from tests.lab.hub_server import commit_of

from emergecast.lab.catalogue.series import StoredAs, catalogued_series, expand
from emergecast.lab.checkpoints import quiet_transformers

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
        commit = commit_of(repository, revision)
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


def put_series(
    cache: HubCache, work: Path, name: str, steps: Sequence[int] = (), *, shards: bool = False
) -> None:
    """A series of the catalogue as it lies on the hub, by what the catalogue says of it; tiny.

    The class, the repositories and revisions, how weights are stored, and whose tokenizer it is are
    the real ones; a tokenizer that sentencepiece reads is one. With `shards` weights are stored in
    two files.
    """
    import transformers

    series = catalogued_series(name)
    words = work / "words"
    begin, end = (1, 2) if series.slow_tokenizer else (0, 0)
    if series.slow_tokenizer:
        sentencepiece_tokenizer(words)
    else:
        fast_tokenizer().save_pretrained(words)
    if series.tokenizer is not None:
        cache.put(series.tokenizer, words)
    for i, each in enumerate(expand(series, steps).checkpoints):
        folder = work / each.name
        if series.weights is StoredAs.HF_OLMO:
            hf_olmo_files(folder, hf_olmo_weights(HF_OLMO, seed=i))
        else:
            kind = getattr(transformers, series.architecture)
            # No settings of ours may name a token that the tiny vocabulary lacks.
            config = kind.config_class(
                vocab_size=312, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
                num_attention_heads=2, max_position_embeddings=8192,
                bos_token_id=begin, eos_token_id=end, pad_token_id=None,
            )  # fmt: skip
            pickled = series.weights is StoredAs.PICKLE
            with quiet_transformers():
                tiny(kind, config, folder, seed=i, pickled=pickled, shards=shards)
        if series.tokenizer is None:
            shutil.copytree(words, folder, dirs_exist_ok=True)
        cache.put(str(each.repo), folder, revision=each.revision or "main")


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
