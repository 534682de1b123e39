"""Commands of the group `scaling`: convert a loss and a run, list the laws, count FLOPs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emergecast.cli._compute_options import AllocationAsked, law_of
from emergecast.cli._options import JsonOption
from emergecast.records import finite

if TYPE_CHECKING:
    from emergecast.scaling import Conversion, ScalingLaw


WhichLawOption = Annotated[
    str,
    typer.Option(
        "--law",
        metavar="NAME|FILE.json|CONSTANTS",
        help="A named law (`emergecast scaling laws`), what `scaling fit` wrote, or constants such "
        "as E=1.69,A=406.4,B=410.7,alpha=0.34,beta=0.28 or A=8.04,alpha=0.067,of=params.",
    ),
]


def convert(
    *,
    law: WhichLawOption,
    loss: Annotated[
        list[float] | None,
        typer.Option("--loss", metavar="NATS", help="Loss to find the run of; repeatable."),
    ] = None,
    params: Annotated[
        str | None, typer.Option("--params", metavar="N", help="Parameters to find the loss of.")
    ] = None,
    tokens: Annotated[
        str | None, typer.Option("--tokens", metavar="T", help="Tokens to find the loss of.")
    ] = None,
    flops: Annotated[
        str | None, typer.Option("--flops", metavar="C", help="FLOPs to find the loss of.")
    ] = None,
    allocation: AllocationAsked,
    floor: Annotated[
        list[float] | None,
        typer.Option(
            "--floor",
            metavar="NATS",
            help="Also under this floor E, through the same losses at the ends of the law's span; "
            "repeatable.",
        ),
    ] = None,
    span: Annotated[
        str | None,
        typer.Option(
            "--span",
            metavar="LOW,HIGH",
            help="Amounts between which the law was fitted, where it does not say: of its "
            "resource, or FLOPs for a law of parameters and tokens.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say which run has a loss, or which loss a run has.

    Amounts may be written 70B, 1.4T or 7e9. Exit status 2 where no run has that loss.

    Example: `emergecast scaling convert --loss 1.361 --law snell-llama2 --floor 0.6`
    """
    from emergecast.cli.texts.scaling_laws import conversions_text
    from emergecast.errors import OptionError
    from emergecast.scaling import Resource, convert_loss, convert_run, parse_amount

    found, draws = law_of(law, span)
    tied = allocation.allocation()
    texts = zip(Resource, (params, tokens, flops), strict=True)
    given = {r: parse_amount(text, f"--{r}") for r, text in texts if text is not None}
    floors = tuple(floor or ())
    if bool(loss) == bool(given):
        raise OptionError(
            "give either --loss, for the run that has it, or some of --params, --tokens and "
            "--flops, for the loss of that run"
            + (
                "; --model-size and --token-budget fix an amount while the loss decides the rest."
                if loss
                else "."
            )
        )
    if loss:
        done = [convert_loss(found, each, tied, floors=floors, draws=draws) for each in loss]
    else:
        done = [convert_run(found, tied, given=given, floors=floors, draws=draws)]
    if as_json:
        records = [_conversion_as_json(each) for each in done]
        print(json.dumps(records if len(records) > 1 else records[0], indent=2))
    else:
        print(conversions_text(done, of_loss=bool(loss)))


def laws(as_json: JsonOption = False) -> None:
    """List the scaling laws that are known by name, with their constants and source.

    Example: `emergecast scaling laws`
    """
    from emergecast.cli.texts.scaling_laws import laws_text
    from emergecast.scaling import NAMED_LAWS

    if as_json:
        print(json.dumps([_law_as_json(law) for law in NAMED_LAWS.values()], indent=2))
    else:
        print(laws_text(NAMED_LAWS.values()))


def flops(
    config: Annotated[
        Path, typer.Option("--config", help="The model's config.json, as Hugging Face writes it.")
    ],
    tokens: Annotated[
        str, typer.Option("--tokens", metavar="T", help="Training tokens, such as 1.4T.")
    ],
    context: Annotated[
        int | None,
        typer.Option(
            "--context",
            min=1,
            help="Tokens of a training sequence; default: the longest the model takes.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Count parameters and training FLOPs of an architecture, beside 6 N D and other conventions.

    Example: `emergecast scaling flops --config config.json --tokens 1.4T --context 2048`
    """
    from emergecast.cli.texts.scaling_laws import flops_report
    from emergecast.scaling import (
        Counting,
        architecture_flops,
        parse_amount,
        read_architecture,
        training_flops,
    )

    amount = parse_amount(tokens, "--tokens")
    architecture = read_architecture(config, context)
    counts = {each: architecture_flops(architecture, each) for each in Counting}
    if not as_json:
        print(flops_report(architecture, counts, amount))
        return
    n = architecture.params
    per_token, without = (float(training_flops(each, 1)) for each in (n.total, n.non_embedding))
    print(
        json.dumps(
            {
                "architecture": dataclasses.asdict(architecture),
                "params": {
                    "total": n.total,
                    "non_embedding": n.non_embedding,
                    **dataclasses.asdict(n),
                },
                "tokens": amount,
                "flops": counts[Counting.MATMULS].training_per_token * amount,
                "six_n_d": {
                    "total": per_token * amount,
                    "non_embedding": without * amount,
                },
                "countings": {
                    each.value: {
                        "flops": count.training_per_token * amount,
                        "forward_per_token": dict(count.terms),
                        "over_six_n_d": count.training_per_token / per_token,
                        "over_six_n_d_non_embedding": count.training_per_token / without,
                    }
                    for each, count in counts.items()
                },
            },
            indent=2,
        )
    )


def _law_as_json(law: ScalingLaw) -> dict[str, Any]:
    form = law.form
    return {
        "name": law.name,
        "form": form.value,
        "of": form.of,
        "constants": {symbol: float(value) for symbol, value in law.constants.items()},
        "span": None if law.span is None else list(law.span),
        "span_of": form.span_of,
        "source": law.source,
    }


def _conversion_as_json(found: Conversion) -> dict[str, Any]:
    names = ("params", "tokens", "flops")
    allocation = found.allocation
    return {
        "loss": found.loss,
        **{name: finite(getattr(found.run, name)) for name in names},
        "interval": None
        if found.interval is None
        else {
            name: {"p05": finite(low), "p95": finite(high)}
            for name, (low, high) in found.interval.items()
        },
        "beyond_span": finite(found.beyond_span),
        "law": _law_as_json(found.law),
        "allocation": None
        if allocation is None
        else {"tie": allocation.tie.value, "value": allocation.value},
        "floors": [
            {
                "floor": each.floor_nats,
                "loss": each.loss,
                **{name: finite(getattr(each.run, name)) for name in names},
                "constants": _law_as_json(each.law)["constants"],
            }
            for each in found.floors
        ],
    }
