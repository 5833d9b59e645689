"""What the reference network costs with the lean scheme: a gate, so that a change of these figures is a decision.

small_convnet on 3x32x32: convolutions with 432, 4,608 and 18,432 weights, each averaged over 2x2 and followed by a
ReLU, and a classifier with 10,240; 33,712 weights. An image has 3,072 + 4,096 + 2,048 + 1,024 = 10,240 inputs of
layers, 4,096 + 2,048 + 1,024 = 7,168 activations and 7,168 + 10 results of layers. 64 images in one micro-batch.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest

from smule_crypten.config import ModelConfig, SchemeConfig
from smule_crypten.inference.lean.scheme import LeanScheme
from smule_crypten.models.translate import translate
from smule_crypten.models.zoo import build_model
from smule_crypten.types import Cost


class Figures(NamedTuple):
    """Of one direction; M owns the network and D the images. rounds: the same for both directions in step."""

    data_owner_sends: int
    model_owner_sends: int
    dealer_sends: int
    rounds: int = 15
    """1 for the weights. Each ReLU: D opens (with the masked inputs of the layer), M opens and asks the first level of
    ANDs, D answers and asks the second, M answers and says its share of the sign; D's sign goes with what comes next.
    3 * 4, then 1 for D's last sign and the inputs of the classifier, 1 for the logits."""


DEFAULT = Figures(
    # An image: 10,240 masked inputs of 32 bits, and 28 bits an activation: 20 opened, 5 + 2 of ANDs, 1 of the sign.
    data_owner_sends=64 * (40_960 + 25_088),
    # 28 bits an activation and 10 logits of 32 bits an image; 33,712 masked weights of 32 bits and a scale, once.
    model_owner_sends=64 * (25_088 + 40) + 134_848 + 1,
    # An image: 7,178 results of 32 bits, and 156 bits an activation: 12 + 12 of wrap and high, thermometers of
    # 15 + 15 + 15 + 7 for the 15 compared bits, 4 products of ANDs, 32 + 32 + 12 of the selection.
    dealer_sends=64 * (28_712 + 139_776),
)

NARROW = Figures(
    # The same with rings of 26 bits and activations of 16: 24 bits an activation.
    data_owner_sends=64 * (33_280 + 21_504),
    # 640 logits of 26 bits are 2,080 bytes.
    model_owner_sends=64 * 21_504 + 2_080 + 109_564 + 1,
    # 64 * 7,178 results of 26 bits; 122 bits an activation: 10 + 10, thermometers of 15 + 7 + 7 + 7 for 13 bits, 4,
    # 26 + 26 + 10.
    dealer_sends=1_493_024 + 64 * 109_312,
)


@pytest.mark.parametrize(
    ("config", "figures", "total_each_way"),
    [
        (SchemeConfig(name="lean", precision_bits=12), DEFAULT, 5_970_113),
        (
            SchemeConfig(name="lean", precision_bits=12, options={"ring_bits": 32, "dropped_bits": 4, "block_bits": 4}),
            DEFAULT,
            5_970_113,
        ),
        (
            SchemeConfig(name="lean", precision_bits=10, options={"ring_bits": 26, "dropped_bits": 2}),
            NARROW,
            4_994_077,
        ),
    ],
    ids=["defaults", "defaults in words", "narrow"],
)
def test_cost_of_the_reference_network(config: SchemeConfig, figures: Figures, total_each_way: int) -> None:
    """Protects: bytes each way, rounds and the dealer's bytes of 64 queries each way, to the byte."""
    network = build_model(ModelConfig(name="small_convnet"), (3, 32, 32), 10, seed=0)
    cost = LeanScheme.cost_of(translate(network, (3, 32, 32)).architecture, 64, config, dealt=True)
    to_model_owner, to_data_owner, dealt, rounds = figures
    assert cost.data_owner == Cost(rounds=rounds, bytes_sent=to_model_owner, bytes_received=to_data_owner)
    assert cost.model_owner == Cost(
        rounds=rounds, bytes_sent=to_data_owner, bytes_received=to_model_owner, dealer_bytes=dealt
    )
    assert LeanScheme.combine(cost.data_owner, cost.model_owner) == Cost(
        rounds=rounds, bytes_sent=total_each_way, bytes_received=total_each_way, dealer_bytes=dealt
    )
