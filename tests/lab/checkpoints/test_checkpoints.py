"""Checkpoints: what their files say, and every way in which they can be wrong."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from emergecast.errors import LabError
from emergecast.lab.checkpoints import (
    Checkpoint,
    check_loading,
    folder_of,
    inspect,
    load,
    read_series,
    write_series,
)


@pytest.fixture
def folder(tiny, words, tmp_path):
    """A model folder."""
    path = tmp_path / "series" / "one"
    tiny().save_pretrained(path)
    words.save_pretrained(path)
    return path


@pytest.fixture
def second(tiny, words, folder):
    """Another one beside it, of other weights."""
    path = folder.with_name("two")
    tiny(seed=1).save_pretrained(path)
    words.save_pretrained(path)
    return path


def _at(path: Path, name: str = "", **facts) -> Checkpoint:
    return Checkpoint(name=name or path.name, series="s", path=path, **facts)


def test_facts_are_read_off_the_files(folder, tiny):
    """Parameters as the model counts them, the hash as sha256 over the file."""
    facts = inspect(_at(folder))
    weights = (folder / "model.safetensors").read_bytes()
    assert facts.params == sum(p.numel() for p in tiny().parameters())
    assert facts.weights_hash == hashlib.sha256(weights).hexdigest()
    assert facts.architecture == "SmearedKeysForCausalLM"
    tokenizer = (folder / "tokenizer.json").read_bytes()
    assert facts.tokenizer_hash == hashlib.sha256(tokenizer).hexdigest()


@pytest.mark.parametrize("stored", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("said", ["dtype", "torch_dtype", None])
def test_the_type_is_that_which_transformers_loads(tiny, words, tmp_path, stored, said):
    """By the configuration, of transformers 5 or 4, or by the weights where it says nothing."""
    path = tmp_path / "typed"
    tiny().to(stored).save_pretrained(path)
    words.save_pretrained(path)
    file = path / "config.json"
    config = json.loads(file.read_text("utf-8"))
    name = config.pop("dtype")
    file.write_text(json.dumps(config if said is None else {**config, said: name}), "utf-8")
    facts, loaded = inspect(_at(path)), load(_at(path)).model
    assert loaded.dtype == stored
    assert facts.dtype == str(stored).removeprefix("torch.")


def test_shards_count_and_hash_like_their_contents_in_order(folder, tiny, words, tmp_path):
    """A sharded folder has the same parameters, and the hash of its files by name."""
    sharded = tmp_path / "sharded"
    tiny().save_pretrained(sharded, max_shard_size="60KB")
    words.save_pretrained(sharded)
    files = sorted(sharded.glob("*.safetensors"))
    assert len(files) > 1
    facts = inspect(_at(sharded))
    assert facts.params == inspect(_at(folder)).params
    joined = b"".join(file.read_bytes() for file in files)
    assert facts.weights_hash == hashlib.sha256(joined).hexdigest()
    files[0].unlink()
    with pytest.raises(
        LabError, match=rf"lacks 1 of its {len(files)} weight files.*{files[0].name}"
    ):
        inspect(_at(sharded))


def test_weights_changed_in_place_have_another_hash(folder):
    """A hash is not remembered beyond a change of the file."""
    before = inspect(_at(folder)).weights_hash
    file = folder / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert inspect(_at(folder)).weights_hash != before


def _cut(path):
    path.write_bytes(path.read_bytes()[:-10])


def _no_header(path):
    path.write_bytes(b"not a safetensors file")


def _bad_json(path):
    path.write_bytes((20).to_bytes(8, "little") + b"{" * 20)


def _empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("file", "spoil", "said"),
    [
        ("model.safetensors", _cut, "corrupt: it should have"),
        ("model.safetensors", _no_header, "corrupt: its header should be"),
        ("model.safetensors", _bad_json, "corrupt: its header cannot be read"),
        ("model.safetensors", _empty, "corrupt"),
        ("model.safetensors", Path.unlink, "holds no weights"),
        ("config.json", Path.unlink, "is not a model folder"),
        ("config.json", _bad_json, "is not JSON"),
        ("tokenizer.json", Path.unlink, "holds no tokenizer"),
    ],
)
def test_a_folder_that_is_not_whole_is_refused(folder, file, spoil, said):
    """Before anything is loaded, with the file's name and what to do."""
    spoil(folder / file)
    with pytest.raises(LabError, match=said) as caught:
        inspect(_at(folder))
    assert str(folder) in str(caught.value)


def _with_header(**entries):
    """Makes a weight file of 8 bytes whose header says this of its one tensor."""
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | entries
    text = json.dumps({"a": {name: value for name, value in entry.items() if value is not None}})
    return len(text).to_bytes(8, "little") + text.encode() + bytes(8)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"dtype": "F17"}, "the type of 'a', 'F17', is not known"),
        ({"dtype": 3}, "the type of 'a'"),
        ({"dtype": None}, "does not give dtype, shape and data_offsets"),
        ({"shape": [3]}, "needs 12 bytes, and takes 8"),
        ({"shape": [-2]}, "should be whole numbers from 0 on"),
        ({"shape": [True, 2]}, "should be whole numbers from 0 on"),
        ({"shape": [2**62, 2**62, 0]}, "larger than any memory"),
        ({"data_offsets": [0, 4]}, "needs 8 bytes, and takes 4"),
        ({"data_offsets": [4, 12]}, "leaves a gap before it"),
        ({"data_offsets": [8, 0]}, "should be a beginning and an end"),
    ],
)
def test_a_header_that_lies_is_refused(folder, entries, said):
    """Unknown types, impossible shapes, sizes that do not fit: with the name of the file."""
    (folder / "model.safetensors").write_bytes(_with_header(**entries))
    with pytest.raises(LabError, match=said) as caught:
        inspect(_at(folder))
    assert "model.safetensors" in str(caught.value)


def test_tensors_that_overlap_are_refused(folder):
    """Two names for one place; each of them would fit."""
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    text = json.dumps({"a": entry, "b": entry}).encode()
    (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(8))
    with pytest.raises(LabError, match="'b' overlaps what is before it"):
        inspect(_at(folder))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "consolidated.00.pth"])
def test_pickled_weights_are_refused_with_a_safe_way_out(folder, name):
    """Reading them can run anything; the message must not advise to do it."""
    (folder / "model.safetensors").rename(folder / name)
    with pytest.raises(LabError, match=rf"are pickled \({name}\)") as caught:
        inspect(_at(folder))
    assert "safetensors" in str(caught.value)
    assert "weights_only=True" in str(caught.value)
    assert "weights_only=False" not in str(caught.value)


def test_weights_of_which_nobody_knows_whether_they_count_are_refused(folder):
    """An adapter beside a model, an index beside a whole file, shards without an index."""
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(LabError, match="transformers would load the model that it names"):
        inspect(_at(folder))
    (folder / "adapter_config.json").unlink()
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "b.safetensors"}}')
    with pytest.raises(LabError, match="only one of them can be meant"):
        inspect(_at(folder))
    (folder / "model.safetensors").unlink()
    for index, said in (
        ("[]", "no JSON object"),
        ("{}", "has no weight_map"),
        ('{"weight_map": ["a"]}', "has no weight_map"),
        ('{"weight_map": {"a": "../b.safetensors"}}', "which is not in the folder"),
        ('{"weight_map": {"a": "b.safetensors"}}', "lacks 1 of its 1 weight files"),
    ):
        (folder / "model.safetensors.index.json").write_text(index)
        with pytest.raises(LabError, match=said):
            inspect(_at(folder))
    (folder / "model.safetensors.index.json").rename(folder / "model-1-of-2.safetensors")
    with pytest.raises(LabError, match=r"neither model\.safetensors nor"):
        inspect(_at(folder))


def _look(folder):
    """What a plan does with a checkpoint."""
    inspect(_at(folder))
    check_loading(_at(folder))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("hidden_size", "16", "hidden_size is '16', and should be a whole number from 1"),
        ("hidden_size", -16, "should be a whole number from 1"),
        ("vocab_size", 1e6, "should be a whole number from 1"),
        ("num_hidden_layers", True, "should be a whole number from 1"),
        ("num_hidden_layers", 10**12, "should be a whole number from 1"),
        ("num_hidden_layers", 10**6, "1,000,000 layers, and .* tensors are stored"),
        ("vocab_size", 10**8, "a vocabulary of 100,000,000"),
        ("rms_norm_eps", float("nan"), "should be a number from 0 on"),
        ("architectures", "Model", "should be a list of names"),
        ("architectures", [], None),
        ("model_type", 7, "should be a word"),
        ("dtype", "float31", "should be one of"),
        ("vocab_size", 1364, r"has the shape \(1364, 16\), and \(1363, 16\) is stored"),
        ("model_type", "unheard-of", "that transformers cannot use"),
        ("auto_map", {"AutoConfig": "evil.C"}, None),
    ],
)
def test_a_configuration_that_is_wrong_is_refused_by_name(folder, key, value, said):
    """Before a model is loaded; what transformers can do without is not missed."""
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {key: value}))
    if said is None:
        _look(folder)
        return
    with pytest.raises(LabError, match=said) as caught:
        _look(folder)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("config.json", {"model_type": "evil", "auto_map": {"AutoConfig": "evil.C"}}),
        (
            "tokenizer_config.json",
            {"auto_map": {"AutoTokenizer": ["evil.T", None]}, "tokenizer_class": "Evil"},
        ),
    ],
)
def test_code_of_a_checkpoint_is_refused_and_never_run(folder, tmp_path, file, change):
    """Nor asked about: transformers would wait for an answer."""
    ran = tmp_path / "ran"
    (folder / "evil.py").write_text(f"open({str(ran)!r}, 'w')\nclass C: pass\nclass T: pass\n")
    content = json.loads((folder / file).read_text()) | change
    (folder / file).write_text(json.dumps(content))
    for act in (check_loading, load):
        with contextlib.suppress(LabError):
            act(_at(folder))
        assert not ran.exists()
    if file == "config.json":
        with pytest.raises(LabError, match="it brings Python code of its own, which is never run"):
            check_loading(_at(folder))


def test_a_tokenizer_that_is_broken_is_refused_by_name(folder):
    """Whatever is wrong with it."""
    for text in ("[]", "{}", '{"model": {"type": "BPE"}}', "not JSON"):
        (folder / "tokenizer.json").write_text(text)
        with pytest.raises(LabError, match=r"tokenizer|holds no JSON object") as caught:
            _look(folder)
        assert str(folder) in str(caught.value)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    """With its path."""
    with pytest.raises(LabError, match=r'"gone" should be in .*no such folder'):
        folder_of(_at(tmp_path / "gone"))


def test_subfolders_are_found(folder):
    """A path and a subfolder lead to the model."""
    assert folder_of(_at(folder.parent, subfolder="one")) == folder


def test_inspecting_loads_no_torch(folder):
    """A plan over many checkpoints is made without it."""
    code = (
        "import sys; from pathlib import Path\n"
        "from emergecast.lab.checkpoints import Checkpoint, inspect\n"
        f"inspect(Checkpoint(name='a', series='s', path=Path({str(folder)!r})))\n"
        "assert not {'torch', 'transformers', 'lm_eval'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_loaded_model_is_the_one_that_was_saved(folder, tiny):
    """In evaluation mode, with its weights to the last bit, and its tokenizer."""
    model, tokenizer = load(_at(folder))
    assert not model.training
    for name, weight in tiny().state_dict().items():
        assert torch.equal(model.state_dict()[name], weight)
    assert tokenizer("A B")["input_ids"] == [1344, 1345]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("num_hidden_layers", 3, "lacks weights that the model needs"),
        ("num_hidden_layers", 1, "weights that the model does not use"),
        ("hidden_size", 20, "cannot be loaded|shape differs"),
        ("model_type", "unheard-of", "cannot be loaded"),
    ],
)
def test_weights_that_do_not_fit_their_config_are_refused(folder, key, value, said):
    """Where transformers would fill in random numbers and go on."""
    config = json.loads((folder / "config.json").read_text())
    config[key] = value
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(LabError, match=said):
        load(_at(folder))


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ({}, "needs a path or a repo"),
        ({"path": Path("a"), "repo": "b/c"}, "and not both"),
        ({"path": Path("a"), "revision": "main"}, "silently read the same"),
    ],
)
def test_a_checkpoint_is_in_one_place(where, said):
    """A revision of a local folder is refused: it would be ignored."""
    with pytest.raises(LabError, match=said):
        Checkpoint(name="x", series="s", **where)


@pytest.fixture
def hub(folder, second, tmp_path, monkeypatch):
    """A cache of the hub with two revisions of one repository, one of them in a subfolder."""
    from huggingface_hub import constants

    cache = tmp_path / "hub"
    repo = cache / "models--someone--series"
    (repo / "refs").mkdir(parents=True)
    for revision, commit, source, inside in (
        ("main", "a" * 40, folder, ""),
        ("step2", "b" * 40, second, "deep"),
    ):
        (repo / "refs" / revision).write_text(commit)
        shutil.copytree(source, repo / "snapshots" / commit / inside, dirs_exist_ok=True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def _remote(**where) -> Checkpoint:
    return Checkpoint(name="remote", series="s", repo="someone/series", **where)


@pytest.mark.usefixtures("hub")
def test_revisions_of_the_hub_are_different_checkpoints(folder, second):
    """Each revision has its own weights, also in a subfolder."""
    main, other = _remote(), _remote(revision="step2", subfolder="deep")
    assert inspect(main).weights_hash == inspect(_at(folder)).weights_hash
    assert inspect(other).weights_hash == inspect(_at(second)).weights_hash
    assert load(other).model.num_parameters() > 0


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(
    "checkpoint", [_remote(revision="gone"), Checkpoint(name="n", series="s", repo="no/body")]
)
def test_what_the_hub_does_not_have_is_refused_with_both_names(checkpoint):
    """The message names repository and revision, and what may be wrong with either."""
    with pytest.raises(
        LabError, match=r"could not be read from (the main branch|revision) .*on the hub"
    ) as caught:
        folder_of(checkpoint)
    assert str(checkpoint.repo) in str(caught.value)
    assert checkpoint.revision is None or checkpoint.revision in str(caught.value)


def test_a_series_file_says_again_what_was_written(folder, second):
    """All fields survive; paths are relative, so the folder may move."""
    listed = (
        _at(folder, params=10, tokens=20, flops=1.5e3, pretraining_learning_rate=2e-3),
        _at(second, lr_fraction=0.5, tokenizer="words"),
        Checkpoint(name="far", series="s", repo="a/b", revision="r", subfolder="f"),
    )
    write_series(folder.parent, "s", listed)
    assert read_series(folder.parent) == listed
    moved = folder.parent.rename(folder.parent.with_name("moved"))
    assert folder_of(read_series(moved)[0]) == moved / "one"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "does not name its series"),
        ('{"series": "s"}', "lists no checkpoints"),
        ('{"series": "s", "checkpoints": [{"path": "a"}]}', "checkpoint 1 has no name"),
        ('{"series": "s", "checkpoints": [{"name": "a", "pth": "a"}]}', 'unknown key "pth"'),
        (
            '{"series": "s", "checkpoints": [{"name": "a", "tokens": "9"}]}',
            "tokens should be a num",
        ),
        (
            '{"series": "s", "checkpoints": [{"name": "a", "tokens": true}]}',
            "tokens should be a nu",
        ),
        ('{"series": "s", "checkpoints": [{"name": "a"}]}', "needs a path or a repo"),
        (
            '{"series": "s", "checkpoints": [{"name": "a", "path": "a", "lr_fraction": 2}]}',
            'checkpoint "a" has lr_fraction 2, and a share of the peak lies between 0 and 1',
        ),
        (
            json.dumps({"series": "s", "checkpoints": [{"name": "a", "path": p} for p in "bc"]}),
            'names "a" twice',
        ),
    ],
)
def test_a_series_file_with_a_mistake_is_refused(tmp_path, text, said):
    """With the file's name, the entry, and what to write."""
    (tmp_path / "series.json").write_text(text)
    with pytest.raises(LabError, match=said):
        read_series(tmp_path)


def test_a_folder_without_a_series_file_is_refused(tmp_path):
    """With the file it should have."""
    with pytest.raises(LabError, match=r"there is no .*series\.json"):
        read_series(tmp_path)
