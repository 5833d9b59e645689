"""A small version of every suite that runs both parties in this process: its rows, and what is kept and shared."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from rich.console import Console

from smule_crypten.config.config_reading import parse
from smule_crypten.config.run import RunConfig
from smule_crypten.config.sections import ModelConfig
from smule_crypten.errors import ConfigError, OutputError
from smule_crypten.simulation.in_process import InProcess
from smule_crypten.suites.alarm import _fired
from smule_crypten.suites.cases import CaseStore
from smule_crypten.suites.disclosure import option
from smule_crypten.suites.options import SuiteConfig, changed_by, merged, settings_of
from smule_crypten.suites.run import run_suite
from smule_crypten.suites.simulated import Bench
from smule_crypten.suites.suite_records import Row, SuiteResults

RUN = parse(
    RunConfig,
    {
        "allow_insecure": True,
        "randomness": "seeded_insecure",
        "data": {"name": "digits", "mean": [0.305], "std": [0.376], "max_train": 300, "max_test": 60},
        "exchange": {"num_queries": 10, "every": 1},
        "partition": {"name": "iid"},
        "simulation": {"controls": [], "pooled": False},
        "party_a": {"model": {"name": "mlp", "options": {"hidden": [16]}}},
        "party_b": {"model": {"name": "mlp", "options": {"hidden": [16]}}},
        "training": {"epochs": 3, "batch_size": 16, "trust": "none"},
    },
)
ONLY_A_ASKS = {"exchange": {"share_a": 1.0}}


def run(folder: Path, **suite: Any) -> SuiteResults:
    with (folder / "terminal.txt").open("a", encoding="utf-8") as terminal:
        console = Console(file=terminal, width=100)
        return run_suite(parse(SuiteConfig, suite), RUN, folder, ["smule-benchmark"], console)


def rows(results: SuiteResults, table: int = 0) -> list[Row]:
    return results.tables[table].rows


def kept(folder: Path) -> str:
    """What the last call said about kept cases."""
    return (folder / "terminal.txt").read_text().strip().splitlines()[-1].partition(";")[0]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """A suite sets the threads of this process."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_learning(tmp_path: Path) -> None:
    """Protects: each method of each party that asks, as the one loop has it; the gain over the best of the local ones;
    exact bytes; and a second call that runs nothing again, whichever settings it asks for."""
    changes = {"training": {"epochs": 2}}
    options = {"schemes": (), "settings": {"one": ONLY_A_ASKS, "both": {}}, "seeds": (0, 1), "changes": changes}
    results = run(tmp_path, name="learning", **options)
    assert [(row["setting"], row["party"], row["seeds"]) for row in rows(results)] == [
        ("one", "a", 2),
        ("both", "a", 2),
        ("both", "b", 2),
    ]
    one, both, _ = rows(results)
    alone, learned = [], []
    for seed in (0, 1):
        here = InProcess(changed_by(RUN, {"seed": seed, **changes}))
        pair = here.alone(0), here.alone(1)
        alone.append(pair[0].accuracy)
        learned.append(here.mutual(pair)[0].accuracy)
    assert both["alone_accuracy"] == pytest.approx(sum(alone) / 2)
    assert both["smule_accuracy"] == pytest.approx(sum(learned) / 2)
    assert one["alone_accuracy"] == both["alone_accuracy"]
    names = ("alone", "label_smoothing", "self_mutual", "self_distillation", "own_head")
    local = [both[f"{name}_accuracy"] for name in names]
    assert both["gain_points"] == pytest.approx(both["smule_accuracy"] - max(local))  # type: ignore[operator, type-var]
    assert (one["queries"], both["queries"]) == (20, 10)
    assert both["exchange_bytes"] == here.prices.cost_of_both((10, 10))
    assert all(both[f"{name}_accuracy"] is not None for name in ("full_exchange", "fedavg", "pooled", "joint"))
    curve = next(curve for curve in results.curves if curve.label == "both")
    assert [point.bytes for point in curve.points] == [
        here.plan.set_up_bytes + both["exchange_bytes"] * (epoch + 1)  # type: ignore[operator]
        for epoch in range(2)
    ]
    again = run(tmp_path, name="learning", only=("both",), **options)
    assert kept(tmp_path) == "0 case(s) run, 18 kept from earlier calls"
    assert rows(again) == rows(results)[1:]


def test_networks_trained_alone_are_shared(tmp_path: Path) -> None:
    """Protects: what decides a network trained alone is its party's samples and training, not what it meets later; a
    damaged file is named."""
    bench = Bench(CaseStore(tmp_path, Console(quiet=True)))
    suite = parse(SuiteConfig, {"name": "learning", "settings": {"as it is": {}, "weight": {}}})
    (_, first), (_, second) = bench.cases(suite, RUN)
    folder = tmp_path / "networks"
    first.alone(0)
    second.changed("other weight", {"training": {"distillation_weight": 0.5}, "exchange": {"every": 2}}).alone(0)
    assert len(list(folder.iterdir())) == 1
    second.changed("poisoned", {"attack": {"name": "backdoor", "party": "a"}}).alone(0)
    second.changed("longer", {"training": {"epochs": 4}}).alone(0)
    assert len(list(folder.iterdir())) == 3
    for path in folder.iterdir():
        path.write_bytes(b"no network")
    with pytest.raises(OutputError, match="damaged"):
        second.alone(0)


def test_poisoning(tmp_path: Path) -> None:
    """Protects: methods that go with an attack have a row, with success where there is an aim; the honest party alone
    is the same under each; a backdoor in the adversary's data reaches pooled training."""
    attacks = {
        "none": {},
        "patch": {"name": "backdoor", "options": {"fraction": 0.5}},
        "lies": {"name": "answers", "options": {"kind": "targeted", "source": 1, "target": 9}},
        "trigger": {"name": "trigger_answers"},
    }
    methods = ("alone", "smule", "fedavg", "pooled")
    results = run(
        tmp_path, name="poisoning", methods=methods, attacks=attacks, changes={"training": {"epochs": 8}}, schemes=()
    )
    found = {(row["attack"], row["method"]): row for row in rows(results)}
    expected = {(attack, method) for attack in attacks for method in methods}
    assert set(found) == expected - {("lies", "pooled"), ("trigger", "pooled"), ("trigger", "fedavg")}
    assert len({found[attack, "alone"]["honest_accuracy"] for attack in attacks}) == 1
    assert found["none", "smule"]["success_accuracy"] is None
    assert found["patch", "pooled"]["success_accuracy"] > found["patch", "alone"]["success_accuracy"]  # type: ignore[operator]
    assert found["lies", "smule"]["kept"] in ("0 of 1", "1 of 1")
    assert found["none", "smule"]["alarms"] == "never"
    assert found["lies", "fedavg"]["honest_accuracy"] < found["none", "fedavg"]["honest_accuracy"]  # type: ignore[operator]


def test_alarm(tmp_path: Path) -> None:
    """Protects: each party of each seed is a run, whose exchanges are those of the schedule; drawn runs are as many as
    were asked for, and another case."""
    honest, poisoned = (rows(run(tmp_path, name="alarm", seeds=(0, 1), schemes=()), table) for table in (0, 1))
    assert [(row["runs"], row["exchanges"]) for row in honest] == [(4, 12)]
    assert {sum(int(row[key]) for key in ("first", "second", "later", "never")) for row in poisoned} == {4}  # type: ignore[arg-type]
    assert {row["from"] for row in poisoned} == {"1", "3"}
    drawn = run(tmp_path, name="alarm", draws=3, schemes=())
    assert [(row["runs"], row["exchanges"]) for row in rows(drawn)] == [(6, 18)]


def test_the_alarm_sees_answers_as_they_would_have_come() -> None:
    """Protects: poisoned answers count from their first exchange on, and honest ones before."""
    labels_N = torch.arange(2).repeat(40)
    right_NC = 8.0 * torch.eye(2)[labels_N]
    answers = {"labels": [labels_N] * 3, "honest": [right_NC] * 3}
    answers |= {kind: [-right_NC] * 3 for kind in ("random", "constant", "inverted", "targeted", "stealthy")}
    fired = _fired(answers, 2)
    assert fired["honest"] == []
    assert min(alarm["exchange"] for alarm in fired["inverted, 1"]) == 1
    assert min(alarm["exchange"] for alarm in fired["inverted, 3"]) == 3


def test_disclosure(tmp_path: Path) -> None:
    """Protects: a row of each option; answers as they are teach what the learning suite says; noise is the same in
    every call, and makes copies worse."""
    options: dict[str, Any] = {"answers": ("as_they_are", "noise_3"), "selections": ("random",), "queries": (60,)}
    plain, noisy = rows(run(tmp_path, name="disclosure", copy_steps=60, schemes=(), **options))
    (learned, _) = rows(run(tmp_path, name="learning", methods=("alone", "smule"), schemes=()))
    assert plain["smule_accuracy"] == learned["smule_accuracy"]
    assert plain["random_60_accuracy"] > noisy["random_60_accuracy"]  # type: ignore[operator]
    assert 0 <= noisy["calibrated_auc"] <= 1  # type: ignore[operator]
    logits_NC = torch.randn(4, 10, generator=torch.Generator().manual_seed(1))
    assert torch.equal(option("noise_1")(logits_NC), option("noise_1")(logits_NC))
    assert torch.equal(option("top_3")(logits_NC).argmax(1), logits_NC.argmax(1))


def test_disclosure_by_public_answers(tmp_path: Path) -> None:
    """More of them make a better copy, by which members are told, too; without so large a pool there is nothing to
    ask about."""
    noise = np.random.default_rng(0).uniform(size=(120, 1, 8, 8)).astype(np.float32)
    labels = np.arange(120) % 2
    np.savez(tmp_path / "pool.npz", x_train=noise, y_train=labels, x_test=noise, y_test=labels)
    pool = {"name": "npz", "path": str(tmp_path / "pool.npz"), "num_queries": 20}
    options: dict[str, Any] = {"answers": ("as_they_are",), "selections": (), "copy_steps": 60, "schemes": ()}
    settings = {"public": {"public_pool": pool}}
    options |= {"name": "disclosure", "settings": settings}
    (found,) = rows(run(tmp_path, public_answers=(4, 120), **options))
    assert found["public_4_accuracy"] < found["public_120_accuracy"]  # type: ignore[operator]
    assert 0 <= found["public_120_auc"] <= 1  # type: ignore[operator]
    with pytest.raises(ConfigError, match="121 answers need as many public samples, and there are 120"):
        run(tmp_path, public_answers=(121,), **options)


def test_privacy(tmp_path: Path) -> None:
    """Protects: training.dp of a setting is applied."""
    settings = {"without": {}, "epsilon_1": {"training": {"dp": {"target_epsilon": 1.0}}}}
    without, private = rows(run(tmp_path, name="privacy", settings=settings, schemes=()))
    assert (without["multiplier_noise"], private["multiplier_noise"]) == (0.0, pytest.approx(4.7, abs=3))
    assert private["smule_accuracy"] < without["smule_accuracy"]  # type: ignore[operator]


def test_settings_lie_over_the_configuration() -> None:
    """Protects: a part with a name is replaced, others are merged, changes come last, and the seed is the case's."""
    assert merged({"a": {"name": "x", "p": 1}, "b": {"p": 1, "q": 2}}, {"a": {"name": "y"}, "b": {"q": 3}}) == {
        "a": {"name": "y"},
        "b": {"p": 1, "q": 3},
    }
    setting = {"party_b": {"model": {"name": "lenet"}}, "training": {"epochs": 9, "batch_size": 8}}
    values = {"name": "learning", "settings": {"x": setting}, "changes": {"training": {"epochs": 2}}}
    found = settings_of(parse(SuiteConfig, values), RUN, seed=7)["x"]
    assert (found.party_b.model, found.training.epochs, found.training.batch_size, found.seed) == (
        ModelConfig(name="lenet"),
        2,
        8,
        7,
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"settings": {"x": {"training": {"epoch": 2}}}}, r"settings\.x: training\.epoch: unknown key"),
        ({"settings": {"x": {}}, "only": ("y",)}, r"suite\.only: unknown 'y'"),
    ],
)
def test_wrong_settings(values: dict[str, Any], message: str) -> None:
    """Protects: what is wrong in a suite's settings is said in one line, before anything runs."""
    with pytest.raises(ConfigError, match=message):
        settings_of(parse(SuiteConfig, {"name": "learning", **values}), RUN, seed=0)


@pytest.mark.parametrize(
    "name", ["learning", "learning_digits", "learning_joint_head", "poisoning", "alarm", "disclosure", "privacy"]
)
def test_delivered_settings_can_be_used(name: str) -> None:
    """Protects: every setting and attack of conf/suite is a configuration."""
    values = OmegaConf.to_container(OmegaConf.load(str(files("smule_crypten.conf").joinpath("suite", f"{name}.yaml"))))
    assert isinstance(values, dict)
    suite = parse(SuiteConfig, values)
    found = settings_of(suite, RUN, seed=0)
    assert list(found) == list(suite.settings)
    for attack in suite.attacks.values():
        changed_by(RUN, {"attack": {"name": "none", **attack}})
