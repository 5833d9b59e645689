"""How much memory a network can cost, from its public architecture, before anything is allocated for it."""

from __future__ import annotations

from smule_crypten.errors import ModelError
from smule_crypten.models.architecture import Architecture, MaxPool2d, num_elements, parameter_shapes


def count_elements(architecture: Architecture, micro_batch: int) -> int:
    """Weights, and the values of micro_batch samples: the input, all results, and every window of a maximum."""
    weights, values = 0, num_elements(architecture.input_shape)
    for op, shape in zip(architecture.ops, architecture.shapes, strict=True):
        values += num_elements(shape) * (num_elements(op.kernel) if isinstance(op, MaxPool2d) else 1)
        parameters = parameter_shapes(op)
        weights += 0 if parameters is None else num_elements(parameters[0])
    return weights + micro_batch * values


def check_extent(architecture: Architecture, micro_batch: int, limit: int) -> None:
    """A network may cost this side up to some 250 bytes an element (scheme crypten), and still be tiny to describe.

    Raises:
        ModelError: it has more than limit elements.
    """
    count = count_elements(architecture, micro_batch)
    if count > limit:
        raise ModelError(
            f"its weights and its values for {micro_batch} samples are {count:,} elements, scheme.max_elements allows "
            f"{limit:,}; agree on a smaller network, a smaller scheme.micro_batch or a higher limit"
        )
