"""A party with a trained network asks its peer about some samples, once, and answers what the peer asks.

It is the same scheme, budget and ledger as in training, and the same dealer where there is one:

1. Load the party's own data and network, open the ledger, meet the others, shake hands.
2. Each party says how many samples it will ask about; each plans its budget for that, spot checks with it.
3. Exchanges of at most exchange.num_queries samples per party, until both have all answers
   (mutual_learning/secure_peer.py).
4. Each keeps what it learned, then says that it is done.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn

from smule_crypten.audit.auditor import Auditor
from smule_crypten.compute.device import resolve_device
from smule_crypten.config.run import PartyConfig
from smule_crypten.data.origin import Origin
from smule_crypten.data.samples import Samples, random_positions
from smule_crypten.errors import ConfigError, DataError, HandshakeError, ModelError, PeerError
from smule_crypten.inference.noise import MU
from smule_crypten.inference.registry import scheme_class
from smule_crypten.inference.scheme import SecureInferenceScheme
from smule_crypten.models.agreement import translate_checked
from smule_crypten.models.architecture import Architecture
from smule_crypten.models.calibration import check_inputs
from smule_crypten.mpc.dealer import MAX_QUERIES
from smule_crypten.mpc.session import Session
from smule_crypten.mutual_learning.budget import QueryBudget
from smule_crypten.mutual_learning.far_answers import without_far_answers
from smule_crypten.mutual_learning.peer import AnsweringNetwork
from smule_crypten.mutual_learning.peer import Answers as ExchangeAnswers
from smule_crypten.mutual_learning.secure_peer import SecurePeer
from smule_crypten.party.disclosing import budget_of_questions
from smule_crypten.party.inputs import PartyInputs, load_party_inputs
from smule_crypten.party.joining import audit_of, joined_session, opened_budget, prepared_scheme, shake_hands
from smule_crypten.party.run_folder import MODEL_FILE, STATES_FOLDER, known_run, party_folder
from smule_crypten.party.states import StateFolder
from smule_crypten.prediction.answer_records import AskedRecord
from smule_crypten.report.records import BudgetRecord
from smule_crypten.tasks.by_name import party_task
from smule_crypten.tasks.combination import Rule
from smule_crypten.tasks.task import Task
from smule_crypten.training.checkpoint import Checkpoint, load_checkpoint, load_model
from smule_crypten.training.checkpoint_features import CheckpointFeatures
from smule_crypten.training.evaluate import predict_logits
from smule_crypten.types import PARTY_NAMES, Cost

log = logging.getLogger(__name__)
_BATCH = 512

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, kw_only=True)
class TrainedParty:
    """A party and its network, trained before.

    held_out is its validation part, as far as the peer may be asked about it; empty where the network may have been
    trained on it.
    """

    config: PartyConfig
    inputs: PartyInputs
    network: nn.Module
    model_step: int
    architecture: Architecture
    held_out: Samples

    @property
    def task(self) -> Task:
        return party_task(self.config)

    @property
    def combination_rule(self) -> Rule:
        """How its network's answers and the peer's become one: class by class, if it shall serve all of them alike."""
        num_classes, balanced = self.inputs.bundle.num_classes, self.config.training.is_balanced
        return self.task.rule(self.inputs.train, num_classes, balanced=balanced)

    def own_logits(self, inputs_NX: torch.Tensor) -> torch.Tensor:
        """Logits (N, C) of the party's own network; N may be 0. Inputs are normalised."""
        if len(inputs_NX) == 0:
            return torch.zeros(0, self.inputs.bundle.num_classes)
        device = resolve_device(self.config.device)
        return predict_logits(self.network.to(device), inputs_NX, _BATCH, device)


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What the peer answered, in the order of the samples, and the cost.

    Attributes:
        answered_N: where the answer can be right; the logits of the others are 0.
        budget: what the party's own network answered, and what is left of its limit.
    """

    logits_NC: torch.Tensor
    answered_N: torch.Tensor
    peer_model_step: int | None
    budget: BudgetRecord
    cost: Cost


def load_trained_party(config: PartyConfig) -> TrainedParty:
    """Everything on this side, before anybody is met.

    Raises:
        ConfigError, DataError: the data cannot be used; DataError also where there is no trained network.
        ModelError: the network cannot be used, or is for other data.
    """
    torch.set_num_threads(config.launch.threads)
    inputs = load_party_inputs(config)
    config = inputs.config
    for note in inputs.bundle.notes:
        log.info("data %s", note)
    path = config.predict.checkpoint or str(party_folder(config) / MODEL_FILE)
    checkpoint = load_checkpoint(path)
    _check_fit(checkpoint, path, config, inputs)
    features = CheckpointFeatures.of(config.features, inputs.bundle.origin)
    is_own = checkpoint.model == config.model and checkpoint.features == features
    network = load_model(path, allow_target=is_own).network
    states = StateFolder(party_folder(config) / STATES_FOLDER, config, inputs.digest)
    held_out = inputs.validation
    if config.predict.checkpoint is None and known_run(config, states) is None:
        log.warning("the settings or the data are not those of the training, so no sample counts as held out")
        held_out = held_out.select(torch.arange(0))
    translated = translate_checked(network, inputs.bundle.input_shape, inputs.calibration_inputs(config))
    return TrainedParty(
        config=config,
        inputs=inputs,
        network=network,
        model_step=checkpoint.model_step,
        architecture=translated.architecture,
        held_out=held_out.select(random_positions(len(held_out), config.predict.validation_queries)).in_memory(),
    )


def _check_fit(checkpoint: Checkpoint, path: str, config: PartyConfig, inputs: PartyInputs) -> None:
    bundle = inputs.bundle
    pairs = {
        "public map": (_map_of(checkpoint.features), _map_of(bundle.origin)),
        "input shape": (checkpoint.input_shape, bundle.input_shape),
        "task": ([checkpoint.task], [config.task]),
        "classes": (checkpoint.class_names, bundle.class_names),
        "data.mean": (checkpoint.mean, config.data.mean),
        "data.std": (checkpoint.std, config.data.std),
        "data.target_mean": (checkpoint.target_mean, config.data.target_mean),
        "data.target_std": (checkpoint.target_std, config.data.target_std),
    }
    for what, (found, expected) in pairs.items():
        if tuple(found) != tuple(expected):
            raise ModelError(f"{path} was trained with other data, {what} {found} in place of {expected}; name another")


def _map_of(made: CheckpointFeatures | Origin | None) -> str:
    return "none" if made is None else made.map_digest[:16]


def ask_once(
    party: TrainedParty, inputs_NX: torch.Tensor, conclude: Callable[[SecureInferenceScheme, Answers], ResultT]
) -> ResultT:
    """Have the peer answer about inputs_NX (normalised; may be none), and answer what it asks.

    Args:
        conclude: is given the scheme and the answers, and keeps what is to be kept, before the peer hears that this
            side is done.

    Raises:
        BudgetError: the peer asks for more than this party discloses.
        DataError: there are too many samples, or their values do not fit.
        SmuleError: anything else a user can cause.
    """
    config = party.config
    if len(inputs_NX) > MAX_QUERIES:
        raise DataError(f"{len(inputs_NX):,} samples are too many for one time; ask about at most {MAX_QUERIES:,}")
    asked = Samples.unlabelled(inputs_NX)
    check_inputs(asked.inputs, asked.sample_ids, scheme_class(config.scheme.name).input_limit(config.scheme))
    budget, results = budget_of_questions(config), []
    try:
        with (
            opened_budget(budget, config),
            audit_of(config, party.inputs.bundle, budget, "questions") as audit,
            joined_session(config, audit) as session,
        ):
            architectures = shake_hands(config, party.inputs.bundle, party.architecture, session, audit)
            most, num_exchanges = _agree_on_exchanges(session, len(asked), config, budget)
            scheme = prepared_scheme(config, session, architectures)
            answers = _exchange(party, scheme, asked, budget, audit, most, num_exchanges)
            results.append(conclude(scheme, answers))
            dropped = int((~answers.answered_N).sum())
            audit.predicted(len(answers.logits_NC), answers.budget.answered, dropped)
            audit.completed()
            session.channel.swap_json({"finished": True})
    except PeerError as error:
        if not results:
            raise
        log.warning("the others did not end in order: %s", error)
    return results[0]


def _agree_on_exchanges(
    session: Session, own: int, config: PartyConfig, budget: QueryBudget
) -> tuple[tuple[int, int], int]:
    """The most samples that this party and the peer ask about in one exchange, and the number of exchanges.

    A question beyond the budget is refused before any of it is paid for.
    """
    peer_name = PARTY_NAMES[1 - config.rank]
    message = session.channel.swap_json({"asks": own})
    peer = message.get("asks") if isinstance(message, dict) else None
    if type(peer) is not int or not 0 <= peer <= MAX_QUERIES:
        raise HandshakeError(f"party {peer_name} runs another command; start smule-predict or smule-estimate there")
    if own == peer == 0:
        raise ConfigError("neither party asks about anything; give one side input= and output=")
    log.info("questions announced own_samples=%d peer_samples=%d", own, peer)
    limit, checks = config.exchange.num_queries, config.exchange.spot_checks
    num_exchanges = 1 if limit is None else -(-max(own, peer) // limit)
    counts = [min(limit or peer, max(0, peer - number * (limit or 0))) for number in range(num_exchanges)]
    # A session that was cut off is asked again as another one, which counts again.
    budget.plan(peer_name, [count + min(checks, count) for count in counts], can_repeat=False)
    return (own, peer) if limit is None else (limit, limit), num_exchanges


def _exchange(
    party: TrainedParty,
    scheme: SecureInferenceScheme,
    asked: Samples,
    budget: QueryBudget,
    audit: Auditor,
    most: tuple[int, int],
    num_exchanges: int,
) -> Answers:
    config, num_classes = party.config, party.inputs.bundle.num_classes
    peer = SecurePeer(
        scheme,
        config.exchange,
        num_queries=most if config.rank == 0 else (most[1], most[0]),
        budget=budget,
        # The peer is told what follows from these, and must learn nothing of what is asked about.
        calibration=party.inputs.calibration(config),
    )
    answering = AnsweringNetwork(party.network, party.model_step, "trained")
    results: list[ExchangeAnswers] = []
    for number in range(num_exchanges):
        audit.check_dates()
        peer.ask(_part(asked, number, most[0]), answering)
        answers, private = peer.answers(), config.training.dp is not None
        results.append(without_far_answers(answers, party.task, party.inputs, private=private))
        log.info("exchange finished exchange=%d of=%d", number + 1, num_exchanges)
    made = [result.prediction for result in results if result.num_asked]
    logits_NC, answered_N = torch.zeros(len(asked), num_classes), torch.zeros(len(asked), dtype=torch.bool)
    for prediction in made:
        logits_NC[prediction.sample_ids], answered_N[prediction.sample_ids] = prediction.logits_NC, True
    disclosed = sum(result.disclosure.num_samples for result in results)
    noise = max(result.logit_noise for result in results)
    return Answers(
        logits_NC=logits_NC,
        answered_N=answered_N,
        peer_model_step=made[-1].model_step if made else None,
        budget=BudgetRecord(answered=disclosed, mu=MU, logit_noise=noise, **budget.facts()),
        cost=scheme.session.meter.total(),
    )


def asked_record(party: TrainedParty, scheme: SecureInferenceScheme, answers: Answers) -> AskedRecord:
    """What the command tells of it, in its file and its table."""
    cost = answers.cost
    return AskedRecord(
        party=party.config.name,
        scheme=scheme.name,
        own_model_step=party.model_step,
        peer_model_step=answers.peer_model_step,
        queries_made=len(answers.logits_NC),
        queries_answered=answers.budget.answered,
        answers_dropped=int((~answers.answered_N).sum()),
        budget=answers.budget,
        bytes_sent=cost.bytes_sent,
        bytes_received=cost.bytes_received,
        dealer_bytes=cost.dealer_bytes,
        rounds=cost.rounds,
    )


def _part(asked: Samples, number: int, most: int) -> Samples:
    """What exchange `number`, counted from 0, asks about: at most so many samples."""
    return asked.select(torch.arange(len(asked))[number * most : (number + 1) * most])
