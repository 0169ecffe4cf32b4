"""The sections of a report: every file of `clada_neuro.reporting.sections` declares one, and its place decides the order."""

import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from importlib import import_module

from clada_neuro.reporting import sections as folder
from clada_neuro.reporting.blocks import Block, Headed, Section, Table
from clada_neuro.reporting.figures import Figure
from clada_neuro.reporting.results import Results


def _always(results: Results) -> bool:
    return True


@dataclass(frozen=True)
class Declared:
    """A section of the report.

    Attributes
    ----------
    id : str
        Its anchor, which stays when the title changes.
    title : str
        Its heading, and its entry in the contents.
    place : int
        Where it stands: sections follow each other by place, with gaps for new ones.
    blocks : callable
        From what a folder holds to the section's blocks; without any it is left out.
    shown : callable
        Whether a run has anything for it at all.
    """

    id: str
    title: str
    place: int
    blocks: Callable[[Results], Iterable[Block]]
    shown: Callable[[Results], bool] = _always


def declared() -> list[Declared]:
    """Return every declared section, in reading order."""
    names = [entry.name for entry in pkgutil.iter_modules(folder.__path__)]
    found = [import_module(f"{folder.__name__}.{name}").SECTION for name in names]
    return sorted(found, key=lambda section: (section.place, section.id))


def sections(results: Results) -> list[Section]:
    """Return the sections of a report, filled from what the folder holds."""
    made = [
        Section(one.id, one.title, blocks)
        for one in declared()
        if one.shown(results) and (blocks := list(one.blocks(results)))
    ]
    return named_apart(made)


def named_apart(page: list[Section]) -> list[Section]:
    """Number tables and figures whose names would be one file, as those of two models called ``A b`` and ``a-b``."""
    taken: dict[type, set[str]] = {Figure: set(), Table: set()}  # they stand in a folder each

    def apart(block: Block) -> Block:
        if isinstance(block, Headed):
            return replace(block, blocks=[apart(inner) for inner in block.blocks])
        if isinstance(block, Figure | Table):
            return replace(block, name=_free(block.name, taken[type(block)]))
        return block

    return [replace(section, blocks=[apart(block) for block in section.blocks]) for section in page]


def _free(name: str, taken: set[str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    taken.add(free)
    return free
