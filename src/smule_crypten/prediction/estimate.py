"""What the peer would bring and what a run would cost, from held-out samples that the peer is asked about securely."""

from __future__ import annotations

import dataclasses
from typing import Any

from smule_crypten.config.run import PartyConfig
from smule_crypten.errors import ConfigError, DataError
from smule_crypten.files import write_atomic
from smule_crypten.inference.scheme import SecureInferenceScheme
from smule_crypten.mutual_learning.planner import plan
from smule_crypten.party.run_folder import party_folder
from smule_crypten.prediction.asking import Answers, TrainedParty, ask_once, load_trained_party
from smule_crypten.report.jsontext import to_json
from smule_crypten.training.forecast import forecast
from smule_crypten.training.worth import worth

SCHEMA_VERSION = 1
ESTIMATE_FILE = "estimate.json"


def estimate(config: PartyConfig) -> dict[str, Any]:
    """Ask the peer about the own validation part, and judge its answers; answer what it asks.

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

    def conclude(scheme: SecureInferenceScheme, answers: Answers) -> dict[str, Any] | None:
        answered_N = answers.answered_N
        if not bool(answered_N.any()):
            return None
        own_NC = party.own_logits(held_out.images_NCHW)[answered_N]
        found = worth(own_NC, answers.logits_NC[answered_N], held_out.labels_N[answered_N], party.combination_rule)
        run = _plan(scheme, config)
        asked = _num_asked(run, party)
        result = {
            "schema_version": SCHEMA_VERSION,
            "party": config.name,
            "scheme": scheme.name,
            "own_model_step": party.model_step,
            **answers.facts(),
            "class_names": list(party.inputs.bundle.class_names),
            "worth": dataclasses.asdict(found),
            "forecast": None if asked is None else dataclasses.asdict(forecast(found.gain, found.interval, asked)),
            "run": run,
        }
        text = to_json(result, indent=2)
        write_atomic(party_folder(config) / ESTIMATE_FILE, lambda file: file.write(text.encode()))
        return result

    result = ask_once(party, held_out.images_NCHW, conclude)
    if result is None:
        # Only now, after this side said that it is done: the other one does not learn what its answers were like.
        raise DataError("no answer of the other party can be right; both may lower scheme.precision_bits")
    return result


def _plan(scheme: SecureInferenceScheme, config: PartyConfig) -> dict[str, Any]:
    """What a whole run costs. A budget that does not suffice is a finding, too, now that the answers are paid for."""
    try:
        queries = plan(scheme, config.exchange, config.training.epochs, dealt=config.needs_dealer)
    except ConfigError as error:
        return {"problem": str(error)}
    return {"problem": None, **dataclasses.asdict(queries)}


def _num_asked(run: dict[str, Any], party: TrainedParty) -> int | None:
    """Different samples that a whole run asks about, to learn from; None where the budget does not pay for any."""
    if run["problem"] is not None:
        return None
    samples = len(party.inputs.pool) or len(party.inputs.train)
    if run["num_queries"] is None:
        return samples
    return min(samples, int(run["num_exchanges"] * run["num_queries"][party.config.rank]))
