"""Known answers of tests/vectors/lattice_layers.json: every byte of two tiny layers, and every share."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
import vector_files
from lattice_harness import program_of
from torch import nn

from smule_crypten.lattice.handover import DataOwnerBatch, ModelOwnerBatch
from smule_crypten.lattice.packing_plan import plan_lattice
from smule_crypten.lattice.parameters import Lattice
from smule_crypten.lattice.plan import HandOver, Plan
from smule_crypten.lattice.public import PublicPolynomials
from smule_crypten.lattice.ring import Spectrum
from smule_crypten.lattice.weights import MaskedWeights, received_weights
from smule_crypten.mpc.packing import unpack
from smule_crypten.mpc.streams import Stream


@dataclasses.dataclass
class Played:
    """Both sides of the vectors' network, and what crossed."""

    plan: Plan
    weight_messages: list[torch.Tensor]
    prepared: list[torch.Tensor]
    online: list[torch.Tensor]
    shares_M: list[torch.Tensor]
    shares_D: list[torch.Tensor]


@pytest.fixture(scope="module")
def known() -> Any:
    return vector_files.load("lattice_layers")


def planned(known: Any) -> Plan:
    """Two slots for the first layer, where the planner would take three: so there are two secrets as well."""
    model = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(48, 3))
    lattice = Lattice(known["degree"], known["modulus_bits"], 0.0, "far too small to hide anything: tests only")
    plan = plan_lattice(program_of(model, (2, 4, 4)), known["images"], 3, insecure_lattice=lattice)
    first, second = plan.hand_overs
    return dataclasses.replace(plan, hand_overs=(dataclasses.replace(first, slots=2), second))


def shaped(values: list[int], hand_over: HandOver, images: int) -> torch.Tensor:
    return torch.tensor(values).view(images, *hand_over.shape)


@pytest.fixture(scope="module")
def played(known: Any) -> Played:
    plan, images = planned(known), known["images"]
    keys = {name: bytes.fromhex(key) for name, key in known["keys"].items()}
    public = PublicPolynomials(plan, keys["public"])
    weights = {}
    for hand_over, layer in zip(plan.hand_overs, known["layers"].values(), strict=True):
        (product,) = hand_over.products
        weights[product.name] = torch.tensor(layer["weight"]).view(product.step.weighted.weight_shape)
    masked = MaskedWeights(plan, public, weights, Stream(keys["model owner"]))
    messages = masked.messages()
    received: dict[str, Spectrum] = received_weights(plan, messages)
    data_owner = DataOwnerBatch(plan, public, received, images, Stream(keys["data owner"]))
    found = Played(plan, messages, data_owner.prepared_messages(), [], [], [])
    model_owner = ModelOwnerBatch(plan, masked, images, found.prepared)
    for number, (hand_over, layer) in enumerate(zip(plan.hand_overs, known["layers"].values(), strict=True)):
        (product,) = hand_over.products
        own = layer["model_owner_input"]
        found.online.append(data_owner.hand_over(number, shaped(layer["data_owner_input"], hand_over, images)))
        x_M = shaped(own, hand_over, images) if own else None
        found.shares_M.append(model_owner.multiply(number, found.online[-1], x_M)[product.name])
        found.shares_D.append(data_owner.shares[product.name])
    return found


def in_bytes(message: torch.Tensor) -> bytes:
    return message.numpy().tobytes()


def test_the_plan_is_that_of_the_vectors(known: Any, played: Played) -> None:
    """Widths, slots and packing, as the vectors were made for."""
    plan, images = played.plan, known["images"]
    assert plan.p_bits == known["p_bits"]
    assert plan.secrets(images) == 2
    for hand_over, layer in zip(plan.hand_overs, known["layers"].values(), strict=True):
        (product,) = hand_over.products
        assert layer["layer"] == {
            "channels": hand_over.channels,
            "outputs": product.outputs,
            "size": [hand_over.spread.rows.size, hand_over.spread.columns.size],
            "kernel": list(product.kernel_size),
            "padding": hand_over.spread.columns.padding,
            "windows": list(hand_over.grid.block),
            "slots": hand_over.slots,
            "ring": hand_over.ring,
            "fraction": hand_over.fraction,
            "value_bits": hand_over.value_bits,
            "c1_bits": product.c1_bits,
        }


def test_masked_weights(known: Any, played: Played) -> None:
    for message, hand_over, layer in zip(
        played.weight_messages, played.plan.hand_overs, known["layers"].values(), strict=True
    ):
        (product,) = hand_over.products
        values = unpack(message, played.plan.c1_values(hand_over, product), product.c1_bits)
        assert values[:4].tolist() == layer["first_masked_weights"]
        assert vector_files.digest(in_bytes(message)) == layer["masked_weights_sha256"]


def test_what_the_data_owner_sends(known: Any, played: Played) -> None:
    """p, the masks without a pixel, and b of both layers."""
    assert in_bytes(played.prepared[0]).hex() == known["p"]
    for prepared, online, layer in zip(played.prepared[1:], played.online, known["layers"].values(), strict=True):
        assert in_bytes(prepared).hex() == layer["prepared"]
        assert in_bytes(online).hex() == layer["online"]


def test_shares_of_the_products(known: Any, played: Played) -> None:
    for mine, theirs, layer in zip(played.shares_M, played.shares_D, known["layers"].values(), strict=True):
        assert mine.flatten().tolist() == layer["model_owner_shares"]
        assert theirs.flatten().tolist() == layer["data_owner_shares"]
