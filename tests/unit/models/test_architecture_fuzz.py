"""The reader of architectures meets anything: it answers with an architecture or one typed line, and soon."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_architecture import RESIDUAL_BLOCK

from smule_crypten.config.sections import SchemeConfig
from smule_crypten.errors import ModelError
from smule_crypten.inference.registry import scheme_class
from smule_crypten.models.architecture import Architecture

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 12),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from([*RESIDUAL_BLOCK, *{key for op in RESIDUAL_BLOCK["ops"] for key in op}, "conv2d", "relu", "add"]),
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(st.text(max_size=8), inner, max_size=5)),
    max_leaves=30,
)


def read(value: object) -> Architecture | None:
    """The architecture, or None where it is refused; every accepted one has shapes and each operation has a reader."""
    try:
        architecture = Architecture.from_json(value)
    except ModelError as error:
        refusal = str(error)
    else:
        refusal = ""
    assert refusal.isprintable()
    assert len(refusal) < 400
    if refusal:
        return None
    assert all(size > 0 for shape in architecture.shapes for size in shape)
    read_positions = {i for op in architecture.ops for i in op.inputs} | {len(architecture.ops) - 1}
    assert read_positions >= set(range(len(architecture.ops)))
    return architecture


@settings(max_examples=200, deadline=None, derandomize=True)
@given(value=JSON)
def test_any_json(value: object) -> None:
    """No value that JSON can hold ends in anything but a typed error."""
    read(value)


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        {"input_shape": [2, 6, 6], "two\nlines": 1, "ops": []},
        {"input_shape": [2, 6, 6], "ops": [{"kind": "two\nlines"}]},
        {"input_shape": [2, 6, 6], "ops": [{"kind": "relu", "name": "two\nlines", "inputs": [5]}]},
        {"input_shape": [2, 6, 6], "ops": [{"kind": "relu", "name": "\x1b[2J", "inputs": [5]}]},
        {"input_shape": [2, 6, 6], "ops": [{"kind": "relu", "name": "r", "inputs": [-1], "x" * 100_000: 1}]},
        {"input_shape": [2, 6, 6], "ops": nested(10_000)},
        {"input_shape": [2, 6, 6], "ops": [b"bytes"]},
        {1: [], "ops": "\ud800"},
    ],
)
def test_what_a_peer_writes_is_quoted_briefly(value: object) -> None:
    """Neither a second line nor a control character nor a long text reaches this side's terminal and log."""
    assert read(value) is None


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """A valid architecture after up to 4 changes: fields, whole operations, their order and their readers."""
    value = copy.deepcopy(RESIDUAL_BLOCK)
    for _ in range(draw(st.integers(1, 4))):
        ops = value["ops"]
        if not isinstance(ops, list) or not ops:
            break
        position = draw(st.integers(0, len(ops) - 1))
        match draw(st.sampled_from(["field", "remove", "repeat", "swap", "rewire", "key", "shape"])):
            case "field":
                key = draw(st.sampled_from(sorted(ops[position])))
                ops[position][key] = draw(st.one_of(JSON, st.lists(st.integers(0, 4), min_size=1, max_size=4)))
            case "remove":
                del ops[position]
            case "repeat":
                ops.insert(position, {**ops[position], "name": draw(st.sampled_from(["x", "y", "conv"]))})
            case "swap":
                ops[position], ops[-1] = ops[-1], ops[position]
            case "rewire":
                ops[position]["inputs"] = draw(st.lists(st.integers(-2, len(ops)), max_size=3))
            case "key":
                ops[position][draw(st.text(max_size=8))] = draw(SCALARS)
            case "shape":
                value["input_shape"] = draw(st.lists(st.integers(-1, 2**33), max_size=4))
    return value


@settings(max_examples=300, deadline=None, derandomize=True)
@given(value=mutated())
def test_mutated_valid_architectures(value: dict[str, Any]) -> None:
    """Nor does a valid one with some changes; what is accepted survives its way back through JSON."""
    architecture = read(value)
    if architecture is not None:
        assert Architecture.from_json(json.loads(json.dumps(architecture.to_json()))) == architecture


@pytest.mark.parametrize("scheme", ["crypten", "lean"])
def test_an_unused_operation_reaches_no_scheme(scheme: str) -> None:
    """A peer's announcement of one crashed both sides; without it the same network has a cost."""
    unused = copy.deepcopy(RESIDUAL_BLOCK)
    unused["ops"].insert(1, {"kind": "relu", "name": "unused", "inputs": [0]})
    for op in unused["ops"][2:]:
        op["inputs"] = [i + 1 if i >= 1 else i for i in op["inputs"]]
    with pytest.raises(ModelError, match="operation unused: no later operation uses its result; leave it out"):
        Architecture.from_json(unused)
    architecture = Architecture.from_json(RESIDUAL_BLOCK)
    scheme_class(scheme).cost_of(architecture, 2, SchemeConfig(name=scheme), dealt=True)


_FUZZER = """
import json, sys
import atheris

with atheris.instrument_imports(include=["smule_crypten.models"]):
    from smule_crypten.models.architecture import Architecture
from smule_crypten.errors import ModelError

def read(data):
    try:
        value = json.loads(data.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return
    try:
        Architecture.from_json(value)
    except ModelError as error:
        assert "\\n" not in str(error)

atheris.Setup(sys.argv, read)
atheris.Fuzz()
"""


@pytest.mark.slow
def test_bytes(tmp_path: Any) -> None:
    """libFuzzer, led by coverage, finds no other error either, nor a single input that takes 5 s or 1 GB more."""
    pytest.importorskip("atheris")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "valid").write_text(json.dumps(RESIDUAL_BLOCK))
    command = [sys.executable, "-c", _FUZZER, "-max_total_time=60", "-timeout=5", "-rss_limit_mb=2048", "-seed=1"]
    ended = subprocess.run([*command, str(corpus)], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
