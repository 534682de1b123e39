from __future__ import annotations

import itertools
import tempfile
from decimal import Decimal
from pathlib import Path

import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emergecast.errors import SelectionError, TableError
from emergecast.measurements import (
    COLUMNS,
    Measurements,
    SelectOptions,
    fits_of,
    grid,
    read_table,
    select,
)

words = st.sampled_from(
    ["few_shot", "finetuned", "full", "lora-4", "acc", "mcc", "brier_score", "a", "b", "measured"]
)
words |= st.sampled_from(["1e9", "nan", "-1", "0.5", "1.3", "true", "N/A", "1_000", "", " "])
words |= st.sampled_from(["\ud800", "x\0y", "10" * 40])
cells = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 100),
    st.just(10**5000),
    st.floats(),
    st.floats(0, 1),
    words,
    st.text(max_size=5),
    st.just([1]),
    st.just({"k": None}),
    st.sampled_from([Decimal("0.5"), Decimal("NaN"), Decimal("sNaN"), b"bytes"]),
)
columns = st.sampled_from([*COLUMNS, *COLUMNS, "Score", "scores", " loss", "", "extra"])
likely = st.fixed_dictionaries(
    {
        "checkpoint": st.sampled_from(["a", "b", "c"]),
        "loss": st.sampled_from([2.0, 3.0, 2.5]) | cells,
        "task": st.just("t"),
        "setting": st.sampled_from(["few_shot", "finetuned"]),
        "score": st.floats(0, 1) | cells,
        "chance": st.just(0.25),
    },
    optional={"examples": st.integers(1, 5) | cells, "seed": st.integers(0, 20)},
)


def end_well(source, **options) -> None:
    """A table or a TableError; and what can be read can be looked at and selected from."""
    try:
        table = read_table(source, **options)
    except TableError as error:
        said = str(error), error.problems
        assert all(said)
        return
    assert isinstance(table, Measurements)
    assert repr(table)
    assert table._repr_html_()
    assert grid(table)
    for pool, at_chance in itertools.product((True, False), repeat=2):
        wanted = SelectOptions(pool=pool, at_chance_only=at_chance)
        for fit in fits_of(table, wanted):
            select_well(table, fit)


def select_well(table: Measurements, options: SelectOptions) -> None:
    """Rows with finite scores, or a SelectionError that says something."""
    try:
        found = select(table, options)
    except SelectionError as error:
        said = str(error)
        assert said
        return
    assert found.rows.height > 0
    assert found.rows["score"].is_finite().all()


@settings(max_examples=1000)
@given(st.lists(st.dictionaries(columns, cells, max_size=12) | likely, max_size=6))
def test_records_end_in_a_table_or_a_table_error(records):
    """Whatever the cells hold."""
    end_well(records, chance=0.25, loss_from="epoch")


@settings(max_examples=500)
@given(st.lists(likely, min_size=1, max_size=6))
def test_likely_records_end_well_too(records):
    """Nearly good tables, which reach the later rules."""
    end_well(records)


@settings(max_examples=300)
@given(st.dictionaries(columns, st.lists(cells, max_size=4) | cells, max_size=12))
def test_columns_end_in_a_table_or_a_table_error(source):
    """Also where they are ragged or no lists at all."""
    end_well(source)


@settings(max_examples=500)
@given(st.lists(likely, min_size=1, max_size=5))
def test_frames_end_in_a_table_or_a_table_error(records):
    """Polars and pandas, with whatever types they infer (and where they can be made at all)."""
    for make in (pd.DataFrame, _polars):
        try:
            frame = make(records)
        except (
            ArithmeticError,
            TypeError,
            ValueError,
            pl.exceptions.PolarsError,
            pl.exceptions.PanicException,
        ):
            continue
        end_well(frame)


def _polars(records) -> pl.DataFrame:
    # Polars prints a page about a signalling NaN before it gives up, so it gets none.
    tame = [{k: None if isinstance(v, Decimal) else v for k, v in r.items()} for r in records]
    return pl.DataFrame(tame, strict=False, infer_schema_length=None)


@settings(max_examples=300)
@given(st.binary(max_size=80), st.sampled_from([".csv", ".jsonl", ".parquet"]))
def test_bytes_end_in_a_table_or_a_table_error(content, suffix):
    """Any file under any of the extensions."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "t" + suffix)
        path.write_bytes(content)
        end_well(path)


@settings(max_examples=300)
@given(st.lists(st.lists(words | st.text('",\r\n;a1 ', max_size=4), max_size=7), max_size=6))
def test_csv_text_ends_in_a_table_or_a_table_error(lines):
    """A good header over rows of anything."""
    text = "checkpoint,loss,task,setting,examples,score,chance\n"
    text += "\n".join(",".join(line) for line in lines)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "t.csv")
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        end_well(path)


@settings(max_examples=40)
@given(st.data())
def test_a_cut_parquet_file_ends_in_a_table_error(data):
    """Cut anywhere, as by a full disk or a broken download, with or without its end mark."""
    table = read_table(
        {"checkpoint": ["a", "b"], "loss": [2, 3], "task": ["t"] * 2, "setting": ["few_shot"] * 2}
        | {"score": [0.25, 0.5], "chance": [0.25] * 2}
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "t.parquet")
        table.write(path)
        content = path.read_bytes()
        place = data.draw(st.integers(0, len(content) - 1))
        path.write_bytes(content[:place] + data.draw(st.sampled_from([b"", b"PAR1"])))
        with pytest.raises(TableError):
            read_table(path)
