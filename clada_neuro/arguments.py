"""Calls of the public names: an argument of a wrong kind gets one line before anything is computed.

What an argument must be is its annotation, so that there is one place to say it.
"""

import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, wraps
from inspect import Parameter, signature
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
import pandas as pd

from clada_neuro.errors import ArgumentError, did_you_mean

P = ParamSpec("P")
T = TypeVar("T")
_LISTS = (Sequence, np.ndarray, pd.Index, pd.Series)
_KINDS = {
    "str": "text",
    "bool": "True or False",
    "int": "a whole number",
    "float": "a number",
    "NoneType": "None",
    "Path": "a path",
    "DataFrame": "a data frame",
    "LanguageModel": "a model (clada_neuro.load_model)",
    "PreTrainedModel": "a model of transformers",
    "Policy": "a policy (clada_neuro.policy)",
    "Aligned": "what clada_neuro.align returned",
    "Result": "what clada_neuro.fit or clada_neuro.synergy returned",
}
_LONGEST = 40  # characters of a value that is shown


def checked(function: Callable[P, T]) -> Callable[P, T]:
    """Return the function with its arguments checked.

    Raises
    ------
    ArgumentError
        For an argument of a wrong kind, an unknown one, and one that is missing.
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        _check(function, args, kwargs)
        return function(*args, **kwargs)

    return call


def _check(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    name, shape, hints = _known(function)
    unknown = [given for given in kwargs if given not in shape.parameters]
    if unknown:
        known = list(shape.parameters)
        raise ArgumentError(
            f"{name}() has no argument '{unknown[0]}'{did_you_mean(unknown[0], known)}; it has {', '.join(known)}"
        )
    try:
        bound = shape.bind(*args, **kwargs)
    except TypeError as error:
        required = [p.name for p in shape.parameters.values() if p.default is Parameter.empty]
        raise ArgumentError(f"{name}(): {error}; it needs {', '.join(required)}") from None
    for argument, value in bound.arguments.items():
        if not _fits(value, hints.get(argument, Any)):
            raise ArgumentError(
                f"{name}(): {argument} = {_shown(value)} given, {_words(hints[argument])} expected"
            )


@cache
def _known(function: Callable[..., Any]) -> tuple[str, Any, dict[str, Any]]:
    return function.__name__, signature(function), get_type_hints(function)


def _fits(value: Any, hint: Any) -> bool:
    """Return whether a value is of a kind, with all that is in it."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, one) for one in inside)
    if origin is Literal:
        return value in inside
    if origin is tuple:
        alike = isinstance(value, tuple | list) and len(value) == len(inside)
        return alike and all(map(_fits, value, inside))
    if origin is not None and issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(
            _fits(key, inside[0]) and _fits(one, inside[1]) for key, one in value.items()
        )
    if origin is Callable or (origin is not None and issubclass(origin, Callable)):  # type: ignore[arg-type]
        return callable(value)
    if origin is not None and issubclass(origin, Iterable):
        listed = isinstance(value, _LISTS) and not isinstance(value, str | bytes)
        return listed and all(_fits(one, inside[0]) for one in value)
    return _is(value, hint)


def _is(value: Any, kind: Any) -> bool:
    if kind is bool:
        return isinstance(value, bool | np.bool_)
    if kind in (int, float):  # a truth value is no number
        return isinstance(value, Integral if kind is int else Real) and not isinstance(value, bool)
    if kind is Path:
        return isinstance(value, PathLike)
    if getattr(kind, "_is_protocol", False):
        return all(hasattr(value, name) for name in dir(kind) if not name.startswith("_"))
    return kind is Any or not isinstance(kind, type) or isinstance(value, kind)


def _words(hint: Any) -> str:
    """Return a kind in words."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        kinds = list(dict.fromkeys(map(_words, inside)))
        return " or ".join(filter(None, [", ".join(kinds[:-1]), kinds[-1]]))
    if origin is Literal:
        return " or ".join(map(repr, inside))
    if origin is tuple:
        return f"{len(inside)} values ({', '.join(map(_words, inside))})"
    if origin is not None and issubclass(origin, Mapping):
        return f"a mapping from {_words(inside[0])} to {_words(inside[1])}"
    if origin is Callable or (origin is not None and issubclass(origin, Callable)):  # type: ignore[arg-type]
        return "a function"
    if origin is not None and issubclass(origin, Iterable):
        return f"a list of {_words(inside[0])}"
    name = getattr(hint, "__name__", str(hint))
    return _KINDS.get(name, f"a {name}")


def _shown(value: Any) -> str:
    """Return a value as it is written, short, and its kind."""
    kind = type(value).__name__
    if value is None or isinstance(value, bool):
        return str(value)
    if isinstance(value, str | bytes | Real | list | tuple | dict | PathLike):
        text = " ".join(repr(value).split())
        text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
        return f"{text} ({_KINDS.get(kind, kind) if isinstance(value, str) else kind})"
    return f"a {kind}"
