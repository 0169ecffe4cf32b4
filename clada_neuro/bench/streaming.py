"""At what rate do a model's weights come from memory? No decoding that reads them can be faster."""

import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import torch
from numba import njit
from torch import Tensor
from transformers import PreTrainedModel

from clada_neuro.models.ggml import stored


class WeightStream:
    """All threads read a model's own weight arrays, once a call.

    Attributes
    ----------
    rates : list of float
        GB/s of every call.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.rates: list[float] = []
        self._arrays = []
        if model.device.type == "cpu":
            read = [
                stored(part) for part in model.modules() if isinstance(getattr(part, "weight", None), Tensor)
            ]
            weights = {w.data_ptr(): w for w in read if w.dim() == 2 and w.is_contiguous()}
            whole = [w.detach().view(-1).view(torch.uint8).numpy() for w in weights.values()]
            self._arrays = [bytes_[: len(bytes_) // 8 * 8].view(np.int64) for bytes_ in whole]

    def measure(self) -> None:
        """Read every weight once, each thread its part of every array: they meet once a call, not once an array."""
        if not self._arrays:
            return
        threads = numba.get_num_threads()
        shares = [
            [np.array_split(words, threads)[thread] for words in self._arrays] for thread in range(threads)
        ]
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(len, shares))  # the threads exist
            began = time.perf_counter()
            list(pool.map(_read, shares))
            seconds = time.perf_counter() - began
        self.rates.append(sum(words.nbytes for words in self._arrays) / seconds / 1e9)

    @property
    def gb_s(self) -> float:
        """Median rate after the first call, which compiles; NaN where nothing was measured."""
        return statistics.median(self.rates[1:]) if len(self.rates) > 1 else float("nan")


def _read(arrays: list[np.ndarray]) -> int:
    """Combine all words of some arrays, so that none can be left unread."""
    found = 0
    for words in arrays:
        found ^= _combined(words)
    return found


@njit(nogil=True, cache=True)
def _combined(words: np.ndarray) -> int:
    """Combine the words of one array: a loop of its own, which the compiler turns into wide loads."""
    found = np.int64(0)
    for word in words:
        found ^= word
    return int(found)
