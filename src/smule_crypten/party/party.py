"""One party from start to end: the place where data, network, secure runtime, exchange and trainer meet.

The same function runs between hosts, in a process of our launcher, under CrypTen's `run_multiprocess`, and in a shell
with SMULE_ROLE and SMULE_RENDEZVOUS set.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from smule_crypten.audit.auditor import Auditor
from smule_crypten.compute.device import resolve_device
from smule_crypten.compute.helpers import Helpers, opened_helpers, require_portable
from smule_crypten.config.run import PartyConfig
from smule_crypten.data.partition import missing_classes
from smule_crypten.errors import PeerError
from smule_crypten.head_run.own_head import HeadOfRun, OwnHead, joint_head, own_head
from smule_crypten.inference.scheme import SecureInferenceScheme
from smule_crypten.models.agreement import translate_checked
from smule_crypten.models.architecture import Architecture
from smule_crypten.models.modules import has_trainable
from smule_crypten.models.zoo import num_parameters
from smule_crypten.mpc.session import Session
from smule_crypten.mutual_learning.budget import QueryBudget
from smule_crypten.mutual_learning.handshake import agree_on_start
from smule_crypten.mutual_learning.planner import Plan, Prices, plan, public_queries
from smule_crypten.mutual_learning.secure_peer import SecurePeer
from smule_crypten.party.disclosing import budget_of_run, oldest_start
from smule_crypten.party.events import Begun, Emit, Message
from smule_crypten.party.hooks import Hooks
from smule_crypten.party.inputs import PartyInputs, build_party_model, party_seed
from smule_crypten.party.joining import audit_of, joined_session, opened_budget, prepared_scheme, shake_hands
from smule_crypten.party.ledger import PartyLedger
from smule_crypten.party.mutual_training import MutualTraining
from smule_crypten.party.public_asking import public_questions
from smule_crypten.party.run_folder import (
    MODEL_FILE,
    STATES_FOLDER,
    party_folder,
    write_result,
)
from smule_crypten.party.states import StateFolder
from smule_crypten.party.watched_peer import WatchedPeer
from smule_crypten.report.journal import JOURNAL_FILE, EpochJournal
from smule_crypten.report.records import PartyRecord
from smule_crypten.status.keeper import Pulse
from smule_crypten.status.record import Progress
from smule_crypten.tasks.by_name import party_task
from smule_crypten.training.steps import feasible_steps

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Prepared:
    """What a party has before it meets the others. Whatever is wrong on this side alone is found before."""

    config: PartyConfig
    inputs: PartyInputs
    hooks: Hooks
    model: nn.Module
    architecture: Architecture
    budget: QueryBudget
    states: StateFolder
    head: OwnHead | None


def run_party(emit: Emit, inputs: PartyInputs, hooks: Hooks | None = None) -> PartyRecord:
    """Train alone, then with mutual learning.

    Where an earlier run in the same folder was cut off, it goes on from the last exchange that both parties saved.

    Args:
        emit: receives every epoch and message.
        inputs: the party's own data, with its configuration.
        hooks: what a simulation changes.

    Raises:
        SmuleError: anything a user can cause.
    """
    config = inputs.config
    torch.set_num_threads(config.launch.threads)
    prepared = _prepare(inputs, hooks or Hooks())
    _say_of_data(emit, config, prepared.inputs, prepared.model)
    result: PartyRecord | None = None
    emit(Progress(phase="waiting"))
    try:
        with (
            opened_helpers(
                config.compute,
                config.launch,
                config.device,
                config.name,
                between_hosts=config.connection is not None,
            ) as helpers,
            opened_budget(prepared.budget, config),
            audit_of(config, prepared.inputs.bundle, prepared.budget, "training") as audit,
            joined_session(config, audit) as session,
        ):
            result = _train(prepared, session, emit, audit, helpers)
    except PeerError as error:
        if result is None:
            raise
        log.warning("the others did not end in order: %s", error)
    assert result is not None
    log.info("run completed party=%s", config.name)
    return result


def _prepare(loaded: PartyInputs, hooks: Hooks) -> _Prepared:
    inputs = hooks.inputs(loaded)
    config = inputs.config
    model = build_party_model(config, inputs.bundle)
    feasible_steps(model, inputs.train, config.training)
    require_portable(config.compute, inputs)
    states = StateFolder(party_folder(config) / STATES_FOLDER, config, inputs.digest)
    answering, inputs_NX = hooks.answering(model, 1), inputs.calibration_inputs(config)
    return _Prepared(
        config=config,
        inputs=inputs,
        hooks=hooks,
        model=model,
        architecture=translate_checked(answering, inputs.bundle.input_shape, inputs_NX).architecture,
        budget=budget_of_run(config, states),
        states=states,
        head=own_head(config, inputs.bundle, inputs, task=party_task(config), device=resolve_device(config.device)),
    )


def _train(prepared: _Prepared, session: Session, emit: Emit, audit: Auditor, helpers: Helpers | None) -> PartyRecord:
    """Agree with the others, train, and leave the result in the party's folder."""
    config = prepared.config
    emit(Progress(phase="agreeing", peer_connected=True))
    session.meter.on_message = pulse = Pulse(emit)
    scheme, start = _agree(prepared, session, audit)
    state = prepared.states.load(start) if start in prepared.states.completed() else None
    if state is not None:
        audit.resumed(start)
        emit(Progress(exchanges=start))
    # Only now: a run that cannot start leaves the journal and the report of the one that was cut off.
    emit(Begun(prepared.inputs.bundle.notes))
    with EpochJournal(party_folder(config) / JOURNAL_FILE) as journal:
        ledger = PartyLedger(config.name, journal, emit, audit)
        public = public_queries(config.public_pool, config.exchange)
        prices = Prices.of(scheme, dealt=config.needs_dealer, public=public)
        head_bytes = 0 if prepared.head is None else prepared.head.sizes.most_bytes
        queries = plan(prices, config.exchange, config.training.epochs, head_bytes)
        _say_plan(emit, config, queries)
        head = _joint_head(prepared, scheme, ledger, emit)
        if head is not None:
            audit.head_asked(head.record)
        peer = _peer(prepared, scheme, queries)
        questions = public_questions(config, prepared.inputs.bundle.public_pool, scheme, prepared.budget, public)
        seen = prepared.hooks.peer(peer if questions is None else questions.asked_beside(peer))
        emit(Progress(phase="standalone" if state is None and config.training.standalone else "smule"))
        training = MutualTraining(
            config=config,
            inputs=prepared.inputs,
            meter=session.meter,
            secure=peer,
            public=questions,
            seen=WatchedPeer(seen, emit, audit.check_dates, pulse),
            num_queries=None if queries.num_queries is None else queries.num_queries[config.rank],
            budget=prepared.budget,
            ledger=ledger,
            states=prepared.states,
            head=None if head is None else head.answers,
            helpers=helpers,
        )
        facts = vars(training.run(state)) | _description(prepared)
        facts["joint_head"] = None if head is None else head.record
        facts["planned_exchange_bytes"] = queries.exchange_bytes
        facts["planned_set_up_bytes"] = queries.set_up_bytes
    # On disk before the other party hears so: once it knows that both are through, it will not come again.
    write_result(config, PartyRecord(status="running", **facts, **vars(ledger.totals(session.meter))))
    session.channel.swap_json({"finished": True})
    result = PartyRecord(status="completed", **facts, **vars(ledger.totals(session.meter)))
    write_result(config, result)
    audit.completed()
    return result


def _peer(prepared: _Prepared, scheme: SecureInferenceScheme, queries: Plan) -> SecurePeer:
    config, inputs = prepared.config, prepared.inputs
    return SecurePeer(
        scheme,
        config.exchange,
        num_queries=queries.num_queries,
        budget=prepared.budget,
        # Under training.dp the bound that the peer is told must not follow from training samples.
        calibration=inputs.candidates if config.training.dp is None else inputs.validation,
    )


def _joint_head(
    prepared: _Prepared, scheme: SecureInferenceScheme, ledger: PartyLedger, emit: Emit
) -> HeadOfRun | None:
    """Before anything is trained; None without one."""
    config = prepared.config
    if prepared.head is None:
        return None
    emit(Progress(phase="joint_head"))
    return joint_head(
        prepared.head,
        config,
        scheme,
        prepared.budget.ledger,
        folder=party_folder(config) / STATES_FOLDER,
        seed=party_seed(config),
        say=ledger.message,
    )


def _agree(prepared: _Prepared, session: Session, audit: Auditor) -> tuple[SecureInferenceScheme, int]:
    """The scheme, ready for use, and the number of the exchange to go on from."""
    config = prepared.config
    architectures = shake_hands(config, prepared.inputs.bundle, prepared.architecture, session, audit)
    oldest = oldest_start(config, prepared.states)
    swap = prepared.hooks.swap(prepared.inputs.bundle, session.channel.swap_json)
    start = agree_on_start(prepared.states.completed(), oldest, swap)
    scheme = prepared_scheme(config, session, architectures)
    log.info("start agreed resumes_after_exchange=%d", start)
    return scheme, start


def _say_plan(emit: Emit, config: PartyConfig, queries: Plan) -> None:
    """What the exchanges will cost at most, before the first one, and who answers in place of a missing network."""
    if config.rank == 0 and queries.num_queries is not None and queries.exchange_bytes is not None:
        of_a, of_b = queries.num_queries
        text = f"{queries.num_exchanges} exchanges of at most {of_a} queries of party a and {of_b} of party b, "
        text += f"{queries.exchange_bytes / 1e6:.2f} MB at most each"
        if queries.set_up_bytes:
            text += f", beside {queries.set_up_bytes / 1e6:.2f} MB for the set-up, once"
        if queries.head_bytes:
            text += f" and {queries.head_bytes / 1e6:.2f} MB for the joint head, once, if one attempt solves it"
        if config.exchange.budget_mb is not None:
            text = f"exchange.budget_mb={config.exchange.budget_mb:g} pays for {text}"
        emit(Message(text))
    if (text_of_fallback := fallback(config)) is not None:
        emit(Message(text_of_fallback))


def fallback(config: PartyConfig) -> str | None:
    """What answers where no finished network is there yet; None where one is."""
    if config.training.standalone:
        return None
    so_far = ", the best of its epochs so far" if config.training.keep == "best" else ""
    return (
        f"party {config.name} answers with its network in training{so_far}: there is no finished one with "
        "training.standalone=false"
    )


def _say_of_data(emit: Emit, config: PartyConfig, inputs: PartyInputs, model: nn.Module) -> None:
    """What to tell people of the data and of a network that cannot learn.

    What the reader of the data counted and left out, once where both parties have read the same; missing classes.
    """
    if config.partition is None or config.rank == 0:
        for note in inputs.bundle.notes:
            emit(Message(f"data: {note}"))
    if not has_trainable(model):
        text = f"party {config.name} has a finished network: no parameter of it can be trained, so it only answers"
        emit(Message(text))
    missing = missing_classes(party_task(config).class_counts(inputs.train.targets, inputs.bundle.num_classes))
    if config.task == "regression" and config.training.alarm != "off":
        emit(Message("the other party's answers are not tested: in regression no test tells honest ones from others"))
    if missing:
        names = ", ".join(inputs.bundle.class_names[label] for label in missing)
        emit(Message(f"party {config.name} has no sample of class {names}"))


def _description(prepared: _Prepared) -> dict[str, Any]:
    config, inputs = prepared.config, prepared.inputs
    counts_C = party_task(config).class_counts(inputs.train.targets, inputs.bundle.num_classes)
    return {
        "architecture": config.model.options.get("arch", config.model.name),
        "num_parameters": num_parameters(prepared.model),
        "num_train": len(inputs.train),
        "num_test": len(inputs.test),
        "class_counts": counts_C.tolist(),
        "missing_classes": missing_classes(counts_C),
        "checkpoint": f"party_{config.name}/{MODEL_FILE}",
    }
