"""Trained networks as files, and their use."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy.typing as npt
import torch
from pydantic import Field, NonNegativeInt, PositiveInt, ValidationError, model_validator
from torch import nn

from smule_crypten.config.config_reading import describe_validation
from smule_crypten.config.sections import ModelConfig, Section
from smule_crypten.data.arrays import as_tensor, speaks_for_channels_last
from smule_crypten.data.samples import along_first_axis
from smule_crypten.errors import DataError, ModelError, UnshareableModelError
from smule_crypten.features.computing import BATCH
from smule_crypten.files import write_atomic
from smule_crypten.metric_names import TaskName
from smule_crypten.models.agreement import check_agreement
from smule_crypten.models.state import misfit, plain_value
from smule_crypten.models.translate import translate
from smule_crypten.models.zoo import build_model
from smule_crypten.tasks.by_name import task_of
from smule_crypten.training.checkpoint_features import CheckpointFeatures
from smule_crypten.training.evaluate import predict_logits
from smule_crypten.types import InputShape

SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A trained network with all that is needed to use it.

    input_shape is X of types.py; mean and std are what the inputs were normalized with (uint8 ones scaled to 0..1
    before), one value for each place of its first axis or one for all; target_mean and target_std are those of
    regression targets, as in the configuration; model_step counts the optimizer steps behind
    state_dict; features is the public map that made the inputs, if one did.
    """

    model: ModelConfig
    input_shape: InputShape
    num_classes: int
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    task: TaskName = "classification"
    target_mean: tuple[float, ...] = (0.0,)
    target_std: tuple[float, ...] = (1.0,)
    model_step: int
    state_dict: dict[str, torch.Tensor]
    features: CheckpointFeatures | None = None


class _Facts(Section):
    """The plain fields of a checkpoint."""

    input_shape: Annotated[tuple[PositiveInt, ...], Field(strict=False, min_length=1, max_length=3)]
    num_classes: PositiveInt
    class_names: Annotated[tuple[str, ...], Field(strict=False)]
    mean: Annotated[tuple[float, ...], Field(strict=False)]
    std: Annotated[tuple[float, ...], Field(strict=False)]
    task: TaskName = "classification"
    target_mean: Annotated[tuple[float, ...], Field(strict=False)] = (0.0,)
    target_std: Annotated[tuple[float, ...], Field(strict=False)] = (1.0,)
    model_step: NonNegativeInt

    @model_validator(mode="after")
    def _belong_together(self) -> _Facts:
        if len(self.class_names) != self.num_classes:
            raise ValueError(f"class_names names {len(self.class_names)} classes, num_classes is {self.num_classes}")
        for name, values in (("std", self.std), ("target_std", self.target_std)):
            if not values or min(values) <= 0:
                raise ValueError(f"{name} must be positive, got {values}")
        for name, values in (("target_mean", self.target_mean), ("target_std", self.target_std)):
            if len(values) not in (1, self.num_classes):
                raise ValueError(f"{name} has {len(values)} values for {self.num_classes} targets; give 1 or all")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, self.input_shape[0]):
                raise ValueError(
                    f"{name} has {len(values)} values for {self.input_shape[0]} channels or features; give 1 or all"
                )
        return self


class Predictor(nn.Module):
    """A trained network that takes inputs as they are and normalizes them itself.

    Inputs are uint8 in 0..255, or floating point on the scale of the training inputs: 0..1 if those were uint8.
    Where a public map makes features, it is applied here, to what the map takes: images in 0..1.
    class_names: what the class indices, labels or targets stand for. task: which of these it predicts.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, network: nn.Module, checkpoint: Checkpoint, public_map: nn.Module | None = None) -> None:
        super().__init__()
        self.network = network
        self.public_map = public_map
        self.class_names = checkpoint.class_names
        self.task = task_of(checkpoint.task, None, checkpoint.target_mean, checkpoint.target_std)
        self.input_shape = checkpoint.input_shape if checkpoint.features is None else checkpoint.features.input_shape
        for name in ("mean", "std"):
            self.register_buffer(name, along_first_axis(getattr(checkpoint, name), len(checkpoint.input_shape)))

    def forward(self, inputs_NX: torch.Tensor | npt.NDArray[Any]) -> torch.Tensor:
        """Logits (N, C), or standardised values in regression.

        Raises:
            DataError: the inputs have the wrong shape or type.
        """
        scaled_NX = self._scaled(inputs_NX)
        if self.public_map is None:
            return self.of_scaled(scaled_NX)
        return torch.cat([self.of_scaled(batch_NX) for batch_NX in torch.split(scaled_NX, BATCH)])

    def of_scaled(self, inputs_NX: torch.Tensor) -> torch.Tensor:
        """As forward, of floating-point inputs at once, of which nothing is checked; uint8 ones are scaled before."""
        seen_NX = inputs_NX if self.public_map is None else self.public_map(inputs_NX)
        return self.network((seen_NX - self.mean) / self.std)  # type: ignore[no-any-return]

    def predict(self, inputs_NX: torch.Tensor | npt.NDArray[Any], batch_size: int = 512) -> torch.Tensor:
        """On the CPU, of a tensor or NumPy array; raises as forward does.

        Class indices (N,); of several labels 0 or 1 (N, C), from probability 1/2 on; values (N, C) in own units.
        """
        inputs = as_tensor(inputs_NX, "inputs")
        size = batch_size if self.public_map is None else min(batch_size, BATCH)
        outputs_NC = predict_logits(self, inputs, size, self.mean.device)
        return self.task.decided(self.task.predictions(outputs_NC))

    def _scaled(self, inputs_NX: torch.Tensor | npt.NDArray[Any]) -> torch.Tensor:
        if not isinstance(inputs_NX, torch.Tensor):
            inputs_NX = as_tensor(inputs_NX, "inputs")
        if tuple(inputs_NX.shape[1:]) != self.input_shape or inputs_NX.ndim == 0:
            is_last = inputs_NX.ndim == 4 and speaks_for_channels_last(tuple(inputs_NX.shape))
            raise DataError(
                f"the network takes inputs of shape (N, {', '.join(map(str, self.input_shape))}), got "
                f"{tuple(inputs_NX.shape)}; {'put channels before height and width, ' if is_last else ''}"
                "bring them to that shape, and give a single one as a batch of one"
            )
        if inputs_NX.dtype == torch.uint8:
            return inputs_NX.float() / 255
        if inputs_NX.is_floating_point():
            return inputs_NX.float()
        raise DataError(f"inputs must be uint8 or floating point, got {inputs_NX.dtype}; convert 0..255 with .byte()")


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write checkpoint to path, in one go: path holds the old or the new file, never half of one.

    NumPy's numbers are saved as Python's.

    Raises:
        ModelError: checkpoint holds what load_checkpoint would refuse; nothing is written then.
        OutputError: path cannot be written.
    """
    fields = {field.name: getattr(checkpoint, field.name) for field in dataclasses.fields(Checkpoint)}
    fields["model"] = checkpoint.model.model_dump()
    # Without features there is no such field, so that earlier versions read the file.
    fields.pop("features")
    if checkpoint.features is not None:
        fields["features"] = checkpoint.features.model_dump()
    content = {name: plain_value(value, f"the checkpoint's {name}") for name, value in fields.items()}
    _check_facts(content, f"checkpoint {path}")
    buffer = io.BytesIO()
    torch.save({"schema_version": SCHEMA_VERSION, **content}, buffer)
    write_atomic(path, lambda file: file.write(buffer.getbuffer()))


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint onto the CPU. No code of the file is run.

    Raises:
        DataError: the file cannot be read.
        ModelError: the file is no checkpoint, is damaged, or has another schema version.
    """
    content = _read(Path(path))
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise ModelError(
            f"{path} holds no checkpoint of schema version {SCHEMA_VERSION} (found {version}); "
            f"give a model.pt or standalone.pt, and read it with the version of smule_crypten that wrote it"
        )
    fields = {name: value for name, value in content.items() if name not in ("schema_version", "model")}
    try:
        model = ModelConfig.model_validate(content["model"])
        facts = _check_facts(fields, f"checkpoint {path}")
        fields["state_dict"] = dict(fields["state_dict"])
        if "features" in fields:
            fields["features"] = CheckpointFeatures.model_validate(fields["features"])
        return Checkpoint(model=model, **fields | facts)
    except (KeyError, TypeError, ValueError):  # also pydantic's
        raise ModelError(f"checkpoint {path} lacks or has unknown fields; train again to replace it") from None


def load_model(path: str | Path, *, allow_target: bool = False) -> Predictor:
    """The trained network of a checkpoint, on the CPU and in evaluation mode.

    Args:
        path: for example model.pt in the folder of a party.
        allow_target: also load a network or a public map that the checkpoint names by `_target_`, a callable that is
            then imported and called. Say so for files of your own only: whoever wrote the file chose the callable.

    Returns:
        A torch module that normalizes inputs itself, (N, X) as tensor or NumPy array, uint8 or on the scale of the
        training inputs, to which a public map of the training is applied. Called, it gives logits (N, classes); its
        ``predict`` gives class indices (N,), for which it has ``class_names``, or 0 and 1 (N, labels), or values
        (N, targets); ``input_shape`` is X: (features,),
        (channels, time) or (channels, height, width).

    Raises:
        DataError: the file cannot be read.
        ModelError: the file is no checkpoint, is damaged, or has another schema version; its target is not allowed;
            its weights do not fit the network or are not finite.
        UnshareableModelError: other parties would get other answers from the network than this one.
        ConfigError: the network of the checkpoint is unknown here.

    Example:
        >>> import torch, smule_crypten as smule
        >>> model = smule.load_model("runs/example/party_a/model.pt")  # doctest: +SKIP
        >>> images = torch.randint(0, 256, (5, *model.input_shape), dtype=torch.uint8)  # doctest: +SKIP
        >>> model.predict(images)  # doctest: +SKIP
    """
    checkpoint = load_checkpoint(path)
    if checkpoint.model.name == "target" and not allow_target:
        raise ModelError(
            f"{path} asks to call {checkpoint.model.options.get('_target_')!r} to build its network; "
            f"if you trust the file, use load_model(path, allow_target=True)"
        )
    network = build_model(checkpoint.model, checkpoint.input_shape, checkpoint.num_classes, seed=0)
    try:
        network.load_state_dict(checkpoint.state_dict)
    except Exception as error:  # also whatever set_extra_state of a module raises
        why = misfit(checkpoint.state_dict, network.state_dict())
        raise ModelError(f"the weights in {path} do not fit the network {checkpoint.model.name!r}: {why}") from error
    _check_translation(network, checkpoint.input_shape)
    features = checkpoint.features
    public_map = None if features is None else features.network(str(path), allow_target=allow_target)
    return Predictor(network, checkpoint, public_map).eval()


def _check_translation(network: nn.Module, input_shape: InputShape) -> None:
    """Raises UnshareableModelError where the network can be translated, but would give other answers on shares."""
    try:
        translated = translate(network, input_shape)
    except UnshareableModelError:
        return  # it can still be used here, and whoever asks for it on shares hears why not
    check_agreement(network, translated)


def _check_facts(fields: Mapping[str, Any], what: str) -> dict[str, Any]:
    """What is no tensor and not the network's choice, validated."""
    names = _Facts.model_fields
    try:
        # A file from before there were tasks holds a classification.
        given = {name: fields[name] for name, field in names.items() if name in fields or field.is_required()}
        return _Facts.model_validate(given).model_dump()
    except ValidationError as error:
        raise ModelError(f"{what}: {describe_validation(error)}") from None


def _read(path: Path) -> Any:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read checkpoint {path}: {error.strerror}; give the path of a saved one") from None
    try:
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception:  # a damaged file may break PyTorch's reader in any way
        raise ModelError(f"{path} is damaged or no checkpoint; give the path of a file saved by a run") from None
