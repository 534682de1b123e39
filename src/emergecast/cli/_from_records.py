"""Commands that take records: one option for every field, read off the record itself.

A parameter whose type is a dataclass stands for its fields. Name, type, default and help of each
option are the field's own; `FORMS` holds what a command line writes in another way.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin, get_type_hints

import typer

from emergecast.errors import OptionError
from emergecast.records import docs


class Without(tuple[str, ...]):
    """Annotation of a record: fields that this command has no option for."""

    __slots__ = ()

    def __new__(cls, *names: str) -> Self:
        """These fields keep their default."""
        return super().__new__(cls, names)


class Only(tuple[str, ...]):
    """Annotation of a record: the only fields that this command has options for."""

    __slots__ = ()

    def __new__(cls, *names: str) -> Self:
        """All others keep their default."""
        return super().__new__(cls, names)


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionForm:
    """How one field is written as an option."""

    flag: str | None = None
    """The option; None: the field's name."""
    metavar: str | None = None
    """What stands for the value; None: its type."""
    least: int | None = None
    """Smallest number that is allowed."""
    plain: Any = None
    """Type to take in place of the field's."""
    names: Callable[[], Sequence[str]] | None = None
    """What NAME may be."""
    read: Callable[[Any], Any] | None = None
    """From what the command line took to the field's value; None: as its type says."""


def from_records(
    command: Callable[..., None], forms: Mapping[str, OptionForm]
) -> Callable[..., None]:
    """The command with an option for each field of the records that it takes."""
    hints = get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []
    makers: dict[str, Callable[[dict[str, Any]], Any]] = {}
    for name, parameter in inspect.signature(command).parameters.items():
        record, without = _record(hints[name])
        if record is None:
            parameters.append(parameter.replace(annotation=hints[name], kind=_BY_NAME))
        else:
            options = _options(record, without, forms)
            parameters += [each.parameter for each in options]
            makers[name] = _maker(record, options)

    def call(**given: Any) -> None:  # noqa: ANN401  whatever the options take
        records = {name: make(given) for name, make in makers.items()}
        command(**given, **records)

    call.__doc__, call.__name__ = command.__doc__, command.__name__
    call.__annotations__ = {each.name: each.annotation for each in parameters}
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return call


_BY_NAME = inspect.Parameter.KEYWORD_ONLY


@dataclass(frozen=True, slots=True, kw_only=True)
class _Option:
    field: str
    parameter: inspect.Parameter
    read: Callable[[Any], Any]
    """Not called where nothing was given."""


def _record(hint: Any) -> tuple[type[Any] | None, Without]:  # noqa: ANN401
    """The record that a parameter stands for, if it does, and the fields to leave out."""
    without = Without()
    if get_origin(hint) is Annotated:
        hint, *extras = get_args(hint)
        without = next((each for each in extras if isinstance(each, Without)), without)
        only = next((each for each in extras if isinstance(each, Only)), None)
        if only is not None:
            without = Without(*(each.name for each in fields(hint) if each.name not in only))
    return (hint, without) if isinstance(hint, type) and is_dataclass(hint) else (None, without)


def _maker(record: type[Any], options: Sequence[_Option]) -> Callable[[dict[str, Any]], Any]:
    def make(given: dict[str, Any]) -> Any:  # noqa: ANN401  the record
        values = {each.field: given.pop(each.field) for each in options}
        empty: tuple[object, ...] = (None, [], ())
        return record(
            **{
                each.field: each.read(values[each.field])
                for each in options
                if values[each.field] not in empty
            }
        )

    return make


def _options(record: type[Any], without: Without, forms: Mapping[str, OptionForm]) -> list[_Option]:
    hints, texts = get_type_hints(record), docs(record)
    heading = (record.__doc__ or "").strip().partition("\n")[0].rstrip(".")
    return [
        _option(
            field,
            hints[field.name],
            texts[field.name],
            forms.get(field.name, OptionForm()),
            heading,
        )
        for field in fields(record)
        if field.name not in without
    ]


def _option(
    field: Field[Any],
    hint: Any,  # noqa: ANN401  any type
    text: str,
    form: OptionForm,
    heading: str,
) -> _Option:
    kind, several = _kind(hint)
    kind = form.plain or kind
    default: Any = None
    if field.default is MISSING and field.default_factory is MISSING:
        default = inspect.Parameter.empty
    elif not several and field.default is not MISSING:
        default = field.default
    flag = form.flag or f"--{field.name.replace('_', '-')}"
    metavar, read = form.metavar, form.read
    if several == "mapping":
        metavar, read = metavar or "NAME=VALUE", read or (lambda texts: numbers(texts, flag))
    elif several == "tuple":
        read = read or tuple
    known = ", ".join(form.names()) if form.names else ""
    names = f" Names: {known}." if known else ""
    option = typer.Option(
        flag,
        help=f"{text} Repeatable.{names}" if several else text,
        metavar=metavar,
        min=form.least,
        rich_help_panel=heading,
    )
    plain = list[kind] if several else kind  # type: ignore[valid-type]
    taken = plain if default is not None else plain | None
    return _Option(
        field=field.name,
        parameter=inspect.Parameter(
            field.name, _BY_NAME, default=default, annotation=Annotated[taken, option]
        ),
        read=read or (lambda value: value),
    )


def _kind(hint: Any) -> tuple[Any, Literal["tuple", "mapping"] | None]:  # noqa: ANN401
    """The type of one value, and whether there may be several."""
    if get_origin(hint) in {Union, types.UnionType}:
        kept = [each for each in get_args(hint) if each is not type(None)]
        several = [each for each in kept if get_origin(each) in {tuple, Mapping, Sequence}]
        hint = several[0] if several else kept[0]
    if get_origin(hint) is Mapping:
        return str, "mapping"
    if get_origin(hint) in {tuple, Sequence}:
        inner = get_args(hint)[0]
        return (inner if isinstance(inner, type) else str), "tuple"
    return hint, None


def pair(text: str, option: str) -> tuple[str, str]:
    """NAME=VALUE as its two parts."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise OptionError(f"{option} takes NAME=VALUE, not {text!r}.")
    return name.strip(), value.strip()


def numbers(texts: list[str], option: str) -> dict[str, float]:
    """NAME=NUMBER options as a mapping."""
    found = {}
    for name, value in (pair(text, option) for text in texts):
        try:
            found[name] = float(value)
        except ValueError:
            message = f"{option} {name} takes a number, not {value!r}."
            raise OptionError(message) from None
    return found
