"""The roles of `lean` and `two_party` where PyTorch multiplies no integers: by limbs and its own packing, to the bit.

Where there is no GPU the other way is taken on the CPU. On a GPU the same comparisons are marked `gpu`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import lean_harness
import pytest
import torch
import two_party_harness
from lean_networks import NETWORKS, SHAPE

from smule_crypten.fixed_point import products
from smule_crypten.models import architecture as arch
from smule_crypten.mpc import packing

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
Direction = Callable[..., Any]
HARNESSES = {
    "lean": (lean_harness.direction, lean_harness.lean_config),
    "two_party": (two_party_harness.direction, two_party_harness.two_party_config),
}


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU is taken for a device that can do neither."""
    monkeypatch.setattr(packing, "by_numpy", lambda values: False)
    monkeypatch.setattr(products, "multiplies_integers", lambda device: False)


def spoken(scheme: str, name: str, device: torch.device, **options: int) -> tuple[torch.Tensor, str]:
    """The logits of a whole direction, and a digest of everything that was said."""
    make, config_of = HARNESSES[scheme]
    torch.manual_seed(3)
    inputs_NX = torch.randn(5, *SHAPE, generator=torch.Generator().manual_seed(4))
    run = make(NETWORKS[name]().eval(), inputs_NX, config_of(micro_batch=3, **options), device=device)
    logits_NC, said = run.run()
    digest = hashlib.sha256(b"".join(message.post.data.numpy().tobytes() for message in said))
    return logits_NC, digest.hexdigest()


CASES = [
    ("lean", {"ring_bits": 30}),
    ("lean", {"ring_bits": 48}),
    ("two_party", {"ring_bits": 30}),
]
"""Openings of lean are computed in 32 bits, and in 64."""


@pytest.mark.parametrize(("scheme", "options"), CASES)
@pytest.mark.parametrize("name", sorted(NETWORKS)[:2])
def test_by_limbs_and_own_packing(
    scheme: str, options: dict[str, int], name: str, request: pytest.FixtureRequest
) -> None:
    """Every message and every logit of a direction, whichever way its local steps are computed."""
    plain = spoken(scheme, name, CPU, **options)
    request.getfixturevalue("elsewhere")
    other = spoken(scheme, name, CPU, **options)
    assert torch.equal(plain[0], other[0])
    assert plain[1] == other[1]


@pytest.mark.gpu
@pytest.mark.parametrize(("scheme", "options"), CASES)
@pytest.mark.parametrize("name", sorted(NETWORKS)[:2])
def test_on_cuda(scheme: str, options: dict[str, int], name: str) -> None:
    """The same on a GPU beside the CPU."""
    plain, other = spoken(scheme, name, CPU, **options), spoken(scheme, name, CUDA, **options)
    assert torch.equal(plain[0], other[0])
    assert plain[1] == other[1]


@pytest.mark.gpu
@pytest.mark.parametrize("ring", [32, 64])
def test_products_on_cuda(ring: int) -> None:
    """A convolution of all bits of the ring, modulo it."""
    op = arch.Conv2d(
        name="conv", inputs=(-1,), weight_shape=(8, 4, 3, 3), stride=(1, 1), padding=(1, 1), dilation=(1, 1), groups=1,
        bias=False,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(5)
    x, weight = (
        torch.randint(-(2**62), 2**62, shape, generator=generator) for shape in ((4, 4, 16, 16), op.weight_shape)
    )
    expected = products.multiply(op, x, weight, ring=ring)
    found = products.multiply(op, x.to(CUDA), weight.to(CUDA), ring=ring).cpu()
    assert torch.equal(packing.signed(found, ring), packing.signed(expected, ring))


@pytest.mark.gpu
@pytest.mark.parametrize("width", [1, 7, 14, 18, 32, 51, 64])
def test_packing_on_cuda(width: int) -> None:
    """The bytes of a message, and the values back."""
    values = torch.randint(-(2**62), 2**62, (1001,), generator=torch.Generator().manual_seed(width))
    data = packing.pack(values, width)
    assert torch.equal(packing.pack(values.to(CUDA), width).cpu(), data)
    assert torch.equal(packing.unpack(data.to(CUDA), 1001, width).cpu(), packing.unpack(data, 1001, width))
