"""Files on disk: written whole or not at all, with their provenance inside.

A table is a parquet file whose schema metadata carries a JSON document: package versions, the hash of what
it was computed from, and whatever the stage adds. A later run reuses the file only when that hash agrees.
"""

import hashlib
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from clada_neuro.errors import DataError

PROVENANCE_KEY = b"clada_neuro"
# What pyarrow raises for damaged files; damaged metadata are read as text, JSON and names of columns.
_DAMAGE = (pa.ArrowException, OSError, ValueError, TypeError, LookupError, AttributeError)
_PATIENCE_S = 3.0  # then a wait is said
_FILES = {".csv", ".tsv", ".txt", ".xlsx", ".parquet", ".json", ".html", ".gz"}
_VERSIONED = (
    "clada-neuro", "torch", "transformers", "tokenizers", "numba", "wordfreq", "mixedlm", "statsmodels", "formulaic",
    "scipy", "mne", "numpy", "pandas",
)  # fmt: skip


def package_data(*parts: str) -> Path:
    """Return the path of a file shipped with the package (``data/`` of a checkout, ``_data`` of a wheel)."""
    installed = Path(__file__).parent / "_data"
    root = installed if installed.is_dir() else Path(__file__).parent.parent / "data"
    return root.joinpath(*parts)


def cache_folder(*parts: str) -> Path:
    """Return (and create) a folder in the user's cache; ``CLADA_NEURO_CACHE`` moves it."""
    import pooch

    folder = Path(os.environ.get("CLADA_NEURO_CACHE") or pooch.os_cache("clada-neuro")).joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def content_hash(*parts: Any) -> str:
    """Return a 16-digit sha256 of any mixture of paths (their bytes), tables, arrays, dataclasses and JSON values."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            with part.open("rb") as handle:
                while block := handle.read(1 << 20):
                    digest.update(block)
        else:
            digest.update(json.dumps(part, sort_keys=True, default=_described).encode())
        digest.update(b"\0")
    return digest.hexdigest()[:16]


def _described(value: Any) -> Any:
    """Return JSON that differs wherever two values do; numbers by their bits, whatever their size."""
    if isinstance(value, pd.DataFrame):
        return [[str(name), _described(column)] for name, column in value.items()]
    if isinstance(value, pd.Series) and isinstance(value.dtype, pd.StringDtype):
        codes, texts = pd.factorize(value)  # each text is written once; missing ones are -1
        return [str(value.dtype), _described(codes), texts.tolist()]
    if isinstance(value, pd.Series):
        levels = list(value.cat.categories) if isinstance(value.dtype, pd.CategoricalDtype) else None
        return [str(value.dtype), levels, _described(value.to_numpy())]
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        bits = np.ascontiguousarray(value).tobytes()
        return [str(value.dtype), value.shape, hashlib.sha256(bits).hexdigest()]
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return str(value)


def versions() -> dict[str, str]:
    """Return the versions that decide a number: Python, platform and the packages that compute."""
    return {"python": platform.python_version(), "platform": platform.platform()} | {
        name: _version(name) for name in _VERSIONED
    }


@cache
def _version(name: str) -> str:
    """Return the version of a package, once a process: every look goes through all folders of packages."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def output_folder(path: str | Path) -> Path:
    """Create ``path`` and check that it can be written; raise one clear line otherwise, also for the name of a file."""
    folder = Path(path)
    if folder.suffix.lower() in _FILES and not folder.is_dir():
        raise DataError(
            f"'{folder}' names a file; --out is a folder here, such as '{folder.with_suffix('')}'"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise DataError(
            f"cannot write to '{folder}': {error.strerror or error}; choose another --out"
        ) from error
    return folder


@contextmanager
def sole_writer(place: Path) -> Iterator[None]:
    """Hold the lock of a folder or of a file to be written; a second process is refused, so that nothing is mixed.

    One process may enter twice: a study holds the lock while its trace takes it again. Half-written files of a
    process that was killed are removed.
    """
    is_folder = place.is_dir()
    folder = place if is_folder else place.parent
    lock = filelock.FileLock(
        folder.resolve() / (".lock" if is_folder else f".{place.name}.lock"), is_singleton=True
    )
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise DataError(
            f"another process is writing to '{place}'; wait for it or choose another --out"
        ) from None
    try:
        if is_folder:
            for stale in (*folder.glob(".*.part"), *folder.glob("*/.*.part")):
                stale.unlink()
        yield
    finally:
        lock.release()


@contextmanager
def one_at_a_time(lock_file: Path, what: str) -> Iterator[None]:
    """Hold a lock of the cache; where another process holds it for seconds, say what is waited for.

    Parameters
    ----------
    lock_file
        In the cache.
    what
        What the other process does.
    """
    lock = filelock.FileLock(lock_file)
    try:
        lock.acquire(timeout=_PATIENCE_S)
    except filelock.Timeout:
        print(f"waiting for another process, which {what}", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def write_atomic(path: str | Path, write: Callable[[Path], object]) -> Path:
    """Call ``write`` on a temporary file beside ``path``, flush it to disk, then rename it into place."""
    path = Path(path)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def write_text(path: str | Path, text: str) -> Path:
    """Write UTF-8 text atomically."""
    return write_atomic(path, lambda part: part.write_text(text, encoding="utf-8"))


def text_lines(text: str) -> list[str]:
    """Return the lines of a text; unlike `str.splitlines`, U+0085 and U+2028 do not end one, for they stand inside."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines[:-1] if not lines[-1] else lines


def write_json(path: str | Path, value: Any) -> Path:
    """Write JSON atomically; numpy numbers become plain ones and non-finite numbers ``null``."""
    return write_text(path, json.dumps(plain(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file; a missing or damaged one raises `DataError`."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"'{path}' does not exist; run the step that writes it first") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"'{path}' is not valid JSON ({error}); delete it and run its step again") from error


def write_table(frame: pd.DataFrame, path: str | Path, provenance: Mapping[str, Any] | None = None) -> Path:
    """Write a table as parquet, with package versions and ``provenance`` in its metadata."""
    try:
        table = pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError) as error:
        reason = "; ".join(str(part) for part in error.args).splitlines()[0]
        raise DataError(
            f"'{path}' cannot hold this table: {reason}; give each column values of one kind"
        ) from error
    document = json.dumps(plain({"versions": versions(), **(provenance or {})}))
    table = table.replace_schema_metadata(
        {**(table.schema.metadata or {}), PROVENANCE_KEY: document.encode()}
    )
    return write_atomic(path, lambda part: pq.write_table(table, part))


def join_tables(parts: Sequence[Path], path: str | Path, provenance: Mapping[str, Any] | None = None) -> Path:
    """Stack parquet tables into one file, holding one of them in memory at a time.

    A column that is empty in one part and filled in another takes the filled one's type.
    """
    schema = pa.unify_schemas(
        [pq.read_schema(part).remove_metadata() for part in parts], promote_options="permissive"
    )
    document = json.dumps(plain({"versions": versions(), **(provenance or {})}))
    metadata_of_first = pq.read_schema(parts[0]).metadata or {}
    schema = schema.with_metadata({**metadata_of_first, PROVENANCE_KEY: document.encode()})

    def write(temporary: Path) -> None:
        with pq.ParquetWriter(temporary, schema) as writer:
            for part in parts:
                writer.write_table(pq.read_table(part).cast(schema))

    return write_atomic(path, write)


def read_table(path: str | Path, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a table written by `write_table`, or some of its columns; damage raises `DataError`."""
    try:
        return pq.ParquetFile(path).read(columns=columns).to_pandas()
    except FileNotFoundError:
        raise DataError(f"'{path}' does not exist; run the step that writes it first") from None
    except _DAMAGE as error:
        raise DataError(
            f"'{path}' is not a readable parquet file; delete it and run its step again"
        ) from error


def read_provenance(path: str | Path) -> dict[str, Any]:
    """Return the provenance of a table, empty for a parquet file that carries none."""
    try:
        stored = pq.read_schema(path).metadata or {}
        return dict(json.loads(stored.get(PROVENANCE_KEY, b"{}")).items())
    except _DAMAGE as error:
        raise DataError(
            f"'{path}' is not a readable parquet file; delete it and run its step again"
        ) from error


def plain(value: Any) -> Any:
    """Return a value as JSON holds it: numpy numbers as plain ones, non-finite numbers and NA as None, others as text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | np.ndarray | pd.Series):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return None if value is pd.NA else str(value)
