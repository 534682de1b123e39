"""The measurement table: one row is one measured score, wherever it came from.

Reads and writes tables, imports other tools' result files, and picks the rows of one fit. It
refuses a table with a bad row rather than drop the row, names every problem at once, never takes a
missing value for zero, and never mixes tokenizers or held-out corpora of measured losses.
"""

from __future__ import annotations

from emergecast.measurements._axis import Axis, AxisRecord, Shift, ShiftRecord, Transform
from emergecast.measurements._bundled import (
    PROVING_GROUND_TASK,
    RANDOM_WEIGHTS,
    proving_ground,
    proving_ground_options,
    proving_ground_skills,
)
from emergecast.measurements._join import Joined, join_tables
from emergecast.measurements._metrics import Metric, MetricKind, metric_of, uniform_chance
from emergecast.measurements._schema import (
    COLUMNS,
    DEFAULT_METHOD,
    METHOD_FORMS,
    Column,
    Kind,
    LossSource,
    MethodKind,
    MethodName,
    Role,
    Setting,
    method_name,
)
from emergecast.measurements._table import Examination, Measurements, examine, read_table
from emergecast.measurements._template import template
from emergecast.measurements._write import check_suffix, write_frame
from emergecast.measurements.importing import (
    Imported,
    ImportOptions,
    chance_level,
    import_lm_eval,
)
from emergecast.measurements.reading._formulas import guarded
from emergecast.measurements.reading._problems import describe
from emergecast.measurements.reading._read_runs import (
    RUN_COLUMNS,
    RunsOptions,
    read_runs,
    values_of,
)
from emergecast.measurements.reading._records import read_records
from emergecast.measurements.selecting._at_chance import (
    ABOVE_CHANCE,
    CHANCE_MARGIN,
    CHANCE_STDERRS,
    RESOLUTION,
    above_chance,
    sampling_error,
)
from emergecast.measurements.selecting._doubted_chance import (
    ChanceDoubt,
    chance_doubts,
    doubted_chance,
)
from emergecast.measurements.selecting._grid import Cell, Grid, GridRow, grid
from emergecast.measurements.selecting._select import fits_of, select
from emergecast.measurements.selecting._selection import (
    ANNEALED,
    Selection,
    SelectOptions,
    default_few_shot_examples,
    marked,
)

__all__ = [
    "ABOVE_CHANCE",
    "ANNEALED",
    "CHANCE_MARGIN",
    "CHANCE_STDERRS",
    "COLUMNS",
    "DEFAULT_METHOD",
    "METHOD_FORMS",
    "PROVING_GROUND_TASK",
    "RANDOM_WEIGHTS",
    "RESOLUTION",
    "RUN_COLUMNS",
    "Axis",
    "AxisRecord",
    "Cell",
    "ChanceDoubt",
    "Column",
    "Examination",
    "Grid",
    "GridRow",
    "ImportOptions",
    "Imported",
    "Joined",
    "Kind",
    "LossSource",
    "Measurements",
    "MethodKind",
    "MethodName",
    "Metric",
    "MetricKind",
    "Role",
    "RunsOptions",
    "SelectOptions",
    "Selection",
    "Setting",
    "Shift",
    "ShiftRecord",
    "Transform",
    "above_chance",
    "chance_doubts",
    "chance_level",
    "check_suffix",
    "default_few_shot_examples",
    "describe",
    "doubted_chance",
    "examine",
    "fits_of",
    "grid",
    "guarded",
    "import_lm_eval",
    "join_tables",
    "marked",
    "method_name",
    "metric_of",
    "proving_ground",
    "proving_ground_options",
    "proving_ground_skills",
    "read_records",
    "read_runs",
    "read_table",
    "sampling_error",
    "select",
    "template",
    "uniform_chance",
    "values_of",
    "write_frame",
]
