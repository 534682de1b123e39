"""A series of checkpoints: where they are, what they are, and how to load one.

Checkpoints are Hugging Face model folders, on disk or on the hub. It refuses a folder whose files
are missing, cut short or untrue, which it sees without loading a model, weights that the model does
not use or does not find, pickled ones, and code that comes with a checkpoint.
"""

from __future__ import annotations

from emergecast.lab.checkpoints._checkpoint import (
    Checkpoint,
    CheckpointFacts,
    FileHashes,
    folder_of,
    hub_advice,
    is_here,
)
from emergecast.lab.checkpoints._inspect import file_hashes, inspect, known_params
from emergecast.lab.checkpoints._load_model import (
    Loaded,
    check_loading,
    copy_model,
    load,
    quiet_transformers,
)
from emergecast.lab.checkpoints._manifest import (
    MANIFEST,
    read_series,
    series_in,
    write_series,
)

__all__ = [
    "MANIFEST",
    "Checkpoint",
    "CheckpointFacts",
    "FileHashes",
    "Loaded",
    "check_loading",
    "copy_model",
    "file_hashes",
    "folder_of",
    "hub_advice",
    "inspect",
    "is_here",
    "known_params",
    "load",
    "quiet_transformers",
    "read_series",
    "series_in",
    "write_series",
]
