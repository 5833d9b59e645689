from __future__ import annotations

import dataclasses
import os
import resource
from pathlib import Path

import pytest
import torch
from torch import nn

from smule_crypten.config import ModelConfig
from smule_crypten.data.images import LabelledImages
from smule_crypten.errors import DataError, ModelError, OutputError
from smule_crypten.models.zoo import build_model
from smule_crypten.training.checkpoint import Checkpoint, load_checkpoint, load_model, save_checkpoint
from smule_crypten.training.evaluate import predict_logits

MODEL = ModelConfig(name="small_convnet", options={"channels": [4, 6]})
INPUT_SHAPE = (3, 8, 8)


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
def images_NCHW() -> torch.Tensor:
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
    tmp_path: Path, checkpoint: Checkpoint, network: nn.Module, images_NCHW: torch.Tensor
) -> None:
    """A loaded model gives bit for bit what training saw, for bytes and for the same images in 0..1."""
    save_checkpoint(tmp_path / "model.pt", checkpoint)
    predictor = load_model(str(tmp_path / "model.pt"))
    data = LabelledImages(images_NCHW, torch.zeros(9, dtype=torch.int64), torch.arange(9))
    normalized_NCHW = data.normalized(checkpoint.mean, checkpoint.std).images_NCHW
    expected_NC = predict_logits(network, normalized_NCHW, 512, torch.device("cpu"))
    assert torch.equal(predictor(images_NCHW), expected_NC)
    assert torch.equal(predictor(images_NCHW.double() / 255), expected_NC)
    assert torch.equal(predictor.predict(images_NCHW, batch_size=4), expected_NC.argmax(dim=1))
    assert predictor.class_names == checkpoint.class_names
    assert not any(module.training for module in predictor.modules())


def test_one_mean_for_all_channels(
    tmp_path: Path, checkpoint: Checkpoint, network: nn.Module, images_NCHW: torch.Tensor
) -> None:
    """A single mean and std, the default of the configuration, serve all channels."""
    save_checkpoint(tmp_path / "model.pt", dataclasses.replace(checkpoint, mean=(0.5,), std=(0.25,)))
    expected_NC = network.eval()((images_NCHW.float() / 255 - 0.5) / 0.25)
    assert torch.equal(load_model(tmp_path / "model.pt")(images_NCHW), expected_NC)


@pytest.mark.parametrize(
    ("images_NCHW", "message"),
    [
        (torch.zeros(3, 8, 8), r"shape \(N, 3, 8, 8\), got \(3, 8, 8\); resize them, .+ a batch of one$"),
        (torch.zeros(1, 1, 8, 8), r"shape \(N, 3, 8, 8\), got \(1, 1, 8, 8\); "),
        (torch.zeros(1, 3, 8, 8, dtype=torch.int64), r"got torch.int64; convert 0..255 with .byte\(\)$"),
    ],
)
def test_unfit_images_are_one_clear_line(
    tmp_path: Path, checkpoint: Checkpoint, images_NCHW: torch.Tensor, message: str
) -> None:
    """Images of another shape or type are refused before the network fails on them or answers nonsense."""
    save_checkpoint(tmp_path / "model.pt", checkpoint)
    with pytest.raises(DataError, match=message):
        load_model(tmp_path / "model.pt").predict(images_NCHW)


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
