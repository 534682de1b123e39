"""A tokenizer that sentencepiece itself runs, from a file tokenizer.model.

transformers 5 makes a fast tokenizer of such a file and leaves out its rules of normalisation: of
OpenLLaMA's, which merges spaces, it makes other tokens (README of openlm-research/open_llama).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emergecast.errors import LabError
from emergecast.lab.checkpoints._weights import read_object

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def sentencepiece_model(folder: Path) -> Path:
    """The file of the tokenizer.

    Raises:
        LabError: there is none.
    """
    file = folder / "tokenizer.model"
    if not file.is_file():
        raise LabError(
            f'"{folder}" holds no tokenizer.model, which sentencepiece should read. Fetch it again.'
        )
    return file


def read_sentencepiece(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer in a folder, with the beginning of sequence before each text.

    Raises:
        LabError: the package sentencepiece is not installed, or there is no tokenizer.model.
    """
    settings = folder / "tokenizer_config.json"
    said = read_object(settings) if settings.is_file() else {}
    special = {
        name: _spelling(said.get(name), usual)
        for name, usual in (("unk_token", "<unk>"), ("bos_token", "<s>"), ("eos_token", "</s>"))
    }
    pattern = "bos" if said.get("add_bos_token", True) else "none"
    made = _tokenizer_class()(
        vocab_file=str(sentencepiece_model(folder)), special_tokens_pattern=pattern, **special
    )
    made.name_or_path = str(folder)
    found: PreTrainedTokenizerBase = made
    return found


@cache
def _tokenizer_class() -> Any:  # noqa: ANN401  transformers is loaded when it is needed
    try:
        import sentencepiece  # noqa: F401
    except ImportError:
        raise LabError(
            "this tokenizer needs the package sentencepiece: pip install sentencepiece."
        ) from None
    from transformers.tokenization_utils_sentencepiece import SentencePieceBackend

    return SentencePieceBackend


def _spelling(token: Any, usual: str) -> str:  # noqa: ANN401  text, or an object that holds it
    if isinstance(token, dict):
        token = token.get("content")
    return token if isinstance(token, str) and token else usual
