"""Which files of folder/<class>/ are samples of which class, and what was left out by which rule.

- A class is a folder in which there are images, at any depth. Folders that systems and editors make (named .something,
  __something, @something and the like) are none, unless the classes are listed and such a name is among them.
- An image is a regular file with one of the suffixes that are read. Hidden files are none.
- A file counts once, however many links lead to it; a link to a folder that contains it leads nowhere. One file in two
  classes is refused.
"""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from smule_crypten.errors import DataError
from smule_crypten.images.image_file import SUFFIXES
from smule_crypten.images.packed_paths import PackedPaths
from smule_crypten.names import composed, listed, printable

_NO_CLASS = (".", "__", "@", "$", "~", "#")
_SYSTEM_FOLDERS = ("lost+found", "System Volume Information")
_REMEDY = "set data.path to a folder with train/<class>/ and test/<class>/"

_LOOP = "links to a folder that contains them, left out"
_SYSTEMS_OWN = "folders hidden or called __, @, $, ~ or # something, left out"
_AGAIN = "links to files that count already, left out"
_BESIDE = "files beside the class folders, left out"
_HIDDEN = "hidden files, left out"
_IRREGULAR = "no regular files, left out"
_BELOW = "subfolders, not looked into"

Identity = int | str | None


class Remarks:
    """What was noticed of files, counted by rule, each with the first file as an example."""

    def __init__(self) -> None:
        self._names: dict[str, list[str]] = {}
        self._others: list[str] = []

    def say(self, text: str) -> None:
        """A remark that is about no file in particular."""
        self._others.append(text)

    def add(self, rule: str, name: str) -> None:
        """name: of a file, without its folder."""
        self._names.setdefault(rule, []).append(printable(name))

    def lines(self) -> tuple[str, ...]:
        """One line a rule, the rules in the order in which they first applied."""
        by_rule = (f"{len(names)} {rule} ({listed(names, most=1)})" for rule, names in self._names.items())
        return (*by_rule, *self._others)


@dataclass(frozen=True, eq=False)
class ImagePaths:
    """Images of a folder.

    Attributes:
        paths: (N).
        stamps_N2: int64, the bytes of each file, and when it was last changed, in nanoseconds.
        remarks: what was left out.
        files: identifies the files, whatever links lead to them.
    """

    paths: PackedPaths
    stamps_N2: npt.NDArray[np.int64]
    remarks: Remarks
    files: frozenset[Identity]


@dataclass(frozen=True, eq=False)
class Listing(ImagePaths):
    """In order of class and name. labels (N); class_names: what they stand for."""

    labels: list[int]
    class_names: tuple[str, ...]


def list_classes(folder: Path, class_names: tuple[str, ...] | None) -> Listing:
    """The images of folder/<class>/.

    Args:
        class_names: the classes in order of their numbers; a class then needs no folder, or no image in it, and a
            folder of another name is refused. None: the folders, in alphabetical order.

    Raises:
        DataError: folder cannot be listed, holds no classes, a class without images or an unknown one; or a file
            belongs to two classes.
    """
    remarks = Remarks()
    labels: list[int] = []
    with _errors_of(folder):
        folders = _class_folders(folder, class_names, remarks)
        names = class_names if class_names is not None else tuple(sorted(folders))
        walk = _Walk(folder, remarks)
        for label, name in enumerate(names):
            count = walk.add_images(folders[name]) if name in folders else 0
            if class_names is None and not count:
                remedy = "remove it, or list all classes by data.options.class_names"
                raise _nothing(folders[name].path, remarks, remedy)
            labels += [label] * count
    if not labels:
        raise _nothing(str(folder), remarks, _REMEDY)
    return Listing(**vars(walk.found()), labels=labels, class_names=names)


def list_tree(folder: Path) -> ImagePaths:
    """The images in folder at any depth, in order of folders and names.

    Raises:
        DataError: folder cannot be listed, or holds no images.
    """
    remarks = Remarks()
    with _errors_of(folder):
        walk = _Walk(folder, remarks)
        count = walk.add_images(_entry(str(folder)))
    if not count:
        raise _nothing(str(folder), remarks, "set data.path to a folder with train/ and test/")
    return walk.found()


def list_images(folder: Path) -> tuple[list[Path], Remarks]:
    """The images that lie in folder itself, in order of their names, and what was left out.

    Raises:
        DataError: folder cannot be listed.
    """
    remarks = Remarks()
    with _errors_of(folder):
        entries = _entries(str(folder))
        for entry in entries:
            if entry.is_folder:
                remarks.add(_BELOW, entry.name)
        chosen = [Path(entry.path) for entry in entries if not entry.is_folder and _is_image(entry, remarks)]
    return chosen, remarks


@contextmanager
def _errors_of(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = printable(str(error.filename or folder))
        raise DataError(f"cannot list {where} ({error.strerror}); {_REMEDY}, and see that it can be read") from error
    except RecursionError:
        raise DataError(f"cannot list {printable(str(folder))}: too many folders in one another; {_REMEDY}") from None


def _nothing(folder: str, remarks: Remarks, remedy: str) -> DataError:
    known = " ".join(SUFFIXES)
    return DataError("; ".join([f"{printable(folder)} holds no images ({known})", remedy, *remarks.lines()]))


class _Entry(NamedTuple):
    """What a folder holds; identity is the same for all links to a file or folder, None where a link leads nowhere.

    stamp: bytes, and the time of the last change in nanoseconds.
    """

    path: str
    name: str
    is_folder: bool
    is_file: bool
    identity: Identity
    stamp: tuple[int, int] = (0, 0)


def _entry(path: str, name: str = "", found: os.stat_result | None = None) -> _Entry:
    try:
        found = os.stat(path) if found is None else found
    except OSError:
        os.lstat(path)  # a link that leads nowhere is there itself; of anything else the error is the one to tell
        return _Entry(path, name, False, False, None)
    # One number rather than two: there may be a million of them.
    identity = found.st_dev << 64 | found.st_ino if found.st_ino else os.path.realpath(path)
    stamp = found.st_size, found.st_mtime_ns
    return _Entry(path, name, stat.S_ISDIR(found.st_mode), stat.S_ISREG(found.st_mode), identity, stamp)


def _entries(folder: str) -> list[_Entry]:
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    return [_entry(entry.path, entry.name, None if entry.is_symlink() else entry.stat()) for entry in entries]


def _containing(folder: Path) -> tuple[Identity, ...]:
    whole = folder.resolve()
    return tuple(_entry(str(path)).identity for path in (whole, *whole.parents))


def _class_folders(folder: Path, class_names: tuple[str, ...] | None, remarks: Remarks) -> dict[str, _Entry]:
    containing = _containing(folder)
    folders: dict[str, _Entry] = {}
    for entry in _entries(str(folder)):
        name = composed(entry.name)
        is_listed = class_names is not None and name in class_names
        if not entry.is_folder:
            remarks.add(_BESIDE, entry.name)
        elif entry.identity in containing:
            remarks.add(_LOOP, entry.name)
        elif not is_listed and _is_systems_own(entry.name):
            remarks.add(_SYSTEMS_OWN, entry.name)
        elif class_names is not None and not is_listed:
            raise DataError(
                f"{printable(entry.path)} is none of the classes in data.options.class_names "
                f"({listed(class_names)}); add it there at both parties, or move it away"
            )
        elif name in folders:
            raise DataError(f"two folders in {printable(str(folder))} are called {name}; give one of them another name")
        else:
            folders[name] = entry
    return folders


class _Walk:
    """Through all classes of one folder, so that a file that belongs to two of them is noticed."""

    def __init__(self, folder: Path, remarks: Remarks) -> None:
        self._root = str(folder)
        self._containing = _containing(folder)
        self._remarks = remarks
        self._earlier: dict[Identity, str] = {}
        self._seen: dict[Identity, str] = {}
        self._paths: list[str] = []
        self._stamps = array("q")

    def found(self) -> ImagePaths:
        """All images so far."""
        stamps_N2 = np.array(self._stamps, np.int64).reshape(-1, 2)
        return ImagePaths(PackedPaths(self._root, self._paths), stamps_N2, self._remarks, frozenset(self._earlier))

    def add_images(self, top: _Entry) -> int:
        """Those of a class, in order of their folders and names; returns how many."""
        images = [entry for entry in self._files(top, self._containing) if self._is_new(entry)]
        images.sort(key=lambda entry: (entry.path[: -len(entry.name) - 1], entry.name))
        self._paths += [entry.path for entry in images]
        for entry in images:
            self._stamps.extend(entry.stamp)
        self._earlier.update(self._seen)
        self._seen = {}
        return len(images)

    def _is_new(self, entry: _Entry) -> bool:
        if not _is_image(entry, self._remarks):
            return False
        if (other := self._earlier.get(entry.identity)) is not None:
            raise DataError(
                f"{printable(entry.path)} and {printable(other)} are one file in two classes; keep it in one of them"
            )
        if self._seen.setdefault(entry.identity, entry.path) == entry.path:
            return True
        self._remarks.add(_AGAIN, entry.name)
        return False

    def _files(self, folder: _Entry, containing: Sequence[Identity]) -> Iterator[_Entry]:
        within = (*containing, folder.identity)
        for entry in _entries(folder.path):
            if not entry.is_folder:
                yield entry
            elif entry.identity in within:
                self._remarks.add(_LOOP, entry.name)
            elif _is_systems_own(entry.name):
                self._remarks.add(_SYSTEMS_OWN, entry.name)
            else:
                yield from self._files(entry, within)


def _is_image(entry: _Entry, remarks: Remarks) -> bool:
    suffix = os.path.splitext(entry.name)[1].lower().rstrip(".")
    if entry.name.startswith("."):
        remarks.add(_HIDDEN, entry.name)
    elif suffix not in SUFFIXES:
        called = f"called *{printable(suffix)}" if suffix else "without a suffix"
        remarks.add(f"files {called}, left out", entry.name)
    elif entry.identity is None:
        raise DataError(f"{printable(entry.path)} is a link to nothing; repair or remove it")
    elif not entry.is_file:
        remarks.add(_IRREGULAR, entry.name)
    else:
        return True
    return False


def _is_systems_own(name: str) -> bool:
    return name.startswith(_NO_CLASS) or name in _SYSTEM_FOLDERS
