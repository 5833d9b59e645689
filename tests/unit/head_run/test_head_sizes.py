"""What terms of a joint head say by default, and what follows from them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from head_parties import sizes, terms

from smule_crypten import configure
from smule_crypten.config.run import RunConfig
from smule_crypten.data.samples import DataBundle
from smule_crypten.errors import ConfigError, TrainingError
from smule_crypten.head_run.revealing import check_penalty
from smule_crypten.head_run.sizes import HeadSizes
from smule_crypten.head_run.terms import head_terms
from smule_crypten.joint_head.cost import solve_cost
from smule_crypten.joint_head.integers import own_inverse, own_probes
from smule_crypten.joint_head.lattice_products import MOST_DEVIATION, LatticeProducts, deviation, layout_of
from smule_crypten.joint_head.plan import SolvePlan
from smule_crypten.joint_head.statistics import Statistics, StatisticsSum
from smule_crypten.party.public_samples import load_bundle_and_pool
from smule_crypten.simulation.in_process import InProcess


def digits(*overrides: str) -> tuple[RunConfig, DataBundle]:
    run = configure("data=digits", "joint_head=ridge", *overrides)
    return run, load_bundle_and_pool(run)


@pytest.mark.parametrize(
    ("overrides", "penalty"),
    [
        ([], 2.0 * 65),
        (["joint_head.features.name=patches"], 2.0 * 3201),
        (["joint_head.features.name=patches", "joint_head.penalty=7"], 7.0),
    ],
)
def test_the_penalty_follows_from_the_features(overrides: list[str], penalty: float) -> None:
    """What both parties compare is written out; what is set wins."""
    assert head_terms(*digits(*overrides, "features.cache=null")).penalty == pytest.approx(penalty)


@pytest.mark.parametrize(("rows", "outputs"), [(60, 10), (300, 1), (800, 2)])
def test_with_fewer_rows_than_features_the_penalty_is_twice_the_rows(rows: int, outputs: int) -> None:
    """P's matrices then fit into their digits and errors; with the whole penalty of the terms they would not."""
    generator = torch.Generator().manual_seed(0)
    total = StatisticsSum(1280, outputs, 72.0)
    total.add(torch.randn(rows // 2, 1280, generator=generator), torch.rand(rows // 2, outputs, generator=generator))
    own = total.total()
    few = HeadSizes(terms=terms(features=1281, penalty=2.0 * 1281), outputs=outputs, opening="values")
    plan = few.solve_plan(rows)
    assert plan.ridge == 2.0
    normal_JD = torch.randn(plan.probes, 1281, generator=generator, dtype=torch.float64)

    def largest(plan: SolvePlan) -> float:
        inverse = deviation(layout_of(plan, "inverse"), own_inverse(own, plan))
        return max(inverse, deviation(layout_of(plan, "probes"), own_probes(own, plan, normal_JD)))

    assert largest(plan) <= MOST_DEVIATION
    whole = replace(plan, ridge=2.0 * 1281 / rows)
    if rows == 60:
        with pytest.raises(TrainingError, match="so uneven"):
            largest(whole)


def test_what_is_said_before_a_run_does_not_depend_on_rows() -> None:
    """One row, few and many have other penalties, and the same plan of bytes."""
    costs = {(sizes().solve_cost(is_P=True), solve_cost(sizes().solve_plan(rows), LatticeProducts)) for rows in (1, 9)}
    costs.add((sizes().solve_cost(is_P=True), solve_cost(sizes().solve_plan(10_000_000), LatticeProducts)))
    assert len(costs) == 1
    assert len({sizes().penalty(rows) for rows in (1, 9, 10_000_000)}) == 3


def test_a_head_of_a_small_penalty_is_not_revealed() -> None:
    """Noise on its weights would hide hardly any row of a party."""
    check_penalty(1281.0, 1281)
    with pytest.raises(ConfigError, match=r"leave joint_head\.penalty out"):
        check_penalty(1280.0, 1281)
    overrides = ["joint_head.reveal=both", "joint_head.penalty=64"]
    with pytest.raises(ConfigError, match=r"leave joint_head\.penalty out"):
        _ = InProcess(configure("data=digits", "joint_head=ridge", *overrides)).heads


def test_with_very_many_rows_the_penalty_is_what_errors_of_products_allow() -> None:
    """A party whose features never vary, beside ten million rows: by the terms alone its inverse would be refused."""
    few, many = 1_000, 10_000_000
    assert sizes().penalty(few) == terms().penalty
    large = HeadSizes(terms=terms(features=40), outputs=3, opening="differences")
    plan = large.solve_plan(many)
    nothing = Statistics(many, torch.zeros(40, 40, dtype=torch.float64), torch.zeros(40, 3, dtype=torch.float64))
    assert plan.ridge * many == pytest.approx(large.penalty(many))
    assert large.penalty(many) > terms().penalty
    assert deviation(layout_of(plan, "inverse"), own_inverse(nothing, plan)) <= MOST_DEVIATION
