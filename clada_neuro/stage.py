"""What a stage of a study is: named inputs go in, files in an output folder come out, bound to what they were made from.

Each room defines its own: trace, align, fit, synergy, epochs, maps, depth, report and others. `clada_neuro.study.one` composes them, a command
calls one alone, and both leave the same files. ``docs/architecture.md`` lists them and says how to add one.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from clada_neuro.artifacts import output_folder, sole_writer

T = TypeVar("T")


class Stage(ABC, Generic[T]):
    """A step of a study; a subclass is a frozen dataclass whose fields are its inputs, by name.

    Attributes
    ----------
    name : str
        As the command of the same name.
    files : tuple of str
        All that it may leave in a folder, as patterns.
    parts : tuple of str
        Finished parts, by which it goes on after an interrupt.
    """

    name: ClassVar[str]
    files: ClassVar[tuple[str, ...]]
    parts: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def make(self, folder: Path) -> T:
        """Compute what the folder does not hold yet for these inputs, write it, and return the result."""

    def into(self, folder: str | Path) -> T:
        """Bring a folder up to date, as its only writer, and return the result.

        Raises
        ------
        DataError
            When the folder cannot be written, another process writes to it, or it holds what belongs to other inputs.
        """
        place = output_folder(folder)
        with sole_writer(self.held(place)):
            return self.make(place)

    def held(self, folder: Path) -> Path:
        """Return what no other process may write meanwhile: the folder, or the one file that is written there."""
        return folder

    @classmethod
    def clear(cls, folder: Path, *, but: Collection[str] = ()) -> None:
        """Take away what an earlier call left and this one does not write, `but` the files named."""
        for path in (path for pattern in cls.files for path in folder.glob(pattern)):
            if path.relative_to(folder).as_posix() not in but:
                path.unlink()
