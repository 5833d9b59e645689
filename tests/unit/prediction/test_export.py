"""`smule-export`: what is written computes what the network does, anywhere, and nothing is lost on the way."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnx.reference
import pytest
import torch
import yaml
from torch import nn
from torch_release import FROM_TORCH_2_13

from smule_crypten.config.features import FeaturesConfig
from smule_crypten.config.sections import ModelConfig
from smule_crypten.features.cache import FeatureCache
from smule_crypten.features.computing import featuriser
from smule_crypten.features.public_map import build_map
from smule_crypten.launch.composition import compose_run
from smule_crypten.launch.export import main
from smule_crypten.metric_names import TaskName
from smule_crypten.models.zoo import build_model
from smule_crypten.prediction import export as exporting
from smule_crypten.prediction.export import export
from smule_crypten.prediction.export_formats import FORMATS, METADATA_FILE
from smule_crypten.training.checkpoint import Checkpoint, load_model, save_checkpoint
from smule_crypten.training.checkpoint_features import CheckpointFeatures

CLASSES = ("ant", "bee", "cow")
SHAPE = (1, 8, 8)
FORMAT = pytest.mark.parametrize(
    "to_format", [pytest.param(name, marks=FROM_TORCH_2_13 if name == "onnx" else ()) for name in FORMATS]
)

RUN_TORCHSCRIPT = """
import sys
sys.modules["smule_crypten"] = None
import json, warnings
warnings.simplefilter("ignore")
import numpy, torch
files = {"metadata.json": ""}
network = torch.jit.load(sys.argv[1], _extra_files=files)
outputs = network(torch.from_numpy(numpy.load(sys.argv[2]))).detach().numpy()
metadata = json.loads(files["metadata.json"])
"""
RUN_ONNX = """
import sys
sys.modules["smule_crypten"] = sys.modules["torch"] = None
import json
import numpy, onnxruntime
network = onnxruntime.InferenceSession(sys.argv[1])
outputs, = network.run(None, {"input": numpy.load(sys.argv[2])})
metadata = network.get_modelmeta().custom_metadata_map
metadata = {key: json.loads(value) if value.startswith("[") else value for key, value in metadata.items()}
"""
RUN = {"torchscript": RUN_TORCHSCRIPT, "onnx": RUN_ONNX}
TELL = """
print(json.dumps({"outputs": outputs.tolist(), "metadata": metadata}))
"""


class OneAtATime(nn.Module):
    """What tracing cannot see: it looks at the number of inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 3)

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        return self.linear(images_NCHW.flatten(1)) * (2 if len(images_NCHW) == 2 else 1)


def build_one_at_a_time(input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    return OneAtATime()


def _save(
    folder: Path,
    model: ModelConfig,
    network: nn.Module | None = None,
    shape: tuple[int, ...] = SHAPE,
    task: TaskName = "classification",
    features: CheckpointFeatures | None = None,
) -> Path:
    network = network or build_model(model, shape, 3, seed=5)
    checkpoint = Checkpoint(
        model=model,
        input_shape=shape,
        num_classes=3,
        class_names=CLASSES,
        mean=(0.3,),
        std=(0.4,),
        task=task,
        features=features,
        target_mean=(50.0, -7.0, 0.0) if task == "regression" else (0.0,),
        target_std=(10.0,) if task == "regression" else (1.0,),
        model_step=17,
        state_dict=network.state_dict(),
    )
    save_checkpoint(folder / "model.pt", checkpoint)
    return folder / "model.pt"


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return _save(tmp_path, ModelConfig(name="resnet8"))


@pytest.fixture
def target(tmp_path: Path) -> Path:
    options = {"_target_": f"{__name__}:build_one_at_a_time"}
    return _save(tmp_path, ModelConfig(name="target", options=options), OneAtATime())


@FORMAT
def test_it_runs_in_a_process_without_this_package(tmp_path: Path, saved: Path, to_format: str) -> None:
    """The outputs are those of the network on normalised inputs, for another number of inputs than it was written
    with, and the file says what goes in and comes out."""
    inputs_NX = torch.rand(7, *SHAPE, generator=torch.Generator().manual_seed(1))
    np.save(tmp_path / "inputs.npy", inputs_NX.numpy())
    written = export(saved, to_format)
    assert written.path.parent == tmp_path
    assert written.difference < 1e-5
    program = [sys.executable, "-c", RUN[to_format] + TELL, str(written.path), str(tmp_path / "inputs.npy")]
    told = json.loads(subprocess.run(program, capture_output=True, text=True, check=True).stdout)
    with torch.no_grad():
        expected_NC = load_model(saved).network((inputs_NX - 0.3) / 0.4)
    np.testing.assert_allclose(told["outputs"], expected_NC.numpy(), atol=1e-5)
    metadata = told["metadata"]
    assert metadata["class_names"] == list(CLASSES)
    assert metadata["input_shape"] == list(SHAPE)
    assert metadata["task"] == "classification"
    assert "255" in metadata["input_scale"]


@FORMAT
@pytest.mark.parametrize(("name", "shape"), [("mlp", (5,)), ("convnet1d", (2, 24)), ("lenet", (3, 16, 16))])
def test_inputs_of_every_rank(tmp_path: Path, to_format: str, name: str, shape: tuple[int, ...]) -> None:
    """Vectors, series and images; the normalisation is along the first axis of each."""
    written = export(_save(tmp_path, ModelConfig(name=name), shape=shape), to_format)
    assert written.difference < 1e-5
    inputs_NX = torch.rand(4, *shape, generator=torch.Generator().manual_seed(3))
    found_NC = FORMATS[to_format].load(written.path.read_bytes())(inputs_NX)
    torch.testing.assert_close(found_NC, load_model(tmp_path / "model.pt")(inputs_NX).detach(), atol=1e-5, rtol=0)


@FORMAT
@pytest.mark.parametrize(
    ("task", "meaning"), [("multilabel", "a logit for each label"), ("regression", "a value for each target")]
)
def test_what_the_outputs_are(tmp_path: Path, to_format: str, task: TaskName, meaning: str) -> None:
    """Logits of labels as they are, values in the units of the targets; the file says which."""
    saved = _save(tmp_path, ModelConfig(name="mlp"), task=task)
    content = export(saved, to_format).path.read_bytes()
    inputs_NX = torch.rand(4, *SHAPE, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        outputs_NC = load_model(saved).network((inputs_NX - 0.3) / 0.4)
    expected_NC = outputs_NC * 10 + torch.tensor([50.0, -7.0, 0.0]) if task == "regression" else outputs_NC
    torch.testing.assert_close(FORMATS[to_format].load(content)(inputs_NX), expected_NC, atol=1e-4, rtol=0)
    assert meaning in _metadata_of(content, to_format)["output"]


@FORMAT
def test_a_public_map_is_in_the_file(tmp_path: Path, to_format: str) -> None:
    """Who has the file gives it images; more at a time than the map takes in one batch here."""
    shape, features = (1, 8, 8), FeaturesConfig(name="patches", cache=None)
    public_map = build_map(features, shape)
    found = featuriser(public_map, FeatureCache(None), torch.device("cpu"))
    origin = CheckpointFeatures(
        name="patches",
        options={},
        input_shape=shape,
        map_digest=public_map.digest,
        mean=tuple(found.mean_F.tolist()),
        std=tuple(found.std_F.tolist()),
    )
    saved = _save(tmp_path, ModelConfig(name="mlp"), shape=(public_map.num_features,), features=origin)
    written = export(saved, to_format)
    assert written.difference < 1e-4
    images_NCHW = torch.rand(70, *shape, generator=torch.Generator().manual_seed(3))
    content = written.path.read_bytes()
    found_NC = FORMATS[to_format].load(content)(images_NCHW)
    torch.testing.assert_close(found_NC, load_model(saved)(images_NCHW).detach(), atol=1e-4, rtol=0)
    assert "features by patches" in _metadata_of(content, to_format)["normalization"]


def _metadata_of(content: bytes, to_format: str) -> dict[str, str]:
    if to_format == "onnx":
        return {entry.key: entry.value for entry in onnx.load_from_string(content).metadata_props}
    files = {METADATA_FILE: ""}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch announces the end of TorchScript
        torch.jit.load(io.BytesIO(content), _extra_files=files)
    found: dict[str, str] = json.loads(files[METADATA_FILE])
    return found


@FROM_TORCH_2_13
def test_onnx_by_its_own_reference(saved: Path) -> None:
    """The written graph means the same to the reference evaluator of the format, and its first axis is free."""
    path = export(saved, "onnx").path
    model = onnx.load(path)
    onnx.checker.check_model(model)
    assert [value.type.tensor_type.shape.dim[0].dim_param for value in (*model.graph.input, *model.graph.output)] == [
        "batch",
        "batch",
    ]
    inputs_NX = torch.rand(3, *SHAPE, generator=torch.Generator().manual_seed(2))
    (found,) = onnx.reference.ReferenceEvaluator(model).run(None, {"input": inputs_NX.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(found, load_model(saved)(inputs_NX).numpy(), atol=1e-5)


@FORMAT
def test_no_place_of_this_machine_is_in_the_file(saved: Path, to_format: str) -> None:
    """Exporters note the source file of each operation; whoever gets the network shall not learn of such paths."""
    content = export(saved, to_format).path.read_bytes()
    parts = [content]
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts += [archive.read(name) for name in archive.namelist()]
    for place in (str(Path(torch.__file__).parent), str(Path(exporting.__file__).parents[1])):
        assert not any(place.encode() in part for part in parts)


def test_it_is_compared_on_own_samples_where_the_run_tells_of_them(tmp_path: Path) -> None:
    """With the configuration of a party beside the checkpoint, or that of a simulation beside its folder, the test
    samples of the run are used; without, or with data that are gone, random ones. What was used is said."""
    (tmp_path / "party_a").mkdir()
    saved = _save(tmp_path / "party_a", ModelConfig(name="mlp"))

    def said(number: int) -> str:
        return export(saved, "torchscript", tmp_path / str(number)).samples

    assert "64 random inputs" in said(1)
    run = compose_run([])
    _write(tmp_path / "config.yaml", run.model_dump(mode="json"))
    assert said(2) == "64 own test samples"
    values = run.party(0, str(tmp_path)).model_dump(mode="json")
    beside = saved.with_name("config.yaml")
    _write(beside, values)
    assert said(3) == "64 own test samples"
    _write(beside, values | {"data": values["data"] | {"name": "npz", "path": str(tmp_path / "gone.npz")}})
    assert "gone.npz" in said(4)
    _write(beside, values | {"data": values["data"] | {"name": "target", "options": {"_target_": "os:abort"}}})
    assert "asks to call a function" in said(5)
    for number, damaged in enumerate(("[", "[1, 2]", "{}", "data: 3")):
        beside.write_text(damaged)
        assert "64 random inputs" in said(6 + number)


def _write(path: Path, values: object) -> None:
    path.write_text(yaml.safe_dump(values))


def test_a_network_that_tracing_cannot_see_is_refused(tmp_path: Path, target: Path) -> None:
    """It would give other answers; nothing is left behind."""
    code, said = _call(str(target), "--format", "torchscript", "--allow-target")
    assert code == 4
    assert "differ by" in said
    assert "nothing was written" in said
    assert not (tmp_path / "model.torchscript").exists()


def test_a_callable_of_the_file_is_not_called_unasked(target: Path) -> None:
    assert _call(str(target), "--format", "torchscript") == (
        4,
        f"smule: error: {target} asks to call '{__name__}:build_one_at_a_time' to build its network; if you trust the "
        "file, add --allow-target\n",
    )


@FORMAT
def test_nothing_is_written_over(saved: Path, to_format: str) -> None:
    path = saved.with_suffix(FORMATS[to_format].suffix)
    path.write_text("mine")
    code, said = _call(str(saved), "--format", to_format)
    assert (code, path.read_text()) == (5, "mine")
    assert said.count("\n") == 1
    assert "--output" in said


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_text("text")
    assert _call(str(tmp_path / "model.pt"), "--format", "onnx")[0] == 4
    assert _call(str(tmp_path / "gone.pt"), "--format", "onnx")[0] == 3


def test_without_the_extra(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who lacks the packages of ONNX hears their names, and of the format that needs none."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    code, said = _call(str(saved), "--format", "onnx")
    assert code == 2
    assert "onnxruntime" in said
    assert ".[export]" in said
    assert "torchscript" in said


def _call(*arguments: str) -> tuple[int, str]:
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), pytest.raises(SystemExit) as ended:
        main(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code, errors.getvalue()
