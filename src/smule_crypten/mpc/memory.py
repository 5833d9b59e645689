"""Memory that was freed stays with the process, for the next tensor of some megabytes.

By default glibc hands such memory back to the system and gets it again, zeroed page by page: a message of a layer took
a thousand pages again each time, and most of its time. Other C libraries are left as they are.
"""

from __future__ import annotations

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""From glibc's malloc.h."""
_KEPT_BYTES = 256 << 20
"""What may be free at the end of the heap."""
_LARGEST_BYTES = 32 << 20
"""Of an allocation that comes from the heap; glibc takes no higher bound."""


def keep_freed_memory() -> bool:
    """For the whole process and from now on; says whether it is so."""
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST_BYTES)) and bool(mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES))
