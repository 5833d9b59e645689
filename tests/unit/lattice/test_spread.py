"""Values spread over more channels: the same sums, by other images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from lattice_harness import uniform_values

from smule_crypten.lattice.grid import Axis
from smule_crypten.lattice.spread import phase_spread, vector_spreads

SMALL = st.tuples(st.integers(1, 4), st.integers(1, 4))


def axis(size: int, stride: int, padding: int, kernel: int) -> Axis:
    return Axis(size, (size + 2 * padding - kernel) // stride + 1, stride, padding, tuple(range(kernel)))


@given(SMALL, SMALL, SMALL, SMALL, st.integers(1, 3), st.integers(1, 2), st.integers(0, 1 << 30))
@settings(derandomize=True, deadline=None, max_examples=80)
def test_an_image_taken_apart(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    more: tuple[int, int],
    channels: int,
    groups: int,
    seed: int,
) -> None:
    """A convolution with a stride is one without on the images of all phases, in groups, too."""
    size = [kernel[i] + more[i] for i in (0, 1)]
    axes = axis(size[0], stride[0], padding[0], kernel[0]), axis(size[1], stride[1], padding[1], kernel[1])
    spread = phase_spread(channels * groups, axes)
    x = uniform_values(seed, (2, channels * groups, *size), 20)
    weight = uniform_values(seed + 1, (3 * groups, channels, *kernel), 20)
    if spread is None:
        assert stride == (1, 1) or any(one.step > 1 for one in axes)
        return
    expected = F.conv2d(x, weight, None, stride, padding, 1, groups)
    apart = spread.images(x)
    assert apart.shape[1:] == (spread.channels, spread.rows.size, spread.columns.size)
    assert torch.equal(F.conv2d(apart, spread.kernel(weight), groups=groups), expected)


@given(st.integers(1, 3000), st.sampled_from([128, 2048]), st.integers(1, 100), st.integers(0, 1 << 30))
@settings(derandomize=True, deadline=None, max_examples=80)
def test_a_vector_cut_into_channels(features: int, degree: int, images: int, seed: int) -> None:
    """Every way of cutting gives the same sums, and fits a polynomial."""
    x, weight = uniform_values(seed, (2, features), 20), uniform_values(seed + 1, (3, features), 20)
    for spread in vector_spreads(features, degree, images):
        assert spread.columns.size <= degree
        found = F.conv2d(spread.images(x), spread.kernel(weight))
        assert torch.equal(found.flatten(1), x @ weight.T)


def test_a_micro_batch_of_vectors_fits_into_one_polynomial() -> None:
    """One of the ways to cut does that."""
    lengths = [spread.columns.size for spread in vector_spreads(1000, 2048, 64)]
    assert 32 in lengths
    assert 25 in lengths  # 40 channels, none of them partly empty
    assert 1000 in lengths
