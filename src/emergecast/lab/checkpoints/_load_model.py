"""Load a checkpoint as a transformers model, and refuse one that is not complete."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from emergecast.errors import LabError
from emergecast.lab.checkpoints._checkpoint import Checkpoint
from emergecast.lab.checkpoints._converted import converted_config, is_hf_olmo
from emergecast.lab.checkpoints._hub import Folders, cached, folders_of
from emergecast.lab.checkpoints._read_config import CONFIG, check_fit, context_length
from emergecast.lab.checkpoints._safetensors import StoredTensor
from emergecast.lab.checkpoints._sentencepiece import read_sentencepiece
from emergecast.lab.checkpoints._weights import read_object, stored_tensors, weight_files

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


_LOCAL: Final[Mapping[str, Any]] = {"local_files_only": True, "trust_remote_code": False}
"""Nothing is fetched, and nothing that comes with a checkpoint is run or asked about."""
_BAD_CONFIG: Final = "has a config.json that transformers cannot use"
_BAD_TOKENIZER: Final = "has a tokenizer that transformers cannot use"
_PROBE: Final = "The numbers 1, 2 and 3."


class Loaded(NamedTuple):
    """A model in memory and its tokenizer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


def load(
    checkpoint: Checkpoint, *, device: str = "cpu", dtype: torch.dtype | None = None
) -> Loaded:
    """The model in evaluation mode, and its tokenizer.

    Args:
        checkpoint: Which one.
        device: Where the model goes.
        dtype: Type of its weights; the one they are stored in where None.

    Raises:
        LabError: It cannot be loaded, or some weights are missing, unused or of another shape:
            transformers would fill them with random numbers and go on.
    """
    from transformers import AutoModelForCausalLM

    import emergecast.lab.architecture  # noqa: F401  registers the architecture

    folders = folders_of(checkpoint)
    folder = folders.model
    with _named(checkpoint, folder, "cannot be loaded"), quiet_transformers():
        tokenizer = _read_tokenizer(folders)
        found: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype="auto" if dtype is None else dtype,
            use_safetensors=True,
            output_loading_info=True,
            **_LOCAL,
        )
        model, info = found
    for kind, what in (
        ("missing_keys", "lacks weights that the model needs"),
        ("unexpected_keys", "holds weights that the model does not use"),
        ("mismatched_keys", "holds weights whose shape differs from the model's"),
    ):
        if names := sorted(str(name) for name in info[kind]):
            raise LabError(
                f'checkpoint "{checkpoint.name}" in "{folder}" {what}: {len(names)} of them, such'
                f' as "{names[0]}". Its config.json does not belong to its weights.'
            )
    return Loaded(model=model.to(device).eval(), tokenizer=tokenizer)


def check_loading(checkpoint: Checkpoint) -> int:
    """Refuse a configuration or a tokenizer that transformers cannot use; loads no weights.

    The result is how many tokens the longest sequence has that the model takes.

    The model is built without memory for its weights, and those that bear the same name must have
    the same shape.

    Raises:
        LabError: it cannot, or the checkpoint brings code of its own, which is never run.
    """
    here = checkpoint.source is None or cached(checkpoint) is not None
    folders = folders_of(checkpoint, weights=here)
    folder = folders.model
    with quiet_transformers():
        config = (_check_model if here else _check_config)(checkpoint, folder)
        with _named(checkpoint, folder, _BAD_TOKENIZER):
            tokenizer = _read_tokenizer(folders)
            tokens = tokenizer(_PROBE)["input_ids"]
        if not tokens or not all(isinstance(each, int) for each in tokens):
            raise LabError(
                f'the tokenizer of checkpoint "{checkpoint.name}" in "{folder}" makes'
                f" {str(tokens)[:60]} of a text, and no tokens. Save the right one beside it."
            )
    return context_length(config)


def load_tokenizer(checkpoint: Checkpoint) -> PreTrainedTokenizerBase:
    """The tokenizer of a checkpoint, whether its weights are here or not.

    Raises:
        LabError: It cannot be used.
    """
    folders = folders_of(checkpoint, weights=checkpoint.source is None or bool(cached(checkpoint)))
    with _named(checkpoint, folders.tokenizer, _BAD_TOKENIZER), quiet_transformers():
        return _read_tokenizer(folders)


def _read_tokenizer(folders: Folders) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    if folders.slow_tokenizer:
        return read_sentencepiece(folders.tokenizer)
    # transformers looks at the settings of the model too, and warns of those it has no class for.
    with _without_warnings(folders.model != folders.published):
        found: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folders.tokenizer, **_LOCAL)
    return found


@contextmanager
def _without_warnings(wanted: bool) -> Iterator[None]:  # noqa: FBT001  its only argument
    from transformers.utils import logging

    level = logging.get_verbosity()
    if wanted:
        logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)


def _check_model(checkpoint: Checkpoint, folder: Path) -> PreTrainedConfig:
    """The configuration is one that transformers knows, and fits what is stored."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    import emergecast.lab.architecture  # noqa: F401  registers the architecture

    tensors = stored_tensors(weight_files(folder))
    with _named(checkpoint, folder, _BAD_CONFIG):
        config: PreTrainedConfig = AutoConfig.from_pretrained(folder, **_LOCAL)
        check_fit(config.to_dict(), tensors, folder)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    if getattr(config, "quantization_config", None) is None:
        _check_shapes(model, tensors, folder)
    return config


def _check_config(checkpoint: Checkpoint, folder: Path) -> PreTrainedConfig:
    """The same as far as it can be told before the weights are here."""
    from transformers import AutoConfig

    said = read_object(folder / CONFIG)
    with _named(checkpoint, folder, _BAD_CONFIG):
        config: PreTrainedConfig = (
            AutoConfig.for_model(**converted_config(said))
            if is_hf_olmo(said)
            else AutoConfig.from_pretrained(folder, **_LOCAL)
        )
    return config


def copy_model(model: PreTrainedModel, device: str = "cpu") -> PreTrainedModel:
    """A model of its own with the same weights to the last bit, on a device."""
    import torch

    memo: dict[int, Any] = {
        id(each): torch.nn.Parameter(each.detach().to(device, copy=True), each.requires_grad)
        for each in model.parameters()
    }
    memo |= {id(each): each.to(device, copy=True) for each in model.buffers()}
    return copy.deepcopy(model, memo)


def _check_shapes(
    model: PreTrainedModel, tensors: Mapping[str, StoredTensor], folder: Path
) -> None:
    for name, weight in model.state_dict().items():
        stored = tensors.get(name)
        if stored is not None and stored.shape != tuple(weight.shape):
            raise LabError(
                f'"{folder / CONFIG}" describes a model whose "{name}" has the shape'
                f" {tuple(weight.shape)}, and {stored.shape} is stored: it does not belong to the"
                " weights beside it. Copy or download the folder again."
            )


@contextmanager
def _named(checkpoint: Checkpoint, folder: Path, what: str) -> Iterator[None]:
    """Whatever transformers raises, as a message that names the checkpoint.

    It raises OSError, ValueError, KeyError, SafetensorError, ... for a bad folder, and an Exception
    of its own making where the tokenizer is bad.
    """
    try:
        yield
    except LabError:
        raise
    except Exception as error:
        said = f"{type(error).__name__}: {_first_line(error)}."
        remedy = "Check that the folder is complete and that transformers knows its architecture."
        if "trust_remote_code" in str(error) or "custom code" in str(error):
            said = "it brings Python code of its own, which is never run."
            remedy = "Take a model whose architecture transformers has: docs/trust.md says why."
        raise LabError(
            f'checkpoint "{checkpoint.name}" in "{folder}" {what}: {said} {remedy}'
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0].rstrip(".")


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No progress bar per model: there are hundreds of them."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
