from __future__ import annotations

from pathlib import Path

import pytest

from smule_crypten.errors import ConfigError
from smule_crypten.launch.predict import split_files


def test_files_and_settings() -> None:
    """input and output are the command's own, all else is for the file of the side."""
    arguments = ["+party=side.yaml", "input=x=1.npz", "seed=3", "output=out.npz"]
    assert split_files(arguments) == (
        {"input": Path("x=1.npz"), "output": Path("out.npz")},
        ["+party=side.yaml", "seed=3"],
    )
    assert split_files(["predict.validation_queries=0"]) == ({}, ["predict.validation_queries=0"])


@pytest.mark.parametrize("arguments", [["input="], ["input"], ["output=a.npz", "output=b.npz"]])
def test_unusable_files(arguments: list[str]) -> None:
    """Empty or twice is a mistake, not a choice."""
    with pytest.raises(ConfigError, match="name one file"):
        split_files(arguments)
