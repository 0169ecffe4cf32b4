"""At what rate do a model's weights come from memory? No decoding that reads them can be faster."""

import statistics
import time

import numba
import numpy as np
import torch
from numba import njit, prange
from transformers import PreTrainedModel


class Stream:
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
            weights = {w.data_ptr(): w for w in model.parameters() if w.dim() == 2 and w.is_contiguous()}
            whole = [w.detach().view(-1).view(torch.uint8).numpy() for w in weights.values()]
            self._arrays = [bytes_[: len(bytes_) // 8 * 8].view(np.int64) for bytes_ in whole]

    def measure(self) -> None:
        """Read every weight once."""
        if not self._arrays:
            return
        threads = numba.get_num_threads()
        began = time.perf_counter()
        for words in self._arrays:
            _read(words, threads)
        self.rates.append(sum(words.nbytes for words in self._arrays) / (time.perf_counter() - began) / 1e9)

    @property
    def gb_s(self) -> float:
        """Median rate after the first call, which compiles; NaN where nothing was measured."""
        return statistics.median(self.rates[1:]) if len(self.rates) > 1 else float("nan")


@njit(parallel=True, nogil=True, cache=True)
def _read(words: np.ndarray, threads: int) -> int:
    """Combine all words, so that none can be left unread."""
    found = np.zeros(threads, np.int64)
    for thread in prange(threads):
        part = np.int64(0)
        for i in range(len(words) * thread // threads, len(words) * (thread + 1) // threads):
            part ^= words[i]
        found[thread] = part
    return int(found.sum())
