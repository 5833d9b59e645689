"""A run with everything that makes a query teach more: a pool, a budget, a validation part, and trust."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from smule_command import MainRun, call, run_here

from smule_crypten.report.journal import read_journal
from smule_crypten.report.summary import read_summary

BUDGET_BYTES = 300_000
OPTIONS = [
    "party_a.samples={labeled:40,unlabeled:30,validation:0.2}",
    "party_b.samples={labeled:null,unlabeled:0,validation:0.2}",
    "training.trust=adaptive",
    "training.keep=best",
    "exchange.budget_mb=0.3",
    "exchange.num_queries=null",
    "simulation.pooled=false",
    "simulation.controls=[self_distillation]",
]


@pytest.fixture(scope="module")
def learned(problem: list[str], tmp_path_factory: pytest.TempPathFactory) -> MainRun:
    cwd = tmp_path_factory.mktemp("learning")
    return MainRun(cwd / "run", run_here(*problem, *OPTIONS, "hydra.run.dir=run", cwd=cwd))


def test_the_budget_holds_to_the_byte(learned: MainRun) -> None:
    """Both parties' bytes and the dealer's of each exchange stay below it, and the plan was said beforehand."""
    assert (learned.ended.exit_code, learned.ended.errors) == (0, "")
    assert "exchange.budget_mb=0.3 pays for" in learned.ended.output
    events = [event for event in read_journal(learned.folder / "record.jsonl") if event.phase == "smule"]
    for epoch in (2, 3):
        of_epoch = [event for event in events if event.epoch == epoch]
        spent = of_epoch[0].bytes_sent + of_epoch[0].bytes_received
        spent += sum(event.dealer_bytes for event in of_epoch)
        assert 0.8 * BUDGET_BYTES < spent <= BUDGET_BYTES


def test_the_parts_are_kept_apart(learned: MainRun) -> None:
    """40 labelled samples less 8 for validation; the other party holds out a fifth of its 80."""
    summary = json.loads((learned.folder / "summary.json").read_text())
    read_summary(learned.folder)
    assert [summary["parties"][name]["num_train"] for name in "ab"] == [32, 64]


def test_trust_and_the_kept_network_are_reported(learned: MainRun) -> None:
    """For each epoch with answers, what the peer is worth; and which network was kept."""
    summary = json.loads((learned.folder / "summary.json").read_text())
    for name in "ab":
        party = summary["parties"][name]
        assert [entry["epoch"] for entry in party["trust"]] == [2, 3]
        assert all(0 <= entry["peer_accuracy"] <= 1 and 0 <= entry["peer_weight"] <= 1 for entry in party["trust"])
        assert party["kept_network"].startswith(("smule, epoch ", "alone, epoch "))
    assert "of known labels right" in learned.ended.output


ASKING = [
    "party_a.samples={labeled:40,unlabeled:30,validation:0.2}",
    "party_b.samples.validation=0.2",
    "exchange.num_queries=10",
    "exchange.share_a=1",
    "exchange.every=2",
    "exchange.queries.known_fraction=0.2",
    "training.teacher=peer",
    "training.trust=none",
    "training.keep=last",
    "simulation.pooled=false",
    "simulation.controls=[]",
]


@pytest.fixture(scope="module")
def asked(problem: list[str], tmp_path_factory: pytest.TempPathFactory) -> MainRun:
    """Party a alone asks, once."""
    cwd = tmp_path_factory.mktemp("asking")
    return MainRun(cwd / "run", run_here(*problem, *ASKING, "hydra.run.dir=run", cwd=cwd))


def test_one_party_asks_and_the_other_answers(asked: MainRun) -> None:
    """With the network that it trained alone to the end; all answers agree with plaintext."""
    assert (asked.ended.exit_code, asked.ended.errors) == (0, "")
    assert "1 exchanges of at most 20 queries of party a and 0 of party b" in asked.ended.output
    summary = json.loads((asked.folder / "summary.json").read_text())
    parties = summary["parties"]
    assert [(parties[name]["queries_made"], parties[name]["queries_answered"]) for name in "ab"] == [(20, 0), (0, 20)]
    disclosed = json.loads((asked.folder / "party_b" / "party.json").read_text())["disclosures"]
    assert [entry["model_step"] for entry in disclosed if entry["num_samples"]] == [3 * 4]
    assert summary["fidelity"]["num_samples"] == 20
    noise = parties["b"]["budget"]["logit_noise"]
    assert noise < summary["fidelity"]["max_abs_logit_error"] < 6 * noise + 1e-3
    assert noise >= 0.01
    of_a = [event for event in read_journal(asked.folder / "party_a" / "record.jsonl") if event.phase == "smule"]
    assert [event.distillation_loss > 0 for event in of_a] == [False, True, True]


def test_a_control_uses_the_pool_and_the_validation_part(learned: MainRun) -> None:
    """The own finished network teaches; the accuracy is that of an epoch, of the one kept by the validation part."""
    events = read_journal(learned.folder / "record.jsonl")
    phase = [event for event in events if event.phase == "self_distillation"]
    assert all(event.distillation_loss > 0 for event in phase)
    summary = json.loads((learned.folder / "summary.json").read_text())
    for name in "ab":
        accuracies = [event.test_accuracy for event in phase if event.party == name]
        assert len(accuracies) == 3
        assert summary["parties"][name]["controls"]["self_distillation"] in accuracies


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "training.standalone=false",
            "simulation.controls: self_distillation learns from the network that was trained alone",
        ),
        (
            "simulation.controls=[mixup]",
            "controls.0: Input should be 'label_smoothing', 'self_mutual', 'self_distillation' or 'own_head', got "
            "'mixup'",
        ),
        ("simulation.controls=[self_mutual,self_mutual]", "controls: each at most once, got self_mutual, self_mutual"),
        (
            "training.trust=adaptive",
            "training.trust=adaptive judges by a validation part; set party_a.samples.validation",
        ),
        ("training.keep=best", "training.keep=best judges by a validation part; set party_a.samples.validation"),
    ],
)
def test_a_rule_without_its_evidence_is_refused(
    override: str,
    message: str,
    problem: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nothing falls back silently to something weaker."""
    nothing_held_out = ["party_a.samples.validation=0.0", "training.trust=none", "training.keep=last"]
    assert call(monkeypatch, *problem, *nothing_held_out, override, f"hydra.run.dir={tmp_path}/run") == 2
    assert message in capsys.readouterr().err


def test_too_small_a_budget_says_what_would_do(problem: list[str], tmp_path: Path) -> None:
    """And nothing was exchanged."""
    ended = run_here(*problem, "exchange.budget_mb=0.004", f"hydra.run.dir={tmp_path}/run", cwd=tmp_path)
    assert ended.exit_code != 0
    assert "does not pay for one query in an exchange; the smallest that does is" in ended.errors


def test_more_samples_than_a_party_has(
    problem: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Asking for a larger pool than there are samples names the party and the keys."""
    assert call(monkeypatch, *problem, "party_b.samples.unlabeled=81", f"hydra.run.dir={tmp_path}/run") == 3
    assert "party b has 80 training samples, fewer than 81 unlabelled" in capsys.readouterr().err
