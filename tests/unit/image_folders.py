"""Folders of small photographs that can be learned from, to be read at once or as they are needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from smule_crypten.config.sections import DataConfig
from smule_crypten.data.datasets import load_data
from smule_crypten.data.samples import DataBundle

SIZE = [12, 10]


def write_folder(root: Path, num_train: int = 48, num_test: int = 12) -> Path:
    """Three classes by colour, as JPEG and PNG files of several sizes; root/train and root/test."""
    draws = np.random.default_rng(7)
    for split, count in (("train", num_train), ("test", num_test)):
        for number in range(count):
            label, (height, width) = number % 3, draws.integers(9, 15, 2)
            pixels = draws.integers(0, 120, (height, width, 3), dtype=np.uint8)
            pixels[:, :, label] += 80
            path = root / split / f"class{label}" / f"{number:03d}.{'png' if number % 2 else 'jpg'}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    return root


def load(root: Path, *, in_memory: bool, workers: int = 0, **settings: Any) -> DataBundle:
    options = {"image_size": SIZE, **settings.pop("options", {})}
    config = DataConfig(
        name="image_folder", path=str(root), in_memory=in_memory, workers=workers, options=options, **settings
    )
    return load_data(config)
