"""Terms and audit logs between hosts: two parties run by what both have signed, and each can show what came of it."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hosts_folders import EXCHANGES, NUM_QUERIES, PEER, Folders, read_lines
from hosts_network import Network
from hosts_run import HostRun
from hosts_tripwire import Tripwire

from smule_crypten.audit.events import Ended, Started
from smule_crypten.audit.log import Log, read_log
from smule_crypten.doctor.all_checks import examine
from smule_crypten.launch import terms
from smule_crypten.launch.predict import main as predict_main
from smule_crypten.launch.side_file import read_party
from smule_crypten.transport.credentials import load_certificate

FILE = "terms.json"
LIMIT = 10 * NUM_QUERIES


def call(*arguments: str) -> int:
    """smule-terms, in this process."""
    with pytest.raises(SystemExit) as ended:
        terms.main(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def side(folders: Folders, role: str) -> str:
    return f"+party={folders.side_file(role)}"


def hand_over(folders: Folders, giver: str) -> None:
    """By mail, say."""
    shutil.copy(folders.folder(giver) / FILE, folders.folder(PEER[giver]) / FILE)


def with_terms(folders: Folders) -> Folders:
    """Party a proposes and signs, party b signs and sends the file back."""
    for role in PEER:
        folders.change(role, terms=FILE, disclosure__max_answers_total=LIMIT)
    limits = f"max_answers_total={LIMIT}"
    assert call("propose", side(folders, "a"), "--purpose", "to try it", "--peer-limits", limits) == 0
    for role in PEER:
        assert call("sign", side(folders, role)) == 0
        hand_over(folders, role)
    return folders


def log_of(folders: Folders, role: str) -> Log:
    return read_log(folders.output(role) / "audit.jsonl")


def told(log: Log, event: str) -> list[dict[str, Any]]:
    """What the lines of one kind say."""
    return [line.details.model_dump() for line in log.lines if line.details.event == event]


def test_from_proposal_to_prediction(network: Network, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole way, by the commands: who approved what, who met whom, what was asked and answered.

    Counts are held against the ledgers, which are written elsewhere, and fingerprints against the certificates.
    """
    folders = with_terms(Folders(tmp_path, network))
    for role in PEER:
        assert call("verify", side(folders, role)) == 0
        assert "APPROVED by both" in capsys.readouterr().out
    with HostRun(network, folders) as run:
        run.complete()
    with HostRun(network, folders, dict.fromkeys(PEER, predict_main), {"a": ["input=new.npz", "output=p.csv"]}) as run:
        _write_images(folders)
        run.complete()
    digests = set()
    for role, peer in PEER.items():
        log, ledger = log_of(folders, role), read_lines(folders.output(role) / "disclosures.jsonl")
        certificate = load_certificate(folders.folder(role) / f"hospital-{peer}.crt.pem")
        dealer = load_certificate(folders.folder(role) / "dealer.crt.pem")
        assert [line.details.event for line in log.lines[:3]] == ["started", "terms", "session"]
        assert [session["peer"] for session in told(log, "session")] == [certificate.fingerprint] * 2
        assert {session["dealer"] for session in told(log, "session")} == {dealer.fingerprint}
        assert [entry["digest"] for entry in ledger] == [answers["ledger"] for answers in told(log, "answers")]
        assert [entry["num_samples"] for entry in ledger] == [answers["answers"] for answers in told(log, "answers")]
        exchanges = [(one["exchange"], one["asked"], one["answered"]) for one in told(log, "exchange")]
        assert exchanges == [(number, NUM_QUERIES, NUM_QUERIES) for number in EXCHANGES]
        (predicted,) = told(log, "prediction")
        of_questions = sum(entry["num_samples"] for entry in ledger if entry["run"] == log.lines[-1].run)
        assert predicted["answered"] == of_questions
        assert {one["outcome"] for one in told(log, "ended")} == {"completed"}
        digests |= {one["digest"] for one in told(log, "terms")} | {one["agreement"] for one in told(log, "session")}
    assert len(digests) == 2  # of the terms, and of what was agreed on, the same at both
    assert "hospital" not in (folders.output("a") / "audit.jsonl").read_text()
    assert str(tmp_path) not in (folders.output("a") / "audit.jsonl").read_text()


def _write_images(folders: Folders) -> None:
    """New images for party a."""
    path = folders.folder("a") / "new.npz"
    with np.load(folders.folder("a") / "data.npz") as data:
        np.savez(path, images=data["x_test"][:3])


def test_what_is_refused(network: Network, tmp_path: Path) -> None:
    """Another plan, a raised limit, one signature too few: the side that differs says so before it meets anybody."""
    folders = with_terms(Folders(tmp_path, network, launch__join_seconds=2.0))
    changes: list[tuple[dict[str, Any], str]] = [
        ({"training__epochs": 5}, "protocol.epochs: 4 in the terms, 5 at this side"),
        ({"disclosure__max_answers_total": LIMIT + 1}, f"{LIMIT} in the terms, {LIMIT + 1} at this side"),
    ]
    for change, text in changes:
        folders.change("b", **change)
        with HostRun(network, folders) as run:
            run.start("b")
            assert run.wait() == {"b": 15}, run.logs()
            assert text in run.processes["b"].error
        folders.change("b", training__epochs=4, disclosure__max_answers_total=LIMIT)
    document = json.loads((folders.folder("b") / FILE).read_text())
    document["signatures"].pop()
    (folders.folder("b") / FILE).write_text(json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
    with HostRun(network, folders) as run:
        run.start("b")
        assert run.wait() == {"b": 15}, run.logs()
        assert "are not signed by party b (hospital-b)" in run.processes["b"].error
    log = log_of(folders, "b")
    assert [(one["error"], one["exit_code"]) for one in told(log, "refused")] == [("TermsError", 15)] * 3
    assert [one["key"] for one in told(log, "override")] == ["disclosure.max_answers_total"]
    assert told(log, "session") == []


def test_terms_at_one_side_only(network: Network, tmp_path: Path) -> None:
    """A side that needs nobody's approval does not run with one that does: both end, and the key is named."""
    folders = with_terms(Folders(tmp_path, network))
    folders.change("b", terms="none")
    with HostRun(network, folders) as run:
        run.start()
        codes = run.wait()
        assert (codes["a"], codes["b"]) == (13, 13), run.logs()
        assert "terms" in run.processes["a"].error
    assert [one["key"] for one in told(log_of(folders, "b"), "override")] == ["terms"]
    for role in PEER:
        assert [one["error"] for one in told(log_of(folders, role), "refused")] == ["HandshakeError"]


def test_a_run_without_a_word_of_terms(network: Network, tmp_path: Path) -> None:
    """Nobody forgets them: a file that does not speak of terms is refused, and says what to write."""
    folders = Folders(tmp_path, network)
    text = folders.side_file("a").read_text().replace("terms: none\n", "")
    folders.side_file("a").write_text(text)
    with HostRun(network, folders) as run:
        run.start("a")
        assert run.wait() == {"a": 2}, run.logs()
        assert "write terms: none for runs that nobody has approved" in run.processes["a"].error


def test_a_run_that_is_killed_and_goes_on(network: Network, tmp_path: Path) -> None:
    """The chain holds over a SIGKILL, and over one in the middle of a line; what was torn is told."""
    folders = with_terms(Folders(tmp_path, network))
    path = folders.output("b") / "audit.jsonl"
    with HostRun(network, folders) as run:
        run.start(instruments={"b": Tripwire("kill", "state", 3)})
        assert run.wait()["b"] == -signal.SIGKILL, run.logs()
        killed = read_log(path)
        assert told(killed, "ended") == []
        assert [one["exchange"] for one in told(killed, "exchange")] == [1, 2]
        path.write_bytes(path.read_bytes() + b'{"schema_version":1,"num')
        run.complete()
    log = log_of(folders, "b")
    assert log.lines[: len(killed.lines)] == killed.lines
    (recovered,) = told(log, "recovered")
    assert recovered["from_line"] == len(killed.lines) + 1
    assert [one["exchange"] for one in told(log, "resumed")] == [1]
    assert [one["exchange"] for one in told(log, "exchange")] == [1, 2, 2, 3]
    assert sum(isinstance(line.details, Started) for line in log.lines) == 2
    assert [line.details for line in log.lines if isinstance(line.details, Ended)] == [Ended(outcome="completed")]
    assert len({line.run for line in log.lines if isinstance(line.details, Started)}) == 1
    ledger = read_lines(folders.output("b") / "disclosures.jsonl")
    assert [entry["digest"] for entry in ledger] == [answers["ledger"] for answers in told(log, "answers")]


def test_a_damaged_log_ends_the_next_run(network: Network, tmp_path: Path) -> None:
    """Nothing is written behind a line that was changed."""
    folders = Folders(tmp_path, network, launch__join_seconds=1.0)
    path = folders.output("b") / "audit.jsonl"
    with HostRun(network, folders) as run:
        run.start("b")
        assert run.wait() == {"b": 6}, run.logs()
        changed = path.read_bytes().replace(b'"now":"none"', b'"now":"some"')
        path.write_bytes(changed)
        run.start("b")
        assert run.wait() == {"b": 5}, run.logs()
        assert "does not follow the line before" in run.processes["b"].error
    config = read_party([side(folders, "b")])
    assert config.connection is not None
    found = {one.check: one for one in examine(config, config.connection, wait_seconds=0.1, rehearse=False)}
    assert (found["audit log"].status, found["audit log"].exit_code) == ("FAILED", 5)
    assert path.read_bytes() == changed
