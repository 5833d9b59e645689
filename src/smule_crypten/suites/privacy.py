"""Suite `privacy`: what differentially private training costs in accuracy, and what it takes from membership inference.

Party a asks party b's network, trained alone, about party b's training samples and about test samples.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from smule_crypten.attacks.membership import FALSE_POSITIVES, MembershipRisk, membership_risk, scores
from smule_crypten.config.run import RunConfig
from smule_crypten.mutual_learning.in_process import Option
from smule_crypten.suites.cases import CaseStore
from smule_crypten.suites.options import SuiteConfig
from smule_crypten.suites.simulated import Bench, Case
from smule_crypten.suites.suite_records import Findings
from smule_crypten.suites.tables import mean_of, table
from smule_crypten.training.private_trainer import planned_noise

_COLUMNS = [
    ("setting", "Setting"),
    ("multiplier_noise", "Noise multiplier"),
    ("alone_accuracy", "Alone"),
    ("smule_accuracy", "SMuLe"),
    ("membership_auc", "Membership, AUC"),
    ("found_accuracy", f"Members found at {FALSE_POSITIVES:.1%} false positives"),
]
_NOTE = (
    "Means over the seeds, accuracies also over both parties. Epsilon is that of all training of a party together, "
    "alone and with its peer, at training.dp.delta."
)


def run_privacy(suite: SuiteConfig, run: RunConfig, store: CaseStore) -> Findings:
    """A row of each setting."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, case in Bench(store).cases(suite, run):
        learned = [case.method(method) for method in ("alone", "smule")]
        alone, smule = (None if result is None else mean_of(result["accuracies"]) for result in learned)
        result = case.result("membership", lambda case=case: _measured(case))  # type: ignore[misc]
        found.setdefault(name, []).append({"alone_accuracy": alone, "smule_accuracy": smule, **result})
    keys = [key for key, _ in _COLUMNS[1:]]
    rows = [
        {"setting": name, **{key: mean_of([result[key] for result in by_seed]) for key in keys}}
        for name, by_seed in found.items()
    ]
    return Findings(tables=[table("What differentially private training costs", _COLUMNS, rows, _NOTE)])


def _measured(case: Case) -> dict[str, Any]:
    risk = membership(case, case.both_alone[0].model)
    dp, training = case.run.training.dp, case.run.training
    noise = 0.0 if dp is None else planned_noise(training, dp, len(case.here.learners[0].holding.train))
    return {"multiplier_noise": noise, "membership_auc": risk.auc, "found_accuracy": risk.true_positives}


def membership(
    case: Case,
    own: nn.Module | None,
    option: Option = lambda logits_NC: logits_NC,
    asked: nn.Module | None = None,
) -> MembershipRisk:
    """What party a finds out about party b's training samples.

    Args:
        own: party a's network, which tells how hard a sample is; None to go without.
        option: what party b does to its answers.
        asked: what party a asks, a copy for example; None for party b's network itself.
    """
    held, asked = case.here.learners[1].holding, asked or case.both_alone[1].model
    members, others = (
        scores(
            option(case.logits(asked, part.inputs)),
            part.targets,
            None if own is None else case.logits(own, part.inputs),
        )
        for part in (held.train, held.test)
    )
    return membership_risk(members, others)
