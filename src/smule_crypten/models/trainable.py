"""Which networks can be trained under secret sharing: those whose evaluation is also what they do while they learn."""

from __future__ import annotations

from torch import nn

from smule_crypten.errors import UnshareableModelError
from smule_crypten.models import architecture as arch
from smule_crypten.models.agreement import check_agreement
from smule_crypten.models.module_handlers import Parameters
from smule_crypten.models.translate import TranslatedNetwork, translate
from smule_crypten.types import InputShape

_BATCH_NORM = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_DROPOUT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)


def translate_trainable(model: nn.Module, input_shape: InputShape) -> TranslatedNetwork:
    """As `translate`, layer by layer, for training on shares: nothing may behave otherwise while the network learns.

    Raises:
        UnshareableModelError: names the module and what can replace it.
        ModelError: as translate.
    """
    for name, module in model.named_modules():
        if isinstance(module, _BATCH_NORM):
            reason = "in training it divides by the standard deviation of a secret batch, which is not implemented"
            raise _refusal(
                name, module, reason, "train a network without it, such as mlp, or for images small_convnet or lenet"
            )
        if isinstance(module, _DROPOUT) and module.p > 0:
            raise _refusal(name, module, "dropping at random is not implemented for training on shares", "set p=0")
    frozen = next((name for name, value in model.named_parameters() if not value.requires_grad), None)
    if frozen is not None:
        raise UnshareableModelError(frozen, "it is frozen, and training on shares trains all parameters", "unfreeze it")
    network = translate(model, input_shape, composing=False)
    check_agreement(model, network)
    if _sizes(network.parameters) != sorted(parameter.numel() for parameter in model.parameters()):
        raise UnshareableModelError(
            "the network", "it uses some parameters twice or not at all", "give each layer parameters of its own"
        )
    return network


def trained_positions(architecture: arch.Architecture) -> frozenset[int]:
    """Positions of the operations that a gradient passes through: between a parameter and the output."""
    depends: set[int] = set()
    for position, op in enumerate(architecture.ops):
        if arch.parameter_shapes(op) is not None or depends.intersection(op.inputs):
            depends.add(position)
    reached = {len(architecture.ops) - 1}
    for position in reversed(range(len(architecture.ops))):
        if position in reached:
            reached.update(architecture.ops[position].inputs)
    return frozenset(depends & reached)


def _sizes(parameters: Parameters) -> list[int]:
    return sorted(value.numel() for pair in parameters.values() for value in pair if value is not None)


def _refusal(name: str, module: nn.Module, reason: str, remedy: str) -> UnshareableModelError:
    return UnshareableModelError(f"{name} ({type(module).__name__})", reason, remedy)
