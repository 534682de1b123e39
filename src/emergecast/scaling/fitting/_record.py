"""A fit as one JSON object, and the law read back from it."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emergecast.errors import ScalingError
from emergecast.files import read_whole
from emergecast.scaling._laws import Form, ScalingLaw
from emergecast.scaling.counting import Resource
from emergecast.scaling.fitting._optimal import optimal
from emergecast.scaling.fitting._scaling_fit import SEED, ScalingFit

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from emergecast.scaling._laws import Constant
    from emergecast.scaling.fitting._resampling import Refits

KINDS: Final = ("chinchilla", "power")
"""What the object may call itself: a law of params and tokens, or of the one resource `of`."""
DRAWS: Final = 400
"""Draws of the law that are kept with it."""
_LARGEST: Final = 100_000_000
"""Bytes of a file that is still taken for a law."""


def scaling_record(fit: ScalingFit) -> dict[str, Any]:
    """The fit as plain values for JSON; a number that is not there is null."""
    runs, split = fit.runs, optimal(fit)
    printed, middle = fit.condition_numbers
    found: dict[str, Any] = _finite(
        {
            "kind": KINDS[fit.form.of is not None],
            "of": fit.form.of,
            "constants": _constants(fit),
            "status": fit.status.value,
            "status_sentence": fit.status.sentence,
            "warnings": fit.warnings,
            "objective": fit.objective,
            "delta": fit.options.delta,
            "n": runs.n,
            "runs": None if runs.run is None else len(set(runs.run)),
            "bootstrap": None if fit.refits is None else _bootstrap(fit.refits),
            "optima": dataclasses.asdict(fit.optima),
            "condition_number": printed,
            "condition_number_middle": middle,
            "outliers": [dataclasses.asdict(each) for each in fit.outliers],
            "dropped": [{"row": row, "loss": loss} for row, loss in runs.dropped],
            "optimal": None if split is None else dataclasses.asdict(split),
            "span": {of.value: _ends(cells) for of, cells in runs.given.items()},
            "loss_span": _ends(runs.loss),
            "source": runs.name,
            "derived": runs.derived,
            "draws": _draws(fit),
        }
    )
    return found


def _constants(fit: ScalingFit) -> dict[str, dict[str, float | None]]:
    errors = {
        "stderr_bootstrap": fit.stderr_bootstrap,
        "stderr_robust": fit.stderr_robust,
        "stderr_curvature": fit.stderr_curvature,
        "p05": fit.quantile(0.05),
        "p95": fit.quantile(0.95),
    }
    return {
        symbol: {
            "value": value,
            "fixed": symbol in fit.fixed,
            **{kind: found[symbol] for kind, found in errors.items()},
        }
        for symbol, value in fit.constants.items()
    }


def _bootstrap(refits: Refits) -> dict[str, Any]:
    return {
        "by": refits.by.value,
        "refits": refits.asked,
        "degenerate": refits.degenerate,
        "floor_at_zero": refits.floor_at_zero,
        "several_optima": refits.moved + refits.unequal,
    }


def _ends(cells: NDArray[np.float64]) -> list[float]:
    return [float(cells.min()), float(cells.max())]


def _draws(fit: ScalingFit) -> dict[str, list[float]]:
    drawn = fit.draws(DRAWS, np.random.default_rng(SEED)).constants
    return {symbol: np.broadcast_to(each, (DRAWS,)).tolist() for symbol, each in drawn.items()}


def _finite(value: Any) -> Any:  # noqa: ANN401
    """JSON has no infinity: what is not finite is null."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def read_law(path: str | os.PathLike[str]) -> tuple[ScalingLaw, ScalingLaw | None]:
    """The law in a file that `scaling fit` wrote, and its draws: constants of shape (draws,).

    The draws are None where the file has none. Only `constants` (numbers, or objects with a
    `value`) and, for a law of one resource, `of` are needed, so that a law may be written by hand.

    Raises:
        ScalingError: there is no such file, or it holds no law.
    """
    file = Path(path)
    found = _loaded(file)
    values = {
        name: cell.get("value") if isinstance(cell, dict) else cell
        for name, cell in _object(file, found, "constants").items()
    }
    numbers = {name: _number(file, name, value) for name, value in values.items()}
    law = _law(file, numbers, found)
    if not found.get("draws"):
        return law, None
    drawn = _object(file, found, "draws")
    return law, _law(
        file, {name: _numbers(file, name, each) for name, each in drawn.items()}, found
    )


def _loaded(file: Path) -> dict[str, Any]:
    if file.is_dir():
        inside = file / "scaling.json"
        what = f"give {inside}" if inside.is_file() else f"give the law in it, such as {inside}"
        raise ScalingError(f"{file} is a folder; {what}.")
    try:
        if file.stat().st_size > _LARGEST:
            raise ScalingError(f'"{file}" is too large to be a scaling law. Check the path.')
        found = json.loads(read_whole(file).decode("utf-8"))
    except FileNotFoundError:
        raise ScalingError(
            f'there is no file "{file}" to read a scaling law from. Check the path; `emergecast '
            "scaling fit RUNS -o FOLDER` writes FOLDER/scaling.json."
        ) from None
    except OSError as error:
        raise ScalingError(
            f'"{file}" cannot be read: {error.strerror}. Check that it is a file you may read.'
        ) from None
    except (ValueError, RecursionError):
        raise ScalingError(
            f'"{file}" is not JSON. Give the scaling.json that `emergecast scaling fit` writes.'
        ) from None
    if (
        not isinstance(found, dict)
        or found.get("kind") not in (None, *KINDS)
        or "constants" not in found
    ):
        raise ScalingError(
            f'"{file}" holds no scaling law. Give the scaling.json that `emergecast scaling fit` '
            'writes, or an object with "constants".'
        )
    return found


def _object(file: Path, found: dict[str, Any], key: str) -> dict[str, Any]:
    value = found[key]
    if not isinstance(value, dict):
        raise ScalingError(f'"{key}" of "{file}" is not an object. Give constants by name.')
    return value


def _number(file: Path, name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ScalingError(f'{name} of "{file}" is {value!r}. Give a number.')
    try:
        return float(value)
    except OverflowError:
        raise ScalingError(f'{name} of "{file}" is too large. Give a number.') from None


def _numbers(file: Path, name: str, cells: object) -> NDArray[np.float64]:
    if not isinstance(cells, list) or not cells:
        raise ScalingError(f'the draws of {name} in "{file}" are not a list. Give numbers.')
    return np.array([_number(file, name, cell) for cell in cells])


def _law(file: Path, constants: Mapping[str, Constant], found: dict[str, Any]) -> ScalingLaw:
    form = _form(file, found.get("of"))
    wanted = form.constants
    missing = [name for name in wanted if name not in constants]
    unknown = [name for name in constants if name not in wanted]
    if missing or unknown:
        wrong = f"lacks {', '.join(missing)}" if missing else f"has {', '.join(unknown)} too many"
        what = form.of or "parameters and tokens"
        raise ScalingError(
            f'the law of {what} in "{file}" {wrong}. Give {", ".join(wanted)}'
            + (', or say in "of" which one resource it is of.' if form.of is None else ".")
        )
    spans = found.get("span")
    span = _span(spans.get(form.span_of.value)) if isinstance(spans, dict) else None
    source = f"{file.name}, {found['n']} points" if isinstance(found.get("n"), int) else file.name
    return form.law([constants[each] for each in wanted], name=file.name, source=source, span=span)


def _form(file: Path, of: object) -> Form:
    if of is None:
        return Form.CHINCHILLA
    try:
        return Form(Resource(str(of)).value)
    except ValueError:
        raise ScalingError(
            f'"of" in "{file}" is {of!r}. Give {", ".join(Resource)}, or null for a law of '
            "parameters and tokens."
        ) from None


def _span(cells: object) -> tuple[float, float] | None:
    if isinstance(cells, list) and len(cells) == 2:
        low, high = cells
        if isinstance(low, (int, float)) and isinstance(high, (int, float)):
            return float(low), float(high)
    return None
