"""Messages of the joint head's ring-LWE, recomputed number for number from streams and polynomials by hand."""

from __future__ import annotations

import numpy as np
import torch
from heads import stream

from smule_crypten.joint_head.lattice_layout import Layout
from smule_crypten.joint_head.lattice_polynomials import PublicSide, Sizes, largest_norm
from smule_crypten.lattice.parameters import Lattice
from smule_crypten.lattice.ring import errors, ternary, uniform
from smule_crypten.mpc.packing import unpack
from smule_crypten.mpc.streams import Stream

SMALL = Lattice(64, 64, 0.0, "far too small to hide anything: tests only")
SIZES = Sizes(SMALL, scale_bits=8, masked_bits=46, input_bits=60)
LAYOUT = Layout(64, 3, 11, 3, 2, 2)


def negacyclic(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Modulo X^N + 1 and 2^64, by NumPy's convolution of integers."""
    full = np.convolve(one.numpy(), other.numpy())
    degree = len(one)
    return torch.from_numpy(full[:degree] - np.append(full[degree:], 0))


def kept(values: torch.Tensor, bits: int) -> list[int]:
    """The highest bits, rounded to the nearest, of residues modulo 2^64: in Python's integers."""
    dropped = 64 - bits
    return [(((int(v) % 2**64) + (1 << dropped >> 1)) >> dropped) % 2**bits for v in values.flatten()]


def public() -> tuple[PublicSide, torch.Tensor, torch.Tensor]:
    """Both parties' polynomials, and P and a_c as they are to be drawn."""
    drawn = stream(1, "public")
    common = uniform(drawn, 1, 64, 64)[0]
    return PublicSide(SIZES, [LAYOUT.channels], stream(1, "public")), common, uniform(drawn, LAYOUT.channels, 64, 64)


def kernels(matrix: torch.Tensor) -> torch.Tensor:
    """K_gc (G, H, N), as the layout's docstring says them."""
    found = torch.zeros(LAYOUT.groups, LAYOUT.channels, 64, dtype=torch.int64)
    for r in range(LAYOUT.rows):
        for d in range(LAYOUT.features):
            place = (r % 2) * LAYOUT.segment + LAYOUT.segment - 1 - d % LAYOUT.segment
            found[r // 2, d // LAYOUT.segment, place] = matrix[r, d]
    return found


def ints(local: Stream, *shape: int) -> torch.Tensor:
    return local.bits(shape, 12) - (1 << 11)


def test_layout_of_these_tests_has_all_there_is() -> None:
    """Several groups, channels and blocks, each with one that is not full."""
    assert (LAYOUT.groups, LAYOUT.channels, LAYOUT.blocks, LAYOUT.segment) == (2, 1, 2, 11)
    assert Layout(64, 3, 40, 3, 2, 2).channels == 3


def test_masked_matrix_is_a_sample_of_ring_lwe() -> None:
    """c1 = sum_c K_gc a_c + P u_g + e1, errors and secrets included."""
    side, common, a = public()
    matrix, local = ints(stream(2, "K"), 3, 11), stream(3, "owner")
    message, _ = side.mask(0, LAYOUT, matrix, stream(3, "owner"))
    u, e1 = ternary(local, 2, 64), errors(local, (2, 64))
    assert float(e1.double().std()) > 2.5
    expected = []
    for group, row in enumerate(kernels(matrix)):
        total = negacyclic(common, u[group]) + e1[group]
        for channel in range(LAYOUT.channels):
            total = total + negacyclic(row[channel], a[channel])
        expected += kept(total, 46)
    assert unpack(message, 128, 46).tolist() == expected


def test_message_is_a_sample_of_ring_lwe() -> None:
    """p = P s + e' and b_c = a_c s + e + Delta x_c, with an error in every coefficient, also where no number lies."""
    side, common, a = public()
    x, local = ints(stream(4, "x"), 11, 3), stream(5, "giver")
    message, _ = side.give(0, LAYOUT, x, stream(5, "giver"))
    s, e_p = ternary(local, 2, 64), errors(local, (2, 64))
    e = errors(local, (2, LAYOUT.channels, 64))
    p, b = [], []
    for block in range(2):
        p += kept(negacyclic(common, s[block]) + e_p[block], 46)
        for channel in range(LAYOUT.channels):
            plain = torch.zeros(64, dtype=torch.int64)
            for j in range(2):
                for i in range(LAYOUT.segment):
                    column, d = block * 2 + j, channel * LAYOUT.segment + i
                    if column < 3 and d < 11:
                        plain[j * 2 * LAYOUT.segment + i] = x[d, column] << 8
            b += kept(negacyclic(a[channel], s[block]) + e[block, channel] + plain, 60)
    p_bytes = message.nbytes - SIZES.message_bytes(LAYOUT) + 2 * 64 * 46 // 8
    assert unpack(message[:p_bytes], 128, 46).tolist() == p
    assert unpack(message[p_bytes:], len(b), 60).view(-1).tolist() == b


def test_shares_of_a_matrix_in_several_channels_add_up() -> None:
    """With a share of x at the owner and without one; off by less than eight of the stated deviations."""
    layout = Layout(64, 3, 40, 3, 2, 2)
    side = PublicSide(SIZES, [layout.channels], stream(1, "public"))
    matrix, x = ints(stream(6, "K"), 3, 40), ints(stream(7, "x"), 40, 3) << 20
    masked, owned = side.mask(0, layout, matrix, stream(8, "owner"))
    for own in (None, stream(9, "share").ring_elements((40, 3))):
        message, s = side.give(0, layout, x if own is None else x - own, stream(10, "giver"))
        total = side.owner_share(owned, message, own) + side.giver_share(layout, side.read_mask(layout, masked), s)
        off = (total - ((matrix @ x) << SIZES.scale_bits)).double() / 2.0**SIZES.scale_bits
        assert 0 < float(off.abs().max()) < 8 * SIZES.deviation(largest_norm(layout, matrix))
