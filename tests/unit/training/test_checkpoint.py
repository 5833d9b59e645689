from __future__ import annotations

import dataclasses
import math
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from smule_crypten.config.features import FeaturesConfig
from smule_crypten.config.sections import ModelConfig
from smule_crypten.data.samples import Samples
from smule_crypten.errors import DataError, ModelError, OutputError, UnshareableModelError
from smule_crypten.features.public_map import build_map
from smule_crypten.models.zoo import build_model
from smule_crypten.training.checkpoint import Checkpoint, Predictor, load_checkpoint, load_model, save_checkpoint
from smule_crypten.training.checkpoint_features import CheckpointFeatures
from smule_crypten.training.evaluate import predict_logits

MODEL = ModelConfig(name="small_convnet", options={"channels": [4, 6]})
INPUT_SHAPE = (3, 8, 8)
PATCHES = FeaturesConfig(name="patches", cache=None)


@pytest.fixture
def network() -> nn.Module:
    return build_model(MODEL, INPUT_SHAPE, 5, seed=3)


@pytest.fixture
def checkpoint(network: nn.Module) -> Checkpoint:
    return Checkpoint(
        model=MODEL,
        input_shape=INPUT_SHAPE,
        num_classes=5,
        class_names=("ant", "bee", "cow", "dog", "elk"),
        mean=(0.4, 0.5, 0.6),
        std=(0.2, 0.3, 0.4),
        model_step=17,
        state_dict=network.state_dict(),
    )


@pytest.fixture
def inputs_NX() -> torch.Tensor:
    generator = torch.Generator().manual_seed(4)
    return torch.randint(0, 256, (9, *INPUT_SHAPE), dtype=torch.uint8, generator=generator)


def test_round_trip(tmp_path: Path, checkpoint: Checkpoint) -> None:
    """Every field comes back with its value and type, the weights bit for bit."""
    path = tmp_path / "new folder" / "model.pt"
    save_checkpoint(path, checkpoint)
    loaded = load_checkpoint(path)
    for field in dataclasses.fields(Checkpoint):
        if field.name != "state_dict":
            assert getattr(loaded, field.name) == getattr(checkpoint, field.name)
    assert loaded.state_dict.keys() == checkpoint.state_dict.keys()
    for name, tensor in checkpoint.state_dict.items():
        assert torch.equal(loaded.state_dict[name], tensor)


def test_predictor_is_the_network_on_normalized_images(
    tmp_path: Path, checkpoint: Checkpoint, network: nn.Module, inputs_NX: torch.Tensor
) -> None:
    """A loaded model gives bit for bit what training saw, for bytes and for the same images in 0..1."""
    save_checkpoint(tmp_path / "model.pt", checkpoint)
    predictor = load_model(str(tmp_path / "model.pt"))
    data = Samples(inputs_NX, torch.zeros(9, dtype=torch.int64), torch.arange(9))
    normalized_NX = data.normalized(checkpoint.mean, checkpoint.std).inputs
    expected_NC = predict_logits(network, normalized_NX, 512, torch.device("cpu"))
    assert torch.equal(predictor(inputs_NX), expected_NC)
    assert torch.equal(predictor(inputs_NX.double() / 255), expected_NC)
    assert torch.equal(predictor.predict(inputs_NX, batch_size=4), expected_NC.argmax(dim=1))
    assert predictor.class_names == checkpoint.class_names
    assert not any(module.training for module in predictor.modules())


def test_one_mean_for_all_channels(
    tmp_path: Path, checkpoint: Checkpoint, network: nn.Module, inputs_NX: torch.Tensor
) -> None:
    """A single mean and std, the default of the configuration, serve all channels."""
    save_checkpoint(tmp_path / "model.pt", dataclasses.replace(checkpoint, mean=(0.5,), std=(0.25,)))
    expected_NC = network.eval()((inputs_NX.float() / 255 - 0.5) / 0.25)
    assert torch.equal(load_model(tmp_path / "model.pt")(inputs_NX), expected_NC)


@pytest.mark.parametrize(
    ("inputs_NX", "message"),
    [
        (torch.zeros(3, 8, 8), r"shape \(N, 3, 8, 8\), got \(3, 8, 8\); bring them to that shape, .+ a batch of one$"),
        (torch.zeros(1, 1, 8, 8), r"shape \(N, 3, 8, 8\), got \(1, 1, 8, 8\); "),
        (torch.zeros(1, 3, 8, 8, dtype=torch.int64), r"got torch.int64; convert 0..255 with .byte\(\)$"),
    ],
)
def test_unfit_images_are_one_clear_line(
    tmp_path: Path, checkpoint: Checkpoint, inputs_NX: torch.Tensor, message: str
) -> None:
    """Images of another shape or type are refused before the network fails on them or answers nonsense."""
    save_checkpoint(tmp_path / "model.pt", checkpoint)
    with pytest.raises(DataError, match=message):
        load_model(tmp_path / "model.pt").predict(inputs_NX)


@pytest.mark.parametrize("shape", [(3,), (3, 8)])
def test_vectors_and_signals_are_normalized_too(shape: tuple[int, ...]) -> None:
    """A constant each on the first axis of an input, as in training."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 2))
    model = Predictor(
        network,
        Checkpoint(
            model=ModelConfig(name="mlp"),
            input_shape=shape,
            num_classes=2,
            class_names=("x", "y"),
            mean=(1.0, 2.0, 3.0),
            std=(2.0, 4.0, 8.0),
            model_step=0,
            state_dict={},
        ),
    )
    inputs_NX = torch.randn(4, *shape)
    normalized = Samples.unlabelled(inputs_NX).normalized(mean=(1.0, 2.0, 3.0), std=(2.0, 4.0, 8.0))
    assert torch.equal(model(inputs_NX), network(normalized.inputs))
    with pytest.raises(DataError, match="as a batch of one"):
        model(inputs_NX[0, ..., None])


def test_numpy_arrays_are_images_too(tmp_path: Path, checkpoint: Checkpoint, inputs_NX: torch.Tensor) -> None:
    """Of any byte order and stride; the answers are those to the tensor. Channels last are named as such."""
    save_checkpoint(tmp_path / "model.pt", checkpoint)
    model = load_model(tmp_path / "model.pt")
    expected = model.predict(inputs_NX)
    images = inputs_NX.numpy()
    for array in (images, np.asfortranarray(images), (images / 255).astype(">f8"), images[::-1][::-1]):
        assert torch.equal(model.predict(array), expected)
        assert torch.allclose(model(array), model(inputs_NX), atol=1e-5)
    with pytest.raises(DataError, match="put channels before height and width"):
        model.predict(images.transpose(0, 2, 3, 1))
    with pytest.raises(DataError, match="uint8 or floating point"):
        model.predict(images.astype(np.uint16))
    with pytest.raises(DataError, match="inputs: "):
        model.predict(["a.png"])  # type: ignore[arg-type]


def test_a_write_that_fails_midway_keeps_the_old_file(tmp_path: Path, checkpoint: Checkpoint) -> None:
    """A disk that fills up after 100 bytes leaves the earlier checkpoint readable and no litter."""
    path = tmp_path / "model.pt"
    save_checkpoint(path, checkpoint)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OutputError, match=r"^cannot write .+model.pt: File too large; [^\n]+$"):
            save_checkpoint(path, dataclasses.replace(checkpoint, model_step=99))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert load_checkpoint(path).model_step == 17
    assert list(tmp_path.iterdir()) == [path]


def test_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    """A wrong path is reported with the path."""
    with pytest.raises(DataError, match=r"^cannot read checkpoint .+gone.pt: No such file or directory; .+$"):
        load_checkpoint(tmp_path / "gone.pt")


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "flipped"])
def test_damaged_file_is_one_clear_line(tmp_path: Path, checkpoint: Checkpoint, damage: str) -> None:
    """Whatever PyTorch's reader makes of a damaged file, the user gets one line."""
    path = tmp_path / "model.pt"
    save_checkpoint(path, checkpoint)
    content = path.read_bytes()
    damaged = {
        "truncated": content[: len(content) // 2],
        "empty": b"",
        "text": b"accuracy 0.9\n",
        "flipped": content.replace(b"schema_version", b"schema_\xff\xffrsion"),
    }
    path.write_bytes(damaged[damage])
    with pytest.raises(ModelError, match=r"^.+model.pt is damaged or no checkpoint; [^\n]+$"):
        load_checkpoint(path)


class RunsCode:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("made_by_the_file",)


def test_a_file_cannot_run_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pickle that calls a function when it is read is refused before it does."""
    monkeypatch.chdir(tmp_path)
    torch.save({"schema_version": RunsCode()}, tmp_path / "model.pt")
    with pytest.raises(ModelError, match=r"is damaged or no checkpoint"):
        load_checkpoint(tmp_path / "model.pt")
    assert not (tmp_path / "made_by_the_file").exists()


@pytest.mark.parametrize("content", [{"schema_version": 2}, {"weights": torch.zeros(2)}, [1, 2]])
def test_another_schema_is_one_clear_line(tmp_path: Path, content: object) -> None:
    """A file of another version, or another kind of PyTorch file, is not half understood."""
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(ModelError, match=r"holds no checkpoint of schema version 1 \(found (2|None)\); [^\n]+$"):
        load_checkpoint(tmp_path / "model.pt")


@pytest.mark.parametrize("change", [{}, {"model": {"name": 3}}, {"model": {"name": "mlp"}, "extra": 1}])
def test_wrong_fields_are_one_clear_line(tmp_path: Path, change: dict[str, object]) -> None:
    """A checkpoint with missing, unknown or mistyped fields is refused as a whole."""
    torch.save({"schema_version": 1, **change}, tmp_path / "model.pt")
    with pytest.raises(ModelError, match=r"^checkpoint .+model.pt lacks or has unknown fields; [^\n]+$"):
        load_checkpoint(tmp_path / "model.pt")


def test_weights_of_another_network_are_one_clear_line(tmp_path: Path, checkpoint: Checkpoint) -> None:
    """Weights that do not fit are refused in one line, not in PyTorch's list of keys."""
    other = ModelConfig(name="small_convnet", options={"channels": [4, 7]})
    save_checkpoint(tmp_path / "model.pt", dataclasses.replace(checkpoint, model=other))
    with pytest.raises(
        ModelError,
        match=r"^the weights in .+model.pt do not fit the network 'small_convnet': "
        r"conv2.weight has shape \(6, 4, 3, 3\) in place of \(7, 4, 3, 3\); [^\n]+$",
    ):
        load_model(tmp_path / "model.pt")


def make_linear(input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(input_shape[0] * input_shape[1] * input_shape[2], num_classes))


def test_a_callable_named_by_the_file_needs_consent(tmp_path: Path, checkpoint: Checkpoint) -> None:
    """A checkpoint chooses no code to call unless its user says that the file is trusted."""
    model = ModelConfig(name="target", options={"_target_": f"{__name__}.make_linear"})
    network = make_linear(INPUT_SHAPE, 5)
    save_checkpoint(
        tmp_path / "model.pt", dataclasses.replace(checkpoint, model=model, state_dict=network.state_dict())
    )
    with pytest.raises(ModelError, match=r"asks to call '.+make_linear' .+; if you trust the file, .+$"):
        load_model(tmp_path / "model.pt")
    predictor = load_model(tmp_path / "model.pt", allow_target=True)
    assert predictor.predict(torch.zeros(2, *INPUT_SHAPE)).shape == (2,)


def test_numbers_of_numpy_are_saved(tmp_path: Path, checkpoint: Checkpoint) -> None:
    """Means that were computed with NumPy give a file that can be loaded."""
    numpy_like: dict[str, Any] = {
        "mean": tuple(np.array([0.4, 0.5, 0.6])),
        "std": np.array([0.2, 0.3, 0.4], dtype=np.float64),
        "num_classes": np.int64(5),
        "model_step": np.int32(17),
        "input_shape": tuple(np.array([3, 8, 8])),
        "class_names": np.array(["ant", "bee", "cow", "dog", "elk"]),
        "model": ModelConfig(name="small_convnet", options={"channels": [np.int64(4), np.int64(6)]}),
    }
    save_checkpoint(tmp_path / "model.pt", dataclasses.replace(checkpoint, **numpy_like))
    loaded = load_checkpoint(tmp_path / "model.pt")
    for field in dataclasses.fields(Checkpoint):
        if field.name != "state_dict":
            assert getattr(loaded, field.name) == getattr(checkpoint, field.name)
    load_model(tmp_path / "model.pt")


IMPOSSIBLE: dict[str, tuple[dict[str, Any], str]] = {
    "no deviation": ({"std": (0.0, 0.3, 0.4)}, r"std must be positive, got \(0.0, 0.3, 0.4\)"),
    "negative deviation": ({"std": (-0.2,)}, "std must be positive"),
    "no deviations at all": ({"std": ()}, "std must be positive"),
    "deviation that is no number": ({"std": (float("nan"),)}, "finite number"),
    "infinite mean": ({"mean": (float("inf"),)}, "finite number"),
    "means of other channels": ({"mean": (0.1, 0.2)}, "mean has 2 values for 3 channels or features; give 1 or all"),
    "deviations of other channels": ({"std": (0.1,) * 4}, "std has 4 values for 3 channels"),
    "too few names": ({"class_names": ("ant", "bee")}, "class_names names 2 classes, num_classes is 5"),
    "too many names": ({"class_names": tuple("abcdefg")}, "class_names names 7 classes, num_classes is 5"),
    "names that are numbers": ({"class_names": (0, 1, 2, 3, 4)}, "class_names.0: Input should be a valid string"),
    "no classes": ({"num_classes": 0, "class_names": ()}, "num_classes: Input should be greater than 0"),
    "negative steps": ({"model_step": -1}, "model_step: Input should be greater than or equal to 0"),
    "shape of four": ({"input_shape": (3, 8, 8, 8)}, "input_shape"),
}


@pytest.mark.parametrize(("change", "message"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_impossible_facts_are_refused_at_both_ends(
    tmp_path: Path, checkpoint: Checkpoint, change: dict[str, Any], message: str
) -> None:
    """Nothing is written that cannot be used, and a file of another program that holds such facts is not loaded."""
    path = tmp_path / "model.pt"
    with pytest.raises(ModelError, match=rf"^checkpoint .+model.pt: .*{message}"):
        save_checkpoint(path, dataclasses.replace(checkpoint, **change))
    assert not path.exists()
    save_checkpoint(path, checkpoint)
    torch.save(torch.load(path, weights_only=True) | change, path)
    with pytest.raises(ModelError, match=rf"^checkpoint .+model.pt: .*{message}"):
        load_checkpoint(path)


def test_a_state_that_is_none(tmp_path: Path, checkpoint: Checkpoint) -> None:
    """A list in place of the weights is one line, too."""
    path = tmp_path / "model.pt"
    save_checkpoint(path, checkpoint)
    torch.save(torch.load(path, weights_only=True) | {"state_dict": [1, 2]}, path)
    with pytest.raises(ModelError, match="lacks or has unknown fields"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("prefix", "remedy"),
    [("module.", "save model.module.state_dict()"), ("_orig_mod.", "save model._orig_mod.state_dict()")],
)
def test_weights_of_a_wrapped_network(tmp_path: Path, checkpoint: Checkpoint, prefix: str, remedy: str) -> None:
    """Names with the prefix of a wrapper are no sign of other code."""
    state = {prefix + name: value for name, value in checkpoint.state_dict.items()}
    save_checkpoint(tmp_path / "model.pt", dataclasses.replace(checkpoint, state_dict=state))
    with pytest.raises(ModelError, match=f"their names begin with {prefix}") as caught:
        load_model(tmp_path / "model.pt")
    assert str(caught.value).endswith(remedy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("conv1.bias"), "conv1.bias is missing; its options or its code have changed"),
        (lambda state: state.update(extra=torch.zeros(1)), "it knows no extra; its options or its code"),
        (lambda state: state.update({"conv1.bias": 3}), r"conv1.bias has shape \(\) in place of \(4,\)"),
        (lambda state: state["conv1.bias"].fill_(float("nan")), "conv1.bias holds 4 values that are NaN or infinite"),
    ],
)
def test_weights_that_do_not_fit_are_named(
    tmp_path: Path, checkpoint: Checkpoint, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    """The first name that is wrong, with what is wrong about it."""
    state = {name: value.clone() for name, value in checkpoint.state_dict.items()}
    change(state)
    save_checkpoint(tmp_path / "model.pt", dataclasses.replace(checkpoint, state_dict=state))
    with pytest.raises(ModelError, match=message):
        load_model(tmp_path / "model.pt")


class WithExtraState(nn.Module):
    """Its state holds a number of NumPy beside its tensors."""

    def __init__(self, features: int, num_classes: int) -> None:
        super().__init__()
        self.version = np.int64(1)
        self.linear = nn.Linear(features, num_classes)

    def get_extra_state(self) -> object:
        return {"version": self.version}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.version = state["version"]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.linear(x.flatten(1))
        return result


def make_extra(input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    return WithExtraState(math.prod(input_shape), num_classes)


def make_hooked(input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    model = make_linear(input_shape, num_classes)
    model.register_forward_hook(lambda module, inputs, result: 3 * result)
    return model


def make_softmax(input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    return nn.Sequential(make_linear(input_shape, num_classes), nn.Softmax(1))


def saved_target(path: Path, checkpoint: Checkpoint, make: Callable[..., nn.Module], **state: Any) -> nn.Module:
    network = make(INPUT_SHAPE, 5)
    model = ModelConfig(name="target", options={"_target_": f"{__name__}.{make.__name__}"})
    save_checkpoint(path, dataclasses.replace(checkpoint, model=model, state_dict=network.state_dict() | state))
    return network


def test_extra_state_comes_back(tmp_path: Path, checkpoint: Checkpoint) -> None:
    """What get_extra_state gives is saved beside the weights, as plain values."""
    path = tmp_path / "model.pt"
    network = saved_target(path, checkpoint, make_extra, _extra_state={"version": np.int64(7)})
    loaded = load_model(path, allow_target=True).network
    assert isinstance(loaded, WithExtraState)
    assert (loaded.version, type(loaded.version)) == (7, int)
    assert torch.equal(loaded.linear.weight, network.get_parameter("linear.weight"))


def test_extra_state_that_cannot_be_saved(tmp_path: Path, checkpoint: Checkpoint) -> None:
    """Named before the file of an earlier training is replaced."""
    with pytest.raises(ModelError, match="holds a object, which cannot be saved"):
        saved_target(tmp_path / "model.pt", checkpoint, make_extra, _extra_state=object())
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_others_would_see_differently(tmp_path: Path, checkpoint: Checkpoint) -> None:
    """Its own predictions and what its peer is answered would not be the same."""
    saved_target(tmp_path / "model.pt", checkpoint, make_hooked)
    with pytest.raises(UnshareableModelError, match=r"the network Sequential .+ hook on the network itself"):
        load_model(tmp_path / "model.pt", allow_target=True)


def test_a_network_that_cannot_be_shared_can_still_be_used_here(tmp_path: Path, checkpoint: Checkpoint) -> None:
    """Softmax has no secret-shared counterpart, but none is needed to predict on the own side."""
    saved_target(tmp_path / "model.pt", checkpoint, make_softmax)
    assert load_model(tmp_path / "model.pt", allow_target=True).predict(torch.zeros(2, *INPUT_SHAPE)).shape == (2,)


def test_labels_and_values_are_predicted_as_such(
    tmp_path: Path, checkpoint: Checkpoint, inputs_NX: torch.Tensor
) -> None:
    """0 and 1 from probability 1/2 on; values in own units, by the constants of the file."""
    several = dataclasses.replace(checkpoint, task="multilabel")
    values = dataclasses.replace(
        checkpoint, task="regression", target_mean=(10.0,), target_std=(1.0, 2.0, 3.0, 4.0, 5.0)
    )
    for name, made in (("labels.pt", several), ("values.pt", values)):
        save_checkpoint(tmp_path / name, made)
    predictor = load_model(tmp_path / "labels.pt")
    outputs_NC = predictor(inputs_NX).detach()
    assert torch.equal(predictor.predict(inputs_NX), (outputs_NC.sigmoid() >= 0.5).long())
    predictor = load_model(tmp_path / "values.pt")
    expected = 10 + outputs_NC * torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
    torch.testing.assert_close(predictor.predict(inputs_NX), expected)


def test_a_file_from_before_there_were_tasks_holds_a_classification(
    tmp_path: Path, checkpoint: Checkpoint, inputs_NX: torch.Tensor
) -> None:
    """Trained networks stay of use."""
    save_checkpoint(tmp_path / "model.pt", checkpoint)
    content = torch.load(tmp_path / "model.pt", weights_only=True)
    for name in ("task", "target_mean", "target_std"):
        del content[name]
    torch.save(content, tmp_path / "old.pt")
    assert load_checkpoint(tmp_path / "old.pt").task == "classification"
    new, old = (load_model(tmp_path / name).predict(inputs_NX) for name in ("model.pt", "old.pt"))
    assert torch.equal(new, old)


@pytest.mark.parametrize("changes", [{"target_std": (0.0,)}, {"target_mean": (1.0, 2.0)}])
def test_impossible_constants_of_targets_are_refused(tmp_path: Path, checkpoint: Checkpoint, changes: Any) -> None:
    """Nothing is written that could not be read."""
    with pytest.raises(ModelError, match="target_"):
        save_checkpoint(tmp_path / "model.pt", dataclasses.replace(checkpoint, task="regression", **changes))


@pytest.fixture
def on_features(checkpoint: Checkpoint) -> Checkpoint:
    """A network of vectors behind a public map."""
    public_map = build_map(PATCHES, (3, 12, 12))
    network = build_model(ModelConfig(name="mlp"), (public_map.num_features,), 5, seed=3)
    features = CheckpointFeatures(
        name="patches",
        options={},
        input_shape=(3, 12, 12),
        map_digest=public_map.digest,
        mean=(0.25,) * public_map.num_features,
        std=(0.5,) * public_map.num_features,
    )
    return dataclasses.replace(
        checkpoint,
        model=ModelConfig(name="mlp"),
        input_shape=(public_map.num_features,),
        mean=(0.0,),
        std=(1.0,),
        state_dict=network.state_dict(),
        features=features,
    )


def test_a_network_behind_a_public_map_takes_images(tmp_path: Path, on_features: Checkpoint) -> None:
    """The file knows the map and its constants: bytes and fractions go through both, in batches of any size."""
    save_checkpoint(tmp_path / "model.pt", on_features)
    assert load_checkpoint(tmp_path / "model.pt").features == on_features.features
    model = load_model(tmp_path / "model.pt")
    assert model.input_shape == (3, 12, 12)
    generator = torch.Generator().manual_seed(4)
    images = torch.randint(0, 256, (70, 3, 12, 12), dtype=torch.uint8, generator=generator)
    network = build_model(on_features.model, on_features.input_shape, 5, seed=0)
    network.load_state_dict(on_features.state_dict)
    network.eval()
    with torch.no_grad():
        expected = network((build_map(PATCHES, (3, 12, 12)).network(images / 255) - 0.25) / 0.5)
        torch.testing.assert_close(model(images), expected, atol=1e-4, rtol=1e-4)
    assert model.predict(images.float() / 255).tolist() == expected.argmax(1).tolist()
    with pytest.raises(DataError, match=r"takes inputs of shape \(N, 3, 12, 12\), got \(2, 3200\)"):
        model(torch.zeros(2, 3200))


def test_a_file_without_a_map_is_as_before(tmp_path: Path, checkpoint: Checkpoint) -> None:
    """Earlier versions read it, and this one reads theirs."""
    save_checkpoint(tmp_path / "model.pt", checkpoint)
    assert "features" not in torch.load(tmp_path / "model.pt", weights_only=True)
    assert load_checkpoint(tmp_path / "model.pt").features is None


def test_another_map_than_that_of_the_training_is_refused(tmp_path: Path, on_features: Checkpoint) -> None:
    assert on_features.features is not None
    changed = on_features.features.model_copy(update={"map_digest": "00" * 32})
    save_checkpoint(tmp_path / "model.pt", dataclasses.replace(on_features, features=changed))
    with pytest.raises(ModelError, match=r"was trained on features=patches of digest 0{16}, and the one here"):
        load_model(tmp_path / "model.pt")


def test_a_map_that_is_a_target_is_called_where_that_is_allowed(tmp_path: Path, on_features: Checkpoint) -> None:
    """As with networks: whoever wrote the file chose what is called."""
    assert on_features.features is not None
    target = {"_target_": "torch.nn.Identity"}
    changed = on_features.features.model_copy(update={"name": "module", "options": target})
    save_checkpoint(tmp_path / "model.pt", dataclasses.replace(on_features, features=changed))
    with pytest.raises(ModelError, match=r"asks to call 'torch\.nn\.Identity' to build its public map; if you trust"):
        load_model(tmp_path / "model.pt")
    with pytest.raises(ModelError, match="features=module"):
        load_model(tmp_path / "model.pt", allow_target=True)
