"""One party of a full training under secret sharing."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from smule_crypten.baselines.joint_batches import BatchPlan, learning_rates, own_parts
from smule_crypten.config.run import PartyConfig
from smule_crypten.config.sections import SchemeConfig
from smule_crypten.inference.scheme import peak_memory_bytes
from smule_crypten.models.architecture import Architecture, lifted
from smule_crypten.models.trainable import translate_trainable
from smule_crypten.mpc.dealing import Request
from smule_crypten.mpc.full_training import FullTraining, SgdSettings, share_batch
from smule_crypten.mpc.session import Session, open_session
from smule_crypten.mpc.training_plan import NAME, step_plan
from smule_crypten.party.inputs import PartyInputs, build_party_model, party_seed
from smule_crypten.party.links import meet_others
from smule_crypten.simulation.simulated_data import load_same_inputs

Event = dict[str, Any]
"""What a party leaves with the simulation: its kind, and arrays and figures of that kind."""
STEPS_AN_EXCHANGE = 16
"""Keys are renewed, and the party that the dealer writes to changes, after so many steps."""
_DEFAULT_BITS = 16


def run_full_training_party(
    emit: Callable[[Event], None], config: PartyConfig, of_party_a: PartyConfig, max_steps: int | None, data_digest: str
) -> dict[str, Any]:
    """Train party a's network together with the peer.

    Args:
        emit: receives this party's shares after each epoch, and its part of the first batch (simulation only).
        of_party_a: whose network is trained.
        max_steps: stop after so many steps; None for training.epochs epochs.
        data_digest: of the data set that the parent has loaded.

    Returns:
        parameters (opened, the same at both parties), plan, seconds of each step; of_steps, the meter's state before
        the opening; total, with it.
    """
    torch.set_num_threads(config.launch.threads)
    inputs = load_same_inputs(config, data_digest)
    network = translate_trainable(build_party_model(of_party_a, inputs.bundle), inputs.bundle.input_shape)
    # Other schemes than CrypTen's mean something else by their bits.
    bits = config.scheme.precision_bits if config.scheme.name == "crypten" else _DEFAULT_BITS
    scheme = SchemeConfig(name=NAME, precision_bits=bits, micro_batch=config.training.batch_size)
    links = meet_others(config, with_dealer=config.provider.name != "trusted_first_party")
    with open_session(
        links, config.rank, precision_bits=bits, randomness=config.randomness, seed=config.seed
    ) as session:
        plan = _agree(session, config, inputs, network.architecture, scheme)
        steps = plan.steps if max_steps is None else min(max_steps, plan.steps)
        exchanges = _exchanges(session, network.architecture, plan.batch, steps)
        next(exchanges)
        optimizer = config.training.optimizer
        training = FullTraining(
            session,
            network.architecture,
            network.parameters if config.rank == 0 else None,
            0,
            SgdSettings(momentum=optimizer.momentum, weight_decay=optimizer.weight_decay),
        )
        with session.meter.phase("online"):
            seconds = _train(emit, session, training, config, inputs, plan, exchanges, steps)
            of_steps = session.meter.state_dict()
            parameters = training.open()
        return {
            "parameters": {name: [None if x is None else x.numpy() for x in pair] for name, pair in parameters.items()},
            "plan": plan,
            "seconds": seconds,
            "of_steps": of_steps,
            "total": session.meter.total(),
            "peak_memory_bytes": peak_memory_bytes(),
        }


def _agree(
    session: Session, config: PartyConfig, inputs: PartyInputs, architecture: Architecture, scheme: SchemeConfig
) -> BatchPlan:
    """Tell each other how many samples there are, and the dealer what to deal for."""
    own = len(inputs.train)
    peer = session.channel.swap_json(own)
    session.provider.agree(
        {
            "architectures": [architecture.to_json()] * 2,
            "scheme": scheme.model_dump(mode="json"),
            "randomness": session.randomness,
            "seed": session.seed if session.randomness == "seeded_insecure" else 0,
        }
    )
    return BatchPlan.of(config.training, (own, peer) if config.rank == 0 else (peer, own))


def _exchanges(session: Session, architecture: Architecture, batch: int, steps: int) -> Iterator[int]:
    """Begin one exchange after another, each for the number of steps that it yields."""
    for index, start in enumerate(range(0, steps, STEPS_AN_EXCHANGE)):
        count = min(STEPS_AN_EXCHANGE, steps - start)
        corrected = index % 2
        counts = (0, count * batch) if corrected == 0 else (count * batch, 0)
        session.begin_exchange(index + 1, counts)
        session.provider.begin_direction(corrected, _requests(architecture, batch, count))
        yield count


def _requests(architecture: Architecture, batch: int, steps: int) -> Iterator[Request]:
    return itertools.chain.from_iterable(step_plan(architecture, batch) for _ in range(steps))


def _train(
    emit: Callable[[Event], None],
    session: Session,
    training: FullTraining,
    config: PartyConfig,
    inputs: PartyInputs,
    plan: BatchPlan,
    exchanges: Iterator[int],
    steps: int,
) -> list[float]:
    """All steps; returns the seconds that each took."""
    rates = learning_rates(config.training.optimizer, plan.steps)
    num_classes, part = inputs.bundle.num_classes, plan.parts[config.rank]
    batches = own_parts(inputs.train, part, config.training, num_classes, party_seed(config))
    seconds: list[float] = []
    for step, (inputs_NX, one_hot) in zip(range(steps), batches, strict=False):
        started = time.perf_counter()
        if step and step % STEPS_AN_EXCHANGE == 0:
            next(exchanges)
        shared = [_shared(session.rank, own, plan.parts) for own in (lifted(inputs_NX), one_hot)]
        training.step(shared[0], shared[1], rates[step])
        seconds.append(time.perf_counter() - started)
        if step == 0:
            emit({"kind": "first_step", "inputs": inputs_NX.numpy(), "one_hot": one_hot.numpy(), **_evidence(training)})
        if (step + 1) % plan.steps_per_epoch == 0:
            total = session.meter.total()
            emit(
                {
                    "kind": "epoch",
                    "epoch": (step + 1) // plan.steps_per_epoch,
                    "bytes_total": total.bytes_total,
                    "dealer_bytes": total.dealer_bytes,
                    "seconds": sum(seconds),
                    **_evidence(training),
                }
            )
    return seconds


def _shared(rank: int, own: torch.Tensor, parts: tuple[int, int]) -> Any:
    shapes = [(count, *own.shape[1:]) for count in parts]
    return share_batch((own, None) if rank == 0 else (None, own), shapes)


def _evidence(training: FullTraining) -> dict[str, Any]:
    return {
        "shares": {
            name: [None if share is None else share.numpy().copy() for share in pair]
            for name, pair in training.shares().items()
        },
        "fraction_bits": training.fraction_bits,
    }
