"""One party from start to end: the place where data, network, secure runtime, exchange and trainer meet.

The same function runs between hosts, in a process of our launcher, under CrypTen's `run_multiprocess`, and in a shell
with WORLD_SIZE, RANK and RENDEZVOUS set.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from smule_crypten.attacks.attack import Attack
from smule_crypten.config.run import PartyConfig
from smule_crypten.data.partition import missing_classes
from smule_crypten.errors import PeerError
from smule_crypten.inference.scheme import SecureInferenceScheme
from smule_crypten.models.agreement import translate_checked
from smule_crypten.models.architecture import Architecture
from smule_crypten.models.modules import has_trainable
from smule_crypten.models.zoo import num_parameters
from smule_crypten.mpc.session import Session
from smule_crypten.mutual_learning.budget import QueryBudget
from smule_crypten.mutual_learning.handshake import agree_on_start
from smule_crypten.mutual_learning.planner import Plan, plan
from smule_crypten.party.adversary import attack_of, poisoned
from smule_crypten.party.answering import fallback
from smule_crypten.party.disclosing import budget_of_run, oldest_start
from smule_crypten.party.evidence import Evidence
from smule_crypten.party.inputs import (
    PartyInputs,
    build_party_model,
    load_party_inputs,
)
from smule_crypten.party.joining import joined_session, opened_budget, prepared_scheme, shake_hands
from smule_crypten.party.launcher import Emit
from smule_crypten.party.ledger import PartyLedger
from smule_crypten.party.mutual_training import MutualTraining
from smule_crypten.party.run_folder import (
    JOURNAL_FILE,
    MODEL_FILE,
    STATES_FOLDER,
    party_folder,
    write_result,
)
from smule_crypten.party.same_data import comparing_data
from smule_crypten.party.states import StateFolder, digest_of
from smule_crypten.report.journal import EpochJournal
from smule_crypten.training.steps import feasible_steps

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Prepared:
    """What a party has before it meets the others. Whatever is wrong on this side alone is found before."""

    config: PartyConfig
    inputs: PartyInputs
    attack: Attack
    model: nn.Module
    architecture: Architecture
    budget: QueryBudget
    states: StateFolder


def run_party(
    emit: Emit, config: PartyConfig, evidence_dir: str | None = None, data_digest: str | None = None
) -> dict[str, Any]:
    """Train alone, then with mutual learning; returns the party's entry of RunRecord.parties.

    Where an earlier run in the same folder was cut off, it goes on from the last exchange that both parties saved.

    Args:
        emit: receives an event for every epoch and message (docs/results.md).
        evidence_dir: simulation only: where to leave model and answers of each exchange, for the fidelity check.
        data_digest: simulation only: of the data set that the parent has loaded, if there is one.

    Raises:
        SmuleError: anything a user can cause.
    """
    torch.set_num_threads(config.launch.threads)
    prepared = _prepare(config, data_digest)
    _say_of_data(emit, config, prepared.inputs, prepared.model)
    evidence = None if evidence_dir is None else Evidence(Path(evidence_dir), config.name, emit)
    result: dict[str, Any] | None = None
    try:
        with opened_budget(prepared.budget, config), joined_session(config) as session:
            result = _train(prepared, session, emit, evidence)
    except PeerError as error:
        if result is None:
            raise
        log.warning("the others did not end in order: %s", error)
    assert result is not None
    log.info("run completed party=%s", config.name)
    return result


def _prepare(config: PartyConfig, data_digest: str | None) -> _Prepared:
    inputs = load_party_inputs(config, data_digest)
    attack = attack_of(config, inputs)
    inputs = poisoned(inputs, attack)
    model = build_party_model(config, inputs.bundle)
    feasible_steps(model, inputs.train, config.training)
    states = StateFolder(party_folder(config) / STATES_FOLDER, config, digest_of(*inputs.parts))
    answering, images_NCHW = attack.answering(model, 1), inputs.calibration(config).images_NCHW
    return _Prepared(
        config=config,
        inputs=inputs,
        attack=attack,
        model=model,
        architecture=translate_checked(answering, inputs.bundle.input_shape, images_NCHW).architecture,
        budget=budget_of_run(config, states),
        states=states,
    )


def _train(prepared: _Prepared, session: Session, emit: Emit, evidence: Evidence | None) -> dict[str, Any]:
    """Agree with the others, train, and leave the result in the party's folder."""
    config = prepared.config
    scheme, start = _agree(prepared, session)
    state = prepared.states.load(start) if start in prepared.states.completed() else None
    # Only now: a run that cannot start leaves the journal and the report of the one that was cut off.
    emit({"kind": "begun"})
    with EpochJournal(party_folder(config) / JOURNAL_FILE) as journal:
        ledger = PartyLedger(config.name, journal, emit)
        queries = plan(scheme, config.exchange, config.training.epochs, dealt=config.needs_dealer)
        _say_plan(emit, config, queries)
        training = MutualTraining(
            config=config,
            inputs=prepared.inputs,
            attack=prepared.attack,
            model=prepared.model,
            scheme=scheme,
            num_queries=queries.num_queries,
            budget=prepared.budget,
            ledger=ledger,
            states=prepared.states,
            evidence=evidence,
        )
        result = {**_description(prepared), "planned_exchange_bytes": queries.exchange_bytes, **training.run(state)}
    result["budget"] = {"answered": ledger.totals(session.meter)["queries_answered"], **result["budget"]}
    # On disk before the other party hears so: once it knows that both are through, it will not come again.
    write_result(config, "running", result | ledger.totals(session.meter))
    session.channel.swap_json({"finished": True})
    result |= ledger.totals(session.meter)
    write_result(config, "completed", result)
    return result


def _agree(prepared: _Prepared, session: Session) -> tuple[SecureInferenceScheme, int]:
    """The scheme, ready for use, and the number of the exchange to go on from."""
    config = prepared.config
    architectures = shake_hands(config, prepared.inputs.bundle, prepared.architecture, session)
    oldest = oldest_start(config, prepared.states)
    swap = comparing_data(config, prepared.inputs.bundle, session.channel.swap_json)
    start = agree_on_start(prepared.states.completed(), oldest, swap)
    scheme = prepared_scheme(config, session, architectures)
    log.info("start agreed resumes_after_exchange=%d", start)
    return scheme, start


def _say_plan(emit: Emit, config: PartyConfig, queries: Plan) -> None:
    """What the exchanges will cost at most, before the first one, and who answers in place of a missing network."""
    if config.rank == 0 and queries.num_queries is not None and queries.exchange_bytes is not None:
        of_a, of_b = queries.num_queries
        adaptive = "up to " if config.exchange.schedule == "adaptive" else ""
        text = (
            f"{adaptive}{queries.num_exchanges} exchanges of at most {of_a} queries of party a and {of_b} of party b, "
        )
        text += f"{queries.exchange_bytes / 1e6:.2f} MB at most each"
        if config.exchange.budget_mb is not None:
            text = f"exchange.budget_mb={config.exchange.budget_mb:g} pays for {text}"
        emit({"kind": "message", "text": text})
    if (text_of_fallback := fallback(config)) is not None:
        emit({"kind": "message", "text": text_of_fallback})


def _say_of_data(emit: Emit, config: PartyConfig, inputs: PartyInputs, model: nn.Module) -> None:
    """What the reader of the data counted and left out, once where both parties have read the same; missing classes;
    a network that cannot learn.
    """
    if config.partition is None or config.rank == 0:
        for note in inputs.bundle.notes:
            emit({"kind": "message", "text": f"data: {note}"})
    if not has_trainable(model):
        text = f"party {config.name} has a finished network: no parameter of it can be trained, so it only answers"
        emit({"kind": "message", "text": text})
    missing = missing_classes(inputs.train.labels_N, inputs.bundle.num_classes)
    if missing:
        names = ", ".join(inputs.bundle.class_names[label] for label in missing)
        emit({"kind": "message", "text": f"party {config.name} has no sample of class {names}"})


def _description(prepared: _Prepared) -> dict[str, Any]:
    config, inputs = prepared.config, prepared.inputs
    num_classes = inputs.bundle.num_classes
    return {
        "architecture": config.model.options.get("arch", config.model.name),
        "num_parameters": num_parameters(prepared.model),
        "num_train": len(inputs.train),
        "num_test": len(inputs.test),
        "class_counts": inputs.train.class_counts(num_classes).tolist(),
        "missing_classes": missing_classes(inputs.train.labels_N, num_classes),
        "checkpoint": f"party_{config.name}/{MODEL_FILE}",
    }
