"""The task that the benchmarks of secure inference share: the reference network of party a (small_convnet, channels
16, 32, 64) on images of 3x32x32 of party b, who learns the logits; and one evaluation of it by a scheme."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn

from smule_crypten.config import ModelConfig, SchemeConfig
from smule_crypten.inference.registry import scheme_class
from smule_crypten.inference.scheme import SecureInferenceScheme
from smule_crypten.models.translate import translate
from smule_crypten.models.zoo import build_model
from smule_crypten.mpc.session import Session
from smule_crypten.types import Cost, InferenceQuery

INPUT_SHAPE, NUM_CLASSES, NUM_SAMPLES = (3, 32, 32), 10, 64
MODEL_OWNER, DATA_OWNER = 0, 1


@dataclass(frozen=True, kw_only=True)
class Run:
    """One evaluation, seen by one party.

    begin_seconds: what came before it, fresh keys and whatever else a scheme prepares; not in seconds. The errors are
    the largest ones against plain PyTorch, of a logit and of a class's probability; 0 at the model owner.
    """

    begin_seconds: float = 0.0
    seconds: float
    rounds: int
    bytes_sent: int
    dealer_bytes: int
    peak_memory_bytes: int
    logit_error: float
    soft_label_error: float


@dataclass(kw_only=True)
class Task:
    """What is evaluated."""

    network: nn.Module
    inputs_NCHW: torch.Tensor

    @classmethod
    def of_size(cls, num_samples: int) -> Task:
        network = build_model(ModelConfig(name="small_convnet"), INPUT_SHAPE, NUM_CLASSES, seed=0).eval()
        return cls(
            network=network,
            inputs_NCHW=torch.randn(num_samples, *INPUT_SHAPE, generator=torch.Generator().manual_seed(0)),
        )

    def measure(
        self, evaluate: Callable[[], torch.Tensor | None], traffic: Callable[[], Cost], begin_seconds: float = 0.0
    ) -> Run:
        """Run evaluate in both parties at once; traffic returns what was sent so far.

        Needs torch.distributed, whose barrier costs the measured link nothing.
        """
        dist.barrier()
        before, started = traffic(), time.perf_counter()
        logits_NC = evaluate()
        seconds, cost = time.perf_counter() - started, traffic() - before
        peak = peak_memory_bytes()
        errors = (0.0, 0.0)
        if dist.get_rank() == DATA_OWNER:
            assert logits_NC is not None
            with torch.no_grad():
                expected_NC = self.network(self.inputs_NCHW)
            errors = _largest(expected_NC - logits_NC), _largest(expected_NC.softmax(1) - logits_NC.softmax(1))
        return Run(
            begin_seconds=begin_seconds,
            seconds=seconds,
            rounds=cost.rounds,
            bytes_sent=cost.bytes_sent,
            dealer_bytes=cost.dealer_bytes,
            peak_memory_bytes=peak,
            logit_error=errors[0],
            soft_label_error=errors[1],
        )


def prepared_scheme(session: Session, task: Task, config: SchemeConfig) -> SecureInferenceScheme:
    """Both networks have the reference architecture, though party b's is never asked."""
    scheme = scheme_class(config.name)(session, config)
    architecture = translate(task.network, INPUT_SHAPE).architecture
    scheme.prepare((architecture, architecture))
    return scheme


def run_exchange(scheme: SecureInferenceScheme, task: Task, index: int) -> Run:
    """Exchange `index`, in which only the data owner asks."""
    session = scheme.session
    num_samples = len(task.inputs_NCHW)
    num_asked = num_samples if session.rank == DATA_OWNER else 0
    asked = InferenceQuery(
        query_id=index,
        model_owner=1 - session.rank,
        data_owner=session.rank,
        num_samples=num_asked,
        model_step=0,
        sample_ids=torch.arange(num_asked),
        inputs_NCHW=task.inputs_NCHW[:num_asked],
    )
    answered = InferenceQuery(
        query_id=index,
        model_owner=session.rank,
        data_owner=1 - session.rank,
        num_samples=num_samples - num_asked,
        model_step=0,
    )
    dist.barrier()
    started = time.perf_counter()
    scheme.begin(index, (num_samples, 0) if DATA_OWNER == 0 else (0, num_samples))
    return task.measure(
        lambda: scheme.exchange(task.network, asked, answered).logits_NC,
        session.meter.total,
        begin_seconds=time.perf_counter() - started,
    )


def peak_memory_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _largest(error: torch.Tensor) -> float:
    return float(error.abs().max())
