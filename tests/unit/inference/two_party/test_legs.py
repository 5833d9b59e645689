"""An exchange in legs: what is made ahead for a leg is bounded, and legs together are the exchange."""

from __future__ import annotations

import pytest
import torch
from lean_networks import NETWORKS, SHAPE
from two_party_harness import direction, two_party_config

from smule_crypten.models.translate import translate
from smule_crypten.two_party.legs import _VALUE_BYTES, jobs_of, legs_of
from smule_crypten.two_party.plan import DirectionPlan, plan_direction

CONFIG = two_party_config(micro_batch=2)


def plan_of(batches: list[int]) -> DirectionPlan:
    return plan_direction(translate(NETWORKS["mlp"](), SHAPE).architecture, batches, CONFIG)


@pytest.mark.parametrize(
    ("values", "legs"),
    [
        (0, [range(1), range(1, 2), range(2, 3)]),
        (62, [range(1), range(1, 2), range(2, 3)]),
        (63, [range(1), range(1, 3)]),
        (99, [range(3)]),
    ],
)
def test_a_leg_takes_as_much_as_it_may(values: int, legs: list[range]) -> None:
    """Nine ReLUs a sample: 36, 36 and 27 values of both directions; one micro-batch at least."""
    plans = plan_of([2, 2, 2]), plan_of([2, 2, 1])
    assert [sum(job.count for job in jobs_of(plans, range(n, n + 1))) for n in range(3)] == [36, 36, 27]
    assert legs_of(plans, values * _VALUE_BYTES) == legs


def test_an_exchange_about_nothing_has_no_legs() -> None:
    assert legs_of((plan_of([]), plan_of([]))) == []
    assert legs_of((plan_of([2]), plan_of([]))) == [range(1)]


def test_jobs_of_legs_are_those_of_the_exchange() -> None:
    """In the same order, which both parties rely on."""
    plans = plan_of([2, 2, 1]), plan_of([2])
    legs = [job for leg in legs_of(plans, 0) for job in jobs_of(plans, leg)]
    assert legs == jobs_of(plans)
    assert [job.model_owner for job in legs] == [0, 1, 0, 0]


def test_legs_give_what_one_run_gives() -> None:
    """The same answers, and the weights cross once."""
    torch.manual_seed(0)
    inputs_NX, model = torch.randn(5, *SHAPE), NETWORKS["conv_pool_relu"]()
    whole, said = direction(model, inputs_NX, CONFIG, seed=3).run()
    in_legs, parts = direction(model, inputs_NX, CONFIG, seed=3), []
    spoken = []
    for leg in (range(1), range(1, 3)):
        in_legs.model_owner.over(leg)
        in_legs.data_owner.over(leg)
        logits_NC, of_leg = in_legs.run()
        parts.append(logits_NC)
        spoken += of_leg
    assert torch.equal(torch.cat(parts), whole)
    assert [message.post.data.tolist() for message in spoken] == [message.post.data.tolist() for message in said]
