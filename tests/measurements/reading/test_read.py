from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from emergecast.errors import OptionError, TableError
from emergecast.measurements import COLUMNS, describe, examine, read_table
from emergecast.scaling import CHINCHILLA_LAWS


def problems_of(source, **options):
    """What a TableError lists."""
    with pytest.raises(TableError) as caught:
        read_table(source, **options)
    return caught.value.problems


def test_defaults_are_filled_in(rows):
    """What the schema says of absent cells is what a table gets."""
    table = [{k: v for k, v in row.items() if k not in {"series", "metric"}} for row in rows()]
    frame = read_table(table).frame
    assert frame["series"].unique().to_list() == ["default"]
    assert frame["metric"].unique().to_list() == ["acc"]
    assert frame["runs"].unique().to_list() == [1]
    assert frame["snapshot"].unique().to_list() == [False]
    assert frame["loss_source"].unique().to_list() == ["measured"]
    methods = dict(frame.select("setting", "method").unique().rows())
    assert methods == {"few_shot": None, "finetuned": "full"}


def test_columns_stand_in_the_documented_order_with_their_types(rows):
    """Known columns first, in the schema's order, then unknown ones."""
    frame = read_table([{**row, "note": "x"} for row in rows()]).frame
    assert frame.columns == [*COLUMNS, "note"]
    assert [frame.schema[name] for name in COLUMNS] == [c.dtype for c in COLUMNS.values()]


def test_missing_stays_missing(rows):
    """Nothing turns an absent measurement into 0."""
    frame = read_table(rows()).frame
    for name in ("stderr", "n_items", "params", "tokens", "flops", "loss_stderr", "epochs"):
        assert frame[name].null_count() == frame.height


def test_every_source_gives_the_same_table(rows, tmp_path: Path):
    """Records, columns, polars, pandas, a frame read again and three file formats hash alike."""
    records = rows()
    frame = pl.DataFrame(records, infer_schema_length=None)
    table = read_table(records)
    path = tmp_path / "t.csv"
    frame.write_csv(path)
    sources = [frame, frame.lazy(), frame.to_dict(as_series=False), pd.DataFrame(records), path]
    sources += [str(path), table, table.to_pandas(), table.to_polars()]
    assert {read_table(source).hash for source in sources} == {table.hash}


def test_numbers_written_as_text_are_numbers(rows):
    """A spreadsheet's text cells do not matter."""
    records = rows()
    plain = read_table([{**row, "params": 1000000000} for row in records])
    text = [
        {**row, "params": "1e9", "score": f" {row['score']}", "loss": str(row["loss"])}
        for row in records
    ]
    assert read_table(text).hash == plain.hash


def test_labels_may_be_numbers(rows):
    """Seed 0, seed 0.0 (as pandas makes it beside a gap) and seed "0" are one seed."""
    records = rows()
    hashes = {read_table([{**r, "seed": seed} for r in records]).hash for seed in (0, 0.0, "0")}
    assert len(hashes) == 1


def test_flops_are_six_n_d_unless_given(rows):
    """A stated count holds for the whole checkpoint; otherwise 6 * params * tokens."""
    records = [{**row, "params": 10**4, "tokens": 10**5} for row in rows()]
    assert set(read_table(records).frame["flops"]) == {6e9}
    records[1]["flops"] = 5e9
    by_checkpoint = dict(read_table(records).frame.select("checkpoint", "flops").unique().rows())
    assert by_checkpoint == {"weak": 5e9, "strong": 6e9}


def test_flops_of_one_row_hold_for_every_row_of_the_checkpoint(rows):
    """The last of four rows states them; the other three have that number, not 6 N D."""
    records = [{**row, "params": 10**4, "tokens": 10**5} for row in rows()]
    records[3]["flops"] = 5e9
    found = read_table(records).frame.select("checkpoint", "flops").rows()
    assert found == [("weak", 5e9)] * 4 + [("strong", 6e9)] * 4


@pytest.mark.parametrize("name", CHINCHILLA_LAWS)
def test_a_missing_loss_is_estimated_and_marked(rows, name):
    """Only the missing ones, and each says that it is an estimate."""
    records = [{**row, "params": 10**9, "tokens": 10**10} for row in rows()]
    for row in records:
        if row["checkpoint"] == "weak":
            row["loss"] = None
    frame = read_table(records, loss_from=name).frame
    found = {c: (loss, s) for c, loss, s in frame["checkpoint", "loss", "loss_source"].rows()}
    assert found["strong"] == (2.5, "measured")
    assert found["weak"] == (float(CHINCHILLA_LAWS[name].loss(1e9, 1e10)), "estimated")


def test_a_loss_column_may_be_absent_with_an_estimator(rows):
    """Params and tokens are then what is required."""
    bare = [{k: v for k, v in row.items() if k != "loss"} for row in rows()]
    full = [{**row, "params": 10**9, "tokens": 10**10} for row in bare]
    assert set(read_table(full, loss_from="hoffmann").frame["loss_source"]) == {"estimated"}
    assert {p.column for p in problems_of(bare, loss_from="hoffmann")} == {"params", "tokens"}
    assert [p.column for p in problems_of(full)] == ["loss"]
    full[2]["tokens"] = None
    (problem,) = problems_of(full, loss_from="hoffmann")
    assert (problem.row, problem.column) == (3, "tokens")


def test_unknown_constants_are_an_option_error(rows):
    """And the message names those there are."""
    with pytest.raises(OptionError, match="hoffmann, epoch"):
        read_table(rows(), loss_from="kaplan")


def test_chance_as_an_option_fills_the_gaps_only(rows):
    """A row that states its own level keeps it."""
    records = rows()
    del records[0]["chance"]
    assert sorted(set(read_table(records, chance=0.2).frame["chance"])) == [0.2, 0.25]
    with pytest.raises(OptionError, match="finite"):
        read_table(records, chance=float("nan"))


BAD_CELLS = [
    ("score", float("nan"), "finite"),
    ("score", float("inf"), "finite"),
    ("score", 1.3, "percentage"),
    ("score", 26.1, "Divide by 100"),
    ("score", -0.1, "outside its range"),
    ("score", None, "missing"),
    ("score", "N/A", "not a number"),
    ("score", True, "not a number"),
    ("score", "0_1", "without underscores"),
    ("loss", -2.0, "not above 0"),
    ("loss", 0, "not above 0"),
    ("loss", None, "missing"),
    ("loss_stderr", -0.1, "below 0"),
    ("stderr", -0.01, "below 0"),
    ("chance", None, "no chance level"),
    ("chance", 1.5, "outside its range"),
    ("examples", 0, "below 1"),
    ("examples", 2.5, "whole number"),
    ("examples", None, "on how many examples"),
    ("examples", 2.0**60, "too large"),
    ("setting", "zero_shot", "few_shot or finetuned"),
    ("setting", None, "missing"),
    ("method", "lora", "lora-<rank>"),
    ("method", "lora-0", "lora-<rank>"),
    ("method", "lora-<rank>", "lora-<rank>"),
    ("loss_source", "guessed", "measured or estimated"),
    ("snapshot", "maybe", "true or false"),
    ("checkpoint", None, "missing"),
    ("task", "  ", "missing"),
    ("params", -1, "below 1"),
    ("n_items", 0, "below 1"),
    ("runs", 0, "below 1"),
    ("shots", -1, "below 0"),
    ("epochs", 0, "not above 0"),
    ("seed", ["a"], "not a name"),
]


@pytest.mark.parametrize(("column", "value", "says"), BAD_CELLS)
def test_a_bad_cell_is_named_with_row_column_value_and_remedy(rows, column, value, says):
    """Exactly one problem, and it points at the cell."""
    records = rows()
    records[6][column] = value
    (problem,) = problems_of(records)
    assert (problem.file, problem.row, problem.column) == ("<table>", 7, column)
    assert says in f"{problem.what} {problem.remedy}"
    assert problem.remedy.endswith(".")
    if value is not None and not str(value).isspace():
        assert problem.value is not None


@pytest.mark.parametrize("column", ["examples", "epochs", "method"])
def test_a_few_shot_row_has_nothing_finetuned(rows, column):
    """Examples in the prompt are shots."""
    records = rows()
    records[0][column] = {"examples": 5, "epochs": 1.0, "method": "full"}[column]
    (problem,) = problems_of(records)
    assert (problem.row, problem.column) == (1, column)


@pytest.mark.parametrize("method", ["full", "lora-1", "lora-64", "prefix"])
def test_known_methods_are_accepted(rows, method):
    """LoRA of any rank is a method of its own."""
    records = [r | {"method": method} if r["setting"] == "finetuned" else r for r in rows()]
    assert method in set(read_table(records).frame["method"])


def test_all_problems_are_reported_at_once(rows):
    """Not the first only, and a cell is never reported twice."""
    records = rows()
    records[1]["score"] = "high"
    records[2]["loss"] = None
    records[2]["examples"] = None
    records[4]["chance"] = None
    found = [(p.row, p.column) for p in problems_of(records)]
    assert sorted(found) == [(2, "score"), (3, "examples"), (3, "loss"), (5, "chance")]


def test_two_losses_of_one_checkpoint_on_one_corpus(rows):
    """An error on one corpus, and two measurements on two."""
    records = rows()
    records[1]["loss"] = 2.9
    (problem,) = problems_of(records)
    assert (problem.row, problem.column, problem.value) == (2, "loss", "2.9")
    assert "row 1" in problem.what
    records[1]["loss_corpus"] = "c4"
    assert len(read_table(records)) == 8


@pytest.mark.parametrize(
    ("fact", "one", "other"),
    [("params", 10**4, 20000), ("tokens", 10, 20), ("flops", 1e20, 2e20), ("tokenizer", "a", "b")],
)
def test_two_facts_about_one_checkpoint(rows, fact, one, other):
    """The same name in another series is another checkpoint."""
    records = rows()
    records[0][fact] = one
    records[1][fact] = other
    (problem,) = problems_of(records)
    assert (problem.row, problem.column) == (2, fact)
    records[1]["series"] = "t"
    assert len(read_table(records)) == 8


def test_duplicates_name_both_rows(rows):
    """Whatever was measured, the same key is the same measurement; a seed tells two apart."""
    records = rows()
    records.append({**records[2], "score": 0.5, "n_items": 7})
    (problem,) = problems_of(records)
    assert problem.row == 9
    assert "row 3" in problem.what
    records[-1]["seed"] = 1
    assert len(read_table(records)) == 9


def test_missing_columns_suggest_a_misspelt_one(rows):
    """Also by another word: `acuracy` is a score, `check_point` a checkpoint."""
    records = [
        {{"score": "acuracy", "checkpoint": "check_point"}.get(k, k): v for k, v in row.items()}
        for row in rows()
    ]
    found = {p.column: p.remedy for p in problems_of(records)}
    assert found["score"] == 'Rename the column "acuracy" to score if that is what it holds.'
    assert '"check_point"' in found["checkpoint"]
    assert len(found) == 2


def test_an_optional_column_that_looks_misspelt_is_pointed_out(rows):
    """It is kept, so it is no error."""
    table = read_table([{**row, "n_item": 5} for row in rows()])
    assert "n_item" in table.frame.columns
    assert "did you mean n_items?" in table.warnings[0]


def test_many_problems_of_one_kind_print_in_a_few_lines():
    """All are kept; three and a count are printed."""
    good = {"checkpoint": "c", "loss": 2.0, "task": "t", "setting": "finetuned", "chance": 0.25}
    records = [{**good, "examples": i + 1, "score": 30.0 + i} for i in range(60)]
    with pytest.raises(TableError) as caught:
        read_table(records)
    assert len(caught.value.problems) == 60
    text = str(caught.value)
    assert text == describe(caught.value.problems)
    assert "and 57 more rows" in text
    assert len(text.splitlines()) == 5


def test_examining_keeps_the_good_rows(rows):
    """What is right can be shown beside what is wrong."""
    records = rows()
    records[3]["score"] = 7
    examined = examine(records)
    assert examined.table is not None
    assert len(examined.table) == 7
    assert len(examined.problems) == 1


FILES = {
    "no such file": ("missing.csv", None),
    "is empty": ("empty.csv", b""),
    "is empty.": ("bom.csv", b"\xef\xbb\xbf"),
    "extension": ("table.xlsx", b"PK"),
    "binary": ("binary.csv", b"a,b\n\x00\x01"),
    "not UTF-8": ("latin.csv", "checkpoint,loss\ncaf\u00e9,2\n".encode("latin-1")),
    "has 1 cells": ("ragged.csv", b"a,b\n1,2\n3\n"),
    "not CSV": ("quotes.csv", b'a,b\n"1,2\n'),
    "something other than commas": ("semicolon.csv", b"checkpoint;loss\na;2\n"),
    "more than once": ("twice.csv", b"loss,loss\n1,2\n"),
    "no rows": ("header.csv", b"checkpoint,loss\n"),
    "is not JSON": ("broken.jsonl", b'{"a": 1}\n{"a": \n'),
    "not a JSON object": ("list.jsonl", b"[1, 2]\n"),
    "whole Parquet": ("cut.parquet", b"PAR1abcPAR1"),
    "not a whole": ("text.parquet", b"checkpoint,loss\n"),
}


@pytest.mark.parametrize("says", FILES)
def test_an_unreadable_file_says_what_is_wrong(tmp_path: Path, says):
    """Each kind of broken file has its own words, and names the file."""
    name, content = FILES[says]
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    problems = problems_of(path)
    assert any(says.rstrip(".") in p.what for p in problems)
    assert all(p.file == str(path) for p in problems)


def test_a_folder_is_not_a_table(tmp_path: Path):
    """Even one with the name of a table."""
    (tmp_path / "x.csv").mkdir()
    assert "folder" in problems_of(tmp_path / "x.csv")[0].what


@pytest.mark.parametrize("source", [3, None, b"a,b", [1, 2], {"a": 1}, {"a": [1], "b": [1, 2]}, []])
def test_what_is_not_a_table_is_refused(source):
    """With a TableError, never with a traceback of another kind."""
    assert problems_of(source)


def test_csv_rows_are_counted_without_header_and_blank_lines(tmp_path: Path, rows):
    """Row 1 is the first row of data."""
    records = rows()
    records[2]["score"] = 9
    path = tmp_path / "t.csv"
    pl.DataFrame(records, infer_schema_length=None).write_csv(path)
    path.write_text(path.read_text().replace("\n", "\n\n"))
    (problem,) = problems_of(path)
    assert (problem.file, problem.row, problem.value) == (str(path), 3, "9.0")


def test_a_ragged_row_is_counted_like_any_other(tmp_path: Path):
    """Blank lines and cells of several lines do not shift the count."""
    path = tmp_path / "t.csv"
    path.write_text('a,b\n\n"x\ny",1\n\n2\n3,4,5\n')
    found = [(p.row, p.what) for p in problems_of(path)]
    assert found == [
        (2, "the row has 1 cells where the header has 2."),
        (3, "the row has 3 cells where the header has 2."),
    ]


def test_a_negative_zero_is_zero(rows):
    """Nobody wants to read a score of -0.000."""
    frame = read_table([{**row, "metric": "mcc", "score": "-0.0"} for row in rows()]).frame
    assert {math.copysign(1, score) for score in frame["score"]} == {1.0}


def test_a_pandas_index_with_a_name_is_a_column(rows):
    """A table indexed by checkpoint has lost nothing; NaN is how pandas says missing."""
    frame = pd.DataFrame(rows())
    assert read_table(frame.set_index("checkpoint")).hash == read_table(frame).hash
    frame.loc[1, "score"] = np.nan
    (problem,) = problems_of(frame)
    assert problem.what == "the score is missing."


def test_a_nan_that_is_written_out_is_a_problem(tmp_path: Path, rows):
    """In JSON Lines and in polars a NaN is a value, not a gap."""
    records = rows()
    records[0]["score"] = float("nan")
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in records))
    for source in (path, pl.DataFrame(records, infer_schema_length=None)):
        (problem,) = problems_of(source)
        assert "finite" in problem.what


def test_repr_says_what_a_reader_wants_to_know(rows):
    """Rows, settings, loss range, tasks; as text and as HTML with names escaped."""
    table = read_table([{**row, "task": "a<b"} for row in rows()])
    assert "8 (2 few_shot, 6 finetuned on 3 amounts of data)" in repr(table)
    assert "2.5 to 3 nats per token, measured" in repr(table)
    assert table.tasks == ("a<b",)
    assert table.series == ("s",)
    assert "a&lt;b" in table._repr_html_()
