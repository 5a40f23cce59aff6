"""The allocator's settings: freed memory is kept for the next update, not given back."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
KEPT = 256 * 2**20
"""How many bytes of freed memory glibc may keep."""


def keep_freed_memory() -> bool:
    """Lets glibc keep freed memory (up to 256 MiB) instead of returning it after each tensor.

    An update frees and takes the same activations again; without this the kernel clears every
    page of them each time. Changes no result. `benchmarks/updates.py` measures what it gains.

    Returns:
        Whether there was a glibc that took the settings.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    settings = ((M_MMAP_THRESHOLD, KEPT), (M_TRIM_THRESHOLD, KEPT), (M_TOP_PAD, KEPT // 4))
    return all(mallopt(parameter, value) == 1 for parameter, value in settings)
