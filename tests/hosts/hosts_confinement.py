"""What a unit of systemd forbids a process, done to a process of a test: it shows whether the unit can be used where no
systemd runs. Files and capabilities are not looked at.
"""

from __future__ import annotations

import configparser
import ctypes
import errno
import socket
import subprocess
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_EQUAL = 4
_DENY_WRITE_EXECUTE = 65
"""PR_SET_MDWE"""
_FAMILIES = 46


class _Comparison(ctypes.Structure):
    _fields_ = (("argument", ctypes.c_uint), ("operator", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


class Confined:
    """Instrument: by SystemCallFilter, RestrictAddressFamilies and MemoryDenyWriteExecute of the unit of this name."""

    def __init__(self, name: str) -> None:
        parser = configparser.ConfigParser(interpolation=None)
        parser.read(UNITS / f"{name}.service", encoding="utf-8")
        service = parser["Service"]
        self._calls = sorted({call for group in service["SystemCallFilter"].split() for call in calls_of(group)})
        self._families = [int(getattr(socket, name)) for name in service["RestrictAddressFamilies"].split()]
        self._denies_code = service.get("MemoryDenyWriteExecute") == "yes"

    def arm(self, connection: Connection) -> None:
        if self._denies_code and ctypes.CDLL(None).prctl(_DENY_WRITE_EXECUTE, 1, 0, 0, 0):
            raise OSError("the kernel has no PR_SET_MDWE")
        forbidden = [family for family in range(_FAMILIES) if family not in self._families]
        _load(_ALLOW, [(_ERROR | errno.EAFNOSUPPORT, "socket", family) for family in forbidden])
        _load(_ERROR | errno.EPERM, [(_ALLOW, call, None) for call in self._calls])

    def tell(self) -> None:
        pass


def calls_of(group: str) -> Iterator[str]:
    """The system calls of a group, as systemd lists them."""
    listed = subprocess.run(["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True)
    for entry in map(str.strip, listed.stdout.splitlines()[1:]):
        if entry.startswith("@"):
            yield from calls_of(entry)
        elif entry and not entry.startswith("#"):
            yield entry


def _load(otherwise: int, rules: Sequence[tuple[int, str, int | None]]) -> None:
    """Let the kernel apply rules (action, system call, its first argument or None) to this process from here on."""
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_load.argtypes = [ctypes.c_void_p]
    library.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.c_void_p,
    ]
    context = library.seccomp_init(ctypes.c_uint32(otherwise))
    for action, name, first in rules:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number < 0:
            continue  # of another architecture, or newer than the library
        compared = None if first is None else _Comparison(0, _EQUAL, first, 0)
        pointer = None if compared is None else ctypes.byref(compared)
        if library.seccomp_rule_add_array(context, action, number, int(compared is not None), pointer):
            raise OSError(f"no filter for {name}")
    if library.seccomp_load(context):
        raise OSError("the filter cannot be loaded")
