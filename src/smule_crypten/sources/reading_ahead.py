"""Reading one batch after another, by processes that are some batches ahead: PyTorch's DataLoader over a source.

What is read, and its order, is the same with any number of processes: each batch is read by one of them, and they come
out in the order that was asked for. No process draws anything at random.
"""

from __future__ import annotations

import multiprocessing as mp
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch.utils.data import DataLoader, Dataset

from smule_crypten.config.options import one_line
from smule_crypten.errors import DataError
from smule_crypten.fork_server import ready_context, refuse_in_imported_script
from smule_crypten.sources.source import Positions, Source

_AHEAD = 2
"""Batches that each process has ready; bounds memory."""


def read_ahead(source: Source, batches: Sequence[Positions], device: torch.device) -> Iterator[torch.Tensor]:
    """The batches (B, X) as they lie in source, on device; through pinned memory where that is CUDA.

    Raises:
        DataError: as Source.read, in this process, whichever has read; or a process that reads ahead is gone.
    """
    on_cuda = device.type == "cuda"
    if source.workers == 0 or len(batches) < 2:
        for positions_B in batches:
            read_BX = source.read(positions_B)
            yield (read_BX.pin_memory() if on_cuda else read_BX).to(device, non_blocking=True)
        return
    refuse_in_imported_script()
    loader = DataLoader(
        _Batches(source),
        sampler=batches,  # an index is a batch of positions
        batch_size=None,
        num_workers=min(source.workers, len(batches)),
        prefetch_factor=_AHEAD,
        pin_memory=on_cuda,
        multiprocessing_context=ready_context(),
        generator=torch.Generator(),  # else one number of the global one would be drawn
    )
    for read in _by_processes(loader):
        if isinstance(read, str):
            raise DataError(read)
        yield read.to(device, non_blocking=True)


def _by_processes(loader: DataLoader[torch.Tensor | str]) -> Iterator[torch.Tensor | str]:
    try:
        with _may_have_children():
            reading = iter(loader)
        yield from reading
    except (RuntimeError, OSError, EOFError) as error:  # killed, or no room in shared memory; what comes first
        raise DataError(
            f"a process that reads ahead has ended ({one_line(error)}); lower data.workers, or give the machine more "
            "memory (shared memory, too)"
        ) from error


@contextmanager
def _may_have_children() -> Iterator[None]:
    """Python lets daemons, such as the parties of a simulation, have none, since it would not end them.

    These end with the party, or, where that is killed, with the server that has started them.
    """
    process = mp.current_process()
    was_daemon = process.daemon
    if was_daemon:
        process.daemon = False
    try:
        yield
    finally:
        if was_daemon:
            process.daemon = True


class _Batches(Dataset[torch.Tensor | str]):
    """A batch of positions -> the batch, or what is wrong with it: PyTorch would make a traceback of an exception."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __getitem__(self, positions_B: Positions) -> torch.Tensor | str:
        try:
            return self._source.read(positions_B)
        except DataError as error:
            return str(error)
