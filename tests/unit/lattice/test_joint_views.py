"""What D knows of a hidden value's rounding, and the value, together.

One hidden input is handed over again and again under fresh masks, multiplied with secret weights and rounded. What D
knows of the errors (e, its rounding of b, what it drops of its share, its share's lowest bits) must not go with the
result: it would go in proportion to the weights. Nor must s, e' and its rounding of p, which meet M's secrets u and e1.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from unittest import mock

import numpy as np
import pytest
import torch
from lattice_harness import SMALL, Sides, plan_of, program_of, stream, uniform_values
from scipy.stats import norm
from torch import nn

from smule_crypten.lattice import handover
from smule_crypten.lattice.parameters import Lattice
from smule_crypten.lattice.plan import HandOver
from smule_crypten.lattice.ring import errors, rounded, spectrum, ternary, uniform
from smule_crypten.lattice.ring import product as product_of
from smule_crypten.lattice.truncation import data_owner_share, largest, model_owner_share
from smule_crypten.mpc.packing import signed, unpack
from smule_crypten.mpc.streams import Stream

REPEATS = 8192
FALSE_ALARM = 1e-4
INPUTS, OUTPUTS, NUMBER = 4, 3, 1
"""The second layer of three: neither the network's input nor its output."""


@dataclass
class Asked:
    """result: float64 (outputs, REPEATS) in units; known: by name, (columns, REPEATS); exact: (outputs,)."""

    result: torch.Tensor
    known: dict[str, torch.Tensor]
    exact: torch.Tensor

    def alarms(self) -> set[str]:
        tests = OUTPUTS * sum(len(values) for values in self.known.values())
        limit = norm.isf(FALSE_ALARM / tests) / REPEATS**0.5
        return {name for name, values in self.known.items() if np.abs(_correlations(values, self.result)).max() > limit}


def _correlations(first: torch.Tensor, second: torch.Tensor) -> np.ndarray:
    """Between rows."""
    parts = [rows.double() - rows.double().mean(1, keepdim=True) for rows in (first, second)]
    one, other = (part / part.norm(dim=1, keepdim=True).clamp(min=1e-12) for part in parts)
    return (one @ other.T).numpy()


def by_sample(values_CN: torch.Tensor) -> torch.Tensor:
    """What D encodes, (REPEATS, INPUTS), of an array (channels, samples * columns)."""
    return values_CN.view(len(values_CN), REPEATS, -1).transpose(0, 1).reshape(REPEATS, INPUTS)


def beside_each_sample(hand_over: HandOver, polynomials: torch.Tensor) -> torch.Tensor:
    """What a sample's result takes of those (secrets, N) of its polynomial: (N, REPEATS), where row i meets coefficient
    i of M's u or e1, X^N being -1. With one slot these are the same for every sample."""
    grid = hand_over.grid
    samples, per = torch.arange(REPEATS), grid.pieces_per_polynomial
    back = grid.windows()[samples % per] - torch.arange(grid.degree).view(-1, 1)
    return polynomials[samples // per, back % grid.degree] * torch.where(back < 0, -1, 1)


def asked(
    seed: int,
    kept_below_a_unit: int | None = None,
    lattice: Lattice = SMALL,
    value_bits: int | None = None,
    secret_bits: int | None = None,
) -> Asked:
    """kept_below_a_unit: what D's share keeps after the product, value_bits: what D sends of b, secret_bits: what is
    sent of c1 and p; where they are not the plan's."""
    model = nn.Sequential(nn.Linear(2, INPUTS), nn.ReLU(), nn.Linear(INPUTS, OUTPUTS), nn.ReLU(), nn.Linear(OUTPUTS, 2))
    program = program_of(model, (2,))
    plan = plan_of(program, REPEATS, lattice)
    plan = dataclasses.replace(
        plan, hand_overs=tuple(changed(hand_over, value_bits, secret_bits) for hand_over in plan.hand_overs)
    )
    hand_over = plan.hand_overs[NUMBER]
    (product,) = hand_over.products
    weight = uniform_values(seed, (OUTPUTS, INPUTS), 15)
    weights = {step.name: torch.ones(step.weighted.weight_shape, dtype=torch.int64) for step in program.products}
    sides = Sides(plan, weights | {product.name: weight}, seed)
    drawn: list[torch.Tensor] = []

    def recorded(local: Stream, size: tuple[int, ...]) -> torch.Tensor:
        drawn.append(errors(local, size))
        return drawn[-1]

    secrets: list[torch.Tensor] = []

    def recorded_secrets(local: Stream, count: int, degree: int) -> torch.Tensor:
        secrets.append(ternary(local, count, degree))
        return secrets[-1]

    with mock.patch.object(handover, "errors", recorded), mock.patch.object(handover, "ternary", recorded_secrets):
        data_owner, model_owner = sides.batch(REPEATS)
    e = by_sample(drawn[1 + 2 * NUMBER])  # behind that of p, and two of each layer before
    bits, t, width = plan.lattice.modulus_bits, hand_over.fraction, program.products[NUMBER].width
    x = uniform_values(seed + 1, (1, INPUTS), 14 + t)
    x_D = uniform_values(seed + 2, (REPEATS, INPUTS), hand_over.ring + t)
    masks = data_owner._masks[NUMBER]
    assert masks is not None
    message = data_owner.hand_over(NUMBER, x_D)
    share_M = model_owner.multiply(NUMBER, message, x - x_D)[product.name]
    share_D = data_owner.shares[product.name]
    values = unpack(message, x_D.numel(), hand_over.value_bits).view(hand_over.channels, -1)
    sent = by_sample(values << (bits - hand_over.value_bits))
    rounding = signed(sent - by_sample(masks) - (x_D << (bits - hand_over.ring - t)), bits)

    t_D = t if kept_below_a_unit is None else kept_below_a_unit
    v_M = model_owner_share(share_M, bits, width, stream(seed, "rho"))
    v_D = data_owner_share(share_D, bits, width, t_D)
    dropped = signed(share_D - (v_D << (bits - width - t_D)), bits)
    low = share_D & ((1 << (bits - width)) - 1)
    exact = (x @ weight.T)[0].double() / 2.0 ** (product.step.fraction + t)
    total = signed((v_M << t_D) + v_D, width + t_D).double() / 2.0**t_D
    known = {"e": e, "rounding of b": rounding, "dropped of the share": dropped, "low bits of the share": low}
    (s,), e_p = secrets, drawn[0]
    p = product_of(spectrum(sides.public.p.unsqueeze(0), bits), spectrum(s, 2)) + e_p
    rounding_p = signed((rounded(p, bits, plan.p_bits) << (bits - plan.p_bits)) - p, bits)
    shared = {"s": s, "error of p": e_p, "rounding of p": rounding_p}
    by_name = {name: values.T for name, values in known.items()}
    by_name |= {name: beside_each_sample(hand_over, values) for name, values in shared.items()}
    return Asked(total.T, by_name, exact)


def changed(hand_over: HandOver, value_bits: int | None, secret_bits: int | None) -> HandOver:
    """One slot; c1 of so many bits and, since it takes as many, p."""
    products = tuple(dataclasses.replace(one, c1_bits=secret_bits or one.c1_bits) for one in hand_over.products)
    value_bits = value_bits or hand_over.value_bits
    return dataclasses.replace(hand_over, slots=1, products=products, value_bits=value_bits)


def test_nothing_that_the_data_owner_knows_goes_with_the_result() -> None:
    found = asked(seed=1)
    assert float(found.result.std(1).min()) > 0.2
    assert found.alarms() == set()


def test_the_result_is_unbiased() -> None:
    """Of each output: its mean over M's rounding is L_W(x) / 2^f."""
    found = asked(seed=2)
    off = (found.result.mean(1) - found.exact).abs()
    assert (off < 5 * found.result.std(1) / REPEATS**0.5).all()


def test_a_rounding_of_b_to_whole_units_is_found() -> None:
    """Control, a plan with 32 bits of b in hidden layers: D knows an error of 0.29 units in every input, and the result
    shows it."""
    assert "rounding of b" in asked(seed=3, value_bits=32).alarms()


def test_secrets_that_keep_too_few_bits_are_found() -> None:
    """Control, c1 and p of 18 bits, down to a unit of a result: what is rounded there goes with the result, in
    proportion to M's secrets, each coefficient of which shows."""
    assert asked(seed=6, secret_bits=18).alarms() >= {"s", "rounding of p"}


def test_a_share_of_whole_units_is_found() -> None:
    """Control: where D rounds its share to units, it knows half of what the result is off by."""
    assert "dropped of the share" in asked(seed=4, kept_below_a_unit=0).alarms()


def test_an_error_without_room_below_the_guard_bits_is_found() -> None:
    """Control: in a modulus of 3 bits more than the ring, e is 0.4 units of every input. That is why the ring of the
    output, wider than the others, takes a larger modulus (parameters.py)."""
    narrow = Lattice(SMALL.degree, 35, 0.0, SMALL.source)
    assert "e" in asked(seed=5, lattice=narrow).alarms()


class Every:
    """Hands out each rho once."""

    def packed(self, count: int, width: int) -> torch.Tensor:
        assert count == 1 << width
        return torch.arange(count)


@pytest.mark.parametrize("share", [0, 1, -1, 77, -(1 << 11), (1 << 11) - 1])
def test_the_mean_over_all_roundings_is_exact(share: int) -> None:
    """For each share that M may hold, modulo 2^12, 4 bits kept: the average over rho is the share in units of 2^8."""
    rho: Callable[..., torch.Tensor] = Every().packed
    local = mock.Mock(packed=rho)
    kept = model_owner_share(torch.full((1 << 8,), share), 12, 4, local)
    off = signed((kept << 8) - share, 12).double()
    assert float(off.mean()) == 0.0
    assert float(off.abs().max()) < 1 << 8


def test_both_shares_together_are_the_rounded_value() -> None:
    """Uniform shares of any value in range: within a unit of M's rounding and half of D's last bit."""
    drawn = stream(5, "values")
    z = uniform_values(6, (4096,), 43)
    z_M = uniform(drawn, 1, 4096, 44)[0]
    v_M, v_D = model_owner_share(z_M, 44, 18, drawn), data_owner_share(z - z_M, 44, 18, 6)
    total = signed((v_M << 6) + v_D, 24).double() / 2.0**6
    assert float((total - z.double() / 2.0**26).abs().max()) < 1 + 2.0**-7


def test_the_stated_range_holds_with_the_largest_error() -> None:
    """A ring of 32 bits, 14 below a unit, an error of 8 deviations of 0.9 units: at the end of the range no rounding
    wraps. Control: 2^f from the end of the ring, where the roundings alone would fit, it does."""
    bits, ring, fraction, deviation = 44, 32, 14, 0.9
    delta, width = 1 << (bits - ring), ring - fraction
    drawn = stream(8, "range")

    def wrapped(z: int) -> bool:
        exact = z * delta + int(8 * deviation * 2**fraction) * delta
        z_M = uniform(drawn, 1, 4096, bits)[0]
        v_M, v_D = model_owner_share(z_M, bits, width, drawn), data_owner_share(exact - z_M, bits, width, 6)
        total = signed((v_M << 6) + v_D, width + 6).double() / 2.0**6
        return bool((total < 0).any())

    assert not wrapped(largest(ring, fraction, deviation))
    assert largest(ring, fraction, deviation) == (1 << 31) - math.ceil((2 + 7.2) * (1 << 14))
    assert wrapped((1 << (ring - 1)) - (1 << fraction))
