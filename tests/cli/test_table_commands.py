from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.flat import flat
from typer.testing import CliRunner

from emergecast.cli import app
from emergecast.measurements import read_table

RESULT = {
    "results": {"quiz": {"acc,none": 0.3, "acc_stderr,none": 0.01, "alias": "quiz"}},
    "group_subtasks": {"quiz": []},
    "configs": {"quiz": {"doc_to_choice": ["A", "B"], "output_type": "multiple_choice"}},
    "n-shot": {"quiz": 3},
}


def call(*arguments: object):
    """What the command does with these arguments."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """The example table, as a file."""
    path = tmp_path / "example.csv"
    assert call("template", "-o", path).exit_code == 0
    return path


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder of three result files, one of them broken, with metadata."""
    folder = tmp_path / "results"
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        (folder / name / "quiz.json").write_text(json.dumps(RESULT))
    (folder / "c").mkdir()
    (folder / "c" / "quiz.json").write_text("{")
    (tmp_path / "meta.csv").write_text("checkpoint,loss\na,3\nb,2\nc,1\n")
    return folder


def importing(results: Path, *more: object):
    """What an import does, and where it writes."""
    out = results.parent / "t.parquet"
    meta = results.parent / "meta.csv"
    pattern = "{checkpoint}/{task}.json"
    fixed = ["import", "lm-eval", results, "--pattern", pattern, "--checkpoints", meta, "-o", out]
    return call(*fixed, *more), out


def test_template_prints_or_writes_and_never_overwrites(table: Path):
    """The same rows either way; a file that is there stays."""
    assert len(call("template").stdout.splitlines()) == len(read_table(table)) + 1
    before = table.read_bytes()
    again = call("template", "-o", table)
    assert again.exit_code == 2
    assert "is there already" in flat(again.stderr)
    assert table.read_bytes() == before


def test_check_shows_a_grid_and_says_that_nothing_is_wrong(table: Path):
    """Checkpoints from weak to strong, settings from left to right."""
    result = call("check", table)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    header = next(line for line in lines if line.startswith("checkpoint "))
    assert header.split() == [
        "checkpoint",
        "loss",
        "5-shot",
        "D=100",
        "D=1000",
        "D=10000",
        "D=100000",
    ]
    names = [line.split()[0] for line in lines if line.startswith("example-")]
    assert names[0] == "example-1b-step10k"
    assert names[-1] == "example-7b-step100k"
    assert "Nothing is wrong" in result.stdout
    assert result.stderr == ""


def test_check_lists_everything_that_is_wrong(table: Path):
    """All problems on standard error, the good rows still shown, exit status 2."""
    lines = table.read_text().splitlines()
    lines[1] = lines[1].replace("0.249", "1.249")
    lines[3] = lines[3].replace("2.7,", "-2.7,", 1)
    table.write_text("\n".join(lines))
    result = call("check", table)
    assert result.exit_code == 2
    assert "example-7b-step100k" in result.stdout
    assert "row 1, column score" in flat(result.stderr)
    assert "row 3, column loss" in flat(result.stderr)
    report = json.loads(call("check", table, "--json").stdout)
    assert [(p["row"], p["column"]) for p in report["problems"]] == [(3, "loss"), (1, "score")]
    assert report["rows"] == 43


def test_check_as_json_of_a_good_table(table: Path):
    """One object, with the hash that a forecast will name."""
    report = json.loads(call("check", table, "--json").stdout)
    assert report["table_hash"] == read_table(table).hash
    assert report["problems"] == []
    assert len(report["grids"][0]["rows"]) == 5


def test_check_takes_chance_and_an_estimator(tmp_path: Path):
    """What the table lacks can be given on the command line."""
    path = tmp_path / "t.csv"
    path.write_text("checkpoint,params,tokens,task,setting,score\na,1e9,1e10,t,few_shot,0.3\n")
    assert call("check", path).exit_code == 2
    result = call("check", path, "--chance", "0.25", "--loss-from", "epoch")
    assert result.exit_code == 0
    assert "~ estimated loss" in result.stdout
    wrong = call("check", path, "--loss-from", "kaplan")
    assert wrong.exit_code == 2
    assert "hoffmann, epoch" in flat(wrong.stderr)


def test_check_takes_an_axis_and_a_shift(tmp_path: Path):
    """A table without losses and examples is then a good one, and is shown along its own axis."""
    path = tmp_path / "t.csv"
    header = "checkpoint,params,task,setting,hint,score,chance\n"
    rows = [
        f"m{i},{size},t,few_shot,{hint},{0.25 + 0.1 * hint * i},0.25\n"
        for i, size in enumerate((10**8, 10**9, 10**10))
        for hint in (0, 1, 2)
    ]
    path.write_text(header + "".join(rows))
    assert call("check", path).exit_code == 2
    result = call("check", path, "--axis", "params", "--shift", "hint")
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["checkpoint", "params", "few-shot", "hint=1", "hint=2"] in lines
    assert ["m1", "1e+09", "0.250", "0.350", "0.450"] in lines
    assert "no column of numbers" in flat(call("check", path, "--axis", "size").stderr)


def test_check_warns_of_a_chance_level_that_scores_contradict(tmp_path: Path):
    """And then does not say that nothing is wrong."""
    path = tmp_path / "t.csv"
    rows = [
        f"c{i},{3 - 0.1 * i:.1f},t,few_shot,{0.01 + 0.002 * i:.3f},1000,0.25\n" for i in range(8)
    ]
    path.write_text("checkpoint,loss,task,setting,score,n_items,chance\n" + "".join(rows))
    result = call("check", path)
    assert result.exit_code == 0
    assert "8 of 8 scores lie more than three standard errors below" in result.stdout
    assert "Nothing is wrong" not in result.stdout
    warnings = json.loads(call("check", path, "--json").stdout)["warnings"]
    assert any("three standard errors below" in warning for warning in warnings)


def test_import_says_why_rows_count_as_finetuned(tmp_path: Path):
    """On the screen, and as JSON."""
    for step in (10, 20):
        folder = tmp_path / "r" / "a" / f"step_{step}"
        folder.mkdir(parents=True)
        (folder / "quiz.json").write_text(json.dumps(RESULT))
    (tmp_path / "meta.csv").write_text("checkpoint,loss\na,3\n")
    words = [
        "import",
        "lm-eval",
        tmp_path / "r",
        "--pattern",
        "{checkpoint}/step_{step}/{task}.json",
    ]
    words += ["--batch-size", 8, "--checkpoints", tmp_path / "meta.csv", "--dry-run"]
    sentence = "2 rows count as finetuned, because their path has {step}."
    assert sentence in " ".join(call(*words).stdout.split())
    assert json.loads(call(*words, "--json").stdout)["notes"][0].startswith(sentence)


def test_bad_input_ends_in_a_message_and_status_2(tmp_path: Path):
    """Never in a traceback; as JSON where JSON was asked for."""
    missing = tmp_path / "missing.csv"
    result = call("check", missing)
    assert result.exit_code == 2
    assert result.stderr.startswith("emergecast: 1 problem:")
    assert "Traceback" not in result.stderr
    report = json.loads(call("check", missing, "--json").stdout)
    assert report["problems"][0]["file"] == str(missing)
    assert "no such file" in report["error"]
    assert call("check").exit_code == 2
    assert call("nothing").exit_code == 2


def test_a_file_that_cannot_be_written_ends_in_status_2(tmp_path: Path):
    """A folder that does not exist is named."""
    path = tmp_path / "no" / "t.csv"
    result = call("template", "-o", path)
    assert result.exit_code == 2
    assert f'"{path}"' in flat(result.stderr)
    assert "No such file or directory" in flat(result.stderr)


def test_import_writes_a_table(results: Path):
    """And says what it read."""
    (results / "c" / "quiz.json").unlink()
    result, out = importing(results)
    assert result.exit_code == 0
    assert "2 read, 0 not matched" in result.stdout
    assert set(read_table(out).frame["checkpoint"]) == {"a", "b"}
    assert set(read_table(out).frame["chance"]) == {0.5}


def test_a_broken_file_stops_the_import_before_anything_is_written(results: Path):
    """Unless told to go on; then it is named and the rest is written."""
    result, out = importing(results)
    assert result.exit_code == 2
    assert "c/quiz.json" in flat(result.stderr)
    assert not out.exists()
    result, out = importing(results, "--keep-going")
    assert result.exit_code == 0
    assert "c/quiz.json" in flat(result.stderr)
    assert len(read_table(out)) == 2


def test_a_dry_run_writes_nothing(results: Path):
    """But reads everything, and needs no name for the table."""
    result, out = importing(results, "--keep-going", "--dry-run")
    assert result.exit_code == 0
    assert "Wrote nothing" in result.stdout
    assert not out.exists()


def test_import_reports_as_json(results: Path):
    """One object, with what was left out and why."""
    result, out = importing(results, "--keep-going", "--json", "--chance", "quiz/acc=0.4")
    report = json.loads(result.stdout)
    assert report["out"] == str(out)
    assert (report["rows"], report["files_read"]) == (2, 2)
    assert report["problems"][0]["file"] == "c/quiz.json"
    assert report["table_hash"] == read_table(out).hash
    assert set(read_table(out).frame["chance"]) == {0.4}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--chance", "acc=high"], "not a number"),
        (["--batch-size", "0"], "--batch-size 0"),
        (["-o", "t.xlsx"], "extension"),
        (["--checkpoints", "missing.csv"], "no such file"),
    ],
)
def test_impossible_import_options_say_so(results: Path, arguments, says):
    """With status 2."""
    result, _ = importing(results, *arguments)
    assert result.exit_code == 2
    assert says in flat(result.stderr)


def test_import_needs_a_name_for_the_table(results: Path):
    """Or --dry-run."""
    result = call("import", "lm-eval", results)
    assert result.exit_code == 2
    assert "-o TABLE" in flat(result.stderr)


def test_help_does_not_load_the_numerical_libraries():
    """So that `emergecast --help` answers at once."""
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from emergecast.cli import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "heavy = {'polars', 'numpy', 'scipy', 'pandas', 'altair'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "command", [[], ["template"], ["check"], ["import"], ["import", "lm-eval"]]
)
def test_every_command_explains_itself(command):
    """Each command's help has an example of its use."""
    result = call(*command, "--help")
    assert result.exit_code == 0
    if command and command != ["import"]:
        assert "Example: " in result.stdout
