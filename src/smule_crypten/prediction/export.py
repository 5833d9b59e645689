"""A trained network as a file that runs without this package, compared with the network itself before it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from smule_crypten._version import __version__
from smule_crypten.config.config_reading import parse
from smule_crypten.config.options import one_line
from smule_crypten.config.sections import DataConfig
from smule_crypten.data.datasets import load_data
from smule_crypten.data.samples import along_first_axis
from smule_crypten.errors import ConfigError, ModelError, OutputError, SmuleError
from smule_crypten.files import write_atomic
from smule_crypten.metric_names import TaskName
from smule_crypten.party.run_folder import CONFIG_FILE
from smule_crypten.prediction.export_formats import FORMATS, INPUT, OUTPUT, Runnable
from smule_crypten.training.checkpoint import Checkpoint, Predictor, load_checkpoint, load_model
from smule_crypten.training.evaluate import predict_logits

_FEWEST_SAMPLES, _MOST_SAMPLES = 3, 64
_BATCH = 512
_TOLERANCE = 1e-4
"""The largest difference of an output, as a share of the largest output where that is above 1."""
_SEED = 0
_MEANINGS: dict[TaskName, str] = {
    "classification": "a logit for each class of class_names; softmax gives probabilities",
    "multilabel": "a logit for each label of class_names; the sigmoid of each gives its probability",
    "regression": "a value for each target of class_names, in its own unit",
}


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written, and how it was compared.

    Attributes:
        samples: what both networks were given, in words.
        difference: the largest of an output.
    """

    path: Path
    samples: str
    difference: float


@dataclass(frozen=True, eq=False)
class _Samples:
    """Inputs as the loaded checkpoint takes them, and what they are, in words."""

    inputs_NX: torch.Tensor
    words: str

    @property
    def scaled_NX(self) -> torch.Tensor:
        """As the exported network takes them."""
        inputs_NX = self.inputs_NX.float()
        return inputs_NX / 255 if self.inputs_NX.dtype == torch.uint8 else inputs_NX


class _Exported(nn.Module):
    """A Predictor without its checks, which look at types, and so have no place in a file for one type.

    What it gives are logits, or in regression values in the targets' own units.
    """

    target_mean_1C: torch.Tensor
    target_std_1C: torch.Tensor

    def __init__(self, predictor: Predictor, checkpoint: Checkpoint) -> None:
        super().__init__()
        self.predictor = predictor
        self.has_values = checkpoint.task == "regression"
        self.register_buffer("target_mean_1C", torch.tensor(checkpoint.target_mean)[None])
        self.register_buffer("target_std_1C", torch.tensor(checkpoint.target_std)[None])

    def forward(self, inputs_NX: torch.Tensor) -> torch.Tensor:
        outputs_NC = self.predictor.of_scaled(inputs_NX)
        return outputs_NC * self.target_std_1C + self.target_mean_1C if self.has_values else outputs_NC


def export(path: Path, to_format: str, output: Path | None = None, *, allow_target: bool = False) -> Exported:
    """Write the network of the checkpoint at path, with its normalisation and public map, as a file of that format.

    It takes float32 inputs (N, X), any number of them. It is compared with the network itself first: on test samples of
    the run whose configuration lies beside the checkpoint, on random ones where that cannot be read.

    Args:
        to_format: a key of FORMATS.
        output: a new file; None for the checkpoint's name with the suffix of the format.
        allow_target: also build a network, and read data, by a callable that the files name, as in load_model.

    Raises:
        OutputError: output exists, or cannot be written.
        DataError, ModelError: the checkpoint cannot be used; ModelError also where the network cannot be exported, or
            would give other answers.
        ConfigError: the format is unknown, or needs a package that is not installed.
    """
    if to_format not in FORMATS:
        raise ConfigError(f"--format: unknown format {to_format!r}; known: {', '.join(FORMATS)}")
    written = FORMATS[to_format]
    target = path.with_suffix(written.suffix) if output is None else output
    if target.exists():
        raise OutputError(f"{target} exists; a network is never written over another, so name another --output")
    checkpoint = load_checkpoint(path)
    if checkpoint.model.name == "target" and not allow_target:
        raise ModelError(
            f"{path} asks to call {checkpoint.model.options.get('_target_')!r} to build its network; "
            "if you trust the file, add --allow-target"
        )
    predictor = load_model(path, allow_target=allow_target)
    samples = _samples(path, checkpoint, predictor, allow_target=allow_target)
    try:
        network = _Exported(predictor, checkpoint).eval()
        content = written.write(network, samples.scaled_NX[:2], _metadata(checkpoint, predictor))
        exported = written.load(content)
        difference, largest = _difference(exported, predictor, samples)
    except SmuleError:
        raise
    except Exception as error:  # the exporters meet what a user's network holds
        others = ", ".join(name for name in FORMATS if name != to_format)
        raise ModelError(f"{path} cannot be exported to {to_format} ({one_line(error)}); try {others}") from error
    if not difference <= _TOLERANCE * max(1.0, largest):
        raise ModelError(
            f"{path} as {to_format} gives outputs that differ by {difference:.1e} on {samples.words}, more than "
            f"{_TOLERANCE:g}; nothing was written, try another format"
        )
    write_atomic(target, lambda file: file.write(content))
    return Exported(path=target, samples=samples.words, difference=difference)


def _difference(exported: Runnable, predictor: Predictor, samples: _Samples) -> tuple[float, float]:
    """The largest difference of an output, and the largest output. One input alone, and all others at once."""
    expected_NC = predict_logits(predictor, samples.inputs_NX, _BATCH, torch.device("cpu"))
    if predictor.task.name == "regression":
        expected_NC = predictor.task.predictions(expected_NC)
    inputs_NX = samples.scaled_NX
    found_NC = torch.cat([exported(inputs_NX[:1]), exported(inputs_NX[1:])])
    if found_NC.shape != expected_NC.shape:
        raise ModelError(f"outputs have shape {tuple(found_NC.shape)} in place of {tuple(expected_NC.shape)}")
    return float((found_NC - expected_NC).abs().max()), float(expected_NC.abs().max())


def _metadata(checkpoint: Checkpoint, predictor: Predictor) -> Mapping[str, Any]:
    """What who has nothing but the file must know of it."""
    seen = "input" if checkpoint.features is None else f"features by {checkpoint.features.name}, in the file, of input,"
    return {
        "producer": f"smule-crypten {__version__}",
        "network": checkpoint.model.name,
        "model_step": checkpoint.model_step,
        "input": f"{INPUT}: float32, a batch of any size, each of input_shape",
        "input_shape": list(predictor.input_shape),
        "input_scale": "that of the training data; bytes 0 to 255 are divided by 255 first",
        "normalization": f"({seen} - mean) / std is part of the network",
        "mean": list(checkpoint.mean),
        "std": list(checkpoint.std),
        "output": f"{OUTPUT}: float32, {_MEANINGS[checkpoint.task]}",
        "task": checkpoint.task,
        "class_names": list(checkpoint.class_names),
    }


def _samples(path: Path, checkpoint: Checkpoint, predictor: Predictor, *, allow_target: bool) -> _Samples:
    """Test samples of the run, or random ones."""
    try:
        return _own_samples(path, predictor, allow_target=allow_target)
    except (SmuleError, OSError, ValueError, LookupError, TypeError, yaml.YAMLError) as error:
        why = str(error) if isinstance(error, SmuleError) else one_line(error)
        inputs_NX = _random_inputs(checkpoint, predictor)
        return _Samples(inputs_NX, f"{len(inputs_NX)} random inputs, since the run's own data cannot be used: {why}")


def _random_inputs(checkpoint: Checkpoint, predictor: Predictor) -> torch.Tensor:
    """Normally distributed where they are normalised; what a map takes before that is in 0..1."""
    generator = torch.Generator().manual_seed(_SEED)
    shape = (_MOST_SAMPLES, *predictor.input_shape)
    if predictor.input_shape != checkpoint.input_shape:
        return torch.rand(shape, generator=generator)
    axes = len(checkpoint.input_shape)
    mean, std = (along_first_axis(values, axes) for values in (checkpoint.mean, checkpoint.std))
    return torch.randn(shape, generator=generator) * std + mean


def _own_samples(path: Path, predictor: Predictor, *, allow_target: bool) -> _Samples:
    """By the configuration beside the checkpoint, or, in a simulation, beside its folder."""
    places = [folder / CONFIG_FILE for folder in path.absolute().parents[:2]]
    found = next((place for place in places if place.exists()), None)
    if found is None:
        raise ConfigError(f"no {CONFIG_FILE} beside it")
    config = parse(DataConfig, dict(yaml.safe_load(found.read_text(encoding="utf-8")))["data"])
    if config.name == "target" and not allow_target:
        raise ConfigError(f"{found} asks to call a function for them; --allow-target lets it")
    few = {"max_train": _MOST_SAMPLES, "max_test": _MOST_SAMPLES, "download": False}
    inputs_NX = load_data(config.model_copy(update=few), predictor.task.name).test.in_memory().inputs
    if tuple(inputs_NX.shape[1:]) != predictor.input_shape or len(inputs_NX) < _FEWEST_SAMPLES:
        raise ConfigError(f"there are {len(inputs_NX)} test samples of shape {tuple(inputs_NX.shape[1:])}")
    return _Samples(inputs_NX, f"{len(inputs_NX)} own test samples")
