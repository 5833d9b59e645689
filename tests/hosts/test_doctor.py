"""smule-doctor: every check can fail, says what to do, and disturbs nobody."""

from __future__ import annotations

import io
import json
import re
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from doctor_sides import by_check, examination, findings, free_port, side, write_sides
from rich.console import Console
from rich.text import Text

from smule_crypten.config.dealer import DealerConfig
from smule_crypten.config.run import PartyConfig
from smule_crypten.doctor.checkup import Checkup, Finding, Skipped, Speed
from smule_crypten.doctor.checkup_network import (
    check_clock_of,
    check_cost,
    check_dealer,
    check_peer,
    check_rehearsal,
)
from smule_crypten.errors import CredentialError, HandshakeError, PeerTimeoutError, ProtocolError
from smule_crypten.launch import doctor, terms
from smule_crypten.launch.doctor_view import show, verdict
from smule_crypten.launch.side_file import read_dealer
from smule_crypten.models.translate import translate
from smule_crypten.party.inputs import build_party_model, load_party_inputs
from smule_crypten.party.links import meet_others, meeting_of_dealer
from smule_crypten.transport import reception
from smule_crypten.transport.credentials import create_identity, load_certificate, load_identity
from smule_crypten.transport.endpoint import Address, accept_all, connect, listen
from smule_crypten.transport.meeting import ROLES


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_sides(tmp_path)
    return tmp_path


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
            assert (
                "task=classification, answers open differences of logits, 3 classes numbered only, mean 0.5, std 0.5; "
                in found["agreement"].text
            )
        assert not waiting.done()
        meetings = [threads.submit(meet_others, side(folder, role)) for role in "ab"]
        links = [waiting.result(), *(meeting.result() for meeting in meetings)]
        for rank, role in enumerate(ROLES[:2]):
            links[1 + rank]["the dealer"].send_json({"from": role})
            assert links[0][role].receive_json()[0] == {"from": role}
        list(threads.map(lambda link: link.close(), [link for own in links for link in own.values()]))


def test_two_good_sides_alone(tmp_path: Path) -> None:
    """Without a dealer there is no line about one, and nobody else is needed: the parties meet afterwards."""
    write_sides(tmp_path, "two_party")
    configs = [side(tmp_path, role) for role in "ab"]
    for found in both(configs):
        assert [finding for finding in found.values() if finding.status != "ok"] == []
        assert len(found) == 17
        assert "dealer" not in " ".join(f"{finding.check} {finding.text}" for finding in found.values())
    with ThreadPoolExecutor(2) as threads:
        links = [meeting.result() for meeting in [threads.submit(meet_others, config) for config in configs]]
        assert [list(own) for own in links] == [["party b"], ["party a"]]
        list(threads.map(lambda link: link.close(), [link for own in links for link in own.values()]))


def test_doctors_compare_what_a_run_would(folder: Path) -> None:
    """A setting that must be equal is named with both values at both sides."""
    examined = both([side(folder, "a"), side(folder, "b", "exchange.num_queries=7")], last="agreement")
    for found, peer in zip(examined, ("party b", "party a"), strict=True):
        assert found["agreement"].status == "FAILED"
        assert found["agreement"].exit_code == HandshakeError.exit_code
        assert "exchange.num_queries: " in found["agreement"].text
        assert found[f"clock of {peer}"].status == "ok"


def test_doctors_say_what_is_learned(folder: Path) -> None:
    """Task, opening and the scale of the targets are public and agreed on, and people can compare them."""
    for number, role in enumerate("ab"):
        generator = np.random.default_rng(number)
        arrays = {f"x_{part}": generator.normal(size=(count, 4)) for part, count in (("train", 60), ("test", 9))}
        targets = {f"y_{name[2:]}": 200 + 40 * x[:, :2] for name, x in arrays.items()}
        np.savez(folder / f"{role}.npz", **{name: x.astype(np.float32) for name, x in (arrays | targets).items()})
    settings = ("task=regression", "data.target_mean=[200.0]", "data.target_std=[40.0]", "data.mean=[0.0]")
    for found in both([side(folder, role, *settings) for role in "ab"], last="agreement"):
        assert found["agreement"].status == "ok", found["agreement"].text
        assert "task=regression, answers open each value, 2 target(s) " in found["agreement"].text
        assert ", target_mean 200, target_std 40; " in found["agreement"].text
        assert "class" not in found["agreement"].text


def examined_alone(folder: Path) -> Checkup:
    """Party a with its data and its network, and nobody else."""
    config = side(folder, "a")
    assert config.connection is not None
    checkup = Checkup(config=config, connection=config.connection, wait_seconds=0.0)
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
    assert assumed == f"{check_cost(checkup)} (assuming that the peer's network is like your own)"
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
        assert found["clock of party a"].status == "ok"
        assert found["agreement"].status == "skipped"
        ours = meet_others(b)
        met = [ours, *(link.result() for link in links)]
        assert not any(link.is_over for own in met for link in own.values())
        list(threads.map(lambda link: link.close(), [link for own in met for link in own.values()]))


def test_a_run_waits_until_the_doctor_is_gone(folder: Path) -> None:
    """A party that meets a doctor tries again, and the doctor does not take it for its colleague."""
    a, b = (load_identity(folder / f"hospital-{role}.crt.pem", folder / f"hospital-{role}.key.pem") for role in "ab")
    port = free_port()
    with listen(Address("127.0.0.1", port)) as listener, ThreadPoolExecutor(1) as threads:
        seconds = {"join_seconds": 1.0, "deadline_seconds": 5.0}
        expected = {"party b": b.certificate}
        waiting = threads.submit(accept_all, listener, a, expected, purpose="smule-doctor", **seconds)
        with pytest.raises(PeerTimeoutError, match="is there for another purpose"):
            connect(Address("127.0.0.1", port), b, "party a", a.certificate, join_seconds=0.5, deadline_seconds=5.0)
        with pytest.raises(PeerTimeoutError, match="party b did not come"):
            waiting.result()


def test_nobody_comes(folder: Path) -> None:
    """Party a cannot tell why nobody came; party b's address does not answer, which is a fault to mend."""
    said: list[str] = []
    found = [by_check(findings(side(folder, role), say=said.append)) for role in "ab"]
    assert [re.sub(r":\d+", "", text) for text in said] == [
        f"waiting for {who} at 127.0.0.1{place}, for at most 0.1 seconds"
        for who, place in (("party b", " (here)"), ("the dealer", ""), ("party a", ""), ("the dealer", ""))
    ]
    assert found[0]["party b"].status == "skipped"
    assert "at the same time" in found[0]["party b"].text
    assert (found[1]["party a"].status, found[1]["party a"].exit_code) == ("FAILED", 6)
    assert [found[rank]["the dealer"].status for rank in (0, 1)] == ["FAILED", "FAILED"]
    assert "assuming" in found[0]["one exchange"].text


def test_wrong_certificate_at_the_other_end(folder: Path) -> None:
    """It fails at both ends: who connects sees both fingerprints, who waits that its certificate was not accepted."""
    create_identity("former-a", folder)
    configs = [side(folder, "a"), side(folder, "b", "connection.peer.certificate=former-a.crt.pem")]
    found = both(configs, wait_seconds=2.0, last="agreement")
    shown = load_certificate(folder / "hospital-a.crt.pem").fingerprint
    pinned = load_certificate(folder / "former-a.crt.pem").fingerprint
    assert (found[0]["party b"].status, found[0]["party b"].exit_code) == ("FAILED", 10)
    assert found[0]["party b"].text.startswith("127.0.0.1 came, but does not accept our certificate")
    assert shown in found[0]["party b"].text
    assert f"it shows SHA-256 {shown}, pinned is {pinned}" in found[1]["party a"].text
    assert (found[1]["party a"].status, found[1]["party a"].exit_code) == ("FAILED", 10)
    assert "compare fingerprints" in found[1]["party a"].text


def test_wrong_certificate_of_who_comes(folder: Path) -> None:
    """Party a has an old certificate of party b: it fails at both ends, each with the fingerprint that it knows."""
    create_identity("former-b", folder)
    configs = [side(folder, "a", "connection.peer.certificate=former-b.crt.pem"), side(folder, "b")]
    found = both(configs, wait_seconds=2.0, last="agreement")
    assert (found[0]["party b"].status, found[0]["party b"].exit_code) == ("FAILED", 10)
    assert load_certificate(folder / "former-b.crt.pem").fingerprint in found[0]["party b"].text
    assert (found[1]["party a"].status, found[1]["party a"].exit_code) == ("FAILED", 10)
    assert "does not accept our certificate" in found[1]["party a"].text
    assert load_certificate(folder / "hospital-b.crt.pem").fingerprint in found[1]["party a"].text


def met_by(folder: Path, *overrides: str) -> Checkup:
    """Party b, ready to meet others."""
    config = side(folder, "b", *overrides)
    assert config.connection is not None
    checkup = Checkup(config=config, connection=config.connection, wait_seconds=2.0)
    checkup.identity = load_identity(folder / "hospital-b.crt.pem", folder / "hospital-b.key.pem")
    for role, name in (("party a", "hospital-a"), ("the dealer", "dealer")):
        checkup.certificates[role] = load_certificate(folder / f"{name}.crt.pem")
    return checkup


def check_the_dealer(checkup: Checkup) -> str:
    assert checkup.connection.dealer is not None
    return check_dealer(checkup.connection.dealer, checkup)


def test_swapped_addresses(folder: Path) -> None:
    """Where the dealer answers at party a's address, it is called so."""
    dealer = meeting_of_dealer(read_dealer([f"+dealer={folder / 'dealer.yaml'}", "launch.join_seconds=3.0"]))
    address = read_dealer([f"+dealer={folder / 'dealer.yaml'}"]).listen
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(dealer.meet)
        with pytest.raises(CredentialError, match="that of the dealer: the address leads there; see whether two are"):
            check_peer(met_by(folder, f"connection.peer.address={address}"))
        with pytest.raises(PeerTimeoutError):
            waiting.result()


def test_a_port_without_tls(folder: Path) -> None:
    """A web server or an HTTP proxy at the address is named, not taken for a wrong certificate."""

    def answer(listener: socket.socket) -> None:
        with listener.accept()[0] as raw:
            raw.recv(100)
            raw.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as threads:
        threads.submit(answer, listener)
        port = listener.getsockname()[1]
        with pytest.raises(ProtocolError, match=r"answers without TLS .* HTTP proxy"):
            check_the_dealer(met_by(folder, f"connection.dealer.address=127.0.0.1:{port}"))


@pytest.mark.parametrize(("difference", "fails"), [(59.0, ""), (-59.0, ""), (61.0, "ahead of"), (-61.0, "behind")])
def test_clocks(folder: Path, difference: float, fails: str) -> None:
    """Clocks more than a minute apart would make certificates expire early and logs hard to compare."""
    config = side(folder, "a")
    assert config.connection is not None
    checkup = Checkup(config=config, connection=config.connection, wait_seconds=0.0)
    checkup.clock_differences_seconds["the dealer"] = difference
    if fails:
        with pytest.raises(HandshakeError, match=f"the clock of the dealer is 61 seconds {fails} this one; .* NTP"):
            check_clock_of("the dealer", checkup)
    else:
        assert check_clock_of("the dealer", checkup) == "agrees with this one within 59 s"
    with pytest.raises(Skipped):
        check_clock_of("party b", checkup)


@pytest.mark.parametrize("ahead", [0.0, 90.0])
def test_the_dealers_clock(folder: Path, monkeypatch: pytest.MonkeyPatch, ahead: float) -> None:
    """A waiting dealer tells a doctor its time, which is compared, and goes on waiting."""
    true_clock = SimpleNamespace(time=lambda: time.time() + ahead)
    monkeypatch.setattr(reception, "time", true_clock)
    dealer = meeting_of_dealer(read_dealer([f"+dealer={folder / 'dealer.yaml'}", "launch.join_seconds=2.0"]))
    config = side(folder, "b")
    assert config.connection is not None
    checkup = Checkup(config=config, connection=config.connection, wait_seconds=2.0)
    checkup.identity = load_identity(folder / "hospital-b.crt.pem", folder / "hospital-b.key.pem")
    checkup.certificates["the dealer"] = load_certificate(folder / "dealer.crt.pem")
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(dealer.meet)
        assert check_the_dealer(checkup).startswith("authenticated")
        if ahead:
            with pytest.raises(HandshakeError, match="the clock of the dealer is 90 seconds ahead of this one"):
                check_clock_of("the dealer", checkup)
        else:
            assert check_clock_of("the dealer", checkup) == "agrees with this one within 1 s"
        with pytest.raises(PeerTimeoutError, match="party a and party b did not come"):
            waiting.result()


def test_rehearsal_of_two_parties_alone(tmp_path: Path) -> None:
    """By two processes, whose answers are right, and without bytes of anybody else."""
    write_sides(tmp_path, "two_party")
    checkup = examined_alone(tmp_path)
    text = check_rehearsal(checkup)
    assert text.startswith("54 samples each way between two parties on this machine in ")
    assert float(text.rpartition(" ")[2]) < 1e-2
    assert "dealer" not in check_cost(checkup)


def test_rehearsal(folder: Path) -> None:
    """The secure protocol runs on this machine with the side's own network, rightly, and its time counts."""
    checkup = examined_alone(folder)
    text = check_rehearsal(checkup)
    assert text.startswith("54 samples each way between two parties and a dealer on this machine in ")
    assert float(text.rpartition(" ")[2]) < 1e-3
    assert "of computation, and what the link takes" in check_cost(checkup)
    checkup.speed = Speed(round_trip_seconds=1.0, bytes_per_second=1e9)
    assert "of computation and 7.0 s on the link" in check_cost(checkup)


def test_command(folder: Path) -> None:
    """One plain line a check where there is no terminal, and the exit code of the first failure."""
    (folder / "a.npz").unlink()
    command = [sys.executable, "-m", "smule_crypten.launch.doctor", f"+party={folder / 'a.yaml'}", "--quick"]
    done = subprocess.run([*command, "--wait", "0.1"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) == 21
    assert all(line.split()[0] in ("ok", "FAILED", "skipped") for line in lines[:-1])
    assert lines[-1].startswith("NOT READY: 2 of 20 checks failed: data, the dealer; fix the first; not examined: one")
    assert "\x1b" not in done.stdout


def test_json(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The same for a program: each check, the verdict and the exit code."""
    (folder / "a.npz").unlink()
    arguments = [f"+party={folder / 'a.yaml'}", "--quick", "--json", "--wait", "0.1"]
    monkeypatch.setattr(sys, "argv", ["smule-doctor", *arguments])
    for name in ("heed_sigterm", "configure_logging"):  # what stays set in this process
        monkeypatch.setattr(doctor, name, lambda *arguments: None)
    with pytest.raises(SystemExit) as ended:
        doctor.main()
    found = json.loads(capsys.readouterr().out)
    assert (ended.value.code, found["exit_code"], found["verdict"][:10]) == (3, 3, "NOT READY:")
    assert found["checks"][2]["check"] == "data"
    assert found["checks"][2] | {"text": ""} == {"check": "data", "status": "FAILED", "text": "", "exit_code": 3}


def test_lines_on_a_narrow_terminal() -> None:
    """Text hangs beside its status, in at most the width of the terminal; colours say how a check ended."""
    text = "shows " + ":".join(["ab"] * 32)
    finding = Finding(check="party a", status="FAILED", text=text, exit_code=10)
    console = Console(width=60, force_terminal=True, file=io.StringIO(), highlight=False)
    show(finding, console)
    written = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b[1;31mFAILED" in written
    first, *others = (Text.from_ansi(line).plain.rstrip() for line in written.splitlines())
    assert first.startswith("FAILED   party a: shows")
    assert others
    assert all(line.startswith(" " * 9) and line[9] != " " for line in others)
    assert max(map(len, (first, *others))) <= 60


def test_verdicts() -> None:
    """Ready is said only where every check was made and is content."""
    ok, skipped = (Finding(check=name, status=name, text="") for name in ("ok", "skipped"))
    assert verdict([ok, ok]) == "READY: all 2 checks are ok"
    assert verdict([ok, skipped]).startswith("NOTHING FAILED, but not all is known: 1 of 2 checks are ok; not examined")


def test_command_without_a_usable_file(folder: Path) -> None:
    """What cannot be understood cannot be examined."""
    command = [sys.executable, "-m", "smule_crypten.launch.doctor", f"+party={folder / 'none.yaml'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("smule: error: cannot read ")
    assert len(done.stderr.splitlines()) == 1


def test_terms_that_are_not_signed(tmp_path: Path) -> None:
    """The doctor of that side says what is missing, with the code of a run; nobody's other checks fail for it."""
    write_sides(tmp_path, "two_party")
    file = f"terms={tmp_path / 'terms.json'}"
    with pytest.raises(SystemExit) as ended:
        terms.main(["propose", f"+party={tmp_path / 'a.yaml'}", file, "--purpose", "p"])
    assert ended.value.code == 0
    found = both([side(tmp_path, "a", file), side(tmp_path, "b")])
    assert (found[0]["terms"].status, found[0]["terms"].exit_code) == ("FAILED", 15)
    assert "are not signed by party a (hospital-a)" in found[0]["terms"].text
    assert found[1]["terms"].text.startswith("none, as this side's file says")
    for of_side in found:
        assert of_side["agreement"].text == "needs the model and the terms at both sides"
        assert [name for name, one in of_side.items() if one.status == "FAILED"] in (["terms"], [])


def test_terms_of_one_side_only(tmp_path: Path) -> None:
    """What a run would end with is found before: the digests of both are compared."""
    write_sides(tmp_path, "two_party")
    file = f"terms={tmp_path / 'terms.json'}"
    calls = [
        ["propose", f"+party={tmp_path / 'a.yaml'}", file, "--purpose", "p", "--peer-limits", "max_answers_total=30"],
        ["sign", f"+party={tmp_path / 'a.yaml'}", file],
        ["sign", f"+party={tmp_path / 'b.yaml'}", file],
    ]
    for arguments in calls:
        with pytest.raises(SystemExit) as ended:
            terms.main(arguments)
        assert ended.value.code == 0
    agreed = both([side(tmp_path, role, file) for role in "ab"])
    for of_side in agreed:
        assert of_side["terms"].text.startswith("signed by hospital-a on ")
        assert of_side["agreement"].status == "ok"
    for of_side in both([side(tmp_path, "a", file), side(tmp_path, "b")]):
        assert of_side["terms"].status == "ok"
        assert (of_side["agreement"].status, of_side["agreement"].exit_code) == ("FAILED", 13)
        assert "terms: " in of_side["agreement"].text
