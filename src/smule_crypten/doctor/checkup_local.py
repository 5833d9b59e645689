"""What smule-doctor can check without anybody else: versions, data, network, keys, folder, budget."""

from __future__ import annotations

import datetime as dt
import platform
import shutil
import stat
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import torch
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from smule_crypten.compute.device import resolve_device
from smule_crypten.compute.library import require_hardware
from smule_crypten.config.run import PartyConfig
from smule_crypten.data.partition import missing_classes
from smule_crypten.doctor.checkup import OUTPUTS, Checkup, Skipped, needed
from smule_crypten.errors import BudgetError, ConfigError, OutputError
from smule_crypten.files import PRIVATE_FOLDER_MODE
from smule_crypten.inference.noise import MU, NoiseRule
from smule_crypten.inference.registry import scheme_class
from smule_crypten.models.agreement import translate_checked
from smule_crypten.models.calibration import calibration_positions, check_inputs
from smule_crypten.models.modules import has_trainable
from smule_crypten.models.zoo import num_parameters
from smule_crypten.mutual_learning.budget import QueryBudget
from smule_crypten.mutual_learning.planner import configured_queries, public_queries
from smule_crypten.mutual_learning.schedule import NOTHING_PUBLIC, PublicPlan, PublicSchedule, exchange_epochs
from smule_crypten.party.disclosing import budget_so_far, ledger_path
from smule_crypten.party.inputs import build_party_model, load_party_inputs
from smule_crypten.party.run_folder import RUN_FILE, STATES_FOLDER, check_run_dir, check_unused, party_folder
from smule_crypten.party.states import StateFolder
from smule_crypten.report import phrases
from smule_crypten.report.formatting import human_bytes
from smule_crypten.report.leakage import given_away
from smule_crypten.tasks.by_name import party_task
from smule_crypten.training.steps import feasible_steps
from smule_crypten.transport.credentials import Certificate, check_distinct, load_certificate, load_identity
from smule_crypten.types import PARTY_NAMES

TESTED_PYTHONS = ("3.11", "3.12", "3.13")
TESTED = {
    "torch": "2.13.0",
    "torchvision": "0.28.0",
    "crypten": "0.4.1",
    "numpy": "2.4.6",
    "pydantic": "2.14.3",
    "cryptography": "50.0.2",
}
"""Versions that decide how a run behaves, as in constraints.txt."""

_RENEWAL_DAYS = 30
_JOURNAL_BYTES = 10_000_000
"""More than the journal, the ledger and the result of any run take together."""


def check_versions(checkup: Checkup) -> str:
    requirements = [Requirement(text) for text in metadata.requires("smule-crypten") or ()]
    wrong = [
        f"{requirement.name} {_installed(requirement.name) or 'is missing'}, needs {requirement.specifier}"
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if not _fits(requirement)
    ]
    python_range = metadata.metadata("smule-crypten")["Requires-Python"]
    if not SpecifierSet(python_range).contains(platform.python_version()):
        wrong.append(f"Python {platform.python_version()}, needs {python_range}")
    if wrong:
        raise ConfigError(f"{'; '.join(wrong)}; install again with pip install -c constraints.txt")
    python = ".".join(platform.python_version_tuple()[:2])
    found = {name: Version(metadata.version(name)).public for name in TESTED}
    untested = [] if python in TESTED_PYTHONS else [f"python {python}"]
    untested += [f"{name} {version}" for name, version in found.items() if version != TESTED[name]]
    text = f"Python {platform.python_version()}, torch {found['torch']}, crypten {found['crypten']}"
    return f"{text}; in the declared range, but not the tested version: {', '.join(untested)}" if untested else text


def _installed(name: str) -> str | None:
    with suppress(metadata.PackageNotFoundError):
        return metadata.version(name)
    return None


def _fits(requirement: Requirement) -> bool:
    version = _installed(requirement.name)
    return version is not None and requirement.specifier.contains(version, prereleases=True)


def check_data(checkup: Checkup) -> str:
    checkup.inputs = inputs = load_party_inputs(checkup.config, checkup.say)
    # What follows from the data is part of what the other checks look at, as in a run.
    checkup.config = inputs.config
    bundle = inputs.bundle
    counts_C = party_task(checkup.config).class_counts(inputs.train.targets, bundle.num_classes)
    shape = "x".join(map(str, bundle.input_shape))
    text = f"{len(inputs.train)} training and {len(inputs.test)} test samples of {shape}, {bundle.num_classes} "
    text += OUTPUTS[checkup.config.task]
    if len(counts_C):
        text += f" of {int(counts_C.min())} to {int(counts_C.max())} training samples"
    missing = missing_classes(counts_C)
    names = ", ".join(bundle.class_names[label] for label in missing)
    text = f"{text}; no sample of class {names}, which only the other party can teach" if missing else text
    return "; ".join((text, *bundle.notes))


def check_batch(checkup: Checkup) -> str:
    inputs = needed(checkup.inputs, "the data")
    batch = inputs.train.select(torch.arange(checkup.config.training.batch_size)).in_memory()
    config = checkup.config.scheme
    check_inputs(batch.inputs, batch.sample_ids, scheme_class(config.name).input_limit(config))
    low, high = float(batch.inputs.min()), float(batch.inputs.max())
    return f"{len(batch)} samples, values {low:.2f} to {high:.2f} after normalization"


def check_device(checkup: Checkup) -> str:
    config = checkup.config
    require_hardware(config.compute, config.device)
    return str(resolve_device(config.device))


def check_model(checkup: Checkup) -> str:
    inputs = needed(checkup.inputs, "the data")
    model = build_party_model(checkup.config, inputs.bundle)
    feasible_steps(model, inputs.train, checkup.config.training)
    samples = inputs.train.read(calibration_positions(len(inputs.train)))
    checkup.translated = translate_checked(model, inputs.bundle.input_shape, samples)
    checkup.model = model
    text = f"{checkup.config.model.name}, {num_parameters(model):,} parameters, can be evaluated on secret shares"
    return text if has_trainable(model) else f"{text}; none of them is trainable, so the network only answers"


def check_range(checkup: Checkup) -> str:
    network = needed(checkup.translated, "the model")
    train = needed(checkup.inputs, "the data").train
    samples = train.read(calibration_positions(len(train)))
    config = checkup.config.scheme
    scheme = scheme_class(config.name)
    # How much noise it will add is said once the budget is known (_about_noise).
    noise = NoiseRule.without_protection()
    checkup.answerer = answerer = scheme.answerer_of(network, samples, config, noise, opening=checkup.config.opening)
    return (
        f"{config.precision_bits} fractional bits allow inputs below {scheme.input_limit(config):g}; with initial "
        f"weights, {len(samples)} own samples fit, logits below {answerer.terms.logit_bound:g}"
    )


def check_own_certificate(checkup: Checkup) -> str:
    return _describe(load_certificate(Path(checkup.connection.certificate)))


def check_key(checkup: Checkup) -> str:
    connection = checkup.connection
    checkup.identity = load_identity(Path(connection.certificate), Path(connection.key))
    mode = stat.S_IMODE(checkup.identity.key_path.stat().st_mode)
    return f"{checkup.identity.key_path.name} belongs to the certificate, mode {mode:04o}"


def check_certificate_of(role: str, path: str, checkup: Checkup) -> str:
    """The certificate of another process; it must differ from those seen before."""
    certificate = load_certificate(Path(path))
    text = _describe(certificate)
    own = {} if checkup.identity is None else {"your own certificate": checkup.identity.certificate}
    seen = {f"that of {other}": known for other, known in checkup.certificates.items()}
    check_distinct(own | seen | {f"that of {role}": certificate})
    checkup.certificates[role] = certificate
    return text


def _describe(certificate: Certificate) -> str:
    certificate.check_dates()
    days = (certificate.not_after - dt.datetime.now(dt.UTC)).days
    text = f"{certificate.name}, valid until {certificate.not_after:%Y-%m-%d}, {days} days left"
    return f"{text}: make and exchange a new one soon" if days < _RENEWAL_DAYS else text


def check_output(checkup: Checkup) -> str:
    _needs_data_of_begun_run(checkup)
    config = checkup.config
    folder = party_folder(config)
    created = [path for path in (folder, folder.parent) if not path.exists()]
    mode = stat.S_IMODE(folder.stat().st_mode) if folder.exists() else PRIVATE_FOLDER_MODE
    check_unused(folder)
    check_run_dir(folder.parent, [config])
    completed = StateFolder(folder / STATES_FOLDER, config).completed()
    free_bytes = shutil.disk_usage(folder).free
    for path in created:
        path.rmdir()
    text = f"{config.output_dir} can be written, {human_bytes(free_bytes)} free"
    if checkup.model is not None:
        needed_bytes = disk_bytes(checkup)
        if free_bytes < needed_bytes:
            raise OutputError(f"{text}, a run needs about {human_bytes(needed_bytes)}; free space, or set output_dir")
        text += f", about {human_bytes(needed_bytes)} needed"
    if mode & ~PRIVATE_FOLDER_MODE:
        text += f"; {folder} is open to other users of this machine (mode {mode:04o}): run chmod 700 {folder}"
    if not completed:
        return text
    place = f"after exchange {completed[-1]}" if completed[-1] else "before its first exchange"
    return f"{text}; holds a run that goes on {place}"


def _needs_data_of_begun_run(checkup: Checkup) -> None:
    """Without the data a run that was begun cannot be told from another one."""
    if (party_folder(checkup.config) / RUN_FILE).exists():
        needed(checkup.inputs, "the data, by which the run that was begun in the output folder is known")


def disk_bytes(checkup: Checkup) -> int:
    """About the most that a run of this side keeps on disk at once: networks, states, journals."""
    model, inputs = needed(checkup.model, "the model"), needed(checkup.inputs, "the data")
    network_bytes = sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))
    momenta = 2 if checkup.config.training.optimizer.name == "adamw" else 1
    answers_bytes = len(inputs.train) * (4 * inputs.bundle.num_classes + 8 + 8 + 8)
    # Two networks, and two states with a third on its way to replace one; each is written beside what it replaces.
    return 3 * network_bytes + 3 * ((1 + momenta) * network_bytes + answers_bytes) + _JOURNAL_BYTES


def check_budget(checkup: Checkup) -> str:
    _needs_data_of_begun_run(checkup)
    config = checkup.config
    data_digest = None if checkup.inputs is None else checkup.inputs.digest
    states = StateFolder(party_folder(config) / STATES_FOLDER, config, data_digest)
    budget, queries = budget_so_far(config, states), configured_queries(config.exchange)
    found = f"{budget.answered} answered to this peer{_about_ledger(config, budget)}"
    if queries is None:
        total = config.disclosure.max_answers_total
        limit = "no limit is set" if total is None else f"disclosure.max_answers_total={total}"
        raise Skipped(f"{limit}, {found}; exchange.num_queries=null, so the peer's number of queries cannot be known")
    asked = queries[1 - config.rank]
    exchanges = len(exchange_epochs(config.exchange, config.training.epochs))
    checks = min(asked, config.exchange.spot_checks)
    public = _public_answers(checkup, exchanges)
    second = f" and {checks} second ones" if checks else ""
    schedule = f"the schedule asks for up to {asked} answers{second} in each of {exchanges} exchanges"
    if sum(public.counts):
        schedule += f", and for {sum(public.counts)} about public samples in all"
    try:
        budget.plan(
            PARTY_NAMES[1 - config.rank],
            [asked + checks] * exchanges,
            first=max(states.completed(), default=0) + 1,
            public=public,
        )
    except BudgetError as error:
        raise BudgetError(f"{schedule}, but {error}; {found}") from None
    facts = budget.facts()
    return (
        f"{schedule}; at most {facts['limit']} answers in all, {facts['charged']} charged in this run and "
        f"{facts['charged_before']} before, {facts['left']} left; {facts['repeats_used']} of "
        f"{facts['repeats_allowed']} repeats used{_about_noise(checkup, budget)}; {found}; "
        f"{given_away(facts['limit'], config.task)}"
    )


def _public_answers(checkup: Checkup, exchanges: int) -> PublicPlan:
    """None where the pool could not be read, which another check says."""
    config, inputs = checkup.config, checkup.inputs
    if inputs is None or inputs.bundle.public_pool is None:
        return NOTHING_PUBLIC
    counts, size = public_queries(config.public_pool, config.exchange), len(inputs.bundle.public_pool.samples)
    schedule = PublicSchedule(pool_size=size, counts=counts)
    return PublicPlan(schedule.of_exchanges(exchanges, 1 - config.rank), is_repeated=True)


def _about_noise(checkup: Checkup, budget: QueryBudget) -> str:
    """What so many answers need, as far as a network without training can tell."""
    if checkup.answerer is None:
        return ""
    sigma = phrases.noise(budget.noise_rule.sigma(checkup.answerer.scatter), checkup.config.task)
    return (
        f"; with initial weights, noise of standard deviation {sigma} on each logit "
        f"hides the rounding of so many (mu = {MU:g})"
    )


def _about_ledger(config: PartyConfig, budget: QueryBudget) -> str:
    """Where it counts, that it is as it was written, and what it counts for nobody."""
    path, text, others = ledger_path(config), "", budget.answered_to_others
    if lines := len(budget.ledger.entries):
        text = f" in {path}, whose {lines} lines follow from each other, the last one is {budget.ledger.digest[:16]}"
    elif config.disclosure.ledger is not None:
        if not path.parent.is_dir():
            raise OutputError(f"disclosure.ledger: there is no folder {path.parent}; create or mount it")
        text = f"; {path} will be a new ledger"
    return f"{text}, {others} more under certificates that are not named here" if others else text
