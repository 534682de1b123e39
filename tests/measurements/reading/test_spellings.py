"""Tables as other programs write them: read as they are meant, or refused in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from emergecast.errors import TableError
from emergecast.measurements import describe, examine, metric_of, read_table

HEADER = "checkpoint,loss,task,setting,shots,examples,subset,score,n_items,chance"
ROWS = (
    "a,3.0,t,few_shot,5,,,0.26,200,0.25",
    "a,3.0,t,finetuned,0,100,0,0.31,200,0.25",
    "b,2.5,t,few_shot,5,,,0.27,200,0.25",
)


@pytest.fixture
def plain(tmp_path: Path) -> str:
    """Hash of the table in its plain form."""
    return read_table(csv(tmp_path, HEADER, *ROWS)).hash


def csv(folder: Path, *lines: str) -> Path:
    """A file of these lines."""
    path = folder / "t.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def problems(path: Path) -> list[str]:
    """What is wrong with a table, as printed."""
    with pytest.raises(TableError) as caught:
        read_table(path)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("mark", ["NaN", "nan", "NA", "N/A", "None", "null", "<NA>"])
def test_marks_of_nothing_are_read_in_optional_cells(tmp_path: Path, plain: str, mark: str):
    """Numbers, names and words alike."""
    rows = [row.replace(",,,", f",{mark},{mark},") for row in ROWS]
    assert read_table(csv(tmp_path, HEADER, *rows)).hash == plain


def test_a_mark_of_nothing_is_no_score(tmp_path: Path):
    """What every row needs must be there."""
    (problem,) = problems(csv(tmp_path, HEADER, ROWS[0].replace("0.26", "NaN")))
    assert "column score" in problem


def test_blank_rows_and_commas_at_the_end_are_left_alone(tmp_path: Path, plain: str):
    """As spreadsheets write them, below the table and behind it."""
    blank = "," * HEADER.count(",")
    assert read_table(csv(tmp_path, HEADER, *ROWS, blank, blank)).hash == plain
    wide = [f"{line},," for line in (HEADER, *ROWS)]
    assert read_table(csv(tmp_path, *wide, f"{blank},,")).hash == plain


@pytest.mark.parametrize(
    ("title", "line"),
    [
        (["Results of my ladder"], 2),
        (["Results of my ladder" + "," * 9], 2),
        (["Results, of my ladder", "", "measured in May"], 4),
    ],
)
def test_a_title_above_the_header_takes_one_sentence(tmp_path: Path, title: list[str], line: int):
    """Instead of one problem for each row."""
    (problem,) = problems(csv(tmp_path, *title, HEADER, *ROWS))
    assert "starts with a title" in problem
    assert f"(line {line})" in problem


def test_capitals_do_not_matter(tmp_path: Path, plain: str):
    """In the names of columns."""
    header = "Checkpoint,LOSS,Task,Setting,Shots,Examples,Subset,Score,N_Items,Chance"
    assert read_table(csv(tmp_path, header, *ROWS)).hash == plain


def test_words_of_evaluators_are_read_and_said(tmp_path: Path, plain: str):
    """Standard errors, items and shots."""
    header = HEADER.replace("n_items", "n_samples").replace("shots", "num_fewshot")
    table = read_table(csv(tmp_path, header, *ROWS))
    assert table.hash == plain
    assert [w.partition(": ")[2] for w in table.warnings] == [
        'the column "num_fewshot" is read as shots.',
        'the column "n_samples" is read as n_items.',
    ]
    frame = read_table(csv(tmp_path, HEADER.replace("n_items", "se"), *_errors())).frame
    assert frame["stderr"].to_list() == [0.03, 0.03, 0.03]


def _errors() -> list[str]:
    return [row.replace(",200,", ",0.03,") for row in ROWS]


def test_n_counts_items_only_where_items_could_be_meant(tmp_path: Path):
    """Sizes of models and shares stay what they are."""
    header = HEADER.replace("n_items", "n")
    assert set(read_table(csv(tmp_path, header, *ROWS)).frame["n_items"]) == {200}
    large = [row.replace(",200,", ",7000000000,") for row in ROWS]
    frame = read_table(csv(tmp_path, header, *large)).frame
    assert frame["n_items"].null_count() == 3
    assert set(frame["n"]) == {7 * 10**9}
    upper = read_table(csv(tmp_path, header.replace(",n,", ",N,"), *ROWS)).frame
    assert upper["n_items"].null_count() == 3


def test_a_synonym_never_replaces_the_column_itself(tmp_path: Path):
    """Both are kept."""
    header = HEADER.replace("subset", "n_samples")
    rows = [row.replace(",100,0,", ",100,7,").replace(",,,", ",,8,") for row in ROWS]
    frame = read_table(csv(tmp_path, header, *rows)).frame
    assert set(frame["n_items"]) == {200}
    assert frame["n_samples"].to_list() == [8, 7, 8]


def test_lines_are_those_of_an_editor(tmp_path: Path):
    """Header, blank lines and cells of several lines count."""
    quoted = ROWS[1].replace("a,3.0,t,", 'a,3.0,"t\nu",')
    path = csv(tmp_path, "", HEADER, ROWS[0], "", quoted, ROWS[2].replace("0.27", "27"))
    (problem,) = problems(path)
    assert ", line 7, row 3, column score" in problem
    lines = path.read_text().splitlines()
    assert "27" in lines[7 - 1]


def test_thousands_of_problems_of_many_kinds_take_a_screen(tmp_path: Path):
    """About twenty lines, the frequent causes first, and a count of the rest."""
    columns = [*HEADER.split(","), "params", "tokens", "runs", "epochs", "flops", "loss_stderr"]
    bad = ",".join("-1" if name not in {"task", "checkpoint"} else "x" for name in columns)
    path = csv(tmp_path, ",".join(columns), *[bad] * 2000)
    found = examine(path).problems
    assert len(found) > 20_000
    lines = describe(found).splitlines()
    assert len(lines) <= 20
    assert lines[0] == f"{len(found):,} problems:"


@pytest.mark.parametrize(
    "header",
    [
        "params,data,task,step,seed,chinchilla,tokens,compute,metrics",
        "params,data,step,seed,eval/c4_en-validation/Perplexity",
    ],
)
def test_published_tables_are_refused_by_name(tmp_path: Path, header: str):
    """One sentence says what they are, and what to do."""
    cells = ",".join("1" for _ in header.split(","))
    (problem,) = problems(csv(tmp_path, header, cells))
    assert "DataDecide" in problem


@pytest.mark.parametrize("name", ["wer", "cer", "ppl", "word_perplexity"])
def test_errors_and_perplexities_are_better_where_they_are_lower(name: str):
    """So that nobody has to say so."""
    assert metric_of(name).lower_is_better
    assert metric_of(name).known


def test_pass_at_1_has_two_spellings():
    """One registry entry."""
    assert metric_of("pass_at_1") == metric_of("pass@1")


@pytest.mark.parametrize("name", ["na_rep", "trailing_commas", "case", "se_named_se"])
def test_cases_that_are_read(shared_data: Path, name: str):
    """All rows of each table."""
    assert len(read_table(shared_data / "cases" / "tables" / f"{name}.csv")) == 77


def test_case_of_a_title(shared_data: Path):
    """One sentence."""
    assert len(problems(shared_data / "cases" / "tables" / "title_line.csv")) == 1
