from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from public_maps import module

from smule_crypten.errors import ConfigError, ModelError
from smule_crypten.features.public_map import build_map

SHAPE = (3, 8, 8)


def digest(**options: Any) -> str:
    return build_map(module("linear", **options), SHAPE).digest


def test_a_digest_says_what_a_map_computes(tmp_path: Path) -> None:
    """Weights, options and what is in a named file count; where the file lies does not."""
    here, there = tmp_path / "here.pt", tmp_path / "there.pt"
    here.write_bytes(b"weights")
    there.write_bytes(b"weights")
    assert digest() == digest()
    assert len({digest(), digest(seed=1), digest(features=4), digest(weights="a"), digest(weights="b")}) == 5
    assert digest(weights=str(here)) == digest(weights=str(there))
    there.write_bytes(b"others")
    assert digest(weights=str(here)) != digest(weights=str(there))


def test_a_map_is_frozen() -> None:
    """Nothing of it is trained, and it behaves as in evaluation, whatever the callable returned."""
    network = build_map(module("linear"), SHAPE).network
    assert not network.training
    assert [parameter.requires_grad for parameter in network.parameters()] == [False, False]


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("no_module", ModelError, "features.options._target_: public_maps.no_module returned a int; return a torch"),
        (
            "of_another_size",
            ModelError,
            "features=module (public_maps.of_another_size) cannot be applied to samples of ",
        ),
        ("images_again", ModelError, "makes (2, 3, 8, 8) of 2 samples of 3x8x8; a map gives (samples, features)"),
        ("no_such_name", ConfigError, "features.options._target_: cannot import public_maps.no_such_name"),
    ],
)
def test_what_is_no_map_is_refused(name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)) as caught:
        build_map(module(name), SHAPE)
    assert "\n" not in str(caught.value)


def test_weights_that_are_not_finite_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "randn", lambda shape, generator: torch.full(shape, torch.inf))
    with pytest.raises(ModelError, match="NaN or infinite"):
        build_map(module("linear"), SHAPE)
