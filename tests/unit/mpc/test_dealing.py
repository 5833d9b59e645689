from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from smule_crypten.models.architecture import (
    Add,
    Architecture,
    AvgPool2d,
    Conv2d,
    Flatten,
    Linear,
    MaxPool2d,
    ReLU,
)
from smule_crypten.mpc.dealing import (
    AdditiveTriple,
    BinaryTriple,
    Request,
    SharedBit,
    Shares,
    SquarePair,
    correction_bytes,
    dealer_correction,
    party_shares,
    plan,
)
from smule_crypten.mpc.keys import insecure_key
from smule_crypten.mpc.streams import Stream

_sizes = st.lists(st.integers(0, 4), max_size=4).map(tuple)
_pair = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def _convolutions(draw: st.DrawFn) -> AdditiveTriple:
    groups, batch = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    in_channels, out_channels = (draw(st.integers(1, 2)) for _ in range(2))
    kernel = draw(_pair)
    return AdditiveTriple(
        size_a=(batch, groups * in_channels, *(draw(st.integers(6, 9)) for _ in range(2))),
        size_b=(groups * out_channels, in_channels, *kernel),
        operation="conv2d",
        stride=draw(_pair),
        padding=draw(st.tuples(st.integers(0, 2), st.integers(0, 2))),
        dilation=draw(_pair),
        groups=groups,
    )


@st.composite
def _matrix_products(draw: st.DrawFn) -> AdditiveTriple:
    batch = draw(_sizes.filter(lambda size: len(size) <= 2))
    rows, inner, columns = (draw(st.integers(0, 5)) for _ in range(3))
    return AdditiveTriple(size_a=(*batch, rows, inner), size_b=(inner, columns), operation="matmul")


_requests = st.one_of(
    _sizes.map(lambda size: AdditiveTriple(size_a=size, size_b=size, operation="mul")),
    _matrix_products(),
    _convolutions(),
    _sizes.map(lambda size: BinaryTriple(size=size)),
    _sizes.map(lambda size: SquarePair(size=size)),
    _sizes.map(lambda size: SharedBit(size=size)),
)


def stream(name: object) -> Stream:
    return Stream(insecure_key(0, f"test {name}"))


def deal(requests: list[Request], corrected: object = "corrected", other: object = "other") -> list[tuple[Shares, ...]]:
    """(shares of the corrected party, shares of the other one) of each request, all from one stream a party."""
    at_dealer, at_parties = ((stream(corrected), stream(other)) for _ in range(2))
    dealt = []
    for request in requests:
        correction = dealer_correction(request, *at_dealer)
        dealt.append((party_shares(request, at_parties[0], correction), party_shares(request, at_parties[1], None)))
    return dealt


def assert_related(request: Request, first: Shares, second: Shares) -> None:
    """The relation of the module's table, computed here with plain torch."""
    added = [one + other for one, other in zip(first, second, strict=True)]
    xored = [one ^ other for one, other in zip(first, second, strict=True)]
    match request:
        case AdditiveTriple(operation="mul"):
            a, b, c = added
            assert torch.equal(c, a * b)
        case AdditiveTriple(operation="matmul"):
            a, b, c = added
            assert torch.equal(c, a @ b)
        case AdditiveTriple():
            a, b, c = added
            expected = torch.conv2d(a, b, None, request.stride, request.padding, request.dilation, request.groups)
            assert torch.equal(c, expected)
        case BinaryTriple():
            a, b, c = xored
            assert torch.equal(c, a & b)
        case SquarePair():
            a, c = added
            assert torch.equal(c, a * a)
        case SharedBit():
            assert torch.equal(xored[0], added[1])
            assert ((xored[0] == 0) | (xored[0] == 1)).all()


@settings(max_examples=80, deadline=None, derandomize=True)
@given(requests=st.lists(_requests, min_size=1, max_size=4))
def test_shares_satisfy_their_relation(requests: list[Request]) -> None:
    """Protects: every kind and shape of request, also in a row, where both ends must consume their streams alike."""
    for request, (first, second) in zip(requests, deal(requests), strict=True):
        assert_related(request, first, second)
        assert correction_bytes(request) == first[-1].nbytes == second[-1].nbytes


KINDS: list[Request] = [
    AdditiveTriple(size_a=(200, 300), size_b=(200, 300), operation="mul"),
    AdditiveTriple(size_a=(200, 50), size_b=(50, 300), operation="matmul"),
    AdditiveTriple(size_a=(20, 2, 30, 30), size_b=(4, 1, 3, 3), operation="conv2d", groups=2),
    BinaryTriple(size=(200, 300)),
    SquarePair(size=(200, 300)),
    SharedBit(size=(200, 300)),
]


def assert_uniform(values: np.ndarray, num_values: int) -> None:
    """Chi-square of how often each of num_values values occurs; what is tested here is deterministic."""
    assert 1e-4 < chisquare(np.bincount(values, minlength=num_values)).pvalue < 1 - 1e-4


@pytest.mark.parametrize("request_", KINDS, ids=repr)
@pytest.mark.parametrize("party", [0, 1])
def test_shares_of_one_party_look_uniform(request_: Request, party: int) -> None:
    """Protects: what a party holds says nothing; in particular a product is not visible through its own factors."""
    ((*shares, result),) = [pair[party] for pair in deal([request_])]
    for share in (*shares, result):
        if isinstance(request_, SharedBit) and share is shares[0]:
            assert_uniform(share.numpy().ravel(), 2)
        elif share.numel() > 10_000:
            assert_uniform(share.contiguous().numpy().view(np.uint8).ravel(), 256)


@pytest.mark.parametrize("request_", KINDS, ids=repr)
def test_other_party_is_independent_of_the_corrected_one(request_: Request) -> None:
    """Protects: the party that is sent nothing holds the same, whatever the model owner's stream is."""
    ((_, first),), ((_, again),) = (deal([request_], corrected=key) for key in ("one", "two"))
    assert all(map(torch.equal, first, again))


SMALL: list[Request] = [
    AdditiveTriple(size_a=(2,), size_b=(2,), operation="mul"),
    AdditiveTriple(size_a=(1, 2), size_b=(2, 2), operation="matmul"),
    AdditiveTriple(size_a=(1, 1, 3, 3), size_b=(1, 1, 3, 2), operation="conv2d"),
    BinaryTriple(size=(2,)),
    SquarePair(size=(2,)),
    SharedBit(size=(2,)),
]


@pytest.mark.parametrize("request_", SMALL, ids=repr)
def test_correction_is_masked_by_the_other_stream(request_: Request) -> None:
    """Protects: for fixed shares of its own, the corrected party is sent uniform elements, in every byte."""
    corrections = torch.stack(
        [dealer_correction(request_, stream("fixed"), stream(f"other {index}")).flatten() for index in range(1500)]
    )
    for column in corrections.t().contiguous().numpy():
        for column_bytes in column.view(np.uint8).reshape(-1, 8).T:
            assert_uniform(column_bytes, 256)


def test_additive_triples_need_known_operations() -> None:
    """Protects: an operation is one of three literals; no string becomes the name of a function."""
    for operation in ("__class__", "add", "conv1d"):
        with pytest.raises(ValueError, match="operation"):
            AdditiveTriple(size_a=(1,), size_b=(1,), operation=operation)  # type: ignore[arg-type]


def relu(*size: int) -> list[Request]:
    """A ReLU of n elements costs 1 + 6 * 2 binary triples, one bit and one product: 15 n corrections."""
    carry = [BinaryTriple(size=(1, *size))] + [BinaryTriple(size=(2, 1, *size))] * 6
    return [*carry, SharedBit(size=size), AdditiveTriple(size_a=size, size_b=size, operation="mul")]


def test_plan_by_hand() -> None:
    """Protects: order, sizes and options of what is dealt; operations without a product ask for nothing."""
    ones = {"stride": (1, 1), "dilation": (1, 1)}
    architecture = Architecture(
        input_shape=(2, 5, 4),
        ops=(
            Conv2d(
                name="conv",
                inputs=(-1,),
                weight_shape=(4, 1, 3, 2),
                stride=(2, 1),
                padding=(1, 0),
                dilation=(1, 2),
                groups=2,
                bias=True,
            ),
            ReLU(name="relu", inputs=(0,)),
            Add(name="add", inputs=(0, 1)),
            MaxPool2d(name="max", inputs=(2,), kernel=(3, 1), **ones, padding=(0, 0), ceil_mode=False),
            AvgPool2d(name="avg", inputs=(3,), kernel=(1, 2), stride=(1, 2), padding=(0, 0), count_include_pad=True),
            Flatten(name="flat", inputs=(4,)),
            Linear(name="fc", inputs=(5,), weight_shape=(3, 4), bias=False),
        ),
    )
    assert list(plan(architecture, 7)) == [
        AdditiveTriple(
            size_a=(7, 2, 5, 4),
            size_b=(4, 1, 3, 2),
            operation="conv2d",
            stride=(2, 1),
            padding=(1, 0),
            dilation=(1, 2),
            groups=2,
        ),
        *relu(7, 4, 3, 2),
        *relu(1, 7, 4, 1, 2),
        *relu(1, 7, 4, 1, 2),
        AdditiveTriple(size_a=(7, 4), size_b=(4, 3), operation="matmul"),
    ]


def test_correction_bytes_by_hand() -> None:
    """Protects: 8 bytes an element of the result, which is what the dealer sends and what a run is told it costs."""
    sizes = [correction_bytes(request) // 8 for request in KINDS]
    assert sizes == [60_000, 60_000, 20 * 4 * 28 * 28, 60_000, 60_000, 60_000]
    assert sum(map(correction_bytes, relu(10))) == 15 * 10 * 8
