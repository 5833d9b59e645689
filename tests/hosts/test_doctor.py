"""smule-doctor: every check can fail, says what to do, and disturbs nobody."""

from __future__ import annotations

import dataclasses
import datetime as dt
import subprocess
import sys
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from doctor_sides import side, write_data, write_sides

from smule_crypten.errors import HandshakeError
from smule_crypten.exchange.budget import QueryBudget
from smule_crypten.launch.side_file import read_dealer
from smule_crypten.models.translate import translate
from smule_crypten.mpc.credentials import create_identity, load_certificate
from smule_crypten.mpc.meeting import ROLES
from smule_crypten.processes import checkup_local
from smule_crypten.processes.checkup import Checkup, Finding, Speed
from smule_crypten.processes.checkup_network import check_clock, check_cost, check_rehearsal
from smule_crypten.processes.doctor import examine
from smule_crypten.processes.inputs import build_party_model, load_party_inputs
from smule_crypten.processes.links import meet_others, meeting_of_dealer
from smule_crypten.processes.run_folder import write_result
from smule_crypten.processes.states import StateFolder
from smule_crypten.run_config import DealerConfig, PartyConfig
from smule_crypten.types import Disclosure


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_sides(tmp_path)
    return tmp_path


def examination(config: PartyConfig, wait_seconds: float) -> Generator[Finding]:
    assert config.network is not None
    return examine(config, config.network, wait_seconds=wait_seconds, rehearse=False)


def findings(config: PartyConfig, wait_seconds: float = 0.1) -> list[Finding]:
    return list(examination(config, wait_seconds))


def by_check(found: list[Finding]) -> dict[str, Finding]:
    return {finding.check: finding for finding in found}


def dealer_of(folder: Path) -> DealerConfig:
    return read_dealer([f"+dealer={folder / 'dealer.yaml'}", "launch.join_seconds=20.0"])


def both(configs: list[PartyConfig], wait_seconds: float = 10.0, last: str = "") -> list[dict[str, Finding]]:
    """Both sides examined, with the others at the same time; up to and with the check called last."""
    found: list[list[Finding]] = [[], []]
    examinations = [examination(config, wait_seconds) for config in configs]

    def go_on(rank: int, last: str) -> None:
        for finding in examinations[rank]:
            found[rank].append(finding)
            if finding.check == last:
                return

    for rank in (0, 1):
        go_on(rank, "query budget")  # not in threads: torch.fx cannot trace in two at once
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(go_on, (0, 1), (last, last)))
    for each in examinations:
        each.close()
    return [by_check(each) for each in found]


def test_two_good_sides_and_a_dealer(folder: Path) -> None:
    """Both doctors at the same time find nothing, and the dealer still waits for a run, which then comes about."""
    dealer = meeting_of_dealer(dealer_of(folder))
    with ThreadPoolExecutor(3) as threads:
        waiting = threads.submit(dealer.meet)
        for found in both([side(folder, "a"), side(folder, "b")]):
            assert [finding for finding in found.values() if finding.status != "ok"] == []
        assert not waiting.done()
        meetings = [threads.submit(meet_others, side(folder, role)) for role in "ab"]
        links = [waiting.result(), *(meeting.result() for meeting in meetings)]
        for rank, role in enumerate(ROLES[:2]):
            links[1 + rank]["the dealer"].send_json({"from": role})
            assert links[0][role].receive_json()[0] == {"from": role}
        list(threads.map(lambda link: link.close(), [link for own in links for link in own.values()]))


def test_doctors_compare_what_a_run_would(folder: Path) -> None:
    """A setting that must be equal is named with both values at both sides."""
    for found in both([side(folder, "a"), side(folder, "b", "exchange.num_queries=7")], last="agreement"):
        assert found["agreement"].status == "FAILED"
        assert found["agreement"].exit_code == HandshakeError.exit_code
        assert "exchange.num_queries: " in found["agreement"].text
        assert found["clock"].status == "ok"


def examined_alone(folder: Path) -> Checkup:
    """Party a with its data and its network, and nobody else."""
    config = side(folder, "a")
    assert config.network is not None
    checkup = Checkup(config=config, network=config.network, wait_seconds=0.0)
    checkup.inputs = load_party_inputs(config)
    checkup.translated = translate(build_party_model(config, checkup.inputs.bundle), (1, 4, 4))
    return checkup


def test_cost_knows_the_other_network(folder: Path) -> None:
    """After the doctors have met, bytes are those of the peer's network, not an assumption."""
    checkup = examined_alone(folder)
    assert checkup.translated is not None
    assert checkup.inputs is not None
    assumed = check_cost(checkup)
    checkup.peer_architecture = checkup.translated.architecture
    assert assumed == f"{check_cost(checkup)} (assuming that the peer's network is like the own one)"
    wider = build_party_model(side(folder, "b", "model.options.hidden=[8]"), checkup.inputs.bundle)
    checkup.peer_architecture = translate(wider, (1, 4, 4)).architecture
    assert not assumed.startswith(check_cost(checkup))


def test_the_other_side_already_runs(folder: Path) -> None:
    """A doctor that meets a waiting run is recognized, and the run goes on waiting for its peer."""
    a, b = side(folder, "a"), side(folder, "b")
    dealer = meeting_of_dealer(dealer_of(folder))
    with ThreadPoolExecutor(2) as threads:
        links = [threads.submit(dealer.meet), threads.submit(meet_others, a)]
        found = by_check(findings(b, 10.0))
        assert found["party a"].status == "ok"
        assert "runs smule-party" in found["party a"].text
        assert found["clock"].status == "skipped"
        ours = meet_others(b)
        met = [ours, *(link.result() for link in links)]
        assert not any(link.is_over for own in met for link in own.values())
        list(threads.map(lambda link: link.close(), [link for own in met for link in own.values()]))


def test_nobody_comes(folder: Path) -> None:
    """Party a cannot tell why nobody came; party b's address does not answer, which is a fault to mend."""
    found = [by_check(findings(side(folder, role))) for role in "ab"]
    assert found[0]["party b"].status == "skipped"
    assert "at the same time" in found[0]["party b"].text
    assert (found[1]["party a"].status, found[1]["party a"].exit_code) == ("FAILED", 6)
    assert [found[rank]["the dealer"].status for rank in (0, 1)] == ["FAILED", "FAILED"]
    assert "assuming" in found[0]["one exchange"].text


def test_wrong_certificate_at_the_other_end(folder: Path) -> None:
    """An address that somebody else answers is told apart from one that nobody answers, at both ends."""
    create_identity("former-a", folder)
    configs = [side(folder, "a"), side(folder, "b", "network.peer.certificate=former-a.crt.pem")]
    found = both(configs, wait_seconds=2.0, last="agreement")
    assert found[0]["party b"].status == "skipped"
    assert "turned away: 127.0.0.1" in found[0]["party b"].text
    assert (found[1]["party a"].status, found[1]["party a"].exit_code) == ("FAILED", 10)
    assert "compare fingerprints" in found[1]["party a"].text


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
    write_result(side(folder, "a"), "completed", {})
    return ()


def overrides(*values: str) -> Damage:
    return lambda folder: values


BROKEN = [
    ("device", overrides("device=nonsense"), 2, "set device=cpu"),
    ("data", without_data, 3, "a.npz"),
    ("data", overrides("training.batch_size=100"), 3, "fewer than one batch"),
    ("one batch", huge_value, 3, "data.mean and data.std"),
    ("model", overrides("model.options.hidden=[0]"), 2, "hidden"),
    ("fixed point", overrides("scheme.precision_bits=20"), 4, "lower scheme.precision_bits"),
    ("own certificate", overrides("network.certificate=none.crt.pem"), 10, "none.crt.pem"),
    ("private key", readable_key, 10, "chmod 600"),
    ("private key", overrides("network.key=hospital-b.key.pem"), 10, "does not belong"),
    ("certificate of party b", overrides("network.peer.certificate=hospital-a.crt.pem"), 10, "same certificate"),
    ("certificate of the dealer", overrides("network.dealer.certificate=hospital-b.crt.pem"), 10, "same certificate"),
    ("output folder", finished_run, 5, "finished run"),
    ("query budget", overrides("budget.max_queries_total=29"), 11, "29"),
    ("query budget", overrides("budget.max_queries_per_exchange=9"), 11, "max_queries_per_exchange=9"),
    ("party b", overrides("network.listen=192.0.2.1:7701"), 2, "cannot listen"),
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


def test_what_depends_on_a_failed_check_is_skipped(folder: Path) -> None:
    """Without data there is nothing to say of network and cost; everything else is still examined."""
    without_data(folder)
    found = by_check(findings(side(folder, "a")))
    skipped = {name for name, finding in found.items() if finding.status == "skipped"}
    assert skipped == {"one batch", "model", "fixed point", "party b", "clock", "agreement", "one exchange"}
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


def test_budget_counts_what_was_answered(folder: Path) -> None:
    """A run that goes on is not charged twice, and other answers leave less for it."""
    config = side(folder, "a")
    budget = QueryBudget(config.budget, folder / "out_a" / "party_a" / "disclosures.jsonl")
    budget.charge(Disclosure(query_id=1, to_party="b", num_samples=10, model_step=0))
    assert by_check(findings(config))["query budget"].status == "ok"
    budget.charge(Disclosure(query_id=9, to_party="b", num_samples=1, model_step=0))
    assert by_check(findings(config))["query budget"].status == "FAILED"


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
    packages = {name: version for name, version in checkup_local.TESTED.items() if name != "python"}
    assert packages == {name: pinned[name] for name in packages}


@pytest.mark.parametrize(("difference", "fails"), [(59.0, False), (-59.0, False), (61.0, True), (-61.0, True)])
def test_clocks(folder: Path, difference: float, fails: bool) -> None:
    """Clocks more than a minute apart would make certificates expire early and logs hard to compare."""
    config = side(folder, "a")
    assert config.network is not None
    checkup = Checkup(config=config, network=config.network, wait_seconds=0.0, clock_difference_seconds=difference)
    if fails:
        with pytest.raises(HandshakeError, match="NTP"):
            check_clock(checkup)
    else:
        check_clock(checkup)


def test_rehearsal(folder: Path) -> None:
    """The secure protocol runs on this machine with the side's own network, rightly, and its time counts."""
    checkup = examined_alone(folder)
    text = check_rehearsal(checkup)
    assert text.startswith("60 samples each way between two parties and a dealer on this machine in ")
    assert float(text.rpartition(" ")[2]) < 1e-3
    assert "of computation, and what the link takes" in check_cost(checkup)
    checkup.speed = Speed(round_trip_seconds=1.0, bytes_per_second=1e9)
    assert "of computation and 24.0 s on the link" in check_cost(checkup)


def test_command(folder: Path) -> None:
    """One plain line a check where there is no terminal, and the exit code of the first failure."""
    without_data(folder)
    command = [sys.executable, "-m", "smule_crypten.launch.doctor", f"+party={folder / 'a.yaml'}", "--quick"]
    done = subprocess.run([*command, "--wait", "0.1"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) == 17
    assert all(line.split()[0] in ("ok", "FAILED", "skipped") for line in lines)
    assert "\x1b" not in done.stdout


def test_command_without_a_usable_file(folder: Path) -> None:
    """What cannot be understood cannot be examined."""
    command = [sys.executable, "-m", "smule_crypten.launch.doctor", f"+party={folder / 'none.yaml'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("smule: error: cannot read ")
    assert len(done.stderr.splitlines()) == 1
