"""Two parties on hosts of their own, alone or with a dealer, from one YAML file in a working folder each."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hosts_folders import EXCHANGES, NAMES, NUM_QUERIES, PEER, Folders, read_lines
from hosts_network import ROLES, Network
from hosts_run import RUN_SECONDS, HostRun, SimulatedRun

from smule_crypten.launch.side_file import read_party
from smule_crypten.report.summary import read_summary
from smule_crypten.training.checkpoint import load_model
from smule_crypten.transport.credentials import load_certificate

_COMMANDS = {"a": "party", "b": "party", "dealer": "dealer"}

OF_A_DEALER = {
    f"dealer/{name}" for name in ("audit.jsonl", ".audit.jsonl.lock", "status.json", ".status.lock", ".lock")
}
"""All that a dealer writes."""


@pytest.fixture(scope="module")
def printed() -> dict[str, str]:
    """What the processes of `finished` printed, by role."""
    return {}


@pytest.fixture(scope="module", params=["lean", "two_party"])
def scheme(request: pytest.FixtureRequest) -> str:
    """With a dealer, and without."""
    return str(request.param)


@pytest.fixture(scope="module")
def finished(
    scheme: str, network: Network, tmp_path_factory: pytest.TempPathFactory, printed: dict[str, str]
) -> Folders:
    """A run by the commands that users type, each on its host."""
    folders = Folders(tmp_path_factory.mktemp("finished"), network, scheme)
    processes = {role: _type_command(role, folders, network) for role in folders.roles}
    try:
        ended = {role: process.communicate(timeout=RUN_SECONDS) for role, process in processes.items()}
    finally:
        for process in processes.values():
            process.kill()
    assert {role: process.returncode for role, process in processes.items()} == dict.fromkeys(folders.roles, 0), ended
    printed |= {role: output for role, (output, _) in ended.items()}
    return folders


def _type_command(role: str, folders: Folders, network: Network) -> subprocess.Popen[str]:
    module = f"smule_crypten.launch.{_COMMANDS[role]}"
    command = [sys.executable, "-c", f"from {module} import main; main()", f"+{_COMMANDS[role]}=side.yaml"]
    if network.namespaces is not None:
        command = ["ip", "netns", "exec", network.namespaces[role], *command]
    return subprocess.Popen(
        command,
        cwd=folders.folder(role),
        # Three processes start at once, and each takes seconds to import.
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _party_result(folders: Folders, role: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((folders.output(role) / "party.json").read_text())
    return result


def test_both_have_models(finished: Folders) -> None:
    """Each party ends with a network that has learned, alone and with its peer."""
    for role in PEER:
        result = _party_result(finished, role)
        assert result["status"] == "completed"
        assert result["test_accuracy"] > 0.6
        for name in ("model.pt", "standalone.pt"):
            assert load_model(finished.output(role) / name).input_shape == (1, 8, 8)


def test_a_host_holds_nothing_of_the_others(finished: Folders) -> None:
    """Beside what it was given, a host has its own results only: no key, data, weight or event of another party."""
    given = {
        "a": {"side.yaml", "data.npz", "hospital-a.key.pem"},
        "b": {"side.yaml", "data.npz", "hospital-b.key.pem"},
        "dealer": {"side.yaml", "dealer.key.pem"},
    }
    certificates = {f"{NAMES[role]}.crt.pem" for role in finished.roles}
    for role in finished.roles:
        folder = finished.folder(role)
        files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        results = {path for path in files if path.startswith(f"out/party_{role}/")} if role in PEER else OF_A_DEALER
        assert files == given[role] | certificates | results
    for role, peer in PEER.items():
        own = load_model(finished.output(role) / "model.pt").state_dict()
        other = load_model(finished.output(peer) / "model.pt").state_dict()
        assert all((own[name] != other[name]).any() for name in own if name.startswith("network"))
        assert {event["party"] for event in read_lines(finished.output(role) / "record.jsonl")} == {role}


def test_the_ledger_says_what_was_disclosed(finished: Folders) -> None:
    """One line an exchange: in which run, to whom by name and certificate, how many, and which model step answered.

    That is the network trained alone, of all 16 steps.
    """
    for role, peer in PEER.items():
        disclosures = [
            {"query_id": number, "to_party": peer, "num_samples": NUM_QUERIES, "model_step": 16} for number in EXCHANGES
        ]
        assert _party_result(finished, role)["disclosures"] == [{**one, "public": False} for one in disclosures]
        fingerprint = load_certificate(finished.folder(role) / f"{NAMES[peer]}.crt.pem").fingerprint
        run = json.loads((finished.output(role) / "run.json").read_text())["run"]
        entries = read_lines(finished.output(role) / "disclosures.jsonl")
        expected = [{"run": run, "peer": fingerprint, **disclosure} for disclosure in disclosures]
        assert [{key: entry[key] for key in expected[0]} for entry in entries] == expected
        assert [(entry["attempt"], entry["kind"]) for entry in entries] == [(1, "first")] * len(EXCHANGES)
        now = dt.datetime.now(dt.UTC)
        ages = [now - dt.datetime.fromisoformat(entry["time"]) for entry in entries]
        assert dt.timedelta(hours=1) > ages[0] >= ages[1] >= ages[2] >= dt.timedelta(seconds=-1)
        budget = _party_result(finished, role)["budget"]
        assert budget.pop("logit_noise") >= 0.01
        assert budget == {
            "mu": 0.1,
            "answered": 3 * NUM_QUERIES,
            "limit": (3 + 2) * NUM_QUERIES,
            "charged": 3 * NUM_QUERIES,
            "public": 0,
            "charged_before": 0,
            "left": 2 * NUM_QUERIES,
            "repeats_used": 0,
            "repeats_allowed": 2,
        }


def test_a_party_has_a_record_of_its_own(finished: Folders) -> None:
    """Table, summary, page, settings with versions, TensorBoard and log, from what the party knows itself."""
    for role, peer in PEER.items():
        folder, result = finished.output(role), _party_result(finished, role)
        summary = json.loads((folder / "summary.json").read_text())
        read_summary(folder)
        assert (summary["status"], summary["recorded_by"]) == ("completed", role)
        assert summary["parties"][role]["test_accuracy"] == result["test_accuracy"]
        assert summary["parties"][peer]["num_train"] is None
        assert summary["communication"]["bytes_total"] == result["bytes_sent"] + result["bytes_received"]
        assert summary["communication"]["queries_per_epoch"] == [0, *[2 * NUM_QUERIES] * 3]
        assert f"written by party {role} from its own record" in (folder / "report.html").read_text()
        assert any((folder / "tensorboard").iterdir())
        log = (folder / "party.log").read_text()
        assert 'event="run completed' in log
        text = (folder / "config.yaml").read_text()
        assert text.startswith("# python ")
        assert read_party([f"+party={folder / 'config.yaml'}"]) == read_party([f"+party={finished.side_file(role)}"])


def test_a_party_prints_what_it_found(finished: Folders, printed: dict[str, str]) -> None:
    """The final table stands on the terminal, with the network that was kept, and why."""
    for role in PEER:
        assert "\nTest accuracy, with 95 % intervals" in printed[role]
        assert f"party {role}: smule, epoch 4 (the last one" in " ".join(printed[role].split())
        assert "charged of" in printed[role]


def test_what_one_sends_the_other_receives(finished: Folders) -> None:
    """The two sides count the same bytes, rounds and queries."""
    a, b = (_party_result(finished, role) for role in PEER)
    assert (a["bytes_sent"], a["bytes_received"]) == (b["bytes_received"], b["bytes_sent"])
    assert (a["queries_made"], a["queries_answered"]) == (b["queries_answered"], b["queries_made"])
    assert a["rounds"] == b["rounds"]


def test_same_results_as_a_simulation(scheme: str, finished: Folders, tmp_path: Path) -> None:
    """A simulation of the same settings leaves the same files, keys, rounds and queries, and networks about as good.

    But for the audit log: in a simulation there is nobody to whom anything would have to be shown.
    """
    audit = {"audit.jsonl", ".audit.jsonl.lock"}
    with SimulatedRun(tmp_path, scheme=scheme) as simulation:
        simulation.complete()
        for role in PEER:
            folder = simulation.output(role)
            left = {path.name for path in folder.iterdir()}
            assert left | audit == {path.name for path in finished.output(role).iterdir()}
            assert not left & audit
            hosts, simulated = _party_result(finished, role), json.loads((folder / "party.json").read_text())
            assert hosts.keys() == simulated.keys()
            for key in ("rounds", "queries_made", "queries_answered", "dealer_bytes", "num_parameters"):
                assert hosts[key] == simulated[key], key
            assert abs(hosts["bytes_sent"] / simulated["bytes_sent"] - 1) < 0.02
            assert simulated["test_accuracy"] > 0.6
            lines = [read_lines(path / "record.jsonl") for path in (finished.output(role), folder)]
            assert [event.keys() for event in lines[0]] == [event.keys() for event in lines[1]]


def test_a_finished_run_is_left_alone(finished: Folders, network: Network) -> None:
    """The same command again is refused with exit code 5, before it meets anybody, and changes nothing."""
    before = {path: path.read_bytes() for path in finished.output("a").rglob("*") if path.is_file()}
    with HostRun(network, finished) as run:
        run.start("a")
        assert run.wait() == {"a": 5}
        assert "holds a finished run" in run.processes["a"].error
    assert {path: path.read_bytes() for path in finished.output("a").rglob("*") if path.is_file()} == before


def test_different_configurations(network: Network, tmp_path: Path) -> None:
    """Both parties are told which key differs and both of its values, with a code that ends the restart loop.

    The dealer hears the kind of error and nothing of what the parties disagree on.
    """
    folders = Folders(tmp_path, network)
    folders.change("b", exchange__num_queries=5)
    with HostRun(network, folders) as run:
        run.start()
        assert run.wait() == dict.fromkeys(ROLES, 13), run.logs()
        for role, own, other in (("a", NUM_QUERIES, 5), ("b", 5, NUM_QUERIES)):
            expected = f"configured differently: exchange.num_queries: {own} here, {other} at party {PEER[role]}"
            assert expected in run.processes[role].error
            assert ". Next: agree on it with the other side, run smule-doctor" in run.processes[role].error
        assert "gave up: HandshakeError" in run.processes["dealer"].error
        assert "num_queries" not in run.processes["dealer"].log


def test_over_budget(network: Network, tmp_path: Path) -> None:
    """What exceeds the budget is refused at both with the reason, before anything is trained or answered."""
    folders = Folders(tmp_path, network)
    folders.change("a", disclosure__max_answers_total=2 * NUM_QUERIES)
    with HostRun(network, folders) as run:
        run.start()
        assert run.wait() == {"a": 11, "b": 14, "dealer": 14}, run.logs()
        assert "party a gave up: BudgetError; see its own log" in run.processes["dealer"].error
        assert "max_queries" not in run.processes["dealer"].log
        reason = f"party b may ask for {3 * NUM_QUERIES} answers in 3 exchange(s) to come, "
        reason += f"disclosure.max_answers_total={2 * NUM_QUERIES} leaves {2 * NUM_QUERIES}; {3 * NUM_QUERIES} would do"
        assert reason in run.processes["a"].error
        assert reason in run.processes["b"].error
        for role in PEER:
            assert not (folders.output(role) / "disclosures.jsonl").exists()
            assert not (folders.output(role) / "standalone.pt").exists()
        folders.change("a", disclosure__max_answers_total=3 * NUM_QUERIES)
        run.complete()
        assert [entry["query_id"] for entry in read_lines(folders.output("a") / "disclosures.jsonl")] == [1, 2, 3]


@pytest.mark.parametrize(
    ("common", "limit", "reason"),
    [
        (
            {},
            {"disclosure__max_answers_per_exchange": NUM_QUERIES - 1},
            f"disclosure.max_answers_per_exchange={NUM_QUERIES - 1}",
        ),
        (
            {"exchange__spot_checks": 2},
            {"disclosure__max_answers_total": 3 * NUM_QUERIES},
            f"{3 * (NUM_QUERIES + 2)} would do",
        ),
        (
            {"exchange__num_queries": None},
            {"disclosure__max_answers_total": 100},
            "disclosure.max_answers_total=100 leaves 100",
        ),
    ],
)
def test_a_limit_that_cannot_suffice(
    common: dict[str, Any], limit: dict[str, Any], reason: str, network: Network, tmp_path: Path
) -> None:
    """Whatever the kind of limit, it ends the run before a minute is trained, and charges nothing."""
    folders = Folders(tmp_path, network, **common)
    folders.change("a", **limit)
    with HostRun(network, folders) as run:
        run.start()
        assert run.wait() == {"a": 11, "b": 14, "dealer": 14}, run.logs()
        assert reason in run.processes["a"].error, run.processes["a"].error
        for role in PEER:
            assert not (folders.output(role) / "disclosures.jsonl").exists()
            assert not (folders.output(role) / "standalone.pt").exists()
            assert "epoch 1/" not in run.processes[role].log


def test_a_certificate_that_nobody_knows(network: Network, tmp_path: Path) -> None:
    """A party whose certificate the others do not have is turned away, and told so; no run begins."""
    folders = Folders(tmp_path, network, launch__join_seconds=3.0)
    folders.renew("a")
    with HostRun(network, folders) as run:
        run.start()
        assert run.processes["a"].wait(RUN_SECONDS) == 10, run.logs()
        assert run.processes["b"].wait(RUN_SECONDS) == 6, run.logs()
        assert "the dealer" in run.processes["a"].error
        assert "party a" in run.processes["b"].error
        assert "turned away" in run.processes["dealer"].log


def test_a_certificate_that_is_not_the_pinned_one(network: Network, tmp_path: Path) -> None:
    """Who meets another certificate than the one it pinned refuses; the one it refused ends, and names it."""
    folders = Folders(tmp_path, network, launch__join_seconds=3.0)
    folders.renew("a", "dealer")
    with HostRun(network, folders) as run:
        run.start()
        assert run.processes["b"].wait(RUN_SECONDS) == 10, run.logs()
        assert "party a" in run.processes["b"].error
        assert "shows a certificate that is not" in run.processes["b"].error
        # 14 where the dealer tells it that party b gave up, 6 where party b left before the dealer had both.
        assert run.processes["a"].wait(RUN_SECONDS) in (6, 14), run.logs()
        assert "party b" in run.processes["a"].error
        assert "turned away" in run.processes["a"].log


def test_an_expired_certificate(network: Network, tmp_path: Path) -> None:
    """An expired certificate is refused by its owner and by all who pinned it, with its date."""
    folders = Folders(tmp_path, network)
    folders.renew("b", "a", "dealer", expired=True)
    with HostRun(network, folders) as run:
        run.start()
        assert run.wait() == dict.fromkeys(ROLES, 10), run.logs()
        for process in run.processes.values():
            assert "hospital-b expired on" in process.error
