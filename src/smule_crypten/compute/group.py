"""The processes of a party as one of them: what process 0 tells the others, and what all of them add up."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch.distributed.distributed_c10d import PrefixStore

from smule_crypten.compute.environment import SpawnedEnvironment, store_of
from smule_crypten.compute.watch import Watch
from smule_crypten.config.compute import ComputeConfig
from smule_crypten.config.sections import LaunchConfig
from smule_crypten.errors import ConfigError, PartyFailedError

_POLL_SECONDS = 0.02
_WHILE_DATA_ARE_READ = 7 * 24 * 3600.0
"""How long a process that a launcher has started waits for process 0, which that launcher looks after."""


class Group:
    """Joined when it is made; `leave` ends it.

    Lightning Fabric knows ranks, devices and backends, and broadcasts and adds up. What it is not asked for is its
    DistributedDataParallel: parts of a batch may differ in size, private gradients are summed before noise, and for
    networks that can be evaluated securely one sum of all gradients after the backward pass is as fast.

    Args:
        environment: how this process was started.
        ended: as of Watch.

    Raises:
        PartyFailedError: not all came within launch.join_seconds of process 0.
        ConfigError: the devices are not there.
    """

    def __init__(
        self,
        environment: ClusterEnvironment,
        compute: ComputeConfig,
        launch: LaunchConfig,
        device: str,
        name: str,
        ended: Callable[[], str | None] = lambda: None,
    ) -> None:
        self.rank, self.size = environment.global_rank(), environment.world_size()
        self.compute, self._name = compute, name
        reads_data_first = self.rank == 0 or isinstance(environment, SpawnedEnvironment)
        patience = launch.join_seconds if reads_data_first else _WHILE_DATA_ARE_READ
        store = store_of(environment, patience)
        self._words, self._said = PrefixStore("words", store), 0
        self._await_all(patience, ended)
        words = PrefixStore("watch", store)
        self.watch = Watch(words, self.rank, self.size, launch.deadline_seconds, ended, self._named)
        backend = "nccl" if device == "cuda" else "gloo"
        dist.init_process_group(backend, store=PrefixStore("torch", store), rank=self.rank, world_size=self.size)
        self.fabric = _fabric(environment, compute, device, backend)
        self.fabric.launch()

    @property
    def device(self) -> torch.device:
        return self.fabric.device

    def say(self, message: Any) -> None:
        """By process 0, to the others, which are waiting."""
        self.require_all()
        file = io.BytesIO()
        torch.save(message, file)
        with self.in_step():
            self._words.set(f"said/{self._said}", "1")
            self.fabric.broadcast(file.getvalue(), src=0)
        self._said += 1

    def hear(self) -> Any:
        """By the others: what process 0 says next; None where it is through.

        Raises:
            PartyFailedError: it is gone.
        """
        while not self._words.check([f"said/{self._said}"]):
            if self.watch.has_ended:
                return None
            self.require_all()
            time.sleep(_POLL_SECONDS)
        self._said += 1
        with self.in_step():
            content = self.fabric.broadcast(b"", src=0)
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=False)

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over all processes, on the device where values lie."""
        summed = self.fabric.all_reduce(values.to(self.device, copy=True), reduce_op="sum")
        assert isinstance(summed, torch.Tensor)
        return summed.to(values.device)

    @contextmanager
    def in_step(self) -> Iterator[None]:
        """Where processes wait for each other: an error in here that is one of another process is named so."""
        self.watch.is_in_step = True
        try:
            yield
        except RuntimeError as error:
            if (reason := self.watch.awaited_reason()) is None:
                raise
            raise self._lost(reason) from error
        finally:
            self.watch.is_in_step = False

    def require_all(self) -> None:
        """Raise PartyFailedError where another process is gone."""
        if self.watch.reason is not None:
            raise self._lost(self.watch.reason)

    def leave(self, *, in_order: bool = True) -> None:
        """in_order: all processes leave; else those that wait for this one on a CPU hear at once that it is gone."""
        if self.rank == 0:
            self.watch.tell_end()
        self.watch.stop()
        if in_order or self.device.type == "cpu":
            dist.destroy_process_group()

    def _lost(self, reason: str) -> PartyFailedError:
        return PartyFailedError(self._named(reason))

    def _named(self, reason: str) -> str:
        return f"party {self._name}, {reason}; {self.size} processes train it together"

    def _await_all(self, seconds: float, ended: Callable[[], str | None]) -> None:
        self._words.set(f"here/{self.rank}", "1")
        until = time.monotonic() + seconds
        while not self._words.check([f"here/{rank}" for rank in range(self.size)]):
            if (how := ended()) is not None:
                raise self._lost(how)
            if time.monotonic() > until:
                raise self._lost(f"not all processes came within {seconds:g} seconds")
            time.sleep(_POLL_SECONDS)


def _fabric(environment: ClusterEnvironment, compute: ComputeConfig, device: str, backend: str) -> Fabric:
    try:
        return Fabric(
            accelerator=device,
            devices=compute.devices,
            num_nodes=compute.nodes,
            strategy=DDPStrategy(process_group_backend=backend),
            plugins=[environment],
        )
    except Exception as error:  # of Fabric's own kinds, about devices that are not there
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ConfigError(f"compute.devices={compute.devices}: {reason}") from error
