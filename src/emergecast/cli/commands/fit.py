"""The command that forecasts: fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from emergecast.cli._compute_options import (
    AtFlopsOption,
    AtModelOption,
    ByDateOption,
    ComputeOptimalOption,
    ModelSizeOption,
    NoAnchorOption,
    ScalingLawOption,
    TokenBudgetOption,
    TokensPerParamOption,
    compute_options,
    runs_asked,
)
from emergecast.cli._forecasts import asked_for, exit_by, run_forecasts, show_forecasts
from emergecast.cli._options import (
    BOOTSTRAPS,
    AxisOption,
    BootstrapOption,
    ChanceOption,
    FewShotAmountOption,
    JsonOption,
    LossFromOption,
    OutOption,
    ShiftOption,
    numbers,
    rules_of,
    select_options,
)


def fit(
    table: Annotated[Path, typer.Argument(help="A .csv, .parquet, .jsonl or .ndjson table.")],
    task: Annotated[
        list[str] | None, typer.Option("--task", help="Task to forecast; repeatable. All if none.")
    ] = None,
    series: Annotated[
        list[str] | None,
        typer.Option("--series", help="Series to fit; repeatable. Each on its own if none."),
    ] = None,
    pool: Annotated[bool, typer.Option("--pool", help="Fit several series as one.")] = False,
    at_chance_only: Annotated[
        bool,
        typer.Option(
            "--at-chance-only",
            help="Hide the weakest checkpoint that is above chance few-shot, and all at or below "
            "its loss.",
        ),
    ] = False,
    min_loss: Annotated[
        float | None, typer.Option(help="Leave out checkpoints of lower loss (nats), or --axis.")
    ] = None,
    max_loss: Annotated[
        float | None, typer.Option(help="Leave out checkpoints of higher loss (nats), or --axis.")
    ] = None,
    axis: AxisOption = "loss",
    shift: ShiftOption = "examples",
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", help="Checkpoint to leave out, * and ? allowed; repeatable."),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where", metavar="COLUMN=VALUE", help="Keep rows with this value; repeatable."
        ),
    ] = None,
    metric: Annotated[str | None, typer.Option(help="Metric to fit.")] = None,
    method: Annotated[str | None, typer.Option(help="Finetuning method to fit.")] = None,
    shots: Annotated[int | None, typer.Option(help="Shots of the few-shot rows to fit.")] = None,
    loss_corpus: Annotated[
        str | None, typer.Option(help="Held-out corpus whose losses to use.")
    ] = None,
    few_shot_examples: FewShotAmountOption = None,
    law: Annotated[
        list[str] | None,
        typer.Option(
            "--law",
            help="Emergence law: log-power, power or hill, with +soft, +ceiling, +slopes, "
            "+deviation, +student; repeat it to mix several. Default: a mixture.",
            metavar="LAW",
        ),
    ] = None,
    weights: Annotated[
        str,
        typer.Option(help="Weights of a mixture: fixed, or stacking (by held-out checkpoints)."),
    ] = "fixed",
    prior: Annotated[
        list[str] | None,
        typer.Option("--prior", metavar="NAME=VALUE", help="Override a prior scale; repeatable."),
    ] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(
            "--threshold", metavar="NAME=VALUE", help="Override a rule of the verdict; repeatable."
        ),
    ] = None,
    lower_is_better: Annotated[
        bool | None,
        typer.Option(
            "--lower-is-better/--higher-is-better", help="Orientation of an unknown metric."
        ),
    ] = None,
    chance: ChanceOption = None,
    loss_from: LossFromOption = None,
    at_loss: Annotated[
        list[float] | None,
        typer.Option(
            "--at-loss",
            help="Say what to expect of a model of this loss, or value of --axis; repeatable.",
        ),
    ] = None,
    score: Annotated[
        list[float] | None,
        typer.Option("--score", help="With --at-loss: probability of a score above this."),
    ] = None,
    scaling_law: ScalingLawOption = None,
    tokens_per_param: TokensPerParamOption = None,
    token_budget: TokenBudgetOption = None,
    model_size: ModelSizeOption = None,
    compute_optimal: ComputeOptimalOption = False,
    no_anchor: NoAnchorOption = False,
    compute_by_date: ByDateOption = None,
    at_model: AtModelOption = None,
    at_flops: AtFlopsOption = None,
    bootstrap: BootstrapOption = BOOTSTRAPS,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forecast the loss at which few-shot emergence happens.

    Prints the verdict first, then the distribution of that loss, what it means in training compute,
    and what it rests on. Exit status 0 with a forecast, 3 when it is refused, 2 on bad input.

    Example: `emergecast fit table.parquet --task mmlu --at-chance-only -o forecast`
    """
    from emergecast.inference import DEFAULT_LAW
    from emergecast.measurements import Axis, read_table

    asked = replace(
        asked_for(at_loss, score, positive=Axis.parse(axis).is_loss),
        runs=runs_asked(at_model, at_flops),
    )
    tasks: list[str | None] = [*task] if task else [None]
    options = select_options(
        series=series,
        pool=pool,
        metric=metric,
        method=method,
        shots=shots,
        loss_corpus=loss_corpus,
        at_chance_only=at_chance_only,
        min_loss=min_loss,
        max_loss=max_loss,
        exclude=exclude,
        where=where,
        lower_is_better=lower_is_better,
        axis=axis,
        shift=shift,
    )
    ways = {
        "law": law or DEFAULT_LAW,
        "weights": weights,
        "few_shot_examples": few_shot_examples,
        "priors": numbers(prior, "--prior"),
    }
    rules = rules_of(threshold)
    compute = compute_options(
        scaling_law,
        tokens_per_param=tokens_per_param,
        token_budget=token_budget,
        model_size=model_size,
        compute_optimal=compute_optimal,
        no_anchor=no_anchor,
        by_date=compute_by_date,
    )
    reading = {"bootstraps": bootstrap, "rules": rules, "compute": compute}
    rows = read_table(table, chance=chance, loss_from=loss_from, axis=axis, shift=shift)
    results = run_forecasts(rows, [replace(options, task=name) for name in tasks], ways, reading)
    show_forecasts(results, asked, out, as_json=as_json)
    exit_by(results)
