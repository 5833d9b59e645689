"""How processes start here: forked, in milliseconds, from a server that imports once what each of them needs.

A new interpreter would import PyTorch and CrypTen for seconds, in each process again. Python's fork server is such an
interpreter; it computes nothing, so that it holds no threads of PyTorch, no CUDA context and no keys when it forks. The
one random state that forks would share, NumPy's, is drawn afresh in each. It starts with the first process, serves all
later ones of this process, and ends with it.

What a process inherits (limits of resources, namespaces) is the server's, as it was when that started; path, working
directory and main module are those of the caller. `CallersOutput` and `environment` of a job hand on the rest.
"""

from __future__ import annotations

import atexit
import multiprocessing as mp
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import DupFd
from typing import Any

from smule_crypten.errors import ConfigError

PRELOADED = (
    "smule_crypten.party.party",
    "smule_crypten.simulation.controls",
    "smule_crypten.party.dealing",
    # PyTorch imports it when it first computes with shapes only.
    "torch._dynamo",
)

LONGEST_TEMPORARY_FOLDER = 70
"""Bytes. The server's socket lies below that folder, and the system allows 107 for its whole path."""


def process_context() -> ForkServerContext | SpawnContext:
    """Where to take processes and pipes from: the fork server, or new interpreters.

    New interpreters where forking is not safe (macOS) or the server's socket has no room for its path. What the
    processes do is the same.
    """
    if sys.platform != "linux" or len(tempfile.gettempdir().encode()) > LONGEST_TEMPORARY_FOLDER:
        return mp.get_context("spawn")
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context


def refuse_in_imported_script() -> None:
    """Raise ConfigError in a process that is importing the script of its parent, to be called before any is started."""
    if getattr(mp.current_process(), "_inheriting", False):
        raise ConfigError(
            "processes import the script that starts them, so it would start them again and again; put the calls of "
            'smule_crypten in it below: if __name__ == "__main__":'
        )


def ready_context() -> ForkServerContext | SpawnContext:
    """process_context(), its server running: for libraries that start processes themselves."""
    context = process_context()
    if not isinstance(context, SpawnContext):
        # Both are handed on by the server to those that it forks.
        with _interrupts_held_back(), _without_threads_of_arrow():
            forkserver.ensure_running()
    return context


def start(process: BaseProcess) -> None:
    """Start a process of process_context(), which never sees Ctrl-C, not even while it imports.

    Its parent does, and does not wait then until the server has imported everything.
    """
    if isinstance(ready_context(), SpawnContext):
        with _interrupts_held_back():
            process.start()
        return
    try:
        process.start()
    except KeyboardInterrupt:
        if not mp.active_children():  # where there are some, the server is through, and says how they end
            _kill_server()
        raise


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    resource_tracker.ensure_running()  # its first start would release SIGINT
    blocked_before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked_before)


@contextmanager
def _without_threads_of_arrow() -> Iterator[None]:
    """scikit-learn imports pandas where it is installed, pandas Arrow, and that one's allocator starts a thread."""
    key = "JE_ARROW_MALLOC_CONF"
    if key in os.environ:
        yield
        return
    os.environ[key] = "background_thread:false"
    try:
        yield
    finally:
        del os.environ[key]


@atexit.register
def _kill_server() -> None:
    """The server would end by itself, but only after its imports, and then take down all of PyTorch."""
    pid: int | None = vars(forkserver._forkserver)["_forkserver_pid"]
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class CallersOutput:
    """Among the arguments of a process: what it prints goes where its caller prints now, not where the server did."""

    def __reduce__(self) -> tuple[Any, ...]:
        # A descriptor that was closed when Python started may belong to any file by now.
        streams = {1: sys.__stdout__, 2: sys.__stderr__}
        return _print_to, ({number: DupFd(number) for number, stream in streams.items() if stream is not None},)


def _print_to(descriptors: dict[int, Any]) -> CallersOutput:
    for number, sent in descriptors.items():
        descriptor = sent.detach()
        if descriptor != number:  # a new interpreter has inherited it
            os.dup2(descriptor, number)
            os.close(descriptor)
    return CallersOutput()
