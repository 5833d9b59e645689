from __future__ import annotations

import pytest
from odd_networks import SHAPE, plain
from torch import nn

from smule_crypten.errors import UnshareableModelError
from smule_crypten.models.trainable import translate_trainable


def test_frozen_parameters_are_refused() -> None:
    """Training on shares would train them all the same."""
    model = plain()
    translate_trainable(model, SHAPE)
    model[0].requires_grad_(False)
    with pytest.raises(UnshareableModelError, match=r"^0.weight .+ it is frozen"):
        translate_trainable(model, SHAPE)


def test_hooks_are_refused() -> None:
    """The network that is trained on shares is the user's network, or is refused."""
    model: nn.Module = plain()
    model.register_forward_hook(lambda module, inputs, result: 2 * result)
    with pytest.raises(UnshareableModelError, match="hook on the network itself"):
        translate_trainable(model, SHAPE)
