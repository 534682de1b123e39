"""Files and frames as raw cells, cells as values, with every problem at its place.

It refuses to guess an encoding, a delimiter or a number, and it names every problem at once.
"""

from __future__ import annotations

from emergecast.measurements.reading._coerce import as_text, coerce, coerce_column, settle
from emergecast.measurements.reading._digest_beside import write_digest
from emergecast.measurements.reading._foreign import foreign_table
from emergecast.measurements.reading._formulas import guarded
from emergecast.measurements.reading._headings import with_known_names
from emergecast.measurements.reading._parquet import parquet_bytes
from emergecast.measurements.reading._problems import (
    MISSPELT,
    Findings,
    describe,
    quoted,
    table_error,
)
from emergecast.measurements.reading._read import MEMORY, SUFFIXES, RawTable, read_raw
from emergecast.measurements.reading._read_runs import (
    RUN_COLUMNS,
    RunsOptions,
    read_runs,
    values_of,
)
from emergecast.measurements.reading._records import read_records

__all__ = [
    "MEMORY",
    "MISSPELT",
    "RUN_COLUMNS",
    "SUFFIXES",
    "Findings",
    "RawTable",
    "RunsOptions",
    "as_text",
    "coerce",
    "coerce_column",
    "describe",
    "foreign_table",
    "guarded",
    "parquet_bytes",
    "quoted",
    "read_raw",
    "read_records",
    "read_runs",
    "settle",
    "table_error",
    "values_of",
    "with_known_names",
    "write_digest",
]
