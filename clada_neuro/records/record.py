"""What all documents share: types that are checked when a document is written and when it is read, and a version.

A document is written as its stage made it, once it is known to suit its record, with the record's version under
``schema``; one without was written before there were versions and is read as version 1.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import msgspec

from clada_neuro.artifacts import plain, read_json, write_json
from clada_neuro.cache import DOCUMENT, INPUTS, Codec
from clada_neuro.errors import DataError

VERSION = "schema"


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a document, or a whole one; what its reader does not know is ignored, what it needs must be there."""

    def row(self) -> dict[str, Any]:
        """Return the fields by name, as a row of a table."""
        return msgspec.structs.asdict(self)


class Document(Part, frozen=True, kw_only=True):
    """A record with a version.

    Attributes
    ----------
    CURRENT : int
        The version that is written. It grows when a field changes its meaning or becomes required, not with a new one that
        may be absent.
    """

    CURRENT: ClassVar[int] = 2

    @classmethod
    def older(cls, found: Mapping[str, Any]) -> dict[str, Any]:
        """Return a document of an earlier version as one of this."""
        return dict(found)

    @classmethod
    def of(cls, found: Mapping[str, Any], where: str = "this result") -> Self:
        """Return a document as a record.

        Parameters
        ----------
        where : str
            What holds it, for the message.

        Raises
        ------
        DataError
            When it lacks a field, a value is of another kind, or its version is unknown.
        """
        version = found.get(VERSION, 1)
        if version not in range(1, cls.CURRENT + 1):
            raise DataError(
                f"{where} has version {version} of its format, versions up to {cls.CURRENT} can be read; use the "
                "clada-neuro that wrote it, or run the command that writes it again"
            )
        try:
            return msgspec.convert(found if version == cls.CURRENT else cls.older(found), cls)
        except msgspec.ValidationError as error:
            raise DataError(
                f"{where} does not hold what a {cls.__name__} does: {_told(error)}; run the command that writes it again"
            ) from error

    @classmethod
    def checked(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return a document as JSON holds it, with its version, once every field is known to suit the record.

        Raises
        ------
        TypeError
            When a stage writes a field that the record does not name, or one of another kind: a defect.
        """
        document = {**plain(given), VERSION: cls.CURRENT}
        if unknown := document.keys() - {*cls.__struct_fields__, VERSION}:
            raise TypeError(
                f"{cls.__name__} has no field {', '.join(sorted(unknown))}; add it to '{cls.__module__}'"
            )
        try:
            msgspec.convert(document, cls)
        except msgspec.ValidationError as error:
            raise TypeError(f"this is no {cls.__name__}: {_told(error)}") from error
        return document

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read the document in a file."""
        found = read_json(path)
        if not isinstance(found, Mapping):
            raise DataError(f"'{path}' holds no {cls.__name__}; delete it and run its step again")
        return cls.of(found, f"'{path}'")

    @classmethod
    def read_all(cls, path: str | Path) -> list[Self]:
        """Read a file of one document or of a list of them."""
        found = read_json(path)
        entries = found if isinstance(found, list) else [found]
        if not all(isinstance(entry, Mapping) for entry in entries):
            raise DataError(f"'{path}' holds no list of {cls.__name__}s; delete it and run its step again")
        return [cls.of(entry, f"'{path}', entry {number}") for number, entry in enumerate(entries, start=1)]

    @classmethod
    def write(cls, path: str | Path, given: Mapping[str, Any]) -> Path:
        """Write one document."""
        return write_json(path, cls.checked(given))

    @classmethod
    def codec(cls) -> Codec[dict[str, Any]]:
        """Return how documents of this kind are kept under a key: checked when they are written."""
        return replace(DOCUMENT, write=lambda path, given, key: cls.write(path, {**given, INPUTS: key}))

    @classmethod
    def write_all(cls, path: str | Path, given: Iterable[Mapping[str, Any]]) -> Path:
        """Write a list of documents."""
        return write_json(path, [cls.checked(entry) for entry in given])


def _told(error: Exception) -> str:
    """Return msgspec's message in the middle of a sentence."""
    text = str(error)
    return text[:1].lower() + text[1:]


class OfTrials(Document, frozen=True, kw_only=True):
    """A record of what was computed from a run's trials.

    Attributes
    ----------
    inputs : str or None
        The key of what it was computed from.
    trials : str or None
        The id of the trials.
    """

    inputs: str | None = None
    trials: str | None = None
