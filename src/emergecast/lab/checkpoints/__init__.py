"""A series of checkpoints: where they are, what they are, and how to load one.

Checkpoints are Hugging Face model folders, on disk or on the hub. It refuses a folder whose files
are missing or cut short, weights that the model does not use or does not find, two checkpoints with
the same weights, and a series of several architectures or tokenizers; all of that it sees without
loading a model.
"""

from __future__ import annotations

from emergecast.lab.checkpoints._checkpoint import Checkpoint, CheckpointFacts, folder_of
from emergecast.lab.checkpoints._inspect import inspect, inspect_all
from emergecast.lab.checkpoints._load_model import Loaded, load, quiet_transformers
from emergecast.lab.checkpoints._manifest import MANIFEST, read_series, write_series

__all__ = [
    "MANIFEST",
    "Checkpoint",
    "CheckpointFacts",
    "Loaded",
    "folder_of",
    "inspect",
    "inspect_all",
    "load",
    "quiet_transformers",
    "read_series",
    "write_series",
]
