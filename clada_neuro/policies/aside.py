"""Tables of a calibration that are too large for its file: kept in the user's cache, under what they belong to.

Their names end in ``_aside``. A calibration whose file came from another computer lacks them here, and the policy that
needs them says so.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from clada_neuro.artifacts import cache_folder, content_hash
from clada_neuro.cache import Store
from clada_neuro.passes.pieces import PIECE, Piece

_ENDING = "_aside"


def is_aside(name: str) -> bool:
    """Return whether a table of this name does not stand in the file."""
    return name.endswith(_ENDING)


def keep_aside(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Keep what is too large among a calibration's tensors."""
    for name in filter(is_aside, tensors):
        _of(header).write(name, ({}, {name: tensors[name]}))


def holds_aside(header: Mapping[str, Any], names: Sequence[str]) -> bool:
    """Return whether this computer holds these of a calibration's large tables."""
    return _of(header).has(*names)


def read_aside(header: Mapping[str, Any], name: str) -> Tensor | None:
    """Return one of a calibration's large tables, None where this computer does not hold it."""
    found = _of(header).read(name)
    return None if found is None else found[1][name]


def _of(header: Mapping[str, Any]) -> Store[Piece]:
    key = content_hash(header["weights_hash"], header["texts"]["hash"])
    return Store(cache_folder("calibration", key), key, PIECE)
