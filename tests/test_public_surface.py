"""What `import emergecast` offers, and what it costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

import emergecast
from emergecast.errors import OptionError
from emergecast.forecasts import ForecastOptions
from emergecast.inference import FitOptions
from emergecast.measurements import SelectOptions
from tests import designs

NAMES = [
    "EmergecastError", "Fit", "FitOptions", "Forecast", "ForecastOptions", "Measurements",
    "Posterior", "Priors", "SelectOptions", "Verdict", "backtest", "compare", "fit", "forecast",
    "forecast_each", "read_table", "simulate", "suggest",
]  # fmt: skip


def run(code: str) -> None:
    """The code in a Python of its own; its assertions are this test's."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_public_names_are_exactly_these_in_order():
    """Adding a name is a decision."""
    assert emergecast.__all__ == NAMES == sorted(NAMES)
    for name in NAMES:
        assert getattr(emergecast, name).__name__ == name
    assert dir(emergecast) == sorted([*NAMES, "__version__"])


def test_an_unknown_name_is_an_attribute_error():
    """With the name in it; and a version is there."""
    with pytest.raises(AttributeError, match="no attribute 'forecats'"):
        _ = emergecast.forecats
    assert emergecast.__version__[0].isdigit()


def test_importing_loads_no_numerical_library():
    """Nor does looking at what there is."""
    run(
        "import sys, emergecast\n"
        "dir(emergecast), emergecast.__all__, emergecast.__version__\n"
        "heavy = {'numpy', 'polars', 'scipy', 'pandas', 'altair', 'typer', 'rich'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )


def test_fitting_loads_no_plotting_or_learning_library():
    """Pictures are for who draws them; pandas for who brings it."""
    run(
        "import sys, emergecast\n"
        "from emergecast.measurements import template\n"
        "options = emergecast.ForecastOptions(bootstraps=0)\n"
        "fitting = emergecast.FitOptions(few_shot_examples=5)\n"
        "emergecast.forecast(template(), fitting=fitting, options=options)\n"
        "heavy = {'altair', 'vl_convert', 'pandas', 'torch', 'arviz', 'matplotlib', 'typer'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )


def test_no_room_bears_a_public_name():
    """Importing a room would overwrite the attribute of that name."""
    rooms = {path.stem for path in Path(emergecast.__file__).parent.iterdir()}
    assert not rooms & set(NAMES)
    assert rooms >= {"forecasts", "inference", "measurements"}


def test_functions_stay_functions_whatever_is_imported_first():
    """After every room was imported, each lower-case name is still the function."""
    run(
        "import emergecast, importlib, inspect, pkgutil\n"
        "for room in pkgutil.iter_modules(emergecast.__path__):\n"
        "    if room.name != '__main__':\n"
        "        importlib.import_module('emergecast.' + room.name)\n"
        "for name in emergecast.__all__:\n"
        "    kind = inspect.isfunction if name[0].islower() else inspect.isclass\n"
        "    assert kind(getattr(emergecast, name)), name\n"
    )


def test_a_fit_takes_no_way_of_fitting(rows: list[designs.Row]):
    """How a table is fitted is said where it is fitted; an error of ours says so."""
    fit = emergecast.fit(rows, options=FitOptions(law="log-power"))
    with pytest.raises(emergecast.EmergecastError, match="fitting say how a table is fitted"):
        emergecast.forecast(fit, fitting=FitOptions(law="power"))


@pytest.fixture(scope="module")
def rows() -> list[designs.Row]:
    """A small table."""
    return designs.rows(losses=designs.DENSE[::4], amounts=(64, 512, 4096))


def test_every_kind_of_table_gives_the_same_forecast(rows: list[designs.Row], tmp_path: Path):
    """Records, polars, pandas, a mapping, three kinds of file as text or as a path."""
    frame = pl.DataFrame(rows, infer_schema_length=None)
    sources: list[object] = [rows, frame, pd.DataFrame(rows), frame.to_dict(as_series=False)]
    for suffix in ("csv", "parquet", "jsonl"):
        path = tmp_path / f"t.{suffix}"
        emergecast.read_table(frame).write(path)
        sources += [path, str(path)]
    records = [
        emergecast.forecast(source, options=ForecastOptions(bootstraps=0)).to_dict()
        for source in sources[:5]
    ]
    assert all(record == records[0] for record in records)
    hashes = {emergecast.fit(source).selection.table_hash for source in sources}
    assert hashes == {records[0]["table_hash"]}
    table = emergecast.read_table(rows)
    assert emergecast.read_table(table) is table
    assert emergecast.fit(table).selection.table_hash in hashes


def test_pandas_in_pandas_out(rows: list[designs.Row]):
    """The cells that came, in the columns that came."""
    frame = pd.DataFrame(rows)
    back = emergecast.read_table(frame).to_pandas()
    assert isinstance(back, pd.DataFrame)
    pd.testing.assert_frame_equal(back[frame.columns], frame, check_dtype=False)
    assert isinstance(emergecast.read_table(frame).to_polars(), pl.DataFrame)


def test_what_is_no_record_of_options_is_an_error_that_names_it(rows: list[designs.Row]):
    """Of ours, in every function that takes options."""
    wrong: object = {"law": "power"}
    for call in (
        lambda: emergecast.fit(rows, wrong),  # type: ignore[arg-type]
        lambda: emergecast.fit(rows, options=wrong),  # type: ignore[arg-type]
        lambda: emergecast.forecast(emergecast.fit(rows), options=wrong),  # type: ignore[arg-type]
        lambda: emergecast.backtest(rows, options=wrong),  # type: ignore[arg-type]
        lambda: emergecast.compare(rows, rows=wrong),  # type: ignore[arg-type]
        lambda: emergecast.suggest(rows, wrong),  # type: ignore[arg-type]
    ):
        with pytest.raises(OptionError, match=r"takes \w+Options\(.*\), not \{'law': 'power'\}"):
            call()


def test_rows_may_be_filtered_by_pairs_or_by_a_mapping():
    """Anything else is an error of ours."""
    pairs = SelectOptions(where=(("future", "false"),))
    assert SelectOptions(where={"future": "false"}) == pairs  # type: ignore[arg-type]
    for wrong in ("future=false", ["future=false"], 3):
        with pytest.raises(OptionError, match="pairs of column and value"):
            SelectOptions(where=wrong)  # type: ignore[arg-type]


def test_one_choice_of_rows_need_not_be_a_list(rows: list[designs.Row]):
    """Of `forecast_each`, as of `forecast`."""
    table = [{**row, "task": name} for name in "ab" for row in rows]
    fitting, options = FitOptions(law="log-power"), ForecastOptions(bootstraps=0, diagnostics=False)
    one, other = (
        emergecast.forecast_each(table, chosen, fitting, options)
        for chosen in (SelectOptions(), [SelectOptions(task="a"), SelectOptions(task="b")])
    )
    assert [each.name for each in one] == [each.name for each in other]
    assert [each.forecast and each.forecast.elbow for each in one] == [
        each.forecast and each.forecast.elbow for each in other
    ]
