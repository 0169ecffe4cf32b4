"""Compiled work of a trace on as many threads as PyTorch computes with."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise

import torch


def shared_out(work: Callable[[int, int], None], size: int, fewest: int = 1) -> None:
    """Call ``work(start, stop)`` on even parts of ``range(size)`` of at least ``fewest``, one a thread, this one among them.

    ``work`` is compiled code that releases the interpreter's lock.
    """
    threads = max(1, min(torch.get_num_threads(), size // fewest))
    edges = list(pairwise(size * part // threads for part in range(threads + 1)))
    others = [_pool(os.getpid(), threads).submit(work, *edge) for edge in edges[1:]]
    work(*edges[0])
    for other in others:
        other.result()


@lru_cache(maxsize=1)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """Return threads that wait for work: to start some for each layer takes longer than what they do there; a fork has none."""
    return ThreadPoolExecutor(threads)
