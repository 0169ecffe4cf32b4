"""The sums of `clada_neuro.instrument.information` compiled for a CPU: a row of logits is read while it is in the cache.

Values are float32, and so are sums over a few hundred of them; these are added up in float64, for running sums over a
large vocabulary lose 2e-4 bits in float32.
"""

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from numba import njit
from torch import Tensor

from clada_neuro.instrument.vocabulary import Vocabulary
from clada_neuro.models.threads import shared_out
from clada_neuro.runtime.kernels.cpu import LOWEST, exponential, widen

Array = npt.NDArray[Any]

DTYPES = (torch.float32, torch.bfloat16)
# A missing logit must stay missing: only the order of additions may change.
_COMPILED: dict[str, Any] = dict(
    nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"}, error_model="numpy"
)
_ABREAST = 64  # columns that are compared at a time
_TOGETHER = 512  # values added up in float32
_COUNT = 8
_FEWEST = 16  # rows that are worth a thread


def sums(logits: Tensor, of: Tensor, targets: Tensor, initial: Tensor, vocabulary: Vocabulary) -> Tensor:
    """Return what `information.SUMS` names of each prediction, (names, predictions) in float64."""
    stored = logits.contiguous()
    rows = (stored.view(torch.uint16) if stored.dtype == torch.bfloat16 else stored).numpy()
    order = torch.argsort(of, stable=True)
    edges = torch.searchsorted(of[order], torch.arange(len(rows) + 1))
    found = np.empty((len(of), _COUNT))
    given = [
        rows,
        *(part.numpy() for part in (order, edges, targets, initial)),
        *(part.numpy() for part in (vocabulary.begins, vocabulary.unspaced.float())),
        vocabulary.ending.nonzero()[:, 0].numpy(),
        found,
    ]
    shared_out(partial(_measure_rows, *given), len(rows), _FEWEST)
    return torch.from_numpy(found.T)


@njit(**_COMPILED)
def _measure_rows(
    rows: Array,
    order: Array,
    edges: Array,
    targets: Array,
    initial: Array,
    spaced: Array,
    unspaced: Array,
    ending: Array,
    found: Array,
    start: int,
    stop: int,
) -> None:
    """Fill ``found`` for the predictions that are made by some rows."""
    for number in range(start, stop):
        row = rows[number]
        highest = _highest(row)
        last = 0.0
        for i in ending:
            last += np.exp(np.float64(widen(row[i])) - np.float64(highest))
        plain = _moments(row, highest, spaced)
        for place in order[edges[number] : edges[number + 1]]:
            came = widen(row[max(targets[place], 0)])
            above = 0
            for i in range(row.shape[0]):
                above += widen(row[i]) > came
            whole, weighted, roots, begin, begin_weighted = (
                _moments(row, highest, unspaced) if initial[place] else plain
            )
            one = found[place]
            one[0], one[1] = above + 1, np.float64(came) - np.float64(highest)
            one[2], one[3], one[4] = whole, weighted, roots
            one[5], one[6], one[7] = begin, begin_weighted, last


@njit(**_COMPILED)
def _highest(row: Array) -> Any:
    """Return the highest logit, of many columns side by side; a missing one is passed over, for its sums are missing."""
    columns = np.full(_ABREAST, -np.inf, np.float32)
    whole = row.shape[0] - row.shape[0] % _ABREAST
    for start in range(0, whole, _ABREAST):
        some = row[start : start + _ABREAST]
        for i in range(_ABREAST):
            value = widen(some[i])
            columns[i] = value if value > columns[i] else columns[i]
    highest = columns.max()
    for value in row[whole:]:
        highest = max(highest, widen(value))
    return highest


@njit(**_COMPILED)
def _moments(row: Array, highest: Any, begins: Array) -> tuple[float, float, float, float, float]:
    """Return Σe, Σz·e and Σ√e with z = logit − highest and e = exp(z), and the first two over word beginnings."""
    whole = weighted = roots = begin = begin_weighted = 0.0
    for start in range(0, row.shape[0], _TOGETHER):
        # Parts, because places in them are known to be no negative ones: only such a loop takes several values at a time.
        some, beginning = row[start : start + _TOGETHER], begins[start : start + _TOGETHER]
        a = b = c = d = f = np.float32(0)
        for i in range(some.shape[0]):
            z = widen(some[i]) - highest
            z = LOWEST if z < LOWEST else z
            root = exponential(z * np.float32(0.5))
            e = root * root
            a += e
            b += z * e
            c += root
            d += e * beginning[i]
            f += z * e * beginning[i]
        whole += float(a)
        weighted += float(b)
        roots += float(c)
        begin += float(d)
        begin_weighted += float(f)
    return whole, weighted, roots, begin, begin_weighted
