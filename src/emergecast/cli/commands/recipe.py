"""The command that writes an experiment of the catalogue down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from emergecast.cli._options import JsonOption, out_file


def recipe(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="The recipe; all are listed if none is named."),
    ] = None,
    out: Annotated[
        Path | None, out_file("Where to write the experiment file; it must be new.")
    ] = None,
    beside: Annotated[
        list[Path] | None,
        typer.Option(
            "--beside",
            metavar="FORECAST.json",
            help="Show these forecasts beside the published ones. Repeatable.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write down an experiment of the paper, or one of ours, to be planned and run.

    Without -o it is printed. What the paper does not say is marked in the file as our choice.

    Example: `emergecast recipe openllama-v1-sweep -o sweep.yaml`
    """
    from emergecast.cli.texts.recipes import beside_lines, forecasts_in, recipe_lines
    from emergecast.errors import OptionError
    from emergecast.files import write_new
    from emergecast.lab.catalogue.recipes import catalogued_recipe, recipe_names
    from emergecast.records import as_json as record

    if name is None:
        if out is not None or beside:
            raise OptionError("which recipe? Name it: emergecast recipe lists them.")
        known = [catalogued_recipe(each) for each in recipe_names()]
        print(json.dumps({"recipes": record(known)}) if as_json else "\n".join(recipe_lines(known)))
        return
    found = catalogued_recipe(name)
    ours = [each for path in beside or () for each in forecasts_in(path)]
    if out is not None:
        try:
            write_new(out, found.text)
        except FileExistsError:
            raise OptionError(f'-o: "{out}" is there already. Choose another name.') from None
    if as_json:
        print(json.dumps({**record(found), "ours": record(ours)}))
        return
    if beside:
        print("\n".join(beside_lines(found, ours)))
    elif out is None:
        print(found.text, end="")
    if out is not None:
        print(f"Wrote {out}. Next: emergecast plan {out}")
