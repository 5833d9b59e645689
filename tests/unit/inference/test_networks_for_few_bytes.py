"""What networks of few ReLUs cost beside the reference network: what the page of networks says, from plans alone."""

from __future__ import annotations

import pytest

from smule_crypten.config.sections import ModelConfig, SchemeConfig
from smule_crypten.inference.registry import scheme_class
from smule_crypten.models.translate import TranslatedNetwork, translate
from smule_crypten.models.zoo import build_model

SHAPE, QUERIES = (3, 32, 32), 64
SCHEMES = {
    "two_party": SchemeConfig(name="two_party", micro_batch=QUERIES),
    "lean": SchemeConfig(name="lean", precision_bits=14, micro_batch=QUERIES),
}


def network(name: str, *, composing: bool = True) -> TranslatedNetwork:
    return translate(build_model(ModelConfig(name=name), SHAPE, 10, seed=0), SHAPE, composing=composing)


def rounds_and_bytes(translated: TranslatedNetwork, scheme: str) -> tuple[int, int]:
    """Of one direction, the dealer's bytes among them."""
    dealt = scheme == "lean"
    cost = scheme_class(scheme).cost_of(translated.architecture, QUERIES, SCHEMES[scheme], dealt=dealt)
    return cost.data_owner.rounds, cost.data_owner.bytes_total + cost.model_owner.dealer_bytes


COSTS = {
    ("two_party", "small_convnet"): (21, 13_570_065),
    ("two_party", "linear_stem_convnet"): (15, 7_288_961),
    ("two_party", "strided_convnet"): (21, 8_928_801),
    ("lean", "small_convnet"): (15, 19_559_777),
    ("lean", "linear_stem_convnet"): (11, 9_176_737),
    ("lean", "strided_convnet"): (15, 10_522_657),
}
"""A gate, so that a change is a decision. test_lean_figures.py counts two of them by hand."""


@pytest.mark.parametrize(("scheme", "name"), COSTS)
def test_rounds_and_bytes(scheme: str, name: str) -> None:
    """64 queries, weights included: half of the reference network's without its first ReLU, two thirds with a stride;
    BatchNorm costs nothing."""
    assert rounds_and_bytes(network(name), scheme) == COSTS[scheme, name]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_linear_stem_is_cheap_because_it_is_one_product(scheme: str) -> None:
    """With its two convolutions apart it costs what the reference network does, and more, for a rounding of no use."""
    rounds, apart = rounds_and_bytes(network("linear_stem_convnet", composing=False), scheme)
    reference_rounds, reference = COSTS[scheme, "small_convnet"]
    assert rounds == reference_rounds
    assert apart > reference
