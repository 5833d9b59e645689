"""Full training under secret sharing as a simulation: both parties and, if one deals, the dealer, on this machine.

It takes the configuration of a simulation: party a's network, the data of both, the same optimizer and schedule, but
no clipping of gradients (their norm is secret). The parties learn the network at the end, and nothing before; the
accuracy in between is known to the simulation alone, which adds up the shares that both parties leave with it.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from smule_crypten.baselines.full_training_party import Event, run_full_training_party
from smule_crypten.baselines.joint_batches import BatchPlan, learning_rates
from smule_crypten.config.run import RunConfig
from smule_crypten.data.samples import Samples
from smule_crypten.errors import ConfigError
from smule_crypten.inference.plaintext import evaluate_plaintext
from smule_crypten.models.module_handlers import Parameters
from smule_crypten.models.trainable import translate_trainable
from smule_crypten.models.translate import TranslatedNetwork
from smule_crypten.mpc.training_plan import NAME, cost_of_step, deal_steps
from smule_crypten.party.dealing import jobs_that_meet
from smule_crypten.party.inputs import build_party_model
from smule_crypten.party.launcher import Job, run_jobs
from smule_crypten.simulation.simulated_data import SimulatedData, load_simulated_data
from smule_crypten.training.evaluate import accuracy
from smule_crypten.transport.meeting import ROLES

_EVALUATED_TOGETHER = 512


def train_in_full(
    run: RunConfig, max_steps: int | None = None, on_epoch: Callable[[Event], None] = lambda event: None
) -> dict[str, Any]:
    """Train party a's network on the data of both parties under secret sharing.

    Args:
        max_steps: stop after so many steps (the first one warms up and is not timed); None trains to the end.
        on_epoch: hears of each epoch: epoch, test_accuracy, bytes_total (of both directions), dealer_bytes, seconds.

    Returns:
        Plain values: accuracy, cost of a step and of the whole, error of the first step.

    Raises:
        ConfigError, DataError, ModelError: found before a process starts.
        PartyFailedError: a process failed.
    """
    if run.training.dp is not None:
        raise ConfigError("training.dp: full training on shares adds no noise; set training.dp=null for it")
    if run.task != "classification":
        raise ConfigError(f"task={run.task}: full training on shares learns classes alone; compare with FedAvg")
    data = load_simulated_data(run)
    model = build_party_model(run.party(0, "."), data.bundle)
    network = translate_trainable(model, data.bundle.input_shape)
    learning_rates(run.training.optimizer, 1)  # an optimizer that is not supported is found before anything starts
    first_step: dict[str, Event] = {}
    epochs: dict[int, dict[str, Event]] = {}
    curve: list[Event] = []

    def on_event(sender: str, event: Event) -> None:
        if event["kind"] == "first_step":
            first_step[sender] = event
            return
        both = epochs.setdefault(event["epoch"], {})
        both[sender] = event
        if len(both) == 2:
            curve.append(_point(network, _in_order(both), data))
            on_epoch(curve[-1])

    with tempfile.TemporaryDirectory(prefix="smule-full-training-") as folder:
        results = run_jobs(_jobs(run, max_steps, folder, data.digest), on_event)[:2]
    plan: BatchPlan = results[0]["plan"]
    rates = learning_rates(run.training.optimizer, plan.steps)
    trained = TranslatedNetwork(architecture=network.architecture, parameters=_as_tensors(results[0]["parameters"]))
    return {
        **_figures(run, network, results),
        **_first_step(run, model, _in_order(first_step), rates[0]),
        "test_accuracy": _accuracy(trained, data.test),
        "curve": curve,
    }


def _jobs(run: RunConfig, max_steps: int | None, folder: str, data_digest: str) -> list[Job]:
    configs = [run.party(rank, ".") for rank in (0, 1)]
    arguments = [(config, configs[0], max_steps, data_digest) for config in configs]
    # CrypTen trains, whatever scheme answers queries: without a word on who deals, a dealer does.
    deals, dealt = run.provider.name != "trusted_first_party", {NAME: deal_steps}
    return jobs_that_meet(folder, run_full_training_party, arguments, run.launch, with_dealer=deals, schemes=dealt)


def _in_order(by_role: Mapping[str, Event]) -> list[Event]:
    return [by_role[role] for role in ROLES[:2]]


def _figures(run: RunConfig, network: TranslatedNetwork, results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Bytes are those of both directions; what the dealer sent to both parties is apart."""
    plan: BatchPlan = results[0]["plan"]
    seconds = [max(pair) for pair in zip(*(result["seconds"] for result in results), strict=True)]
    steps = len(seconds)
    online = [result["of_steps"]["by_phase"]["online"] for result in results]
    predicted = cost_of_step(network.architecture, plan.batch, dealt=run.provider.name != "trusted_first_party")
    return {
        "steps": steps,
        "steps_per_epoch": plan.steps_per_epoch,
        "epochs": plan.epochs,
        "is_complete": steps == plan.steps,
        "batch_parts": list(plan.parts),
        "bytes_total": results[0]["total"].bytes_total,
        "dealer_bytes": sum(result["total"].dealer_bytes for result in results),
        "rounds": results[0]["total"].rounds,
        "seconds": sum(seconds),
        "step": {
            "bytes_total": (online[0]["bytes_sent"] + online[0]["bytes_received"]) / steps,
            "dealer_bytes": sum(counts["dealer_bytes"] for counts in online) / steps,
            "rounds": online[0]["rounds"] / steps,
            "seconds": statistics.median(seconds[1:] or seconds),
        },
        "predicted_step": {
            "bytes_total": predicted.bytes_total,
            "dealer_bytes": predicted.dealer_bytes,
            "rounds": predicted.rounds,
        },
        "bytes_by_layer": {
            layer: counts["bytes_sent"] + counts["bytes_received"]
            for layer, counts in results[0]["of_steps"]["by_layer"].items()
        },
        "peak_memory_bytes": max(result["peak_memory_bytes"] for result in results),
    }


def _first_step(run: RunConfig, model: nn.Module, parties: Sequence[Event], learning_rate: float) -> dict[str, float]:
    """How far the weights after the first step are from PyTorch's, and how far PyTorch's have moved."""
    inputs_NX, one_hot = (
        torch.cat([torch.from_numpy(party[key]) for party in parties]) for key in ("inputs", "one_hot")
    )
    shape = tuple(inputs_NX.shape[1:])
    before = translate_trainable(model, shape).parameters
    optimizer = run.training.optimizer
    sgd = torch.optim.SGD(
        model.parameters(),
        lr=learning_rate,
        momentum=optimizer.momentum,
        nesterov=optimizer.momentum > 0,
        weight_decay=optimizer.weight_decay,
    )
    F.cross_entropy(model(inputs_NX), one_hot.argmax(dim=1)).backward()  # type: ignore[no-untyped-call]
    sgd.step()
    after = translate_trainable(model, shape).parameters
    return {
        "first_step_error": _largest_distance(_added(parties), after),
        "first_step_moved": _largest_distance(before, after),
    }


def _point(network: TranslatedNetwork, parties: Sequence[Event], data: SimulatedData) -> Event:
    current = TranslatedNetwork(architecture=network.architecture, parameters=_added(parties))
    return {
        "epoch": parties[0]["epoch"],
        "test_accuracy": _accuracy(current, data.test),
        "bytes_total": parties[0]["bytes_total"],
        "dealer_bytes": sum(party["dealer_bytes"] for party in parties),
        "seconds": max(party["seconds"] for party in parties),
    }


def _added(parties: Sequence[Event]) -> Parameters:
    """The weights of which both parties hold these shares."""
    first, second = (party["shares"] for party in parties)
    scale = 2.0 ** parties[0]["fraction_bits"]

    def value(share: Any, other: Any) -> torch.Tensor | None:
        return None if share is None else torch.from_numpy(share + other).double() / scale

    return {name: _pair(*(value(*both) for both in zip(first[name], second[name], strict=True))) for name in first}


def _as_tensors(parameters: Mapping[str, Any]) -> Parameters:
    return {
        name: _pair(*(None if value is None else torch.from_numpy(value) for value in pair))
        for name, pair in parameters.items()
    }


def _pair(weight: torch.Tensor | None, bias: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor | None]:
    assert weight is not None
    return weight, bias


def _largest_distance(first: Parameters, second: Parameters) -> float:
    return max(
        float((one - other).abs().max())
        for name in first
        for one, other in zip(first[name], second[name], strict=True)
        if one is not None and other is not None
    )


def _accuracy(network: TranslatedNetwork, test: Samples) -> float:
    chunks = torch.split(test.inputs, _EVALUATED_TOGETHER)
    return accuracy(torch.cat([evaluate_plaintext(network, chunk) for chunk in chunks]), test.targets)
