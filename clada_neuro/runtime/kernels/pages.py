"""Memory in large pages, for weights that every token reads from end to end: a look-up less for each few kilobytes."""

import ctypes
import sys

from torch import Tensor

_PAGE = 1 << 21
_COLLAPSE = 25  # as Linux calls it from 6.1 on; earlier ones refuse, and pages stay as they are


def use_large_pages(weight: Tensor) -> None:
    """Move a contiguous weight to large pages, where it is: neither its address nor a number changes."""
    if not sys.platform.startswith("linux"):
        return
    start = -(-weight.data_ptr() // _PAGE) * _PAGE
    size = (weight.data_ptr() + weight.nbytes) // _PAGE * _PAGE - start
    if size > 0:
        ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), _COLLAPSE)
