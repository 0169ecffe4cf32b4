"""The types of the entries of a TOML file, checked against the fields of a dataclass."""

from collections.abc import Mapping
from dataclasses import is_dataclass
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from clada_neuro.errors import FitError

_NAMES = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}
_PLURALS = {str: "text", bool: "true or false", int: "whole numbers", float: "numbers"}


def check_types(kind: Any, entry: Mapping[str, Any], where: str) -> None:
    """Refuse the first value that is not of its field's type; unknown names are not looked at.

    Raises
    ------
    FitError
        Naming place, value and the type expected.
    """
    for name, hint in get_type_hints(kind).items():
        if name in entry and not _fits(entry[name], hint):
            raise FitError(f"{where}: {name} = {entry[name]!r} given, {_described(hint)} expected")


def _fits(value: Any, hint: Any) -> bool:
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if hint is Any or hint is NoneType or is_dataclass(hint):
        return hint is Any or (value is None) == (hint is NoneType)
    if origin is tuple:
        return isinstance(value, list | tuple) and (
            is_dataclass(parts[0]) or all(_fits(part, parts[0]) for part in value)
        )
    if origin is Mapping:
        return isinstance(value, Mapping) and all(_fits(part, parts[1]) for part in value.values())
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, hint) and isinstance(value, bool) == (hint is bool)


def _described(hint: Any) -> str:
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(_described(part) for part in parts if part is not NoneType)
    if origin is tuple:
        return f"a list of {_PLURALS.get(parts[0], 'tables')}"
    if origin is Mapping:
        inner = parts[1]
        if inner is Any:
            return "a table"
        return f"a table of {_PLURALS.get(inner) or f'lists of {_PLURALS[get_args(inner)[0]]}'}"
    return _NAMES.get(hint, "a table")
