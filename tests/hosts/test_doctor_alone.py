"""smule-doctor, what it finds without anybody else: every check can fail, and says what to do."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from doctor_sides import by_check, findings, side, write_data, write_sides
from party_records import party_record
from PIL import Image
from torch import nn

from smule_crypten.config.party import DisclosureConfig
from smule_crypten.doctor import checkup_local
from smule_crypten.inference.registry import scheme_class
from smule_crypten.mutual_learning.budget import QueryBudget
from smule_crypten.party.disclosing import budget_of_run
from smule_crypten.party.inputs import load_party_inputs
from smule_crypten.party.run_folder import STATES_FOLDER, party_folder, write_result
from smule_crypten.party.states import StateFolder
from smule_crypten.transport.credentials import load_certificate
from smule_crypten.types import Disclosure


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_sides(tmp_path)
    return tmp_path


Damage = Callable[[Path], tuple[str, ...]]


def without_data(folder: Path) -> tuple[str, ...]:
    (folder / "a.npz").unlink()
    return ()


def huge_value(folder: Path) -> tuple[str, ...]:
    write_data(folder / "a.npz", num_train=60, value=1e6)
    return ()


def readable_key(folder: Path) -> tuple[str, ...]:
    (folder / "hospital-a.key.pem").chmod(0o644)
    return ()


def finished_run(folder: Path) -> tuple[str, ...]:
    write_result(side(folder, "a"), party_record(status="completed"))
    return ()


def overrides(*values: str) -> Damage:
    return lambda folder: values


def hooked(input_shape: tuple[int, int, int], num_classes: int, hidden: object) -> nn.Module:
    model = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(input_shape), num_classes))
    model.register_forward_hook(lambda module, inputs, result: 3 * result)
    return model


def normalizing(input_shape: tuple[int, int, int], num_classes: int, hidden: object) -> nn.Module:
    features = math.prod(input_shape)
    return nn.Sequential(nn.Flatten(), nn.Linear(features, num_classes), nn.BatchNorm1d(num_classes))


def target(function: str, *others: str) -> Damage:
    return overrides("model.name=target", f"model.options={{_target_: {__name__}.{function}}}", *others)


def flattening(input_shape: tuple[int, ...]) -> nn.Module:
    return nn.Flatten()


def public_map(function: str, *others: str) -> Damage:
    settings = "features=module", f"features.options={{_target_: {__name__}.{function}}}", "features.cache=null"
    return overrides(*settings, *others)


BROKEN = [
    ("device", overrides("device=nonsense"), 2, "set device=cpu"),
    ("data", without_data, 3, "a.npz"),
    ("data", overrides("training.batch_size=100"), 3, "fewer than one batch"),
    ("data", overrides("features=patches"), 4, "at least 7x7 pixels"),
    ("data", public_map("flattening"), 3, "takes images as uint8 or with values of 0 to 1"),
    ("data", public_map("flattening", "training.augmentation.flip=true", "features.copies=2"), 3, "values of 0 to 1"),
    ("one batch", huge_value, 3, "data.mean and data.std"),
    ("model", overrides("model.options.hidden=[0]"), 2, "hidden"),
    ("model", target("hooked"), 4, "a hook on the network itself"),
    ("model", target("normalizing", "training.batch_size=1"), 2, "set training.batch_size to 2 or more"),
    ("fixed point", overrides("scheme.name=crypten", "scheme.precision_bits=20"), 4, "lower scheme.precision_bits"),
    ("own certificate", overrides("connection.certificate=none.crt.pem"), 10, "none.crt.pem"),
    ("private key", readable_key, 10, "chmod 600"),
    ("private key", overrides("connection.key=hospital-b.key.pem"), 10, "does not belong"),
    ("certificate of party b", overrides("connection.peer.certificate=hospital-a.crt.pem"), 2, "same certificate"),
    ("certificate of the dealer", overrides("connection.dealer.certificate=hospital-b.crt.pem"), 2, "same certificate"),
    ("output folder", finished_run, 5, "finished run"),
    ("query budget", overrides("disclosure.max_answers_total=29"), 11, "29"),
    ("query budget", overrides("disclosure.max_answers_per_exchange=9"), 11, "max_answers_per_exchange=9"),
    ("party b", overrides("connection.listen=192.0.2.1:7701"), 2, "cannot listen"),
]


@pytest.mark.parametrize(("check", "damage", "exit_code", "phrase"), BROKEN)
def test_each_check_fails_where_it_should(
    folder: Path, check: str, damage: Damage, exit_code: int, phrase: str
) -> None:
    """One thing is wrong; its check says so with the remedy, and those before it are content."""
    config = side(folder, "a", *damage(folder))
    found = findings(config)
    failed = next(finding for finding in found if finding.status == "FAILED")
    assert (failed.check, failed.exit_code) == (check, exit_code)
    assert phrase in failed.text
    assert "\n" not in failed.text


def test_what_a_folder_was_read_as_is_said(folder: Path) -> None:
    """The line of the data says what was counted and what was left out, by which rule."""
    for split, count in (("train", 16), ("test", 2)):
        for name in ("cat", "dog"):
            place = folder / "images" / split / name
            place.mkdir(parents=True)
            for number in range(count):
                Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) + number).save(place / f"{number}.png")
    (folder / "images" / "train" / ".ipynb_checkpoints").mkdir()
    (folder / "images" / "train" / "cat" / "1.heic").write_bytes(b"none")
    settings = ("data.options={channels: 1}", "data.mean=[0.1]", "data.std=[0.1]")
    config = side(folder, "a", "data.name=image_folder", f"data.path={folder}/images", *settings)
    line = by_check(findings(config))["data"]
    assert line.status == "ok", line.text
    assert "train: 32 images in 2 class folders; train: 1 folders hidden" in line.text
    assert "1 files called *.heic, left out (1.heic)" in line.text


@pytest.mark.parametrize(
    ("scheme", "value", "status"),
    [
        (["scheme.name=crypten"], 1000.0, "ok"),
        ([], 100.0, "ok"),
        ([], 130.0, "FAILED"),
    ],
)
def test_inputs_are_held_to_the_limit_of_the_scheme(folder: Path, scheme: list[str], value: float, status: str) -> None:
    """The doctor refuses exactly what a run would: below 2^12 with crypten's defaults, 2^7 with lean's."""
    write_data(folder / "a.npz", num_train=60, value=value)
    config = side(folder, "a", "data.mean=[0.0]", "data.std=[1.0]", *scheme)
    finding = by_check(findings(config))["one batch"]
    assert finding.status == status, finding.text
    assert scheme_class(config.scheme.name).input_limit(config.scheme) == (4096.0 if scheme else 128.0)


def test_features_are_computed_before_the_day(folder: Path) -> None:
    """The line of the data says by which map, how many and how large they are; the other checks look at features."""
    with np.load(folder / "a.npz") as data:
        arrays = {name: abs(array) % 1 if name[0] == "x" else array for name, array in data.items()}
    np.savez(folder / "a.npz", **arrays)
    said: list[str] = []
    config = side(folder, "a", *public_map("flattening")(folder), "features.cache=cache")
    found = by_check(findings(config, say=said.append))
    assert "54 training and 9 test samples of 16, " in found["data"].text
    assert "features: module, 16 of 1x4x4, map " in found["data"].text
    assert found["fixed point"].status == "ok", found["fixed point"].text
    assert [line.partition(" computed")[0] for line in said if line.startswith("features of")] == [
        "features of 512 crops of the photographs",
        "features of 60 training samples",
        "features of 9 test samples",
    ]
    assert len(list((folder / "cache").iterdir())) == 3


def test_what_depends_on_a_failed_check_is_skipped(folder: Path) -> None:
    """Without data there is nothing to say of network and cost; everything else is still examined."""
    without_data(folder)
    found = by_check(findings(side(folder, "a")))
    skipped = {name for name, finding in found.items() if finding.status == "skipped"}
    others = {"party b", "clock of party b", "agreement", "clock of the dealer"}
    assert skipped == {"one batch", "model", "fixed point", "terms", *others, "one exchange"}
    assert found["private key"].status == found["query budget"].status == "ok"


@pytest.mark.parametrize(("days_left", "phrase"), [(-1, "expired"), (400, "399 days left"), (10, "exchange a new one")])
def test_days_left(folder: Path, monkeypatch: pytest.MonkeyPatch, days_left: int, phrase: str) -> None:
    """An expired certificate fails, one that is about to expire is announced."""
    path = folder / "hospital-b.crt.pem"
    not_after = dt.datetime.now(dt.UTC) + dt.timedelta(days=days_left)
    certificate = dataclasses.replace(load_certificate(path), not_after=not_after)
    monkeypatch.setattr(checkup_local, "load_certificate", lambda path: certificate)
    found = by_check(findings(side(folder, "a")))["certificate of party b"]
    assert phrase in found.text
    assert found.exit_code == (10 if days_left < 0 else 0)


def test_missing_class_is_named(folder: Path) -> None:
    """A class that this side cannot teach is no fault, but no surprise either."""
    write_data(folder / "a.npz", num_train=60, missing=1)
    found = by_check(findings(side(folder, "a")))["data"]
    assert found.status == "ok"
    assert "no sample of class 1" in found.text


def test_unknown_number_of_queries(folder: Path) -> None:
    """Where the peer asks about all of its samples, nobody here knows how many those are."""
    found = by_check(findings(side(folder, "a", "exchange.num_queries=null")))["query budget"]
    assert found.status == "skipped"
    assert "cannot be known" in found.text


def test_a_joint_head_is_priced(folder: Path) -> None:
    """Its exact bytes, and what it opens; noise that hides too little is found before the day."""
    found = by_check(findings(side(folder, "a", "joint_head.name=ridge")))["one exchange"]
    assert found.status == "ok"
    assert "the joint head once, of 17 features, at most " in found.text
    assert "4 answers of it each way at most in each output folder, under noise of 0.043" in found.text
    kept = findings(side(folder, "a", "joint_head.name=ridge", f"disclosure.ledger={folder / 'ledger.jsonl'}"))
    assert "at most in all runs of disclosure.ledger, under noise" in by_check(kept)["one exchange"].text
    bare = by_check(findings(side(folder, "a", "joint_head.name=ridge", "joint_head.noise=0")))["one exchange"]
    assert (bare.status, bare.exit_code) == ("FAILED", 2)


def test_budget_counts_what_was_answered(folder: Path) -> None:
    """A run that goes on is not charged twice, and other answers leave less for it."""
    config = side(folder, "a")
    (folder / "out_a" / "party_a").mkdir(parents=True)
    digest = load_party_inputs(config).digest
    states = StateFolder(folder / "out_a" / "party_a" / "states", config, digest)
    budget = budget_of_run(config, states)
    budget.plan("b", [10, 10, 10])
    budget.charge(Disclosure(query_id=1, to_party="b", num_samples=10, model_step=0))
    states.save(1, {})
    found = by_check(findings(config))["query budget"]
    assert found.status == "ok"
    assert "at most 30 answers in all, 10 charged in this run and 0 before, 20 left; 0 of 2 repeats used" in found.text
    assert "1 lines follow from each other" in found.text
    assert "agreed with the network in 72 % (digits, 50 answers)" in found.text
    budget.charge(Disclosure(query_id=9, to_party="b", num_samples=1, model_step=0))
    assert by_check(findings(config))["query budget"].status == "FAILED"


@pytest.mark.parametrize("check", ["output folder", "query budget"])
def test_a_begun_run_whose_network_follows_from_the_data(folder: Path, check: str) -> None:
    """The run has kept its states under the network that model=auto came to; it is the same run all the same. Without
    the data nobody can tell, and it is said.
    """
    file = folder / "a.yaml"
    file.write_text(file.read_text().replace("{name: mlp, options: {hidden: [4]}}", "{name: auto}"))
    with np.load(folder / "a.npz") as data:
        arrays = {name: array.reshape(len(array), -1) if name[0] == "x" else array for name, array in data.items()}
    np.savez(folder / "a.npz", **arrays)
    asked = side(folder, "a")
    inputs = load_party_inputs(asked)
    party = party_folder(asked)
    states = StateFolder(party / STATES_FOLDER, inputs.config, inputs.digest)
    budget = budget_of_run(inputs.config, states)
    budget.plan("b", [10, 10, 10])
    budget.charge(Disclosure(query_id=1, to_party="b", num_samples=10, model_step=0))
    states.save(1, {})
    found = by_check(findings(asked))
    assert found["model"].text.startswith("mlp, ")
    says = {"output folder": "goes on after exchange 1", "query budget": "10 charged in this run and 0 before"}
    assert (found[check].status, says[check] in found[check].text) == ("ok", True), found[check].text
    without_data(folder)
    found = by_check(findings(asked))
    assert (found["data"].status, found[check].status) == ("FAILED", "skipped")
    assert "needs the data, by which the run that was begun" in found[check].text


def test_a_ledger_that_was_changed(folder: Path) -> None:
    """The doctor checks every line, and names the one that is not as it was written."""
    ledger = folder / "ledger.jsonl"
    budget = QueryBudget(DisclosureConfig(max_answers_total=100), ledger, run="earlier", peer=None)
    budget.plan("b", [])
    for number in (1, 2, 3):
        budget.charge(Disclosure(query_id=number, to_party="b", num_samples=5, model_step=0))
    lines = ledger.read_text().splitlines(keepends=True)
    ledger.write_text(lines[0] + lines[1].replace('"num_samples":5', '"num_samples":4') + lines[2])
    found = by_check(findings(side(folder, "a", f"disclosure.ledger={ledger}")))["query budget"]
    assert (found.status, found.exit_code) == ("FAILED", 5)
    assert "ledger.jsonl, line 2 was changed; restore the ledger" in found.text


def test_budget_of_many_runs(folder: Path) -> None:
    """The ledger of a peer is named; what it holds from other runs counts, and what it counts for nobody is said."""
    ledger = folder / "ledger.jsonl"
    setting = f"disclosure.ledger={ledger}"
    assert "ledger.jsonl will be a new ledger" in by_check(findings(side(folder, "a", setting)))["query budget"].text
    fingerprint = load_certificate(folder / "hospital-b.crt.pem").fingerprint
    for run, peer in (("earlier", fingerprint), ("other", "another")):
        budget = QueryBudget(DisclosureConfig(), ledger, run=run, peer=peer)
        budget.plan("b", [5])
        budget.charge(Disclosure(query_id=1, to_party="b", num_samples=5, model_step=0))
    found = by_check(findings(side(folder, "a", setting)))["query budget"]
    assert (found.status, found.exit_code) == ("FAILED", 11)
    assert "5 answered to this peer in" in found.text
    assert "5 more under certificates that are not named here" in found.text
    assert (
        by_check(findings(side(folder, "a", setting, "disclosure.max_answers_total=35")))["query budget"].status == "ok"
    )


def test_resumable_run_is_named(folder: Path) -> None:
    """Whoever starts again in a folder knows that the run goes on there."""
    config = side(folder, "a")
    StateFolder(folder / "out_a" / "party_a" / "states", config).save(2, {"epoch": 5})
    assert "goes on after exchange 2" in by_check(findings(config))["output folder"].text


def test_output_folder_is_left_as_it_was(folder: Path) -> None:
    """An examination leaves no trace that a run could stumble over."""
    findings(side(folder, "a"))
    assert not (folder / "out_a").exists()


def test_full_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that would fill the disk is not begun."""
    monkeypatch.setattr(checkup_local, "disk_bytes", lambda checkup: 1 << 60)
    found = by_check(findings(side(folder, "a")))["output folder"]
    assert (found.status, found.exit_code) == ("FAILED", 5)
    assert "free space" in found.text


def test_versions(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package outside the declared range fails; one inside it that was not tested is named."""
    monkeypatch.setitem(checkup_local.TESTED, "torch", "2.12.0")
    assert "not the tested version: torch" in by_check(findings(side(folder, "a")))["versions"].text
    monkeypatch.setattr(checkup_local, "TESTED_PYTHONS", ("3.9",))
    assert "not the tested version: python 3.1" in by_check(findings(side(folder, "a")))["versions"].text
    monkeypatch.setattr(checkup_local.metadata, "requires", lambda name: ["rich>=999", "absent-package", "torch"])
    found = by_check(findings(side(folder, "a")))["versions"]
    assert (found.status, found.exit_code) == ("FAILED", 2)
    assert "rich" in found.text
    assert "absent-package is missing" in found.text
    assert "torch" not in found.text


def test_tested_versions_are_those_of_the_constraints() -> None:
    """What the doctor calls tested is what was tested."""
    lines = (Path(__file__).parents[2] / "constraints.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line)
    assert {name: pinned[name] for name in checkup_local.TESTED} == checkup_local.TESTED


def test_a_folder_that_is_open_to_others_is_named(folder: Path) -> None:
    """Party folders of earlier versions keep their mode, so somebody has to say so."""
    party = Path(side(folder, "a").output_dir) / "party_a"
    party.mkdir(parents=True)
    for mode, is_open in ((0o700, False), (0o750, True), (0o755, True)):
        party.chmod(mode)
        text = by_check(findings(side(folder, "a")))["output folder"].text
        assert (f"(mode {mode:04o}): run chmod 700 {party}" in text) == is_open
