from __future__ import annotations

import datetime as dt
import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emergecast.errors import OptionError
from emergecast.measurements import COLUMNS, read_table

FORMATS = (".csv", ".parquet", ".jsonl", ".ndjson")

plain_text = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12
)
names = plain_text.map(str.strip).filter(bool)
numbers = st.floats(allow_nan=False, allow_infinity=False, width=64)
unknown_cells = st.one_of(
    st.lists(st.none() | plain_text, min_size=6, max_size=6),
    st.lists(st.none() | st.integers(-(2**62), 2**62), min_size=6, max_size=6),
    st.lists(st.none() | numbers, min_size=6, max_size=6),
    st.lists(st.none() | st.booleans(), min_size=6, max_size=6),
    st.lists(
        st.sampled_from(["1", "1.0", "007", "true", "nan", " x", "1e5", "-0.0", None]),
        min_size=6,
        max_size=6,
    ),
    st.lists(
        st.one_of(st.none(), st.booleans(), st.integers(), numbers, plain_text),
        min_size=6,
        max_size=6,
    ),
)


@st.composite
def tables(draw):
    """Six good rows with anything in the optional columns, and up to three unknown columns."""
    checkpoints = draw(st.lists(names, min_size=2, max_size=2, unique=True))
    losses = draw(st.lists(st.floats(1e-3, 15.0), min_size=2, max_size=2))
    rows = []
    for i in range(6):
        finetuned = i % 3 > 0
        rows.append(
            {
                "checkpoint": checkpoints[i // 3],
                "loss": losses[i // 3],
                "task": "t",
                "setting": "finetuned" if finetuned else "few_shot",
                "examples": 10 ** (i % 3) if finetuned else None,
                "epochs": draw(st.none() | st.floats(1e-3, 1e3)) if finetuned else None,
                "seed": draw(st.none() | st.integers(0, 9) | names),
                "snapshot": draw(st.none() | st.booleans()),
                "score": draw(st.floats(0, 1)),
                "stderr": draw(st.none() | st.floats(0, 0.5)),
                "n_items": draw(st.none() | st.integers(1, 2**53)),
                "chance": 0.25,
            }
        )
    titles = draw(st.lists(names.filter(lambda name: name not in COLUMNS), max_size=3, unique=True))
    for title in titles:
        for row, cell in zip(rows, draw(unknown_cells), strict=True):
            row[title] = cell
    return rows


@settings(max_examples=150)
@given(tables(), st.sampled_from(FORMATS), st.sampled_from(FORMATS))
def test_a_table_survives_two_files(rows, first, second):
    """Known columns come back exactly, unknown ones by name, and the hash does not change."""
    table = read_table(rows)
    with tempfile.TemporaryDirectory() as folder:
        one, two = Path(folder, "one" + first), Path(folder, "two" + second)
        table.write(one)
        back = read_table(one)
        back.write(two)
        again = read_table(two)
    assert back.frame.select(list(COLUMNS)).equals(table.frame.select(list(COLUMNS)))
    assert again.frame.columns == back.frame.columns == table.frame.columns
    assert table.hash == back.hash == again.hash


@settings(max_examples=50)
@given(tables(), st.randoms(use_true_random=False))
def test_hash_depends_on_content_only(rows, random):
    """Not on the order of rows or columns; but on every score."""
    table = read_table(rows)
    shuffled = [dict(random.sample(list(row.items()), len(row))) for row in rows]
    random.shuffle(shuffled)
    assert read_table(shuffled).hash == table.hash
    changed = [dict(row) for row in rows]
    changed[3]["score"] = 0.5 if changed[3]["score"] != 0.5 else 0.25
    assert read_table(changed).hash != table.hash


def test_pandas_and_polars_hand_the_table_back(rows):
    """With unknown columns of several types."""
    extra = {"when": dt.date(2026, 1, 2), "many": [1, 2], "rate": 0.5, "flag": True, "word": "w"}
    table = read_table([{**row, **extra} for row in rows()])
    assert read_table(table.to_pandas()).hash == table.hash
    assert read_table(table.to_polars()).hash == table.hash
    assert table.frame["when"][0] == "2026-01-02"
    assert table.frame["many"][0] == "[1, 2]"
    assert table.frame["flag"].dtype == pl.Boolean


@pytest.mark.parametrize("text", ["007", "1e5", "+1", " 1", "1.50", "nan", "True", "1_0"])
def test_text_that_only_looks_like_a_number_stays_text(rows, text, tmp_path: Path):
    """A version 1.50 or a code 007 is not a number, and CSV does not make it one."""
    read_table([{**row, "code": text} for row in rows()]).write(tmp_path / "t.csv")
    assert set(read_table(tmp_path / "t.csv").frame["code"]) == {text}


def test_frames_handed_out_are_copies(rows):
    """Changing what was handed out does not change the table."""
    table = read_table(rows())
    frame = table.to_polars()
    frame[0, "score"] = 0.99
    assert table.frame[0, "score"] == 0.26


def test_writing_is_all_or_nothing(rows, tmp_path: Path, monkeypatch):
    """A write that fails leaves the old file whole and nothing else behind."""
    table = read_table(rows())
    path = tmp_path / "t.csv"
    table.write(path)
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        table.write(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["t.csv"]


def test_a_written_file_has_the_permissions_of_a_new_file(rows, tmp_path: Path):
    """Not those of a private temporary file."""
    read_table(rows()).write(tmp_path / "t.csv")
    (tmp_path / "plain").touch()
    assert (tmp_path / "t.csv").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_an_unknown_extension_is_refused_before_anything_is_written(rows, tmp_path: Path):
    """The message names those there are."""
    with pytest.raises(OptionError, match=r"\.csv, \.parquet"):
        read_table(rows()).write(tmp_path / "t.xlsx")
    assert not list(tmp_path.iterdir())
