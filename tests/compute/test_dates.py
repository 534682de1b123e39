"""A table of compute by date: reading it, and reading dates off it."""

from __future__ import annotations

import math
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from emergecast.compute import ComputeDates, read_compute_dates
from emergecast.compute._compute import _through
from emergecast.compute._scale import LawKind, LossToCompute
from emergecast.errors import TableError
from emergecast.inference import ElbowOnAxis
from emergecast.measurements import Axis
from emergecast.scaling import PowerLaw, Resource

GOOD = "date,flops\n2026-01-01,1e25\n2028-01-01,1e27\n2027-01-01,1e26\n"


def table(text: str, tmp_path: Path) -> ComputeDates:
    """The table that a file with this text holds."""
    path = tmp_path / "dates.csv"
    path.write_text(text, "utf-8")
    return read_compute_dates(path)


def test_ln_flops_is_linear_between_dates(tmp_path: Path):
    """In any row order: a year for a factor of ten, so half a year for its root."""
    dates = table(GOOD, tmp_path)
    day = date(2026, 1, 1).toordinal()
    assert dates.days_of(1e26) == date(2027, 1, 1).toordinal()
    assert dates.days_of(10**25.5) == pytest.approx(day + 365 / 2)
    assert (dates.first, dates.last) == (date(2026, 1, 1), date(2028, 1, 1))


def test_nothing_is_extrapolated(tmp_path: Path):
    """What is too large for the last date is never; what the first allows is possible then."""
    dates = table(GOOD, tmp_path)
    days = dates.days_of([0.0, 1e20, 1e25, 1e27, 1.0001e27, math.inf])
    first, last = date(2026, 1, 1).toordinal(), date(2028, 1, 1).toordinal()
    assert days.tolist() == [first, first, first, last, math.inf, math.inf]


def test_compute_that_stands_still_is_possible_from_its_start(tmp_path: Path):
    """A plateau at the beginning: its first day; after it, the rise begins at its end."""
    text = "date,flops\n2026-01-01,1e25\n2027-01-01,1e25\n2028-01-01,1e26\n"
    days = table(text, tmp_path).days_of([1e25, 1.00001e25])
    assert days[0] == date(2026, 1, 1).toordinal()
    assert days[1] == pytest.approx(date(2027, 1, 1).toordinal(), abs=0.1)


def test_other_columns_and_a_byte_order_mark_do_no_harm(tmp_path: Path):
    """As spreadsheets write them."""
    dates = table("\ufeffdate, flops ,source\n2026-01-01,1e25,x\n2027-01-01,2e25,y\n", tmp_path)
    assert dates.flops.tolist() == [1e25, 2e25]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the file is empty. Give a header with date and flops"),
        ("date,compute\n", "column flops: the column is missing. Add a column flops: the largest"),
        ("date,flops\n", "the table has no rows"),
        ("date,flops\n2026-01-01,1e25\n", "the table has 1 rows"),
        ("date,flops\n2026,1e25\n", "row 1, column date: this is not a date. (value 2026) Write"),
        ("date,flops\n,1e25\n", "row 1, column date: the date is missing."),
        (
            "date,flops\n2026-01-01,-1\n",
            "row 1, column flops: the flops is not above 0. (value -1)",
        ),
        ("date,flops\n2026-01-01,nan\n", "row 1, column flops: this is not a finite number."),
        ("date,flops\n2026-01-01,\n", "row 1, column flops: the flops is missing."),
        ("date,flops\n2026-01-01\n", "row 1: the row has 1 cells where the header has 2."),
        (f"{GOOD}2027-06-01,1e24\n", "row 4, column flops: the largest run possible falls"),
        (f"{GOOD}2027-01-01,1e26\n", "column date: the date occurs twice."),
    ],
)
def test_what_is_wrong_is_named(text: str, says: str, tmp_path: Path):
    """File, row, column and value, and what to do."""
    with pytest.raises(TableError) as error:
        table(text, tmp_path)
    assert "dates.csv" in str(error.value)
    assert says in str(error.value)


def test_every_problem_is_listed(tmp_path: Path):
    """Not the first alone."""
    with pytest.raises(TableError) as error:
        table("date,flops\nx,1\n2026-01-01,y\n", tmp_path)
    assert len(error.value.problems) == 2


def test_bytes_that_are_no_text_are_told(tmp_path: Path):
    """A spreadsheet itself, say, under its own name or another."""
    for name, says in (("dates.csv", "not UTF-8"), ("dates.xlsx", "extension .xlsx")):
        path = tmp_path / name
        path.write_bytes(b"PK\x03\x04\xff\xfe")
        with pytest.raises(TableError, match=says):
            read_compute_dates(path)


def test_dates_of_a_parquet_file_may_be_dates(tmp_path: Path):
    """As a data frame writes them."""
    path = tmp_path / "dates.parquet"
    days = [date(2026, 1, 1), date(2027, 1, 1)]
    pl.DataFrame({"date": days, "flops": [1e25, 2e25]}).write_parquet(path)
    assert read_compute_dates(path).days.tolist() == [day.toordinal() for day in days]


def test_a_run_that_is_possible_within_a_day_has_the_next_date(tmp_path: Path):
    """Half of 365 days after 1 January is noon of 2 July, so all quantiles are 3 July."""
    law = PowerLaw(name="", source="", of=Resource.FLOPS, floor_nats=0.0, a=1.0, alpha=1.0)
    posterior: Any = SimpleNamespace(quantile=lambda p: np.full(np.shape(p), 10.0**-25.5))
    elbow = ElbowOnAxis(posterior=posterior, axis=Axis())
    scale = LossToCompute(kind=LawKind.GIVEN, law=law)
    dates = _through(elbow, scale, table(GOOD, tmp_path)).dates
    assert dates is not None
    assert {dates.p05, dates.p50, dates.p95} == {"2026-07-03"}


def test_dates_of_a_forecast(tmp_path: Path):
    """FLOPs uniform in the log from 1e24 to 1e28: a quarter at once, a quarter after the end."""
    law = PowerLaw(name="", source="", of=Resource.FLOPS, floor_nats=0.0, a=1.0, alpha=1.0)
    posterior: Any = SimpleNamespace(quantile=lambda p: 10.0 ** (-28 + 4 * np.asarray(p)))
    elbow = ElbowOnAxis(posterior=posterior, axis=Axis())
    scale = LossToCompute(kind=LawKind.GIVEN, law=law)
    dates = _through(elbow, scale, table(GOOD, tmp_path)).dates
    assert dates is not None
    assert dates.by_first_date == pytest.approx(0.25, abs=1e-3)
    assert dates.not_by_last_date == pytest.approx(0.25, abs=1e-3)
    assert (dates.p05, dates.p95) == ("2026-01-01", None)
    assert dates.p50 in {"2027-01-01", "2026-12-31"}
