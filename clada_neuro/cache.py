"""What is kept on disk to be used again, under a key: what it was made from, by which code, with which packages.

Whatever changes a number changes the key: inputs, the source of the module that computes and of every module of this
package that it imports, however deep or late, and the versions of the packages which that source imports.
"""

import ast
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, TypeVar
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clada_neuro.artifacts import (
    content_hash,
    read_json,
    read_provenance,
    read_table,
    versions,
    write_atomic,
    write_json,
    write_table,
)
from clada_neuro.errors import DataError

T = TypeVar("T")
INPUTS = "inputs"  # where a file says under which key it was made

_PACKAGE = "clada_neuro"
_ROOT = Path(__file__).parent
_IMPORTED_AS = {
    "clada-neuro": _PACKAGE,
    "python": _PACKAGE,
    "tokenizers": "transformers",
}  # where names differ


@dataclass(frozen=True)
class Codec(Generic[T]):
    """How a value is a file: its ending, and functions that write it with its key, read it, and read the key alone."""

    suffix: str
    write: Callable[[Path, T, str], object]
    read: Callable[[Path], T]
    key_of: Callable[[Path], str | None]


def _table_key(path: Path) -> str | None:
    try:
        return read_provenance(path).get(INPUTS)
    except DataError:  # missing or damaged: computed again
        return None


def _document_key(path: Path) -> str | None:
    try:
        found = read_json(path)
    except DataError:
        return None
    return found.get(INPUTS) if isinstance(found, dict) else None


def _write_arrays(path: Path, arrays: dict[str, NDArray[Any]], key: str) -> None:
    def write(part: Path) -> None:
        with part.open("wb") as file:  # given a name, numpy would add its own ending
            np.savez(file, **arrays, **{INPUTS: np.array(key)})  # type: ignore[arg-type]

    write_atomic(path, write)


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path) as found:
        return {name: found[name] for name in found.files if name != INPUTS}


def _arrays_key(path: Path) -> str | None:
    try:
        with np.load(path) as found:
            return None if found.zip.testzip() else str(found[INPUTS])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):  # missing or damaged: computed again
        return None


# Arrays by name, numbers or text.
ARRAYS: Codec[dict[str, NDArray[Any]]] = Codec(".npz", _write_arrays, _read_arrays, _arrays_key)
TABLE: Codec[pd.DataFrame] = Codec(
    ".parquet", lambda path, frame, key: write_table(frame, path, {INPUTS: key}), read_table, _table_key
)
# A JSON object; its key is one of its entries.
DOCUMENT: Codec[dict[str, Any]] = Codec(
    ".json", lambda path, value, key: write_json(path, value | {INPUTS: key}), read_json, _document_key
)


@dataclass(frozen=True)
class Store(Generic[T]):
    """A folder of named results that hold as long as their key does; under another key they are computed again.

    Attributes
    ----------
    folder : Path
        Made when the first result is written.
    key : str
        See `cache_key`; `Store.of` makes it. Empty where it is not known what results come from: none holds then.
    codec : Codec
        `TABLE`, `DOCUMENT`, `ARRAYS`, or one of the room that computes.
    """

    folder: Path
    key: str
    codec: Codec[T]

    @classmethod
    def of(cls, folder: Path, module: str, *inputs: Any, codec: Codec[T]) -> "Store[T]":
        """Return the store of what a module computes from some inputs, as `cache_key` takes them."""
        return cls(folder, cache_key(module, *inputs), codec)

    def path(self, name: str) -> Path:
        """Return the file of a result."""
        return self.folder / f"{name}{self.codec.suffix}"

    def has(self, *names: str) -> bool:
        """Return whether all these results are there."""
        return bool(self.key) and all(self.codec.key_of(self.path(name)) == self.key for name in names)

    def whole(self, name: str) -> bool:
        """Return whether the result is there that is written last, after files which belong to it.

        One of another key is taken away, so that what is half made is not taken for whole.
        """
        if self.has(name):
            return True
        self.path(name).unlink(missing_ok=True)
        return False

    def read(self, name: str) -> T | None:
        """Return a result, None where there is none of this key."""
        return self.codec.read(self.path(name)) if self.has(name) else None

    def write(self, name: str, value: T) -> None:
        """Keep a result."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.codec.write(self.path(name), value, self.key)

    def once(self, name: str, compute: Callable[[], T]) -> T:
        """Return a result, computed and kept where it is not there yet; as read from disk either way."""
        if not self.has(name):
            self.write(name, compute())
        return self.codec.read(self.path(name))

    def clear(self) -> None:
        """Remove the folder, whose results stand elsewhere by now."""
        shutil.rmtree(self.folder, ignore_errors=True)


def kept_or_made(
    kept: Mapping[str, tuple[Store[T], str]], make: Callable[[list[str]], Iterable[tuple[str, T]]]
) -> Iterator[tuple[str, T, bool]]:
    """Yield independent results by name, and whether each was there: those that are kept first, the rest as they are made.

    Parameters
    ----------
    kept : mapping of str to (Store, str)
        Where each result is kept, and under which name there.
    make : callable
        Makes those whose names it is given, in any order; each is kept at once.
    """
    missing = []
    for name, (store, file) in kept.items():
        value = store.read(file)
        if value is None:
            missing.append(name)
        else:
            yield name, value, True
    for name, value in make(missing):
        store, file = kept[name]
        store.write(file, value)
        yield name, value, False


def cache_key(module: str, *inputs: Any) -> str:
    """Return the key of what a module computes from some inputs.

    Parameters
    ----------
    module : str
        Whose code computes it: ``__name__`` where that is the caller.
    *inputs
        Everything else that decides the result, for `clada_neuro.artifacts.content_hash`; of a language model its
        ``describe()``, which holds the hash of weights, config and tokenizer.
    """
    return content_hash(module, made_with(module), *inputs)


def made_with(module: str) -> dict[str, str]:
    """Return what computes in a module: a hash of its code, and the version of each package that it uses."""
    code, imported = _reached(module)
    found = versions()
    del found["platform"]  # machines of several systems share work
    return {name: found[name] for name in found if _IMPORTED_AS.get(name, name) in imported} | {"code": code}


@lru_cache(maxsize=64)
def _reached(module: str) -> tuple[str, frozenset[str]]:
    """Return a hash over the source of a module and all that it imports here, and the packages they import."""
    sources: dict[str, str] = {}
    packages, waiting = {_PACKAGE}, [module]
    while waiting:
        name = waiting.pop()
        if name.endswith(".*"):  # all modules of a folder
            waiting += _folder(name)
            continue
        path = _source(name) or (_given(name) if name == module else None)
        if path is None:
            packages.add(name.partition(".")[0])
        elif name not in sources:
            sources[name] = path.read_text(
                encoding="utf-8"
            )  # with one kind of line end, whatever the checkout
            waiting += _imports(ast.parse(sources[name]))
    return content_hash(sources), frozenset(packages)


def _source(name: str) -> Path | None:
    """Return the file of a module of this package; the package's own, which only names others, is left out."""
    first, *rest = name.split(".")
    if first != _PACKAGE or not rest:
        return None
    place = _ROOT.joinpath(*rest)
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


def _folder(name: str) -> list[str]:
    """Return every module of a folder, from its name with ``.*`` after it."""
    _, *rest, _ = name.split(".")
    return [f"{name[:-1]}{path.stem}" for path in sorted(_ROOT.joinpath(*rest).glob("*.py"))]


def _given(name: str) -> Path | None:
    """Return the file of a module of someone else, such as one that defines a policy; a notebook has none."""
    file = getattr(sys.modules.get(name), "__file__", None)
    return Path(file) if file else None


def _imports(tree: ast.Module) -> Iterator[str]:
    """Yield every module that source names, in an import anywhere or as text for late ones (``.*`` for a folder)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and str(node.value).startswith(f"{_PACKAGE}."):
            yield str(node.value)
