"""data=image_folder: image files, one class a folder or with a table of labels."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from smule_crypten.config.options import parse_options
from smule_crypten.config.sections import DataConfig
from smule_crypten.data.files_folder import Split, read_image_folder, read_labelled_folder
from smule_crypten.data.files_labels import Labels, TargetKind, read_labels, understood
from smule_crypten.data.lazy_samples import Keeping
from smule_crypten.data.reader_options import NameOptions, path_of
from smule_crypten.data.samples import DataBundle
from smule_crypten.errors import ConfigError, DataError
from smule_crypten.images.image_file import ImageSize
from smule_crypten.names import composed, listed


class FolderOptions(NameOptions):
    image_size: tuple[int, int] | None = Field(default=None, strict=False)
    """[height, width] to resize to; null needs images that all have one size."""
    channels: Literal[1, 3] = 3
    """3 reads RGB, grey images three times the same; 1 grey, with one value of mean and std."""
    labels: str | None = None
    """A CSV file, relative to data.path, with a column `file` (paths such as train/0001.png) and columns of labels;
    null takes the folders as classes."""
    label_columns: tuple[str, ...] | None = Field(default=None, strict=False)
    """The columns of labels that count; null takes all but `file`."""
    target_kind: TargetKind | None = None
    """What the columns of labels hold: classes (categorical, one column), labels of 0 and 1 (boolean) or numbers to be
    predicted (numeric). Null finds out: several columns of 0 and 1 are labels, text and whole numbers are classes."""

    @model_validator(mode="after")
    def _are_used(self) -> Self:
        for name in ("label_columns", "target_kind"):
            if self.labels is None and getattr(self, name) is not None:
                raise ValueError(f"{name}: has no effect without labels, the file that holds them")
        return self


def load_image_folder(config: DataConfig) -> DataBundle:
    """data.path/train/<class>/ and data.path/test/<class>/ with image files, or train/ and test/ and a table of labels.

    Images are RGB or grey, uint8 or float32 (image_file.py).
    """
    options = parse_options(FolderOptions, config.options, "data.options")
    root = path_of(config, "a folder with train/<class>/ and test/<class>/")
    if options.image_size is not None and min(options.image_size) < 1:
        raise ConfigError(f"data.options.image_size: must be positive [height, width], got {options.image_size}")
    size = None if options.image_size is None else ImageSize(*options.image_size)
    limits = (("train", config.max_train), ("test", config.max_test))
    names = None if options.class_names is None else tuple(map(composed, options.class_names))
    keeping = Keeping.of(config)
    if options.labels is None:
        train, test = (
            read_image_folder(root, split, size, limit, options.channels, names, keeping) for split, limit in limits
        )
    else:
        labels = _labels(root, options)
        train, test = (
            read_labelled_folder(root, split, size, limit, options.channels, labels, keeping) for split, limit in limits
        )
    _compare_splits(train, test, root)
    return DataBundle(train.images, test.images, train.class_names, _notes(train, test, root))


def _labels(root: Path, options: FolderOptions) -> Labels:
    """The table of labels; its path is relative to data.path."""
    file = read_labels(root / Path(options.labels or "").expanduser(), options.label_columns)
    labels = understood(file, options.target_kind, options.class_names)
    astray = [key for key in file.rows if key.split("/")[0] not in ("train", "test")]
    if astray:
        raise DataError(
            f"{file.path} tells of {len(astray)} file(s) neither in train/ nor in test/ ({listed(astray, most=3)}); "
            "names are paths from data.path, as train/0001.png"
        )
    return labels


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
