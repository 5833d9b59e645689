"""Functions of CrypTen on shared tensors, each beside the plain torch that it stands for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from smule_crypten.mpc.compat import crypten
from smule_crypten.mpc.session import Session


@dataclass(frozen=True)
class Case:
    """Both get party a's x, party b's y and the public z, all (3, 4); secure gets x and y shared."""

    secure: Callable[[Any, Any, torch.Tensor], Any]
    plain: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], Any]
    tolerance: float = 1e-3


def same(function: Callable[[Any, Any, Any], Any], tolerance: float = 1e-3) -> Case:
    """CrypTen's tensors take the same call as torch's."""
    return Case(function, function, tolerance)


def _images(tensor: Any) -> Any:
    """(1, 1, 4, 4) from (3, 4)."""
    top = tensor.reshape(1, 1, 3, 4)
    return crypten.cat([top, top[:, :, :1]], 2) if not isinstance(tensor, torch.Tensor) else _stacked(top)


def _stacked(top: torch.Tensor) -> torch.Tensor:
    return torch.cat([top, top[:, :, :1]], 2)


def _kernel(tensor: Any) -> Any:
    return tensor[:2].reshape(2, 1, 2, 2)


def _batch(tensor: Any) -> Any:
    return tensor.reshape(3, 2, 2)


def _one_hot(position: torch.Tensor, num_classes: int) -> torch.Tensor:
    return F.one_hot(position, num_classes).float()


CASES: dict[str, Case] = {
    "add, subtract, negate": same(lambda x, y, z: x + y - 2 * x - (-y) + z),
    "multiply": same(lambda x, y, z: x * y * z),
    "square": Case(lambda x, y, z: x.square(), lambda x, y, z: x.square()),
    "matmul": same(lambda x, y, z: x.matmul(y.t())),
    "matmul with public": same(lambda x, y, z: x.matmul(z.t())),
    "batch matmul": same(lambda x, y, z: _batch(x).matmul(_batch(y))),
    "dot": same(lambda x, y, z: x.flatten().dot(y.flatten())),
    "conv1d": Case(
        lambda x, y, z: x.reshape(1, 1, 12).conv1d(y[0].reshape(1, 1, 4), stride=2, padding=1),
        lambda x, y, z: F.conv1d(x.reshape(1, 1, 12), y[0].reshape(1, 1, 4), stride=2, padding=1),
    ),
    "conv2d": Case(
        lambda x, y, z: _images(x).conv2d(_kernel(y), stride=2, padding=1),
        lambda x, y, z: F.conv2d(_images(x), _kernel(y), stride=2, padding=1),
    ),
    "conv_transpose2d": Case(
        lambda x, y, z: _images(x).conv_transpose2d(_kernel(y).transpose(0, 1), stride=2),
        lambda x, y, z: F.conv_transpose2d(_images(x), _kernel(y).transpose(0, 1), stride=2),
    ),
    "max_pool2d": Case(lambda x, y, z: _images(x).max_pool2d(2), lambda x, y, z: F.max_pool2d(_images(x), 2)),
    "avg_pool2d": Case(lambda x, y, z: _images(x).avg_pool2d(2), lambda x, y, z: F.avg_pool2d(_images(x), 2)),
    "max": same(lambda x, y, z: x.max()),
    "max of rows": Case(lambda x, y, z: x.max(1)[0], lambda x, y, z: x.max(1)[0]),
    "min": same(lambda x, y, z: x.min()),
    "argmax": Case(lambda x, y, z: x.argmax(1), lambda x, y, z: _one_hot(x.argmax(1), 4)),
    "argmin": Case(lambda x, y, z: x.argmin(1), lambda x, y, z: _one_hot(x.argmin(1), 4)),
    "less": Case(lambda x, y, z: x < y, lambda x, y, z: (x < y).float()),
    "greater or equal": Case(lambda x, y, z: x >= z, lambda x, y, z: (x >= z).float()),
    "equal": Case(lambda x, y, z: x == x.clone(), lambda x, y, z: torch.ones(3, 4)),
    "not equal": Case(lambda x, y, z: x != y, lambda x, y, z: (x != y).float()),
    "where": Case(lambda x, y, z: x.where(z > 0, y), lambda x, y, z: torch.where(z > 0, x, y)),
    "where, secret condition": Case(
        lambda x, y, z: crypten.where(x > y, x, y), lambda x, y, z: torch.where(x > y, x, y)
    ),
    "sign and abs": same(lambda x, y, z: x.sign() + y.abs()),
    "relu": same(lambda x, y, z: x.relu()),
    "mean": same(lambda x, y, z: x.mean(0)),
    "sum": same(lambda x, y, z: x.sum(1) + y.sum()),
    "cumsum": same(lambda x, y, z: x.cumsum(1)),
    "prod": same(lambda x, y, z: x.prod(1)),
    "var": same(lambda x, y, z: x.var(1), 2e-3),
    "division": Case(lambda x, y, z: x.div(y.abs() + 1), lambda x, y, z: x / (y.abs() + 1), 5e-3),
    "division by public": same(lambda x, y, z: x.div(z.abs() + 1)),
    "reciprocal": Case(lambda x, y, z: (x.abs() + 1).reciprocal(), lambda x, y, z: (x.abs() + 1).reciprocal(), 5e-3),
    "sqrt": Case(lambda x, y, z: (x.abs() + 1).sqrt(), lambda x, y, z: (x.abs() + 1).sqrt(), 2e-2),
    "exp": Case(lambda x, y, z: x.exp(), lambda x, y, z: x.exp(), 0.1),
    "log": Case(lambda x, y, z: (x.abs() + 1).log(), lambda x, y, z: (x.abs() + 1).log(), 3e-2),
    "sigmoid": Case(lambda x, y, z: x.sigmoid(), lambda x, y, z: x.sigmoid(), 1e-2),
    "tanh": Case(lambda x, y, z: x.tanh(), lambda x, y, z: x.tanh(), 2e-2),
    "softmax": Case(lambda x, y, z: x.softmax(1), lambda x, y, z: x.softmax(1), 1e-2),
    "log_softmax": Case(lambda x, y, z: x.log_softmax(1), lambda x, y, z: x.log_softmax(1), 5e-2),
    "norm": Case(lambda x, y, z: x.norm(), lambda x, y, z: x.norm(), 5e-2),
    "power": same(lambda x, y, z: x.pow(3), 2e-3),
    "cos and sin": Case(lambda x, y, z: x.cos() + y.sin(), lambda x, y, z: x.cos() + y.sin(), 5e-2),
    "cat": Case(lambda x, y, z: crypten.cat([x, y], 1), lambda x, y, z: torch.cat([x, y], 1)),
    "stack": Case(lambda x, y, z: crypten.stack([x, y]), lambda x, y, z: torch.stack([x, y])),
    "views": same(lambda x, y, z: x.t()[1:3].unsqueeze(0).expand(2, 2, 3) + y.reshape(2, 2, 3)),
    "pad": Case(lambda x, y, z: x.pad((1, 2)), lambda x, y, z: F.pad(x, (1, 2))),
    "gather": same(lambda x, y, z: x.gather(1, torch.tensor([[0, 2], [1, 1], [3, 0]]))),
    "polynomial": Case(lambda x, y, z: x.polynomial([1.0, -2.0]), lambda x, y, z: x - 2 * x.square(), 2e-3),
    "batchnorm": Case(
        lambda x, y, z: x.batchnorm(
            torch.ones(4), torch.zeros(4), running_mean=torch.full((4,), 0.5), running_var=torch.full((4,), 2.0)
        ),
        lambda x, y, z: F.batch_norm(x, torch.full((4,), 0.5), torch.full((4,), 2.0), torch.ones(4), torch.zeros(4)),
        1e-2,
    ),
    "dropout of nothing": Case(lambda x, y, z: x.dropout(0.0), lambda x, y, z: x, 1e-3),
}


def operands() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """x, y and z, moderate and never close to each other."""
    generator = torch.Generator().manual_seed(0)
    x, y, z = (4 * torch.rand(3, 4, generator=generator) - 2 for _ in range(3))
    return x, y, z


def evaluate_all(session: Session) -> dict[str, torch.Tensor | str]:
    """The opened result of every case, or how it failed."""
    session.begin_exchange(1, (0, 0))
    x, y, z = operands()
    results: dict[str, torch.Tensor | str] = {}
    for name, case in CASES.items():
        shared = crypten.cryptensor(x, src=0), crypten.cryptensor(y, src=1)
        try:
            results[name] = case.secure(*shared, z).get_plain_text()
        except Exception as error:  # whatever it is, the other cases still run
            results[name] = f"{type(error).__name__}: {error}"
    return results


def draw_random_numbers(session: Session, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Secret random numbers, uniform and Bernoulli, opened."""
    session.begin_exchange(1, (0, 0))
    uniform = crypten.rand(size).get_plain_text()
    return uniform, crypten.bernoulli(torch.full((size,), 0.25)).get_plain_text()


def open_to_one(session: Session, secret: torch.Tensor) -> torch.Tensor | None:
    """CrypTen's own way of opening to party b, and of sharing what party a alone knows the shape of."""
    session.begin_exchange(1, (0, 0))
    known = secret if session.rank == 0 else torch.empty(0)
    shared = crypten.cryptensor(known, src=0, broadcast_size=True)
    opened: torch.Tensor | None = shared.get_plain_text(dst=1)
    return opened
