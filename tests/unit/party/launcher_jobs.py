"""Functions that the launcher's tests run in processes of their own; importable there, and quick to import."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

Emit = Callable[[Any], None]


def drawn(emit: Emit) -> dict[str, object]:
    """One number each of the sources that user code may draw from without a seed."""
    import random
    import uuid

    import numpy as np

    return {"random": random.random(), "numpy": float(np.random.rand()), "system": os.urandom(8), "uuid": uuid.uuid4()}


def report(emit: Emit, value: int) -> tuple[int, str | None]:
    emit({"value": value})
    emit({"value": value + 1})
    return value, os.environ.get("TOLD_TO_THE_CHILD")


def blocked_signals(emit: Emit) -> set[int]:
    return set(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, [])))


def return_bytes(emit: Emit, count: int) -> bytes:
    return bytes(count)


def fail(emit: Emit, error: Exception) -> NoReturn:
    emit({"failing": True})
    raise error


def wait(emit: Emit) -> None:
    while True:
        signal.pause()


def wait_stubbornly(emit: Emit) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    wait(emit)


def be_killed(emit: Emit) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_in_the_middle_of_a_message(emit: Emit) -> None:
    """While nobody reads, only a part of the second event fits into the pipe until the alarm ends the process."""
    emit({"pid": os.getpid()})
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    emit({"value": bytes(1 << 20)})


def origins(emit: Emit) -> dict[str, object]:
    parent = os.getppid()
    return {
        "parent": parent,
        "torch was there": "torch" in sys.modules,
        "threads of the parent": len(os.listdir(f"/proc/{parent}/task")),
    }


def surroundings(emit: Emit) -> dict[str, object]:
    print("said")
    print("complained", file=sys.stderr)
    return {"environment": dict(os.environ), "folder": os.getcwd(), "path": sys.path}


def name_both_and_wait(emit: Emit) -> None:
    emit({"pids": [os.getpid(), os.getppid()]})
    wait(emit)
