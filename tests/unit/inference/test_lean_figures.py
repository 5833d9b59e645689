"""What the reference network costs with the lean scheme: a gate, so that a change of these figures is a decision.

small_convnet on 3x32x32: convolutions with 432, 4,608 and 18,432 weights, each averaged over 2x2 and followed by a
ReLU, and a classifier with 10,240; 33,712 weights. An image has 3,072 + 4,096 + 2,048 + 1,024 = 10,240 inputs of
layers, 4,096 + 2,048 + 1,024 = 7,168 activations and 7,168 + 10 results of layers. 64 images in one micro-batch.

linear_stem_convnet has the same layers without the first ReLU, so that its first two convolutions are one of 8x8 pixels
and 6,144 weights: 3,072 + 2,048 + 1,024 = 6,144 inputs of layers, 3,072 activations, 3,072 + 10 results.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest

from smule_crypten.config.sections import ModelConfig, SchemeConfig
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
    # An image: 9,216 masked inputs of 32 bits and the classifier's 1,024 of 41, and 42 bits an activation: 32 opened,
    # 7 + 2 of ANDs (five blocks: two pairs, then three), 1 of the sign.
    data_owner_sends=64 * (36_864 + 5_248 + 37_632),
    # 28 bits an activation, of which 18 opened; 640 logits of 41 bits are 3,280 bytes. Once a scale and the weights,
    # 23,472 of 32 bits and the classifier's 10,240 of 41.
    model_owner_sends=64 * 25_088 + 3_280 + 1 + 93_888 + 52_480,
    # An image: 7,168 results of 32 bits. 6,144 activations of 183 bits: 32 + 14 of lift and high, thermometers of
    # 15 + 15 + 7 + 7 + 7 for the 17 compared bits, 8 products of masks, 32 + 32 + 14 of the selection. 1,024 with a
    # ring of 41 bits, of 41 + 23 + 51 + 8 + 41 + 41 + 23 = 228 bits. The logits again.
    dealer_sends=64 * (28_672 + 140_544 + 29_184) + 3_280,
)

LINEAR_STEM = Figures(
    # As above: 5,120 masked inputs of 32 bits and the classifier's, 42 bits an activation.
    data_owner_sends=64 * (20_480 + 5_248 + 16_128),
    # 24,576 weights of 32 bits and the classifier's.
    model_owner_sends=64 * 10_752 + 3_280 + 1 + 98_304 + 52_480,
    dealer_sends=64 * (12_288 + 46_848 + 29_184) + 3_280,
    rounds=11,
)

NARROW = Figures(
    # The same with rings of 27 and 36 bits, and activations of 15: 27 opened, 7 of ANDs in four blocks, 1 of the sign.
    data_owner_sends=64 * (31_104 + 4_608 + 31_360),
    model_owner_sends=64 * 20_608 + 2_880 + 1 + 79_218 + 46_080,
    # 27 + 12 + 44 + 4 + 27 + 27 + 12 = 153 bits an activation, 36 + 21 + 44 + 4 + 36 + 36 + 21 = 198 at the end.
    dealer_sends=64 * (24_192 + 117_504 + 25_344) + 2_880,
)


@pytest.mark.parametrize(
    ("name", "config", "figures"),
    [
        ("small_convnet", SchemeConfig(name="lean", precision_bits=14), DEFAULT),
        ("linear_stem_convnet", SchemeConfig(name="lean", precision_bits=14), LINEAR_STEM),
        (
            "small_convnet",
            SchemeConfig(name="lean", precision_bits=12, options={"ring_bits": 27, "input_bits": 9}),
            NARROW,
        ),
    ],
    ids=["defaults", "linear stem", "narrow"],
)
def test_cost_of_the_reference_network(name: str, config: SchemeConfig, figures: Figures) -> None:
    """Protects: bytes each way, rounds and the dealer's bytes of 64 queries each way, to the byte."""
    network = build_model(ModelConfig(name=name), (3, 32, 32), 10, seed=0)
    cost = LeanScheme.cost_of(translate(network, (3, 32, 32)).architecture, 64, config, dealt=True)
    to_model_owner, to_data_owner, dealt, rounds = figures
    assert cost.data_owner == Cost(rounds=rounds, bytes_sent=to_model_owner, bytes_received=to_data_owner)
    assert cost.model_owner == Cost(
        rounds=rounds, bytes_sent=to_data_owner, bytes_received=to_model_owner, dealer_bytes=dealt
    )
    both = LeanScheme.combine(cost.data_owner, cost.model_owner)
    assert (both.rounds, both.bytes_total) == (rounds, 2 * (to_model_owner + to_data_owner))
