"""A series of checkpoints: where they are, what they are, and how to load one.

Checkpoints are Hugging Face model folders, on disk or on the hub. It refuses a folder whose files
are missing, cut short or untrue, which it sees without loading a model, weights that the model does
not use or does not find, pickled ones, and code that comes with a checkpoint.
"""

from __future__ import annotations

from emergecast.lab.checkpoints._checkpoint import (
    CatalogueSource,
    Checkpoint,
    CheckpointFacts,
    FileHashes,
)
from emergecast.lab.checkpoints._hub import (
    Folders,
    HubFile,
    HubListing,
    cached,
    commits_of,
    data_commit,
    fetch_settings,
    folder_of,
    folders_of,
    hub_advice,
    hub_errors,
    is_here,
    listing,
    published_hashes,
    remove_weights,
    revisions_of,
)
from emergecast.lab.checkpoints._inspect import file_hashes, inspect, known_params
from emergecast.lab.checkpoints._load_model import (
    Loaded,
    check_loading,
    copy_model,
    load,
    load_tokenizer,
    quiet_transformers,
)
from emergecast.lab.checkpoints._manifest import (
    MANIFEST,
    read_series,
    series_in,
    write_series,
)
from emergecast.lab.checkpoints._read_config import context_length

__all__ = [
    "MANIFEST",
    "CatalogueSource",
    "Checkpoint",
    "CheckpointFacts",
    "FileHashes",
    "Folders",
    "HubFile",
    "HubListing",
    "Loaded",
    "cached",
    "check_loading",
    "commits_of",
    "context_length",
    "copy_model",
    "data_commit",
    "fetch_settings",
    "file_hashes",
    "folder_of",
    "folders_of",
    "hub_advice",
    "hub_errors",
    "inspect",
    "is_here",
    "known_params",
    "listing",
    "load",
    "load_tokenizer",
    "published_hashes",
    "quiet_transformers",
    "read_series",
    "remove_weights",
    "revisions_of",
    "series_in",
    "write_series",
]
