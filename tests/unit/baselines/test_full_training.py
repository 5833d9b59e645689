"""Full training as processes: it ends, learns, and costs what is predicted."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from smule_crypten.baselines.full_training import train_in_full
from smule_crypten.baselines.joint_batches import BatchPlan, learning_rates, own_parts
from smule_crypten.config.config_reading import parse
from smule_crypten.config.run import RunConfig
from smule_crypten.config.sections import DpConfig, OptimizerConfig, TrainingConfig
from smule_crypten.data.samples import Samples
from smule_crypten.errors import ConfigError


def run_config(**training: Any) -> RunConfig:
    party = {"model": {"name": "mlp", "options": {"hidden": [8]}}, "samples": {"validation": 0.0}}
    return parse(
        RunConfig,
        {
            "allow_insecure": True,
            "randomness": "seeded_insecure",
            "scheme": {"name": "lean"},
            "provider": {"name": "dealer"},
            "data": {"name": "digits", "mean": [0.305], "std": [0.376], "options": {"test_fraction": 0.25}},
            "exchange": {},
            "partition": {"name": "unequal", "fraction_a": 0.7},
            "party_a": party,
            "party_b": party,
            "training": {
                "trust": "none",
                "keep": "last",
                "epochs": 2,
                "batch_size": 8,
                "steps_per_epoch": 9,
                **training,
            },
        },
    )


def test_training_to_the_end() -> None:
    """Protects: both parties' data in every batch, more than one exchange with the dealer, measured cost as predicted,
    the opened network as good as the shares say, and a first step that is PyTorch's."""
    heard: list[dict[str, Any]] = []
    figures = train_in_full(
        run_config(optimizer={"learning_rate": 0.05, "schedule": "constant"}), on_epoch=heard.append
    )
    assert figures["is_complete"]
    assert figures["steps"] == 18
    assert figures["batch_parts"] == [6, 2]
    assert {key: figures["step"][key] for key in figures["predicted_step"]} == figures["predicted_step"]
    assert figures["first_step_error"] < 1e-4 < figures["first_step_moved"]
    assert [point["epoch"] for point in heard] == [1, 2]
    assert heard == figures["curve"]
    assert figures["test_accuracy"] == heard[-1]["test_accuracy"] > 0.4
    assert figures["bytes_total"] > heard[-1]["bytes_total"] > 17 * figures["predicted_step"]["bytes_total"]


def test_batches_hold_every_sample_once() -> None:
    """Protects: no sample is used twice before all were used, whatever the size of the part."""
    train = Samples(torch.arange(7.0).view(7, 1, 1, 1), torch.arange(7) % 3, torch.arange(7))
    parts = own_parts(train, 3, TrainingConfig(), 3, seed=1)
    drawn = [next(parts) for _ in range(7)]
    values = torch.cat([images.flatten() for images, _ in drawn])
    assert sorted(values.tolist()) == sorted([*range(7)] * 3)
    assert sorted(values[:7].tolist()) == [*range(7)]
    labels = torch.cat([one_hot.argmax(1) for _, one_hot in drawn])
    assert torch.equal(labels, values.long() % 3)


@pytest.mark.parametrize(("counts", "parts"), [((100, 100), (4, 4)), ((1, 1000), (1, 7)), ((1000, 1), (7, 1))])
def test_parts_of_a_batch(counts: tuple[int, int], parts: tuple[int, int]) -> None:
    """Protects: a party of few samples still takes part."""
    plan = BatchPlan.of(TrainingConfig(batch_size=8, epochs=3), counts)
    assert plan.parts == parts
    assert plan.steps == 3 * round(sum(counts) / 8)


def test_learning_rates_are_the_schedule_s() -> None:
    """Protects: the same public schedule as plaintext training; and the refusal of what divides by secrets."""
    rates = learning_rates(OptimizerConfig(learning_rate=0.2, schedule="cosine"), 4)
    assert rates[0] == 0.2
    assert rates == sorted(rates, reverse=True)
    with pytest.raises(ConfigError, match=r"optimizer\.name=sgd"):
        learning_rates(OptimizerConfig(name="adamw"), 4)


def test_a_batch_of_one_sample_is_refused() -> None:
    """Protects: a setting that cannot hold a sample of each party ends in one line."""
    with pytest.raises(ConfigError, match="batch_size"):
        BatchPlan.of(TrainingConfig(batch_size=1), (5, 5))


def test_private_training_is_refused() -> None:
    """Protects: a baseline without noise is not taken for a private one."""
    run = run_config()
    private = run.training.model_copy(update={"dp": DpConfig(target_epsilon=1.0)})
    with pytest.raises(ConfigError, match=r"training\.dp: full training on shares adds no noise"):
        train_in_full(run.model_copy(update={"training": private}))
