"""Memory that was freed stays with the process, for the next tensor of some megabytes, as long as a session lasts.

By default glibc hands such memory back to the system and gets it again, zeroed page by page: a message of a layer took
a thousand pages again each time, and most of its time. Other C libraries are left as they are.

The thresholds hold for the whole process, and there is no way back to glibc's own, which move with use. Between
allocations that are in use they keep any amount; so a session hands all that is free back when it ends.
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""From glibc's malloc.h."""
_KEPT_BYTES = 256 << 20
"""What may be free at the end of the heap."""
_LARGEST_BYTES = 32 << 20
"""Of an allocation that comes from the heap; glibc takes no higher bound."""


@contextmanager
def freed_memory_kept() -> Iterator[bool]:
    """Within it; whether it is so. At the end, what is free goes back to the system."""
    if platform.libc_ver()[0] != "glibc":
        yield False
        return
    glibc = ctypes.CDLL(None)
    try:
        yield all([glibc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_BYTES), glibc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)])
    finally:
        glibc.malloc_trim(0)
