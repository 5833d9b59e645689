"""One party from start to end: the place where data, network, secure runtime, exchange and trainer meet.

The same function runs between hosts, in a process of our launcher, under CrypTen's `run_multiprocess`, and in a shell
with WORLD_SIZE, RANK and RENDEZVOUS set.
"""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from smule_crypten.data.partition import missing_classes
from smule_crypten.exchange.budget import QueryBudget
from smule_crypten.exchange.handshake import agree_on_start, handshake, run_handshake
from smule_crypten.files import write_atomic
from smule_crypten.inference.registry import scheme_class
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
    RESULT_FILE,
    STATES_FOLDER,
    party_folder,
)
from smule_crypten.processes.states import StateFolder
from smule_crypten.report.journal import EpochJournal
from smule_crypten.run_config import PartyConfig, ProtocolConfig


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
    bundle = inputs.bundle
    model = build_party_model(config, bundle)
    architecture = translate(model, bundle.input_shape).architecture
    output_dir = party_folder(config)
    budget = QueryBudget(config.budget, output_dir / LEDGER_FILE)
    states = StateFolder(output_dir / STATES_FOLDER, config)
    _say_what_is_missing(emit, config, inputs)
    with EpochJournal(output_dir / JOURNAL_FILE) as journal, _open_session(config) as session:
        protocol = ProtocolConfig.from_party(config, bundle.input_shape, bundle.num_classes)
        swap = session.channel.swap_json
        architectures = run_handshake(handshake(protocol, config.rank, architecture), swap)
        start = agree_on_start(states.completed(), swap)
        scheme = scheme_class(config.scheme.name)(session, config.scheme)
        scheme.prepare(architectures)
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
        accuracies = training.run(start)
        # Both end or neither: a party that lost its peer in the last epoch can still go on with it.
        swap({"finished": True})
        totals = training.ledger.totals(session.meter)
    result = {**_description(config, inputs, model), **accuracies, **totals}
    text = json.dumps(result, indent=2)
    write_atomic(output_dir / RESULT_FILE, lambda file: file.write(text.encode()))
    return result


def _open_session(config: PartyConfig) -> AbstractContextManager[Session]:
    return open_session(
        meet_others(config),
        config.rank,
        precision_bits=config.scheme.precision_bits,
        randomness=config.randomness,
        seed=config.seed,
    )


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
