"""data=image_folder: image files, one class a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from smule_crypten.config.options import parse_options
from smule_crypten.config.sections import DataConfig
from smule_crypten.data.files_folder import Split, read_image_folder
from smule_crypten.data.image_file import ImageSize
from smule_crypten.data.names import composed, listed
from smule_crypten.data.reader_options import NameOptions, path_of
from smule_crypten.data.samples import DataBundle
from smule_crypten.errors import ConfigError, DataError


class FolderOptions(NameOptions):
    image_size: tuple[int, int] | None = Field(default=None, strict=False)
    """[height, width] to resize to; null needs images that all have one size."""
    channels: Literal[1, 3] = 3
    """3 reads RGB, grey images three times the same; 1 grey, with one value of mean and std."""


def load_image_folder(config: DataConfig) -> DataBundle:
    """data.path/train/<class>/ and data.path/test/<class>/ with image files, as RGB uint8."""
    options = parse_options(FolderOptions, config.options, "data.options")
    root = path_of(config, "a folder with train/<class>/ and test/<class>/")
    size = None
    if options.image_size is not None:
        if min(options.image_size) < 1:
            raise ConfigError(f"data.options.image_size: must be positive [height, width], got {options.image_size}")
        size = ImageSize(*options.image_size)
    names = None if options.class_names is None else tuple(map(composed, options.class_names))
    train, test = (
        read_image_folder(root, split, size, limit, options.channels, names)
        for split, limit in (("train", config.max_train), ("test", config.max_test))
    )
    _compare_splits(train, test, root)
    return DataBundle(train.images, test.images, train.class_names, _notes(train, test, root))


def _compare_splits(train: Split, test: Split, root: Path) -> None:
    if train.class_names != test.class_names:
        differing = ", ".join(sorted(set(train.class_names) ^ set(test.class_names)))
        raise DataError(
            f"data set 'image_folder': {root}/train and {root}/test have different classes ({differing}); "
            "use the same class folders in both, or list all classes by data.options.class_names"
        )
    if train.depth != test.depth:
        raise DataError(
            f"data set 'image_folder': images in {root}/train have {train.depth}, those in {root}/test {test.depth}; "
            "convert them to one depth"
        )


def _notes(train: Split, test: Split, root: Path) -> tuple[str, ...]:
    in_both = len(train.files & test.files)
    overlap = (f"{in_both} test images are the same files as training images, so the test flatters",) if in_both else ()
    others = sorted(path.name for path in root.iterdir() if path.is_dir() and path.name not in ("train", "test"))
    unused = (f"beside train and test, not used: {listed(others)}",) if others else ()
    return (*train.notes, *test.notes, *overlap, *unused)
