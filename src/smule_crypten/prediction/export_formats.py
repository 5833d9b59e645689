"""A network as a file that other programs run: ONNX, or TorchScript, as bytes, and those bytes at work.

Either takes any number of inputs at a time, and says in its metadata what an input and an output are. What PyTorch
notes beside the network, where on this machine its source code lies, is left out.
"""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn

from smule_crypten.errors import ConfigError

INPUT, OUTPUT = "input", "output"
METADATA_FILE = "metadata.json"
"""In a TorchScript file: `torch.jit.load(path, _extra_files={"metadata.json": ""})` fills it in."""

Runnable = Callable[[torch.Tensor], torch.Tensor]


class Format(NamedTuple):
    """How a network is written, how what was written is run, and what such a file is called.

    write: given the network, an example of two inputs, and the metadata. load: gives inputs (N, X) to outputs (N, C).
    """

    write: Callable[[nn.Module, torch.Tensor, Mapping[str, Any]], bytes]
    load: Callable[[bytes], Runnable]
    suffix: str


def _write_onnx(network: nn.Module, example_NX: torch.Tensor, metadata: Mapping[str, Any]) -> bytes:
    _packages_of_onnx()
    batch = {0: torch.export.Dim("batch")}
    with _quiet():
        traced = torch.export.export(network, (example_NX,), dynamic_shapes=(batch,))
        program = torch.onnx.export(
            traced, dynamo=True, input_names=[INPUT], output_names=[OUTPUT], verbose=False, external_data=False
        )
    assert program is not None
    model = program.model_proto
    model.graph.ClearField("value_info")
    for part in (model.graph, *model.graph.node, *model.graph.input, *model.graph.output, *model.graph.initializer):
        part.ClearField("metadata_props")
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    for key, meaning in metadata.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, meaning if isinstance(meaning, str) else json.dumps(meaning)
    content: bytes = model.SerializeToString()
    return content


def _load_onnx(content: bytes) -> Runnable:
    session = _packages_of_onnx().InferenceSession(content, providers=["CPUExecutionProvider"])
    return lambda inputs_NX: torch.from_numpy(session.run([OUTPUT], {INPUT: inputs_NX.numpy()})[0])


def _packages_of_onnx() -> Any:
    """The module onnxruntime. The exporter of PyTorch needs onnxscript, which it imports itself."""
    try:
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"--format onnx needs {error.name}, which is not installed: pip install -c constraints.txt -e '.[export]'; "
            "or take --format torchscript, which needs nothing"
        ) from None
    return onnxruntime


def _write_torchscript(network: nn.Module, example_NX: torch.Tensor, metadata: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    with _quiet(), torch.no_grad():
        # What tracing cannot see, the comparison with the network itself does, at another number of inputs.
        traced = torch.jit.trace(network, example_NX, check_trace=False)  # type: ignore[no-untyped-call]
        torch.jit.save(traced, buffer, _extra_files={METADATA_FILE: json.dumps(metadata)})
    return _without_places(buffer)


def _without_places(written: io.BytesIO) -> bytes:
    """The archive without the members that say which line of which file each operation comes from."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(written) as source, zipfile.ZipFile(buffer, "w") as target:
        for member in source.infolist():
            if not member.filename.endswith(".debug_pkl"):
                target.writestr(member, source.read(member))
    return buffer.getvalue()


def _load_torchscript(content: bytes) -> Runnable:
    with _quiet():
        network = torch.jit.load(io.BytesIO(content))  # type: ignore[no-untyped-call]

    def run(inputs_NX: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            outputs: torch.Tensor = network(inputs_NX)
        return outputs

    return run


@contextmanager
def _quiet() -> Iterator[None]:
    """PyTorch warns that TorchScript is no longer developed, and its exporter to ONNX warns of its own code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


FORMATS: dict[str, Format] = {
    "onnx": Format(_write_onnx, _load_onnx, ".onnx"),
    "torchscript": Format(_write_torchscript, _load_torchscript, ".torchscript"),
}
