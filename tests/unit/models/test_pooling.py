from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from smule_crypten.models import architecture as arch
from smule_crypten.models.pooling import WEIGHT_BITS, AveragePool, SumPool, max_pool_spread, max_pool_windows

Pair = tuple[int, int]


def plain(op: AveragePool, x: torch.Tensor) -> torch.Tensor:
    """PyTorch's average."""
    if isinstance(op, arch.AdaptiveAvgPool2d):
        return F.adaptive_avg_pool2d(x, op.output_size)
    return F.avg_pool2d(x, op.kernel, op.stride, op.padding, count_include_pad=op.count_include_pad)


def check(op: AveragePool, x: torch.Tensor) -> SumPool:
    """Sums, and the public weights that make averages of them, against PyTorch on small integers."""
    pool = SumPool(op, (x.size(2), x.size(3)))
    sums = pool.sums(x)
    expected = plain(op, x.double())
    assert sums.dtype == torch.int64
    assert sums.shape == expected.shape
    counted = plain(op, torch.ones_like(x).double())
    assert pool.is_uniform or isinstance(op, arch.AdaptiveAvgPool2d) or bool((counted > 0).all())
    if pool.is_uniform:
        torch.testing.assert_close(sums.double() / pool.window, expected, rtol=1e-12, atol=1e-12)
    weights = pool.weights(x.device)
    averages = (sums * weights).double() / (pool.window << WEIGHT_BITS)
    # A weight is at least 2^WEIGHT_BITS and is rounded to the next integer.
    half_a_step = 2.0 ** -(WEIGHT_BITS + 1)
    assert bool((weights >= 1 << WEIGHT_BITS).all())
    assert bool(((averages - expected).abs() <= half_a_step * expected.abs() + 1e-12).all())
    return pool


def images(*size: int) -> torch.Tensor:
    return torch.randint(-1000, 1000, (2, 3, *size), generator=torch.Generator().manual_seed(7))


def small_pair(low: int, high: int) -> st.SearchStrategy[Pair]:
    return st.tuples(st.integers(low, high), st.integers(low, high))


@given(small_pair(1, 4), small_pair(1, 3), small_pair(0, 2), small_pair(4, 9), st.booleans())
@settings(derandomize=True, deadline=None, max_examples=80)
def test_average_pool(kernel: Pair, stride: Pair, padding: Pair, size: Pair, counted: bool) -> None:
    """Any window, stride and padding, with a border that counts and one that does not, is PyTorch's average."""
    padding = (min(padding[0], kernel[0] // 2), min(padding[1], kernel[1] // 2))
    op = arch.AvgPool2d(
        name="pool", inputs=(0,), kernel=kernel, stride=stride, padding=padding, count_include_pad=counted
    )
    pool = check(op, images(*size))
    assert pool.is_uniform or not counted
    assert pool.window <= kernel[0] * kernel[1]


@given(small_pair(1, 9), small_pair(1, 9))
@settings(derandomize=True, deadline=None, max_examples=60)
def test_adaptive_pool(size: Pair, outputs: Pair) -> None:
    """Windows that tile, that overlap by unequal amounts, and that enlarge the image."""
    check(arch.AdaptiveAvgPool2d(name="pool", inputs=(0,), output_size=outputs), images(*size))


@pytest.mark.parametrize(
    ("size", "outputs", "window"), [((7, 7), (3, 3), 9), ((2, 2), (5, 5), 4), ((5, 4), (1, 1), 20)]
)
def test_adaptive_windows(size: Pair, outputs: Pair, window: int) -> None:
    """The window by which widths grow is the largest there is."""
    assert check(arch.AdaptiveAvgPool2d(name="pool", inputs=(0,), output_size=outputs), images(*size)).window == window


def test_unequal_windows_are_told_apart() -> None:
    """A border that is not counted makes windows unequal; where none reaches the border they are equal."""
    padded = arch.AvgPool2d(
        name="pool", inputs=(0,), kernel=(3, 3), stride=(1, 1), padding=(1, 1), count_include_pad=False
    )
    assert not check(padded, images(5, 5)).is_uniform
    assert check(padded.model_copy(update={"padding": (0, 0)}), images(5, 5)).is_uniform


def test_sums_wrap() -> None:
    """Sums of ring elements stay in the ring of 2^64: shares are summed before they mean anything."""
    op = arch.AvgPool2d(name="pool", inputs=(0,), kernel=(2, 2), stride=(2, 2), padding=(0, 0), count_include_pad=True)
    assert SumPool(op, (2, 2)).sums(torch.full((1, 1, 2, 2), 1 << 62)).item() == 0


@given(small_pair(1, 4), small_pair(1, 3), small_pair(0, 2), small_pair(4, 9))
@settings(derandomize=True, deadline=None, max_examples=40)
def test_gradients_of_windows(kernel: Pair, stride: Pair, padding: Pair, size: Pair) -> None:
    """Spreading is the adjoint of summing and of taking windows: both sides of <Ax, g> = <x, A'g>, exact."""
    padding = (min(padding[0], kernel[0] // 2), min(padding[1], kernel[1] // 2))
    x = images(*size)
    average = arch.AvgPool2d(
        name="pool", inputs=(0,), kernel=kernel, stride=stride, padding=padding, count_include_pad=True
    )
    pool = SumPool(average, size)
    sums = pool.sums(x)
    g = torch.randint(-9, 9, sums.shape, generator=torch.Generator().manual_seed(8))
    assert int((sums * g).sum()) == int((x * pool.spread(g)).sum())
    largest = arch.MaxPool2d(
        name="pool", inputs=(0,), kernel=kernel, stride=stride, padding=(0, 0), dilation=(1, 1), ceil_mode=False
    )
    windows = max_pool_windows(x, largest, tuple(F.max_pool2d(x.double(), kernel, stride).shape[2:]))
    g = torch.randint(-9, 9, windows.shape, generator=torch.Generator().manual_seed(9))
    assert int((windows * g).sum()) == int((x * max_pool_spread(g, largest, size)).sum())
