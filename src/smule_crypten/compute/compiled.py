"""Networks that torch.compile has compiled as a whole. Nothing falls back: what cannot be compiled is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from smule_crypten.errors import ConfigError
from smule_crypten.training.computing import Forward

_WORDS = 20
"""Of what the compiler says, which goes on for a page."""


def compiled(network: nn.Module) -> Forward:
    """As network; compiled at the first call, and again for other shapes.

    Raises:
        ConfigError: at a call: it cannot be compiled, here or at all.
    """
    compiled_network = torch.compile(network, fullgraph=True)

    def forward(inputs_NX: torch.Tensor) -> torch.Tensor:
        with explained():
            outputs_NC: torch.Tensor = compiled_network(inputs_NX)
        return outputs_NC

    return forward


@contextmanager
def explained() -> Iterator[None]:
    """A step of a compiled network; what the compiler says of it becomes a ConfigError."""
    from torch._dynamo.exc import TorchDynamoException
    from torch._inductor.exc import InductorError

    try:
        yield
    except (TorchDynamoException, InductorError) as error:
        reason = " ".join(str(error).split()[:_WORDS]) or type(error).__name__
        raise ConfigError(
            f"compute.compile: the network cannot be compiled here ({reason} ...); set compute.compile=false"
        ) from error
