"""What is read is what was written: digests, limits of memory, and cells that are no formulas."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from tests.measurements.reading import turned_bits

from emergecast.errors import OptionError, TableError
from emergecast.files import MEMORY
from emergecast.measurements import guarded, read_table
from emergecast.measurements.reading import _decode_parquet as decoding
from emergecast.measurements.reading import _parquet as parquet

CASES = Path(os.environ.get("EMERGECAST_SHARED", "nowhere")) / "cases" / "parquet"
ROWS = {
    "checkpoint": ["a", "b", "c"],
    "loss": [2.0, 2.5, 3.0],
    "task": ["t"] * 3,
    "setting": ["few_shot"] * 3,
    "score": [0.25, 0.5, 0.125],
    "chance": [0.25] * 3,
    "note": ["x", None, "y"],
}


def rewritten(frame: pl.DataFrame, path: Path, digest: str | None) -> Path:
    """The frame as another program writes it, which keeps the digest that it found."""
    metadata = {} if digest is None else {decoding.CONTENT: digest}
    frame.write_parquet(path, metadata=metadata, compression="gzip")
    return path


def test_a_parquet_file_holds_a_digest_of_its_cells(tmp_path: Path):
    """Over values: another program may write it in another way, and may not change a cell."""
    read_table(ROWS).write(tmp_path / "t.parquet")
    metadata = pl.read_parquet_metadata(tmp_path / "t.parquet")
    digest = metadata[decoding.CONTENT]
    frame = pl.read_parquet(tmp_path / "t.parquet")
    assert digest == parquet.content_digest(frame)
    same = read_table(rewritten(frame, tmp_path / "same.parquet", digest))
    assert same.hash == read_table(ROWS).hash
    kept = {name: text for name, text in metadata.items() if name.startswith("emergecast")}
    frame.write_parquet(tmp_path / "kept.parquet", metadata=kept, compression="gzip")
    assert read_table(tmp_path / "kept.parquet").hash == same.hash
    other = frame.with_columns(pl.col("score") + 1e-15)
    renamed = frame.rename({"note": "remark"})
    for changed in (other, renamed, frame.reverse()):
        with pytest.raises(TableError, match="cells are not those that were written"):
            read_table(rewritten(changed, tmp_path / "other.parquet", digest))
        assert len(read_table(rewritten(changed, tmp_path / "plain.parquet", None))) == 3


@pytest.mark.parametrize("name", ["snappy", "zstd"])
def test_a_table_without_a_digest_is_read_as_before(name: str):
    """Nobody can know that a bit of it was turned."""
    path = CASES / f"parquet_flip_{name}_OTHER.parquet"
    if not path.is_file():
        pytest.skip("the cases are not on this machine")
    assert len(read_table(path, chance=0.25)) > 0


def test_only_what_emergecast_wrote_is_decoded_in_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Any other file goes to a child process; one that was damaged is not decoded at all."""
    read_table(ROWS).write(tmp_path / "mine.parquet")
    pl.DataFrame(ROWS).write_parquet(tmp_path / "other.parquet")
    changed = bytearray((tmp_path / "mine.parquet").read_bytes())
    changed[len(changed) // 3] ^= 1
    (tmp_path / "changed.parquet").write_bytes(changed)

    def stop(*_: object, **__: object) -> None:
        raise FileExistsError

    monkeypatch.setattr(subprocess, "run", stop)
    assert len(read_table(tmp_path / "mine.parquet")) == 3
    with pytest.raises(TableError, match="cannot be read"):
        read_table(tmp_path / "other.parquet")
    with pytest.raises(TableError, match="its bytes are not those that were written"):
        read_table(tmp_path / "changed.parquet")


def bomb(path: Path, kind: str) -> Path:
    """A small file that unpacks to much: many rows, or long text."""
    one = pl.DataFrame(ROWS).head(1)
    if kind == "rows":
        frame = pl.concat([one] * 1000).select(pl.all().repeat_by(1000).explode())
    else:
        frame = one.with_columns(note=pl.lit("x" * 40_000_000))
    frame.write_parquet(path, compression="gzip" if kind == "text" else "zstd")
    return path


@pytest.mark.parametrize("kind", ["rows", "text"])
def test_a_bomb_is_refused_before_it_goes_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
):
    """With the limit, and how to raise it; raised, it is read."""
    path = bomb(tmp_path / "t.parquet", kind)
    assert path.stat().st_size < 1_000_000
    monkeypatch.setenv(MEMORY, "0.03")
    with pytest.raises(TableError, match=rf"the limit is 0\.03 GB\. .*If .* set .*{MEMORY}=1"):
        read_table(path)
    if kind == "text":
        monkeypatch.setenv(MEMORY, "1")
        assert len(read_table(path)) == 1


def test_the_bomb_of_the_trial_is_refused():
    """30 million rows in half a megabyte."""
    if not (CASES / "bomb.parquet").is_file():
        pytest.skip("the cases are not on this machine")
    with pytest.raises(TableError, match=rf"takes about 11\.5 GB .*{MEMORY}=15"):
        read_table(CASES / "bomb.parquet")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_text_that_is_too_long_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
):
    """By its size, before it is read."""
    path = tmp_path / f"t{suffix}"
    with path.open("wb") as file:
        file.truncate(300_000_000)  # holes take no disk
    with pytest.raises(TableError, match=rf"about 4\.8 GB of .* limit is 4 GB.*{MEMORY}"):
        read_table(path)
    monkeypatch.setenv(MEMORY, "much")
    with pytest.raises(OptionError, match=rf'{MEMORY} is "much"'):
        read_table(path)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such files")
def test_pipes_and_devices_are_refused_at_once(tmp_path: Path):
    """Nobody waits for a writer, or reads for ever."""
    os.mkfifo(tmp_path / "t.csv")
    with pytest.raises(TableError, match="this is a pipe, and only files are read"):
        read_table(tmp_path / "t.csv")
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    with pytest.raises(TableError, match="this is a device"):
        read_table(tmp_path / "zero.csv")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_digest_beside_a_table_is_checked(tmp_path: Path, suffix: str):
    """Written where it is asked for, kept up to date, in the form of sha256sum."""
    path = tmp_path / f"t{suffix}"
    beside = tmp_path / f"t{suffix}.sha256"
    table = read_table(ROWS)
    table.write(path)
    assert not beside.exists()
    table.write(path, digest=True)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert beside.read_text("utf-8") == f"{digest}  t{suffix}\n"
    assert read_table(path).hash == table.hash
    read_table({**ROWS, "score": [0.5] * 3}).write(path)
    assert read_table(path).frame["score"][0] == 0.5
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(TableError, match=r"not the file that was written.*delete"):
        read_table(path)
    beside.write_text("hello", "utf-8")
    with pytest.raises(TableError, match="is no SHA-256"):
        read_table(path)


QUOTE = "'"
FORMULAS = {
    "=cmd|' /C calc'!A0": "'=cmd|' /C calc'!A0",
    "+1+1": "'+1+1",
    "-x": "'-x",
    "@sum": "'@sum",
    "'=y": "''=y",
    f"{QUOTE * 2}@": f"{QUOTE * 3}@",
    "-5": "-5",
    "+1e3": "+1e3",
    "-inf": "-inf",
    "'": "'",
    "'tis": "'tis",
    "a=b": "a=b",
}
"""Text, and how a CSV holds it."""


def test_a_cell_that_starts_a_formula_is_guarded(tmp_path: Path):
    """In a file for spreadsheets; numbers are untouched, and reading gives the text back."""
    rows = [
        {"checkpoint": text, "loss": 2.0, "task": "t", "setting": "few_shot", "score": -0.5}
        | {"chance": 0.0, "metric": "mcc", "=n": "-y"}
        for text in FORMULAS
    ]
    table = read_table(rows)
    guards, raw = tmp_path / "guarded.csv", tmp_path / "raw.csv"
    table.write(guards)
    table.write(raw, raw=True)
    cells = pl.read_csv(guards, infer_schema=False)
    assert cells["checkpoint"].to_list() == list(FORMULAS.values())
    assert cells["'=n"].to_list() == ["'-y"] * len(FORMULAS)
    assert set(cells["score"]) == {"-0.5"}
    bare = pl.read_csv(raw, infer_schema=False)["checkpoint"].to_list()
    assert bare == [FORMULAS[text] if text.startswith("'") else text for text in FORMULAS]
    for path in (guards, raw):
        back = read_table(path)
        assert back.frame["checkpoint"].to_list() == list(FORMULAS)
        assert back.hash == table.hash
    assert guarded(pl.DataFrame({"-a": ["=b", None], "n": [-1, 2]})).to_dicts() == [
        {"'-a": "'=b", "n": -1},
        {"'-a": None, "n": 2},
    ]


def test_turned_bits_are_errors_or_change_nothing(tmp_path: Path):
    """A share of what performance/turned_bits.py does 10,000 times."""
    counts = turned_bits.turn(20261126, 1000, tmp_path)
    assert counts.total() == 1000
    assert set(counts) <= turned_bits.GOOD


def test_a_new_table_has_the_permissions_of_any_new_file(tmp_path: Path):
    """Not those of a temporary one."""
    read_table(ROWS).write(tmp_path / "t.csv", digest=True)
    (tmp_path / "plain").touch()
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_the_child_says_what_ails_a_file():
    """By its exit status."""
    command = [sys.executable, "-P", decoding.__file__, "1e9"]
    buffer = io.BytesIO()
    pl.DataFrame(ROWS).write_parquet(buffer)
    good = subprocess.run(command, input=buffer.getvalue(), capture_output=True, check=True)
    assert good.stdout.startswith(b"null\n")
    done = subprocess.run(command, input=b"PAR1 PAR1", capture_output=True, check=False)
    assert done.returncode == decoding.DAMAGED
