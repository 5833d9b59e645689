"""A small version of every suite: bytes and rounds are exact, and finished cases are kept."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from markupsafe import escape
from party_records import party_record
from rich.console import Console

from smule_crypten.config.config_reading import parse
from smule_crypten.config.run import RunConfig
from smule_crypten.config.sections import SchemeConfig
from smule_crypten.errors import ConfigError, ModelError, OutputError, PartyFailedError
from smule_crypten.inference.registry import scheme_class
from smule_crypten.models.architecture import Architecture
from smule_crypten.models.translate import translate
from smule_crypten.models.zoo import build_model, num_parameters
from smule_crypten.mpc.training_plan import cost_of_step
from smule_crypten.party.ledger import epoch_record
from smule_crypten.party.recording import new_record
from smule_crypten.report.record import read_record
from smule_crypten.report.records import ExchangeRecord
from smule_crypten.suites.baselines import FULL_TRAINING, fully_trained
from smule_crypten.suites.cases import CaseStore
from smule_crypten.suites.links import LINKS
from smule_crypten.suites.methods import of_record
from smule_crypten.suites.options import SuiteConfig, changed, with_scheme
from smule_crypten.suites.run import FIGURE_FILE, MARKDOWN_FILE, PAGE_FILE, RESULTS_FILE, run_suite
from smule_crypten.suites.suite_records import SuiteResults
from smule_crypten.training.evaluate import Outcome
from smule_crypten.training.trainer import EpochResult

MLP = {"name": "mlp", "options": {"hidden": [8]}}
SHAPE = (1, 8, 8)
SCHEMES = {
    "lean": SchemeConfig(name="lean", precision_bits=14, options={"ring_bits": 32, "input_bits": 10}),
    "crypten": SchemeConfig(name="crypten"),
}
RUN = parse(
    RunConfig,
    {
        "allow_insecure": True,
        "randomness": "seeded_insecure",
        "scheme": SCHEMES["lean"].model_dump(),
        "provider": {"name": "dealer"},
        "data": {"name": "digits", "mean": [0.305], "std": [0.376], "max_train": 120, "max_test": 50}
        | {"options": {"test_fraction": 0.25}},
        "exchange": {"num_queries": 3},
        "partition": {"name": "iid"},
        "simulation": {"controls": []},
        "party_a": {"model": MLP, "samples": {"validation": 0.0}},
        "party_b": {"model": MLP, "samples": {"validation": 0.0}},
        "training": {
            "trust": "none",
            "keep": "last",
            "epochs": 2,
            "batch_size": 32,
            "optimizer": {"learning_rate": 0.05},
        },
    },
)


def run(folder: Path, **suite: Any) -> SuiteResults:
    with (folder / "terminal.txt").open("a", encoding="utf-8") as terminal:
        console = Console(file=terminal, width=100)
        results = run_suite(parse(SuiteConfig, suite), RUN, folder, ["smule-benchmark"], console)
    assert read_record(SuiteResults, folder / RESULTS_FILE) == results
    page = (folder / PAGE_FILE).read_text()
    for content in results.tables:
        assert str(escape(content.title)) in page
        assert all(row["basis"] in page for row in content.rows)
    lines = (folder / MARKDOWN_FILE).read_text().splitlines()
    assert sum(line.startswith("| ") for line in lines) == sum(2 + len(content.rows) for content in results.tables)
    assert (folder / FIGURE_FILE).exists() == bool(results.curves)
    return results


def kept(folder: Path) -> str:
    """What the last call said about kept cases."""
    return (folder / "terminal.txt").read_text().strip().splitlines()[-1].partition(";")[0]


def architecture() -> Architecture:
    return translate(build_model(RUN.party_a.model, SHAPE, 10, seed=0), SHAPE).architecture


def test_a_scheme_without_a_dealer_is_one_of_a_suites() -> None:
    """Protects: where the run names who deals, a comparison can still hold a scheme in which nobody does."""
    assert RUN.deals == "dealer"
    for name, deals in (("two_party", None), ("plaintext", None), ("crypten", "dealer")):
        assert changed(RUN, **with_scheme(name, RUN)).deals == deals


def test_methods_and_headline(tmp_path: Path) -> None:
    """Protects: every method has its row, full training and FedAvg cost what is predicted, and a second suite with the
    same cases runs none of them again."""
    options = {"schemes": ("lean",), "full_training": {"run": "steps", "steps": 1}}
    results = run(tmp_path, name="methods", **options)
    rows = {row["method"]: row for row in results.tables[0].rows}
    smule, full, averaged = rows["SMuLe, lean"], rows[FULL_TRAINING], rows["FedAvg, sees weights"]
    assert set(rows) == {"alone", "pooled data in one place", "SMuLe, lean", "FedAvg, sees weights", FULL_TRAINING}
    assert (smule["basis"], full["basis"]) == ("measured", "extrapolated")
    direction = scheme_class("lean").cost_of(architecture(), 3, SCHEMES["lean"], dealt=True)
    exchange = scheme_class("lean").combine(direction.data_owner, direction.model_owner)
    assert smule["epoch_dealer_bytes"] == 2 * (exchange.dealer_bytes + len(json.dumps({"entropy": "0" * 64})))
    assert exchange.bytes_total < smule["epoch_bytes"] < exchange.bytes_total + 4096
    step, steps_per_epoch = cost_of_step(architecture(), 32, dealt=True), round(120 / 32)
    assert full["epoch_bytes"] == step.bytes_total * steps_per_epoch
    assert full["epoch_dealer_bytes"] == step.dealer_bytes * steps_per_epoch
    assert full["epoch_rounds"] == step.rounds * steps_per_epoch
    assert full["mean_accuracy"] is None
    assert full["local_seconds"] == pytest.approx(2 * full["epoch_seconds"])
    first, last = next(curve.points for curve in results.curves if curve.label == "FedAvg, sees weights")
    assert averaged["epoch_seconds"] == pytest.approx(last.seconds - first.seconds)
    assert "Seconds of an epoch" in (tmp_path / PAGE_FILE).read_text()
    weights = 4 * num_parameters(build_model(RUN.party_a.model, SHAPE, 10, seed=0))
    assert averaged["total_bytes"] == 2 * 2 * weights
    assert kept(tmp_path) == "3 case(s) run, 0 kept from earlier calls"
    again = run(tmp_path, name="headline", limit_mb=75.0, **options)
    assert kept(tmp_path) == "0 case(s) run, 3 kept from earlier calls"
    assert again.tables[0].rows == results.tables[0].rows
    ratios = {row["method"]: row for row in again.tables[2].rows}
    assert ratios["SMuLe, lean"]["limit"] == "yes"
    assert ratios["SMuLe, lean"]["full_ratio"] > 1


def test_local_controls_are_methods() -> None:
    """Protects: what a party can do without a peer stands beside what it learns from one, with its curve and the
    slower party's time, which for SMuLe begins with the training alone."""
    party = party_record(test_accuracy=0.6, standalone_test_accuracy=0.5)
    record = new_record(RUN, "run")
    record.parties = dict.fromkeys("ab", party)
    record.controls = {name: {"self_mutual": 0.55} for name in "ab"}
    for name in "ab":
        for phase in ("standalone", "self_mutual", "smule"):
            done = EpochResult(
                epoch=1,
                loss=1.0,
                distillation_loss=0.0,
                train_accuracy=0.5,
                soft_label_fraction=0.0,
                peer_accuracy=None,
                peer_weight=None,
                seconds=2.0,
            )
            seconds = 3.0 if (name, phase) == ("b", "smule") else 0.0
            exchange, tested = ExchangeRecord(exchange_seconds=seconds), Outcome(accuracy=0.55, score=0.55)
            record.epochs.append(epoch_record(name, phase, done, tested, exchange))
    found = of_record(record)
    shared = found["shared"]
    assert found["smule"]["local_seconds"] == 2.0 + 2.0 + 3.0
    assert shared["alone"]["accuracies"] == [0.5, 0.5]
    control = shared["alone, self mutual"]
    assert control["local_seconds"] == 2.0
    assert control["accuracies"] == [0.55, 0.55]
    assert control["curves"]["party b"] == [{"epoch": 1, "accuracy": 0.55, "bytes": 0, "seconds": 2.0}]
    assert shared["pooled data in one place"] is None


def test_schemes_and_link(tmp_path: Path) -> None:
    """Protects: what is measured is what cost_of says, and the link's time is that of the measured bytes and rounds."""
    options = {"schemes": ("lean",), "queries": (2,)}
    rows = run(tmp_path, name="schemes", **options).tables[0].rows
    assert [row["as_predicted"] for row in rows] == ["exactly"]
    assert all(row["logit_error"] < 0.05 for row in rows)
    on_links = run(tmp_path, name="link", **options).tables[1].rows
    assert kept(tmp_path) == "0 case(s) run, 1 kept from earlier calls"
    for row in on_links:
        assert row["basis"] == "predicted"
        expected = row["exchange_bytes"] / 2 * 8 / 20e6 + row["rounds"] * 0.05
        assert row["2_seconds"] == pytest.approx(row["local_seconds"] + expected)


def test_an_exchange_that_is_not_possible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects: a network that cannot be shared is a row that says so; a run that failed is no result and not kept."""
    model = {"name": "torchvision", "options": {"arch": "squeezenet1_1"}}
    options = {"schemes": ("lean",), "networks": ({"model": model, "input_shape": (3, 32, 32)},)}
    (row,) = run(tmp_path, name="link", **options).tables[0].rows
    assert row["basis"] == "not possible"

    def fail(*arguments: Any) -> None:
        raise PartyFailedError("party a is gone")

    monkeypatch.setattr("smule_crypten.suites.exchanges.rehearse", fail)
    with pytest.raises(PartyFailedError):
        run(tmp_path, name="link", schemes=("lean",))
    assert len(list((tmp_path / "cases").iterdir())) == 1


def test_scaling(tmp_path: Path) -> None:
    """Protects: predictions are those of cost_of and cost_of_step, comparisons are counted, and what cannot be shared
    is said to be so."""
    networks = (
        {"model": MLP, "input_shape": SHAPE},
        {"model": {"name": "torchvision", "options": {"arch": "mobilenet_v3_small"}}, "input_shape": (3, 32, 32)},
    )
    rows = run(tmp_path, name="scaling", schemes=("crypten",), queries=(1, 5), networks=networks).tables[0].rows
    one, five, step, impossible = rows
    cost = scheme_class("crypten").cost_of(architecture(), 5, SCHEMES["crypten"], dealt=True)
    assert five["exchange_bytes"] == (cost.data_owner + cost.model_owner).bytes_total
    assert five["rounds"] == (cost.data_owner + cost.model_owner).rounds == one["rounds"]
    assert step["exchange_bytes"] == cost_of_step(architecture(), 32, dealt=True).bytes_total
    assert step["dealer_bytes"] == cost_of_step(architecture(), 32, dealt=True).dealer_bytes
    assert one["relus"] == 8
    assert impossible["basis"] == "not possible"


def test_link_model() -> None:
    """Protects: the formula that was compared with exchanges over an emulated link."""
    assert LINKS[1].seconds(12.5e6, 0) == pytest.approx(1.0)
    assert LINKS[1].seconds(0, 10) == pytest.approx(0.2)


def test_full_training_says_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects: a training that takes hours is followed epoch by epoch."""

    def train(config: RunConfig, max_steps: int | None, on_epoch: Callable[[dict[str, Any]], None]) -> None:
        assert max_steps == 4
        on_epoch({"epoch": 3, "test_accuracy": 0.875, "bytes_total": 2_000_000, "dealer_bytes": 0, "seconds": 61.0})
        raise ModelError("no network")

    monkeypatch.setattr("smule_crypten.suites.baselines.train_in_full", train)
    said = io.StringIO()
    fully_trained(SuiteConfig(name="methods"), RUN, {}, CaseStore(tmp_path, Console(file=said)))
    assert (
        said.getvalue().splitlines()[-1]
        == "full training on shares, epoch 3: test accuracy 87.5 %, 2.00 MB so far, 1 min 01 s"
    )


def test_unknown_scheme(tmp_path: Path) -> None:
    """Protects: a misspelt scheme ends before anything runs."""
    with pytest.raises(ConfigError, match="lean"):
        run(tmp_path, name="scaling", schemes=("leen",))


def test_damaged_case(tmp_path: Path) -> None:
    """Protects: a damaged file of a case is named, other settings are another case, and what is no number is null."""
    store = CaseStore(tmp_path, Console(file=io.StringIO()))
    assert store.result("case", {"x": 1}, lambda folder: {"y": 2}) == {"y": 2}
    assert store.result("case", {"x": 1}, lambda folder: {"y": 3}) == {"y": 2}
    assert store.result("case", {"x": 2}, lambda folder: {"y": 3}) == {"y": 3}
    odd = {"nan": math.nan, "inf": [(-math.inf, 1.5)]}
    for _ in range(2):
        assert store.result("odd", {}, lambda folder: odd) == {"nan": None, "inf": [[None, 1.5]]}
    for path in (tmp_path / "cases").iterdir():
        path.write_text("{")
    with pytest.raises(OutputError, match="damaged"):
        store.result("case", {"x": 1}, lambda folder: {})
