"""What the peer would bring and what a run would cost, from held-out samples that the peer is asked about securely."""

from __future__ import annotations

from smule_crypten.config.run import PartyConfig
from smule_crypten.errors import ConfigError, DataError
from smule_crypten.files import write_text
from smule_crypten.head_run.terms import head_sizes
from smule_crypten.inference.scheme import SecureInferenceScheme
from smule_crypten.mutual_learning.planner import Prices, plan
from smule_crypten.party.run_folder import party_folder
from smule_crypten.prediction.answer_records import EstimateRecord, PlanRecord, WorthRecord
from smule_crypten.prediction.asking import Answers, TrainedParty, ask_once, asked_record, load_trained_party
from smule_crypten.training.worth import worth

ESTIMATE_FILE = "estimate.json"


def estimate(config: PartyConfig) -> EstimateRecord:
    """Ask the peer about the party's own validation part, and judge its answers; answer what it asks.

    What is returned also goes to estimate.json in the party's folder (docs/results.md).

    Raises:
        DataError: there is no trained network, or no held-out sample.
        SmuleError: anything else a user can cause.
    """
    party = load_trained_party(config)
    held_out = party.held_out
    if len(held_out) == 0:
        raise DataError(
            "there is no held-out sample to judge the peer by; use the settings of the training, raise "
            "samples.validation or predict.validation_queries, or answer only with smule-predict"
        )

    def conclude(scheme: SecureInferenceScheme, answers: Answers) -> EstimateRecord | None:
        answered_N = answers.answered_N
        if not bool(answered_N.any()):
            return None
        own_NC = party.own_logits(held_out.inputs)[answered_N]
        found = worth(
            own_NC, answers.logits_NC[answered_N], held_out.targets[answered_N], party.combination_rule, party.task
        )
        result = EstimateRecord(
            **vars(asked_record(party, scheme, answers)),
            class_names=list(party.inputs.bundle.class_names),
            worth=WorthRecord(**vars(found)),
            run=_plan(scheme, party),
        )
        write_text(party_folder(config) / ESTIMATE_FILE, result.model_dump_json(indent=2))
        return result

    result = ask_once(party, held_out.inputs, conclude)
    if result is None:
        # Only now, after this side said that it is done: the other one does not learn what its answers were like.
        raise DataError("no answer of the other party can be right; both may lower scheme.precision_bits")
    return result


def _plan(scheme: SecureInferenceScheme, party: TrainedParty) -> PlanRecord:
    """What a whole run costs. A budget that does not suffice is a finding, too, now that the answers are paid for."""
    config, head = party.config, head_sizes(party.config, party.inputs.bundle)
    try:
        prices = Prices.of(scheme, dealt=config.needs_dealer)
        head_bytes = 0 if head is None else head.most_bytes
        queries = plan(prices, config.exchange, config.training.epochs, head_bytes)
    except ConfigError as error:
        return PlanRecord(problem=str(error))
    return PlanRecord(**vars(queries))
