"""What operators rely on between hosts: terms that end, the dealer's audit log, the status file, a relay in between."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hosts_confinement import Confined
from hosts_folders import EXCHANGES, NUM_QUERIES, PEER, SMALL, Folders, check_results, read_lines
from hosts_forwarder import Forwarder
from hosts_network import Network
from hosts_run import RUN_SECONDS, HostRun
from hosts_tripwire import Tripwire
from test_terms_between_hosts import call, hand_over, log_of, side, told, with_terms

from smule_crypten.audit.log import read_log
from smule_crypten.launch import audit
from smule_crypten.launch.predict import main as predict_main
from smule_crypten.mutual_learning.secure_peer import SecurePeer
from smule_crypten.status.verdict import Verdict, judged
from smule_crypten.terms import approval
from smule_crypten.transport.credentials import load_certificate

PATIENCE_SECONDS = 30.0
"""How long the processes wait for each other here, where nobody stays away."""


class LaterThan:
    """Instrument: the clock that terms are held against stands in the year 2101 once so many exchanges are through."""

    def __init__(self, exchanges: int) -> None:
        self._exchanges = exchanges

    def arm(self, connection: Connection) -> None:
        original = SecurePeer.answers

        def answers(peer: SecurePeer) -> object:
            found = original(peer)
            if found.disclosure.query_id == self._exchanges:
                later = SimpleNamespace(now=lambda zone: dt.datetime(2101, 1, 1, tzinfo=dt.UTC))
                approval.dt = SimpleNamespace(datetime=later, UTC=dt.UTC)  # type: ignore[assignment]
            return found

        SecurePeer.answers = answers  # type: ignore[method-assign, assignment]

    def tell(self) -> None:
        pass


def renew_terms(folders: Folders) -> None:
    """Both sign new ones, with nothing changed but their dates."""
    for role in PEER:
        (folders.folder(role) / "terms.json").unlink()
    limits = f"max_answers_total={10 * NUM_QUERIES}"
    assert call("propose", side(folders, "a"), "--purpose", "to go on", "--peer-limits", limits) == 0
    for role in PEER:
        assert call("sign", side(folders, role)) == 0
        hand_over(folders, role)


def test_terms_that_end_in_a_run(network: Network, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The next exchange does not begin, and nothing is charged for it; with new terms the run goes on to its end.

    What happened stands in the logs of all three, the dealer's with them, which knows both by their certificates.
    """
    folders = with_terms(Folders(tmp_path, network, launch__join_seconds=PATIENCE_SECONDS))
    folders.change("dealer", runs=None, launch=SMALL["launch"] | {"join_seconds": PATIENCE_SECONDS})
    with HostRun(network, folders) as run:
        run.start(instruments={"a": LaterThan(1)})
        a, b, dealer = (run.processes[role] for role in ("a", "b", "dealer"))
        assert (a.wait(RUN_SECONDS), b.wait(RUN_SECONDS)) == (15, 14), run.logs()
        assert "ended on" in a.error
        for role in PEER:
            assert len(read_lines(folders.output(role) / "disclosures.jsonl")) == 1
        *_, refused, ended = (line.details.model_dump() for line in log_of(folders, "a").lines)
        assert (refused["event"], refused["error"], refused["exit_code"]) == ("refused", "TermsError", 15)
        assert (ended["event"], ended["outcome"]) == ("ended", "refused")
        renew_terms(folders)
        run.start(*PEER)
        assert [run.processes[role].wait(RUN_SECONDS) for role in PEER] == [0, 0], run.logs()
        dealer.send_signal(signal.SIGTERM)
        assert dealer.wait(RUN_SECONDS) == 130, run.logs()
    check_results(folders)
    for role in PEER:
        ledger = read_lines(folders.output(role) / "disclosures.jsonl")
        assert [entry["attempt"] for entry in ledger] == [1] * len(EXCHANGES)
        assert [one["exchange"] for one in told(log_of(folders, role), "resumed")] == [1]
    check_dealer(folders, capsys)


@pytest.mark.slow
def test_terms_that_end_between_questions(network: Network, tmp_path: Path) -> None:
    """Whoever asks in several parts is answered one: the second one begins under no terms, and is not charged."""
    folders = with_terms(Folders(tmp_path, network, "two_party", launch__join_seconds=PATIENCE_SECONDS))
    for role in PEER:
        folders.change(role, training__epochs=2, predict__validation_queries=0)
    renew_terms(folders)
    with HostRun(network, folders) as run:
        run.complete()
    with np.load(folders.folder("a") / "data.npz") as data:
        np.savez(folders.folder("a") / "new.npz", images=data["x_test"][: 2 * NUM_QUERIES])
    before = len(read_lines(folders.output("b") / "disclosures.jsonl"))
    asks = {"a": ["input=new.npz", "output=p.csv"]}
    with HostRun(network, folders, dict.fromkeys(PEER, predict_main), asks) as run:
        run.start(instruments={"a": LaterThan(1)})
        assert run.wait() == {"a": 15, "b": 14}, run.logs()
    assert len(read_lines(folders.output("b") / "disclosures.jsonl")) == before + 1
    assert not (folders.folder("a") / "p.csv").exists()
    *_, refused, ended = (line.details.model_dump() for line in log_of(folders, "a").lines)
    assert (refused["error"], ended["outcome"]) == ("TermsError", "refused")


def check_dealer(folders: Folders, capsys: pytest.CaptureFixture[str]) -> None:
    """Two sessions: the first one was given up by party a, the second one went to its end."""
    path = folders.folder("dealer") / "dealer" / "audit.jsonl"
    log = read_log(path)
    assert {line.party for line in log.lines} == {"dealer"}
    parties = {
        f"party_{role}": load_certificate(folders.folder("dealer") / f"hospital-{role}.crt.pem").fingerprint
        for role in PEER
    }
    for one in (*told(log, "dealer_started"), *told(log, "dealing")):
        assert one.items() >= parties.items()
    ends = [(one["outcome"], one["exchanges"], one["error"]) for one in told(log, "dealing_ended")]
    # An exchange is prepared for ahead of time, so the second one was dealt for in both.
    assert ends == [("refused", 2, "PeerDeclinedError"), ("completed", 2, None)]
    assert {(one["asked_by_a"], one["asked_by_b"]) for one in told(log, "dealt")} == {(NUM_QUERIES, NUM_QUERIES)}
    assert len({one["agreement"] for one in told(log, "stated")}) == 1
    sessions = [line.run for line in log.lines if line.details.event == "dealing"]
    assert len(set(sessions)) == 2
    assert (log.lines[-1].run, told(log, "ended")[0]["outcome"]) == (None, "stopped")
    with pytest.raises(SystemExit) as ended:
        audit.main([str(path)])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert f"VERIFIED: all {len(log.lines)} lines" in printed
    assert "refused: PeerDeclinedError, exit code 14" in printed
    assert "hospital" not in path.read_text()


def _can_confine() -> bool:
    """In a process of its own: what is forbidden once stays so."""
    ask = "from hosts_confinement import Confined; Confined('smule-dealer').arm(None)"
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    return subprocess.run([sys.executable, "-c", ask], env=here, capture_output=True).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["two_party", "lean", "crypten"])
def test_units_forbid_nothing_that_is_needed(scheme: str, network: Network, tmp_path: Path) -> None:
    """A run with convolutions under what deploy/systemd forbids: system calls, kinds of sockets, and to a dealer memory
    that is written and executed."""
    if not _can_confine():
        pytest.skip("libseccomp, systemd-analyze or the kernel's PR_SET_MDWE is missing")
    model = {"name": "lenet", "options": {}}
    folders = Folders(tmp_path, network, scheme, launch__join_seconds=PATIENCE_SECONDS, model=model)
    if "dealer" in folders.roles:
        folders.change("dealer", launch=SMALL["launch"] | {"join_seconds": PATIENCE_SECONDS})
    units = {"a": "smule-party", "b": "smule-party", "dealer": "smule-dealer"}
    with HostRun(network, folders) as run:
        run.start(instruments={role: Confined(units[role]) for role in folders.roles})
        assert run.wait(2 * RUN_SECONDS) == dict.fromkeys(folders.roles, 0), run.logs()


class OneHost(Network):
    """Addresses of loopback, which a relay in this process reaches."""

    def _build(self, namespaces: dict[str, str], hosts: dict[str, str]) -> bool:
        return False


def health_of(folders: Folders, role: str) -> Verdict:
    return judged(folders.output(role), 60.0)


def test_through_a_relay_and_killed(tmp_path: Path) -> None:
    """A run by way of a host that passes on TCP; one party is killed, its status says so, and the run goes on.

    The relay sees TLS, and no name, digest or word of the protocol.
    """
    with OneHost() as network, Forwarder(network.listening["a"]) as relay:
        folders = Folders(tmp_path, network, "two_party", launch__join_seconds=PATIENCE_SECONDS)
        folders.change("b", connection__peer__address=relay.address)
        with HostRun(network, folders) as run:
            run.start(instruments={"b": Tripwire("kill", "state", 3)})
            assert run.wait() == {"a": 6, "b": -signal.SIGKILL}, run.logs()
            first, second = health_of(folders, "a"), health_of(folders, "b")
            assert (first.health, first.status.exit_code) == ("failed", 6)
            assert first.status.error is not None
            assert "party b" in first.status.error
            assert (second.health, second.status.phase, second.status.exchanges) == ("dead", "smule", 2)
            assert second.status.peer_connected
            run.complete()
        check_results(folders)
        for role in PEER:
            status = health_of(folders, role).status
            assert (status.phase, status.exit_code, status.error) == ("ended", 0, None)
            assert (status.epoch, status.epochs, status.exchanges) == (4, 4, len(EXCHANGES))
        assert relay.num_connections == 2
        seen = bytes(relay.seen)
    traffic = sum(json.loads((folders.output(role) / "party.json").read_text())["bytes_sent"] for role in PEER)
    assert len(seen) > traffic
    assert seen[:2] == b"\x16\x03"  # a record of TLS, a handshake
    for word in (b"hospital", b"party", b"num_samples", b"query", b"terms"):
        assert word not in seen
