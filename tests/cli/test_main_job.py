from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from smule_command import MainRun, call

from smule_crypten.config.sections import SchemeConfig
from smule_crypten.inference.lean.scheme import LeanScheme
from smule_crypten.models.translate import translate
from smule_crypten.report.formatting import percent
from smule_crypten.report.journal import read_journal
from smule_crypten.report.summary import read_summary
from smule_crypten.training.checkpoint import load_checkpoint, load_model

MICRO_BATCH = 8
NUM_QUERIES = 12
EXCHANGE_EPOCHS = (2, 3)
KEY_BYTES_OF_AN_EXCHANGE = 2 * 32
ROUNDS_AROUND_AN_EXCHANGE = 3
"""One to prepare, one to agree on keys, one to announce what is asked."""


def summary_of(folder: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return summary


def test_the_run_completes(main_run: MainRun) -> None:
    """One command does the whole job: exit code 0, nothing on stderr, a valid summary with every accuracy."""
    assert (main_run.ended.exit_code, main_run.ended.errors) == (0, "")
    summary = summary_of(main_run.folder)
    read_summary(main_run.folder)
    assert (summary["status"], summary["error"], summary["run_id"]) == ("completed", None, "main")
    assert summary["insecure_choices"] == ["randomness=seeded_insecure"]
    a, b = summary["parties"]["a"], summary["parties"]["b"]
    assert (a["architecture"], b["architecture"]) == ("mlp", "lenet")
    assert (a["num_train"], b["num_train"], a["num_test"]) == (72, 72, 80)
    assert (a["missing_classes"], b["missing_classes"]) == ([2, 3], [0, 1])
    for party in (a, b):
        assert set(party["controls"]) == {"label_smoothing", "self_mutual", "self_distillation"}
        best = max(party["standalone_test_accuracy"], *party["controls"].values())
        assert party["best_local_control"]["test_accuracy"] == best
    for accuracy in (
        a["test_accuracy"],
        a["standalone_test_accuracy"],
        b["standalone_test_accuracy"],
        summary["pooled_test_accuracy"],
    ):
        assert 0.2 < accuracy <= 1.0
    assert all(seconds > 0 for seconds in summary["seconds"].values())


def test_a_partys_files_are_for_its_owner_alone(main_run: MainRun) -> None:
    """Networks, states, answers and ledgers: after a whole run nobody else of the machine can open one of them."""
    for name in ("a", "b"):
        party = main_run.folder / f"party_{name}"
        assert party.stat().st_mode & 0o777 == 0o700
        secret = [*party.glob("*.pt"), *party.glob("states/*.pt"), party / "disclosures.jsonl", party / "party.json"]
        assert len(secret) >= 5
        assert {path.stat().st_mode & 0o777 for path in secret} == {0o600}


def test_the_run_leaves_its_files(main_run: MainRun) -> None:
    """The folder holds the documented files; a party's folder has its own network and view, nothing of the other's."""
    folder = main_run.folder
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "summary.json", "record.jsonl", "report.html", "config.yaml", "party_a", "party_b", "tensorboard"
    }  # fmt: skip
    assert next((folder / "tensorboard").iterdir()).name.startswith("events.out.tfevents")
    assert "<html" in (folder / "report.html").read_text()[:200]
    assert len(read_journal(folder / "record.jsonl")) == 3 * (5 + 2 * 3)
    for name, network in (("a", "mlp"), ("b", "lenet")):
        party = folder / f"party_{name}"
        assert {path.name for path in party.iterdir()} == {
            "model.pt", "standalone.pt", "record.jsonl", "party.json", "run.json", "disclosures.jsonl",
            ".disclosures.jsonl.lock", ".lock", "ledger_head.json", "states",
        }  # fmt: skip
        assert load_checkpoint(party / "model.pt").model.name == network
        assert load_checkpoint(party / "standalone.pt").model.name == network
        events = read_journal(party / "record.jsonl")
        assert [(event.party, event.phase) for event in events] == 3 * [(name, "standalone")] + 3 * [(name, "smule")]


def test_bytes_are_those_that_were_predicted(main_run: MainRun) -> None:
    """Every byte of an exchange is explained: cost_of for both directions, 32 bytes of entropy each, announcements."""
    models = [load_model(main_run.folder / f"party_{name}" / "model.pt").network for name in "ab"]
    architectures = [translate(model, (1, 8, 8)).architecture for model in models]
    config = SchemeConfig(name="lean", precision_bits=14, micro_batch=MICRO_BATCH)
    costs = [LeanScheme.cost_of(architecture, NUM_QUERIES, config, dealt=True) for architecture in architectures]
    online_bytes = sum(cost.data_owner.bytes_total for cost in costs)
    dealer_bytes = sum(cost.model_owner.dealer_bytes for cost in costs)

    communication = summary_of(main_run.folder)["communication"]
    by_phase = communication["bytes_by_phase"]
    assert by_phase["online"] == 2 * online_bytes
    assert by_phase["keys"] == 2 * KEY_BYTES_OF_AN_EXCHANGE
    assert communication["bytes_total"] == sum(by_phase.values())
    explained = [online_bytes + KEY_BYTES_OF_AN_EXCHANGE] * 2
    announced = [found - known for found, known in zip(communication["bytes_per_epoch"][1:], explained, strict=True)]
    assert sum(announced) == by_phase["control"]
    # An announcement by two parties, of which only bounds, noise and the model step differ in length, and one
    # that prepares it.
    preparation = 2 * len(json.dumps({"prepared_query": 1, "num_samples": NUM_QUERIES}))
    assert all(2 * 120 < num_bytes - preparation < 2 * 170 for num_bytes in announced)
    # Beside the corrections the dealer says to both parties once that it agrees, and sends its entropy each time.
    answers = len(json.dumps({"agreed": True})) + 2 * len(json.dumps({"entropy": 64 * "0"}))
    assert communication["dealer_bytes_total"] == 2 * dealer_bytes + 2 * answers
    assert communication["bytes_per_epoch"][0] == 0
    assert communication["queries_per_epoch"] == [0, 2 * NUM_QUERIES, 2 * NUM_QUERIES]
    events = [event for event in read_journal(main_run.folder / "record.jsonl") if event.phase == "smule"]
    rounds = {event.epoch: event.rounds for event in events}
    expected = max(cost.data_owner.rounds for cost in costs) + ROUNDS_AROUND_AN_EXCHANGE
    assert rounds == {1: 0, 2: expected, 3: expected}


def test_secure_answers_match_plaintext(main_run: MainRun) -> None:
    """All answers of both exchanges are compared with plain torch, and agree but for the announced noise: 6 standard
    deviations, which one of 320 logits exceeds with probability 6e-7.
    """
    summary = summary_of(main_run.folder)
    fidelity, parties = summary["fidelity"], summary["parties"].values()
    noise = max(party["budget"]["logit_noise"] for party in parties)
    assert fidelity["num_samples"] == 2 * 2 * NUM_QUERIES
    assert 0.01 <= noise < 0.1
    assert noise < fidelity["max_abs_logit_error"] < 6 * noise + 1e-3
    assert fidelity["top1_agreement"] > 0.9
    assert all(party["budget"]["mu"] == 0.1 for party in parties)


def test_the_output_has_the_numbers(main_run: MainRun) -> None:
    """Without a terminal: a line an epoch, what is missing at whom, the notice, a table that matches the summary."""
    output, summary = main_run.ended.output, summary_of(main_run.folder)
    assert "simulation only: gives no protection (randomness=seeded_insecure)" in output
    assert "party a has no sample of class 2, 3" in output
    assert "a alone, epoch 3/3" in output
    assert "b SMuLe, epoch 3/3" in output
    assert "b self mutual, epoch 3/3" in output
    for name, party in summary["parties"].items():
        alone, smule = percent(party["standalone_test_accuracy"]), percent(party["test_accuracy"])
        control = percent(party["best_local_control"]["test_accuracy"])
        figures, intervals = rf"party {name} +{alone} +{control} +{smule} ", rf"\n +{party['architecture']} +[0-9.]+–"
        assert re.search(figures + ".*" + intervals, output)
        accuracy = party["evaluations"]["smule"]["metrics"]["accuracy"]
        assert accuracy["value"] == party["test_accuracy"]
        assert accuracy["low"] < accuracy["value"] < accuracy["high"]
    assert "All metrics with SMuLe" in output
    assert percent(summary["pooled_test_accuracy"]) in output
    assert "24 in 2 of 3 epochs" in output
    assert f"{summary['communication']['rounds_total']} rounds" in output
    assert f"Run folder: {main_run.folder}" in output


def test_trained_networks_learn_from_the_peer(main_run: MainRun) -> None:
    """The mutual phase starts from the same weights as training alone and ends with others: soft labels were used."""
    for name in "ab":
        alone, mutual = (
            load_checkpoint(main_run.folder / f"party_{name}" / file).state_dict
            for file in ("standalone.pt", "model.pt")
        )
        assert any(not torch.equal(alone[key], mutual[key]) for key in alone)
        first = {
            event.phase: event.loss
            for event in read_journal(main_run.folder / f"party_{name}" / "record.jsonl")
            if event.epoch == 1
        }
        assert first["standalone"] == first["smule"]


def test_help_names_choices_keys_and_exit_codes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`smule --help` is enough to start with."""
    assert call(monkeypatch, "--help") == 0
    output = capsys.readouterr().out
    for text in (
        "party_a/model: auto, convnet1d, lenet, linear_stem_convnet, mlp",
        "scheme: crypten, lean, plaintext, two_party",
        "exchange.num_queries: whole number >= 1 or null",
        "smule -m",
        "130 interrupted",
    ):
        assert text in output


def test_cfg_job_shows_the_composed_configuration(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`smule --cfg job` shows what a run would use, overrides included, and runs nothing."""
    assert call(monkeypatch, "--cfg", "job", "party_b/model=resnet8", "training.epochs=7") == 0
    output = capsys.readouterr().out
    assert "  epochs: 7\n" in output
    assert "    name: resnet8\n" in output


@pytest.mark.slow
def test_the_default_job_keeps_its_promises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Plain `smule`: on the digits, mutual learning beats training alone on average, in under 3 minutes."""
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    summary = summary_of(folder)
    gains = [party["test_accuracy"] - party["standalone_test_accuracy"] for party in summary["parties"].values()]
    assert sum(gains) > 0
    assert summary["seconds"]["total"] < 180
    noise = max(party["budget"]["logit_noise"] for party in summary["parties"].values())
    assert summary["fidelity"]["max_abs_logit_error"] < 6 * noise
    assert f"Run folder: {folder}" in capsys.readouterr().out
