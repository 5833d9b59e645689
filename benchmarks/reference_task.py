"""What the benchmarks of secure inference evaluate, and one evaluation of it by a scheme.

Both parties own a network of one architecture (the same weights, which no scheme can see) and images of one size. Who
asks about how many images is a setting; the reference is small_convnet with channels 16, 32, 64 on 3x32x32.
"""

from __future__ import annotations

import dataclasses
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

from smule_crypten.config.sections import ModelConfig, SchemeConfig
from smule_crypten.inference.answerer import Answerer
from smule_crypten.inference.noise import NoiseRule
from smule_crypten.inference.registry import scheme_class
from smule_crypten.inference.scheme import CPU, SecureInferenceScheme
from smule_crypten.models.translate import translate
from smule_crypten.models.zoo import build_model
from smule_crypten.mpc.session import Session
from smule_crypten.types import Cost, InferenceQuery, centred

INPUT_SHAPE, NUM_CLASSES, NUM_SAMPLES = (3, 32, 32), 10, 64
MODEL_OWNER, DATA_OWNER = 0, 1
"""Where only one party asks."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One evaluation, seen by one party.

    begin_seconds: what came before it, fresh keys and whatever else a scheme prepares; not in seconds. begin_bytes:
    what this party sent then. set_up_bytes: what it sent before, once a run. cpu_seconds: of all threads of this
    process, for both; exchange_cpu_seconds: without what came before.
    preparation_seconds: the part of seconds that does not depend on the inputs and could have come earlier. The
    errors, of centred logits and of a class's probability, are against plain PyTorch; agreement is with its most
    likely class. At a party that asks nothing there are none.
    """

    begin_seconds: float = 0.0
    begin_bytes: int = 0
    set_up_bytes: int = 0
    cpu_seconds: float = 0.0
    exchange_cpu_seconds: float = 0.0
    seconds: float
    preparation_seconds: float = 0.0
    rounds: int
    bytes_sent: int
    dealer_bytes: int
    peak_memory_bytes: int
    logit_error: float
    mean_logit_error: float = 0.0
    soft_label_error: float
    agreement: float = 1.0


@dataclass(kw_only=True)
class Task:
    """What is evaluated. counts: how many of the images party a and party b ask about.

    calibration_NX: what an owner of a network fits it to a scheme with; images of its own.
    """

    network: nn.Module
    inputs: torch.Tensor
    calibration_NX: torch.Tensor
    counts: tuple[int, int]

    @classmethod
    def of_size(cls, *counts: int) -> Task:
        """The reference network with random weights on random images."""
        network = build_model(ModelConfig(name="small_convnet"), INPUT_SHAPE, NUM_CLASSES, seed=0).eval()
        inputs_NX, calibration_NX = (
            torch.randn(count, *INPUT_SHAPE, generator=torch.Generator().manual_seed(seed))
            for seed, count in enumerate((max(counts), NUM_SAMPLES))
        )
        asked_by_a, asked_by_b = counts
        return cls(
            network=network,
            inputs=inputs_NX,
            calibration_NX=calibration_NX,
            counts=(asked_by_a, asked_by_b),
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
        run = Run(
            begin_seconds=begin_seconds,
            seconds=seconds,
            rounds=cost.rounds,
            bytes_sent=cost.bytes_sent,
            dealer_bytes=cost.dealer_bytes,
            peak_memory_bytes=peak_memory_bytes(),
            logit_error=0.0,
            soft_label_error=0.0,
        )
        asked = self.counts[dist.get_rank()]
        if not asked:
            return run
        assert logits_NC is not None
        return self._judged(run, logits_NC, asked)

    def _judged(self, run: Run, logits_NC: torch.Tensor, asked: int) -> Run:
        with torch.no_grad():
            expected_NC = torch.cat([self.network(chunk) for chunk in torch.split(self.inputs[:asked], 256)])
        error_NC = (centred(expected_NC) - centred(logits_NC)).abs()
        return dataclasses.replace(
            run,
            logit_error=float(error_NC.max()),
            mean_logit_error=float(error_NC.mean()),
            soft_label_error=float((expected_NC.softmax(1) - logits_NC.softmax(1)).abs().max()),
            agreement=float((expected_NC.argmax(1) == logits_NC.argmax(1)).double().mean()),
        )


def prepared_scheme(
    session: Session, task: Task, config: SchemeConfig, device: torch.device = CPU
) -> tuple[SecureInferenceScheme, Answerer]:
    """Both networks have the same architecture, though that of a party whose peer does not ask is never used."""
    channels, height, width = task.inputs.shape[1:]
    architecture = translate(task.network, (channels, height, width)).architecture
    scheme = scheme_class(config.name)(session, config, (architecture, architecture), device)
    noise = NoiseRule.without_protection()  # the scheme's own errors are measured
    return scheme, scheme.prepare_answers(task.network, task.calibration_NX, noise)


def queries_of(task: Task, rank: int, index: int) -> list[InferenceQuery]:
    """Of party a and of party b, as the party of this rank sees them."""
    return [
        InferenceQuery(
            query_id=index,
            model_owner=1 - data_owner,
            data_owner=data_owner,
            num_samples=count,
            model_step=0,
            sample_ids=torch.arange(count) if data_owner == rank else None,
            inputs=task.inputs[:count] if data_owner == rank else None,
        )
        for data_owner, count in enumerate(task.counts)
    ]


def run_exchange(
    scheme: SecureInferenceScheme,
    answerer: Answerer,
    task: Task,
    index: int,
    ahead: Callable[[], None] = lambda: None,
) -> Run:
    """Exchange `index`. ahead: what else is done before it is timed."""
    rank = scheme.session.rank
    queries = queries_of(task, rank, index)
    dist.barrier()
    meter = scheme.session.meter
    started, cpu_started, sent = time.perf_counter(), time.process_time(), meter.total().bytes_sent
    scheme.begin(index, task.counts)
    scheme.announce({})  # what is prepared ahead is ready then
    ahead()
    begin_seconds, begin_bytes = time.perf_counter() - started, meter.total().bytes_sent - sent
    preparation_seconds = exchange_cpu_seconds = 0.0

    def evaluate() -> torch.Tensor:
        nonlocal preparation_seconds, exchange_cpu_seconds
        began = time.process_time()
        prediction = scheme.exchange(answerer, queries[rank], queries[1 - rank])
        exchange_cpu_seconds = time.process_time() - began
        preparation_seconds = prediction.cost.offline_seconds
        return prediction.logits_NC

    run = task.measure(evaluate, meter.total, begin_seconds)
    return dataclasses.replace(
        run,
        preparation_seconds=preparation_seconds,
        begin_bytes=begin_bytes,
        exchange_cpu_seconds=exchange_cpu_seconds,
        cpu_seconds=time.process_time() - cpu_started,
    )


def peak_memory_bytes() -> int:
    """The largest resident size of this process. getrusage would also count what its parent held when it began."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
