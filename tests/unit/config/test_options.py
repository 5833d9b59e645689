from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from smule_crypten.config.options import call_target, one_line, parse_options
from smule_crypten.config.sections import Section
from smule_crypten.errors import ConfigError, DataError, ModelError


class Example(Section):
    depth: int = Field(ge=1)
    widths: tuple[int, ...] = Field(default=(1, 2), strict=False)


class Empty(Section):
    pass


def test_valid_options_are_taken() -> None:
    """Lists, as YAML gives them, become tuples; defaults fill in."""
    assert parse_options(Example, {"depth": 2, "widths": [3]}, "key") == Example(depth=2, widths=(3,))
    assert parse_options(Example, {"depth": 2}, "key").widths == (1, 2)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (
            Example,
            {"depht": 2},
            r"^data\.options\.depht: unknown option \(did you mean depth\? known: depth, widths\)$",
        ),
        (Empty, {"depth": 2}, r"^data\.options\.depth: unknown option \(no options are known here\)$"),
        (Example, {}, r"^data\.options\.depth: must be given$"),
        (Example, {"depth": "2"}, r"^data\.options\.depth: .*valid integer, got '2'$"),
        (Example, {"depth": 0, "widths": [1, "x"]}, r"^data\.options\.depth: .*; data\.options\.widths\.1: .*got 'x'$"),
    ],
)
def test_wrong_options_give_one_line(kind: type[Section], options: dict[str, Any], message: str) -> None:
    """The key is written as the user would, with the value and what is known."""
    with pytest.raises(ConfigError, match=message):
        parse_options(kind, options, "data.options")


USER_MODULE = """
from smule_crypten.errors import DataError

number = 3

def join(first, second=0):
    return first, second

def fail():
    raise ZeroDivisionError("first line\\nsecond line")

def refuse():
    raise DataError("own words")
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "user_options_module.py").write_text(USER_MODULE)
    (tmp_path / "user_broken_module.py").write_text("def (")
    (tmp_path / "user_failing_module.py").write_text("import os\n\nos.nothing\n")
    (tmp_path / "user_quitting_module.py").write_text("raise SystemExit(3)")
    (tmp_path / "user_needy_module.py").write_text("import no_such_package.inner\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "user_options_module", raising=False)
    return "user_options_module"


def test_target_gets_arguments_and_options(module: str) -> None:
    """Fixed arguments and the user's own options both arrive by name; _target_ itself does not."""
    options = {"_target_": f"{module}.join", "second": 2}
    assert call_target(options, "model.options", ModelError, first=1) == (1, 2)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (None, r"model\.options\._target_: expected an importable callable .*got None"),
        (7, "got 7"),
        ("no_such_package.build", "cannot import no_such_package.build .*ModuleNotFoundError"),
        ("user_options_module.missing", "cannot import .*AttributeError.*; check the spelling"),
        ("user_broken_module.build", "cannot import .*SyntaxError.*fails while it is imported"),
        ("user_failing_module.build", "cannot import .*AttributeError.*fails while it is imported; fix that$"),
        ("user_quitting_module.build", r"cannot import .*SystemExit: 3\); .*fails while it is imported"),
        ("user_needy_module.build", "imports no_such_package, which is not installed here; install it$"),
        ("user_options_modul.build", "No module named 'user_options_modul'.*; check the spelling"),
        ("not a name", "cannot import not a name"),
        ("", "cannot import"),
        ("user_options_module.number", "is a int and cannot be called"),
    ],
)
def test_wrong_target_is_a_wrong_setting(module: str, path: Any, message: str) -> None:
    """Whatever an import raises becomes one line with the name given."""
    with pytest.raises(ConfigError, match=message) as raised:
        call_target({"_target_": path}, "model.options", ModelError)
    assert "\n" not in str(raised.value)


def test_failing_target_is_reported_with_its_cause(module: str) -> None:
    """The user's own error appears in the line and stays chained for its traceback."""
    with pytest.raises(ModelError, match=r"failed with ZeroDivisionError: first line$") as raised:
        call_target({"_target_": f"{module}.fail"}, "model.options", ModelError)
    assert isinstance(raised.value.__cause__, ZeroDivisionError)


def test_a_target_that_imports_torchvision(tmp_path: Path) -> None:
    """In a fresh process, also beside a PyTorch build that torchvision's extension does not fit."""
    (tmp_path / "user_vision.py").write_text(
        "import torchvision\nfrom torchvision.models import resnet18\n\ndef build():\n    return resnet18\n"
    )
    program = (
        "from smule_crypten.errors import ModelError\n"
        "from smule_crypten.config.options import call_target\n"
        "print(call_target({'_target_': 'user_vision.build'}, 'model.options', ModelError).__name__)"
    )
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (result.stdout.strip(), result.returncode) == ("resnet18", 0), result.stderr


def test_clashing_argument_is_reported(module: str) -> None:
    """An option cannot silently replace an argument that the program passes."""
    with pytest.raises(ModelError, match="multiple values for keyword argument 'first'"):
        call_target({"_target_": f"{module}.join", "first": 2}, "model.options", ModelError, first=1)


def test_targets_own_errors_pass(module: str) -> None:
    """A target may raise the project's errors itself."""
    with pytest.raises(DataError, match=r"^own words$"):
        call_target({"_target_": f"{module}.refuse"}, "model.options", ModelError)


def test_one_line_of_an_error_without_text() -> None:
    """An empty message leaves the type."""
    assert one_line(EOFError()) == "EOFError"
