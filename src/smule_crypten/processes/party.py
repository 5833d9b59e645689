"""One party from start to end: the place where data, network, secure runtime, exchange and trainer meet.

The same function runs between hosts, in a process of our launcher, under CrypTen's `run_multiprocess`, and in a shell
with WORLD_SIZE, RANK and RENDEZVOUS set.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from smule_crypten.data.partition import missing_classes
from smule_crypten.exchange.budget import QueryBudget
from smule_crypten.exchange.handshake import agree_on_start, handshake, run_handshake
from smule_crypten.inference.registry import scheme_class
from smule_crypten.inference.scheme import SecureInferenceScheme
from smule_crypten.models.architecture import Architecture
from smule_crypten.models.translate import translate
from smule_crypten.models.zoo import num_parameters
from smule_crypten.mpc.session import Session, open_session
from smule_crypten.processes.evidence import Evidence
from smule_crypten.processes.inputs import PartyInputs, build_party_model, load_party_inputs
from smule_crypten.processes.launcher import Emit
from smule_crypten.processes.ledger import PartyLedger
from smule_crypten.processes.links import meet_others
from smule_crypten.processes.mutual_training import MutualTraining
from smule_crypten.processes.run_folder import (
    JOURNAL_FILE,
    LEDGER_FILE,
    MODEL_FILE,
    STATES_FOLDER,
    party_folder,
    write_result,
)
from smule_crypten.processes.states import StateFolder
from smule_crypten.report.journal import EpochJournal
from smule_crypten.run_config import PartyConfig, ProtocolConfig

log = logging.getLogger(__name__)


def run_party(emit: Emit, config: PartyConfig, evidence_dir: str | None = None) -> dict[str, Any]:
    """Train alone, then with mutual learning; returns the party's entry of RunRecord.parties.

    Where an earlier run in the same folder was cut off, it goes on from the last exchange that both parties saved.

    Args:
        emit: receives an event for every epoch and message (docs/results.md).
        evidence_dir: simulation only: where to leave model and answers of each exchange, for the fidelity check.

    Raises:
        SmuleError: anything a user can cause.
    """
    torch.set_num_threads(config.launch.threads)
    inputs = load_party_inputs(config)
    model = build_party_model(config, inputs.bundle)
    architecture = translate(model, inputs.bundle.input_shape).architecture
    output_dir = party_folder(config)
    budget = QueryBudget(config.budget, output_dir / LEDGER_FILE)
    states = StateFolder(output_dir / STATES_FOLDER, config)
    _say_what_is_missing(emit, config, inputs)
    with _open_session(config) as session:
        scheme, start = _agree(session, config, inputs, architecture, states)
        # Opened only now: a run that cannot start leaves the journal of the one that was cut off.
        with EpochJournal(output_dir / JOURNAL_FILE) as journal:
            training = MutualTraining(
                config=config,
                inputs=inputs,
                model=model,
                scheme=scheme,
                budget=budget,
                ledger=PartyLedger(config.name, journal, emit),
                states=states,
                evidence=None if evidence_dir is None else Evidence(Path(evidence_dir), config.name, emit),
            )
            result = {**_description(config, inputs, model), **training.run(start)}
        # Written before the other side hears so, and completed when it has said the same: whoever is through knows
        # that nobody needs it any more.
        write_result(config, "running", result | training.ledger.totals(session.meter))
        session.channel.swap_json({"finished": True})
        result |= training.ledger.totals(session.meter)
        write_result(config, "completed", result)
    log.info("run completed party=%s", config.name)
    return result


@contextmanager
def _open_session(config: PartyConfig) -> Iterator[Session]:
    links = meet_others(config)
    log.info("connected to=%s", ",".join(links))
    with open_session(
        links,
        config.rank,
        precision_bits=config.scheme.precision_bits,
        randomness=config.randomness,
        seed=config.seed,
    ) as session:
        yield session


def _agree(
    session: Session, config: PartyConfig, inputs: PartyInputs, architecture: Architecture, states: StateFolder
) -> tuple[SecureInferenceScheme, int | None]:
    """The scheme, ready for use, and the number of the exchange to go on from."""
    protocol = ProtocolConfig.from_party(config, inputs.bundle.input_shape, inputs.bundle.num_classes)
    swap = session.channel.swap_json
    architectures = run_handshake(handshake(protocol, config.rank, architecture), swap)
    log.info("handshake agreed digest=%s", protocol.digest())
    start = agree_on_start(states.completed(), swap)
    scheme = scheme_class(config.scheme.name)(session, config.scheme)
    scheme.prepare(architectures)
    log.info("start agreed resumes_after_exchange=%s", start)
    return scheme, start


def _say_what_is_missing(emit: Emit, config: PartyConfig, inputs: PartyInputs) -> None:
    missing = missing_classes(inputs.train.labels_N, inputs.bundle.num_classes)
    if missing:
        names = ", ".join(inputs.bundle.class_names[label] for label in missing)
        emit({"kind": "message", "text": f"party {config.name} has no sample of class {names}"})


def _description(config: PartyConfig, inputs: PartyInputs, model: nn.Module) -> dict[str, Any]:
    num_classes = inputs.bundle.num_classes
    return {
        "architecture": config.model.options.get("arch", config.model.name),
        "num_parameters": num_parameters(model),
        "num_train": len(inputs.train),
        "num_test": len(inputs.test),
        "class_counts": inputs.train.class_counts(num_classes).tolist(),
        "missing_classes": missing_classes(inputs.train.labels_N, num_classes),
        "checkpoint": f"party_{config.name}/{MODEL_FILE}",
    }
