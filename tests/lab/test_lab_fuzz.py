"""Damaged and lying headers, configurations and experiment files: an answer or a named error."""

from __future__ import annotations

import copy
import json
import math
import random
import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors
import yaml
from tests.lab.small_experiment import EXPERIMENT

from emergecast.cli.texts.experiments import plan_as_json, plan_text
from emergecast.errors import EmergecastError, ExperimentError, LabError
from emergecast.lab.checkpoints import Checkpoint, check_loading, inspect, load
from emergecast.lab.checkpoints._safetensors import read_header
from emergecast.lab.experiment import parse_experiment
from emergecast.lab.plan import estimate, survey

HEADERS, CONFIGS, EXPERIMENTS = 4000, 200, 1500
"""Cases of a chunk; `performance/lab_fuzz.py` runs many chunks."""

Counts = Counter[tuple[str, str]]
"""How many cases of each form ended how."""
ONE_FIELD, DAMAGED = "well formed, one field wrong", "damaged bytes"

STRANGE: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 7, 1.5, -0.0, 1e308, math.inf, math.nan, 2**31, 2**53, 2**64,
    10**30, "", " ", "a", "0", "1e3", "\x00", "\u202e", "nan", "../..", "/", "~", "x" * 5000, [],
    [[]], [1], [0, 0], [1, 2, 3], ["a"], {}, {"a": 1}, {"": None},
)  # fmt: skip


def _seeded(*of: object) -> random.Random:
    return random.Random(repr(of))  # noqa: S311  cases, not secrets


def _damaged(data: bytes, rng: random.Random) -> bytes:
    """Some bytes flipped, cut off, put in or taken out."""
    damaged = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        place = rng.randrange(len(damaged) + 1)
        kind = rng.randrange(4)
        if kind == 0 and place < len(damaged):
            damaged[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del damaged[place:]
        elif kind == 2:
            damaged[place:place] = bytes(rng.randrange(256) for _ in range(rng.choice([1, 8])))
        else:
            del damaged[place : place + rng.choice([1, 4])]
    return bytes(damaged)


def _change_one(tree: Any, rng: random.Random) -> Any:
    """A tree of plain values with one of them replaced, removed, renamed or doubled."""
    tree = copy.deepcopy(tree)
    places: list[tuple[Any, Any]] = []
    stack = [tree]
    while stack:
        node = stack.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node))
        for key in keys:
            places.append((node, key))
            if isinstance(node[key], dict | list):
                stack.append(node[key])
    node, key = rng.choice(places)
    kind = rng.randrange(10)
    value = node[key]
    if kind < 5:
        node[key] = rng.choice(STRANGE)
    elif kind < 7 and isinstance(value, int | float) and not isinstance(value, bool):
        node[key] = rng.choice([value + 1, value - 1, -value, value * 1000, value / 3, str(value)])
    elif kind < 8:
        node[key] = [value] if rng.random() < 0.5 else {"a": value}
    elif isinstance(node, dict):
        del node[key]
        if kind == 8:
            node[rng.choice([f"{key}s", str(key).upper(), "a", "\x00", ""])] = value
    else:
        node.append(copy.deepcopy(value))
    return tree


# ----------------------------------------------------------------------------- safetensors headers


def _safetensors(rng: random.Random) -> tuple[dict[str, Any], bytes]:
    """A right header and its numbers."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}} if rng.random() < 0.5 else {}
    end = 0
    for i in range(rng.randrange(1, 5)):
        name, size = rng.choice([("F32", 4), ("BF16", 2), ("I64", 8), ("U8", 1), ("BOOL", 1)])
        shape = [rng.randrange(5) for _ in range(rng.randrange(3))]
        begin, end = end, end + size * math.prod(shape)
        header[f"t{i}"] = {"dtype": name, "shape": shape, "data_offsets": [begin, end]}
    return header, bytes(end)


def _lying(header: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """One entry of one tensor changed so that it looks right."""
    header = copy.deepcopy(header)
    entry = header[rng.choice([name for name in header if name != "__metadata__"])]
    field = rng.choice(["dtype", "shape", "data_offsets", "data_offsets"])
    if field == "dtype":
        entry[field] = rng.choice(["F32", "F64", "F16", "I8", "F4", "F8_E4M3", "f32", "F128", ""])
    elif field == "shape":
        size = rng.choice([0, 1, 2, -1, 2**31, 2**62, 2**64, 1.0, True, "1"])
        if entry[field] and rng.random() < 0.7:
            entry[field][rng.randrange(len(entry[field]))] = size
        else:
            entry[field].append(size)
    else:
        side = rng.randrange(2)
        entry[field][side] = rng.choice(
            [0, 1, entry[field][side] + 4, entry[field][side] - 4, 2**63]
        )
    return header


def _read_by_library(file: Path) -> dict[str, tuple[str, tuple[int, ...]]] | None:
    """Types and shapes as safetensors itself reads them; None where it refuses the file."""
    try:
        with safetensors.safe_open(file, "np") as opened:
            found = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118
            return {name: (str(s.get_dtype()), tuple(s.get_shape())) for name, s in found.items()}
    except (safetensors.SafetensorError, OSError, ValueError):
        return None


def fuzz_headers(chunk: int, folder: Path) -> Counts:
    """Read `HEADERS` mutants; the library safetensors is the judge of what is right."""
    counts: Counts = Counter()
    file = folder / "model.safetensors"
    for case in range(HEADERS):
        rng = _seeded("header", chunk, case)
        header, numbers = _safetensors(rng)
        form = ONE_FIELD if rng.random() < 0.7 else DAMAGED
        if form == ONE_FIELD:
            header = _lying(header, rng) if rng.random() < 0.7 else _change_one(header, rng)
        text = json.dumps(header).encode()
        length = len(text)
        if form == ONE_FIELD and rng.random() < 0.1:
            length += rng.choice([-1, 1, 8, -8, 2**40])
        whole = struct.pack("<Q", max(0, length)) + text + numbers
        file.write_bytes(whole if form == ONE_FIELD else _damaged(whole, rng))
        judged = _read_by_library(file)
        try:
            tensors = read_header(file)
        except LabError:
            counts[form, "refused, as the library does" if judged is None else "refused"] += 1
            continue
        assert judged is not None, f"case {case} of chunk {chunk}: {file.read_bytes()!r}"
        assert {name: (t.dtype, t.shape) for name, t in tensors.items()} == judged
        counts[form, "read, as the library does"] += 1
    return counts


# ------------------------------------------------------------------------------------ config.json


def make_model(folder: Path) -> dict[str, bytes]:
    """The files of a tiny Llama and its tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from emergecast.lab.proving_ground import tokenizer

    words = tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=64,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    words.save_pretrained(folder)
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def fuzz_configs(chunk: int, folder: Path, files: dict[str, bytes]) -> Counts:
    """Look at `CONFIGS` mutants of config.json, and load those that pass."""
    counts: Counts = Counter()
    names = ["config.json"] * 4 + ["tokenizer.json", "tokenizer_config.json"]
    checkpoint = Checkpoint(name="a", series="s", path=folder)
    for case in range(CONFIGS):
        rng = _seeded("config", chunk, case)
        form = ONE_FIELD if rng.random() < 0.7 else DAMAGED
        name = rng.choice(names)
        data = files[name]
        if form == ONE_FIELD:
            data = json.dumps(_change_one(json.loads(data), rng)).encode()
        else:
            data = _damaged(data, rng)
        (folder / name).write_bytes(data)
        try:
            inspect(checkpoint)
            check_loading(checkpoint)
            ended = "accepted, and loads"
            try:
                load(checkpoint)
            except LabError:
                ended = "accepted, and refused when loaded"
        except LabError as error:
            ended = "refused" if str(folder) in str(error) else f"refused without name: {error}"
        (folder / name).write_bytes(files[name])
        counts[form, ended] += 1
    return counts


# ------------------------------------------------------------------------------- experiment files


def fuzz_experiments(chunk: int, folder: Path) -> Counts:
    """Read and plan `EXPERIMENTS` mutants of an experiment file."""
    counts: Counts = Counter()
    whole = yaml.safe_load(EXPERIMENT)
    whole["series"][0]["choose"] = {"count": 2}
    whole["costs"] = {"per_hour": 2.5, "flops_per_second": 1e13}
    whole["evaluation"] = {"limit": 10}
    for case in range(EXPERIMENTS):
        rng = _seeded("experiment", chunk, case)
        form = ONE_FIELD if rng.random() < 0.7 else DAMAGED
        if form == ONE_FIELD:
            text = yaml.safe_dump(_change_one(whole, rng), allow_unicode=True)
        else:
            text = _damaged(EXPERIMENT.encode(), rng).decode(errors="replace")
        counts[form, _plan(text, folder / "x.yaml")] += 1
    return counts


def _plan(text: str, file: Path) -> str:
    """How an experiment file ends: refused, or planned, with numbers that JSON holds."""
    try:
        experiment = parse_experiment(text, file)
    except ExperimentError as error:
        complete = all(problem.what and problem.remedy for problem in error.problems)
        return "refused" if complete else "refused without words"
    try:
        found = survey(experiment, remember=True)  # no ledger is made
        left = estimate(found.plan, found.results, workers=2)
    except EmergecastError as error:
        return f"{type(error).__name__} in plan"
    json.dumps(plan_as_json(found.plan, left), allow_nan=False)
    return "planned" if plan_text(found.plan, left) else "planned without words"


def check(counts: Counts, cases: int) -> None:
    """Both forms are there, at least half of the cases well formed; the counts are printed."""
    by_form = Counter[str]()
    for (form, ended), count in sorted(counts.items()):
        by_form[form] += count
        print(f"{form}: {ended}: {count}")  # noqa: T201  what the test found
    assert by_form.total() == cases
    assert by_form[ONE_FIELD] >= cases / 2
    assert by_form[DAMAGED] > 0
    assert not [ended for _, ended in counts if "without" in ended]


def test_headers_that_lie_are_refused(tmp_path: Path):
    """Whatever safetensors refuses is refused, and what is read is what safetensors reads."""
    check(fuzz_headers(0, tmp_path), HEADERS)


def test_configurations_that_are_wrong_are_refused(tmp_path: Path):
    """With the folder's name, before or when the model is loaded, and never a traceback."""
    check(fuzz_configs(0, tmp_path, make_model(tmp_path)), CONFIGS)


def test_experiment_files_that_are_wrong_are_refused(tmp_path: Path):
    """Or planned, with finite numbers."""
    check(fuzz_experiments(0, tmp_path), EXPERIMENTS)


@pytest.mark.parametrize("fuzz", [fuzz_headers, fuzz_experiments])
def test_a_chunk_is_the_same_each_time(fuzz: Callable[..., Counts], tmp_path: Path):
    """So that a case that failed can be looked at again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.lab.test_lab_fuzz.HEADERS", 20)
        patch.setattr("tests.lab.test_lab_fuzz.EXPERIMENTS", 20)
        assert fuzz(3, tmp_path) == fuzz(3, tmp_path)
