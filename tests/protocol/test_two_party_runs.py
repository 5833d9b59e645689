"""Whole runs of the scheme of the two parties alone: several exchanges of unequal parties, which iterations cross."""

from __future__ import annotations

import pytest
from two_party_run_steps import Ran, whole_run

from smule_crypten.config.sections import ModelConfig
from smule_crypten.testing import PartyPool

RESIDUAL = ModelConfig(name="resnet8", options={"width": 4})
MAXIMA = ModelConfig(name="lenet")
BOTTLENECKS = ModelConfig(name="target", options={"_target_": "scheme_steps.linear_bottlenecks"})
FEW_RELUS = (
    ModelConfig(name="linear_stem_convnet", options={"channels": [3, 4]}),
    ModelConfig(name="strided_convnet", options={"channels": [3, 4]}),
)
EXCHANGES = [(3, 2), (0, 0), (0, 5), (4, 0)]


@pytest.mark.parametrize("checks", [(0, 0), (60, 0), (3, 20)], ids=["nobody ahead", "one ahead", "both ahead"])
@pytest.mark.parametrize("models", [(RESIDUAL, MAXIMA), (BOTTLENECKS, RESIDUAL)], ids=["maxima", "bottlenecks"])
def test_costs_and_answers_of_a_whole_run(
    pool: PartyPool, models: tuple[ModelConfig, ModelConfig], checks: tuple[int, int]
) -> None:
    """Whoever is ahead, and where an exchange begins twice: every byte is that of the prediction, and answers are
    right. JSON and keys pass between iterations that leave ahead."""
    parties: list[Ran] = pool.run(whole_run, models, (1, 12, 12), EXCHANGES, 2, checks)
    for ran in parties:
        assert ran.counted == ran.predicted
        assert ran.error < 0.05
        counted = ran.traffic["correlations"]
        assert (counted["bytes_sent"], counted["bytes_received"]) == ran.ahead
        assert min(ran.ahead) > 0
        assert counted["rounds"] == 0
        set_up = ran.traffic["set-up"]
        assert (set_up["rounds"], set_up["bytes_sent"], set_up["bytes_received"], 0) == ran.set_up


def test_networks_of_few_relus_in_a_run(pool: PartyPool) -> None:
    """A stem that is one product, and a strided one with BatchNorm: every byte is predicted, answers are right."""
    parties: list[Ran] = pool.run(whole_run, FEW_RELUS, (1, 12, 12), EXCHANGES, 2, (0, 0))
    for ran in parties:
        assert ran.counted == ran.predicted
        assert ran.error < 0.05
