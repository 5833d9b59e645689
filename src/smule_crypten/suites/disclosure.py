"""Suite `disclosure`: what answers give away, by what is done to them, and what that costs an honest peer.

Party a copies party b's network, trained alone, from its answers, and looks for party b's training samples.
"""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any, get_args

import torch
from torch import nn

from smule_crypten.attacks.extraction import extract, fidelity
from smule_crypten.config.run import RunConfig
from smule_crypten.data.samples import Samples
from smule_crypten.errors import ConfigError
from smule_crypten.mutual_learning.in_process import Option
from smule_crypten.suites.cases import CaseStore
from smule_crypten.suites.options import AnswersName, SelectionName, SuiteConfig
from smule_crypten.suites.privacy import membership
from smule_crypten.suites.simulated import Bench, Case
from smule_crypten.suites.suite_records import Findings
from smule_crypten.suites.tables import mean_of, table

_NOTE = (
    "Means over the seeds. SMuLe: accuracy of party a, that learns from such answers. Copy: share of the test samples "
    "for which a network that party a trained on so many answers alone names the class that party b's names; public: "
    "answers about samples of the public pool. Membership: party b's training samples told from test samples by party "
    "a, who knows their labels, by the loss or by the loss less that of its own network. Noise is what "
    "disclosure.logit_noise adds, and all that an owner can enforce; the others show what a scheme that computed them "
    "could bring."
)


def run_disclosure(suite: SuiteConfig, run: RunConfig, store: CaseStore) -> Findings:
    """A row of each setting and option."""
    copies = list(itertools.product(suite.selections, suite.queries))
    found: dict[tuple[str, AnswersName], list[dict[str, Any]]] = {}
    for setting, case in Bench(store).cases(suite, run):
        _require_pool(suite, case)
        for name in suite.answers:
            results = [
                case.result(f"SMuLe, answers {name}", partial(_learned, case, name), answers=name),
                case.result(f"membership, answers {name}", partial(_members, case, name), answers=name),
            ]
            for selection, count in copies:
                results.append(
                    case.result(
                        f"copy of {count} {selection}, answers {name}",
                        partial(_copied, case, name, selection, count, suite.copy_steps),
                        answers=name,
                        steps=suite.copy_steps,
                    )
                )
            for count in suite.public_answers:
                results.append(
                    case.result(
                        f"copy of {count} public, answers {name}",
                        partial(_copied_in_public, case, name, count, suite.copy_steps),
                        answers=name,
                        steps=suite.copy_steps,
                    )
                )
            measured = {key: value for part in results for key, value in part.items()}
            found.setdefault((setting, name), []).append(measured)
    columns = [
        ("setting", "Setting"),
        ("answers", "Answers"),
        ("smule_accuracy", "SMuLe"),
        *((f"{selection}_{count}_accuracy", f"Copy, {count} {selection}") for selection, count in copies),
        *(
            column
            for count in suite.public_answers
            for column in (
                (f"public_{count}_accuracy", f"Copy, {count} public"),
                (f"public_{count}_auc", f"members by the copy of {count} public, AUC"),
            )
        ),
        ("loss_auc", "Membership, AUC, by loss"),
        ("calibrated_auc", "calibrated"),
    ]
    rows = [
        {"setting": setting, "answers": told(name)}
        | {key: mean_of([result[key] for result in by_seed]) for key in by_seed[0]}
        for (setting, name), by_seed in found.items()
    ]
    shown = ("answers", "smule_accuracy", "calibrated_auc", *(key for key, _ in columns if key.startswith("random_")))
    return Findings(tables=[table("What answers give away", columns, rows, _NOTE, shown)])


def told(name: AnswersName) -> str:
    """The option for people."""
    text = name.replace("_", " ")
    return text if name.startswith(("as", "noise")) else f"{text} (not enforced)"


def option(name: AnswersName) -> Option:
    """With a generator of its own, so that equal calls in equal order see equal noise."""
    generator = torch.Generator().manual_seed(0)
    options: dict[AnswersName, Option] = {
        "as_they_are": lambda logits: logits,
        "noise_1": lambda logits: logits + torch.randn(logits.shape, generator=generator),
        "noise_3": lambda logits: logits + 3 * torch.randn(logits.shape, generator=generator),
        "temperature_4": lambda logits: logits / 4,
        "two_bits": lambda logits: ((logits.softmax(1) * 3).round() / 3 + 1e-3).log(),
        "top_3": _top_three,
        "label_only": lambda logits: 10.0 * torch.eye(logits.shape[1])[logits.argmax(1)],
    }
    assert set(options) == set(get_args(AnswersName))
    return options[name]


def _top_three(logits_NC: torch.Tensor) -> torch.Tensor:
    """The three most likely classes as they are, the rest of the probability spread evenly."""
    probabilities_NC = logits_NC.softmax(1)
    top = probabilities_NC.topk(3, dim=1)
    rest = (1 - top.values.sum(1, keepdim=True)) / (logits_NC.shape[1] - 3)
    return rest.expand_as(probabilities_NC).scatter(1, top.indices, top.values).clamp_min(1e-6).log()


def _learned(case: Case, name: AnswersName) -> dict[str, Any]:
    return {"smule_accuracy": case.smule(option(name))["accuracies"][0]}


def _members(case: Case, name: AnswersName) -> dict[str, Any]:
    tell = option(name)
    risks = {
        kind: membership(case, own, tell) for kind, own in (("loss", None), ("calibrated", case.both_alone[0].model))
    }
    found = {f"{kind}_auc": risk.auc for kind, risk in risks.items()}
    return found | {f"{kind}_found": risk.true_positives for kind, risk in risks.items()}


def _copied(case: Case, name: AnswersName, selection: SelectionName, count: int, steps: int) -> dict[str, Any]:
    copy = _copy(case, name, case.here.learners[0].holding.train, selection, count, steps)
    return {f"{selection}_{count}_accuracy": _agreed(case, copy)}


def _copied_in_public(case: Case, name: AnswersName, count: int, steps: int) -> dict[str, Any]:
    """A copy, and how well party b's training samples are told from test samples by the loss of the copy."""
    public = case.here.learners[0].holding.public
    assert public is not None, "looked at before"
    copy = _copy(case, name, public, "random", count, steps)
    risk = membership(case, None, asked=copy)
    return {f"public_{count}_accuracy": _agreed(case, copy), f"public_{count}_auc": risk.auc}


def _copy(case: Case, name: AnswersName, asked: Samples, selection: SelectionName, count: int, steps: int) -> nn.Module:
    owner, tell = case.both_alone[1].model, option(name)
    return extract(
        lambda inputs_NX: tell(case.logits(owner, inputs_NX)),
        asked.inputs,
        case.here.learners[0].network,
        count,
        selection,
        steps=steps,
        seed=case.run.seed,
    )


def _agreed(case: Case, copy: nn.Module) -> float:
    owner, test = case.both_alone[1].model, case.here.learners[0].holding.test
    return fidelity(partial(case.logits, copy), partial(case.logits, owner), test.inputs)


def _require_pool(suite: SuiteConfig, case: Case) -> None:
    """Raises ConfigError where there are fewer public samples than answers are asked for."""
    public = case.here.learners[0].holding.public
    most, count = max(suite.public_answers, default=0), 0 if public is None else len(public)
    if most > count:
        raise ConfigError(
            f"suite.public_answers: {most} answers need as many public samples, and there are {count}; set "
            "public_pool, or ask for fewer"
        )
