"""A series of checkpoints: where they are, what they are, and how to load one.

Checkpoints are Hugging Face model folders, on disk or on the hub. It refuses a folder whose files
are missing or cut short, which it sees without loading a model, and weights that the model does not
use or does not find.
"""

from __future__ import annotations

from emergecast.lab.checkpoints._checkpoint import (
    Checkpoint,
    CheckpointFacts,
    FileHashes,
    folder_of,
)
from emergecast.lab.checkpoints._inspect import file_hashes, inspect
from emergecast.lab.checkpoints._load_model import (
    Loaded,
    copy_model,
    load,
    quiet_transformers,
)
from emergecast.lab.checkpoints._manifest import MANIFEST, read_series, write_series

__all__ = [
    "MANIFEST",
    "Checkpoint",
    "CheckpointFacts",
    "FileHashes",
    "Loaded",
    "copy_model",
    "file_hashes",
    "folder_of",
    "inspect",
    "load",
    "quiet_transformers",
    "read_series",
    "write_series",
]
