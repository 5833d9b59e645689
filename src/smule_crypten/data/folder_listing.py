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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from smule_crypten.data.image_file import SUFFIXES
from smule_crypten.data.names import composed, listed, printable
from smule_crypten.errors import DataError

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

Identity = tuple[int, int] | str | None


class Remarks:
    """What was noticed of files, counted by rule, each with the first file as an example."""

    def __init__(self) -> None:
        self._names: dict[str, list[str]] = {}
        self._others: list[str] = []

    def say(self, text: str) -> None:
        """A remark that is about no file in particular."""
        self._others.append(text)

    def add(self, rule: str, path: Path) -> None:
        self._names.setdefault(rule, []).append(printable(path.name))

    def lines(self) -> tuple[str, ...]:
        """One line a rule, the rules in the order in which they first applied."""
        by_rule = (f"{len(names)} {rule} ({listed(names, most=1)})" for rule, names in self._names.items())
        return (*by_rule, *self._others)


@dataclass(frozen=True)
class Listing:
    """paths (N) in order of class and name, their labels, the classes, and what was left out.

    files: identifies the files, whatever links lead to them.
    """

    paths: list[Path]
    labels: list[int]
    class_names: tuple[str, ...]
    remarks: Remarks
    files: frozenset[Identity]


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
    paths: list[Path] = []
    labels: list[int] = []
    with _errors_of(folder):
        folders = _class_folders(folder, class_names, remarks)
        names = class_names if class_names is not None else tuple(sorted(folders))
        walk = _Walk(folder, remarks)
        for label, name in enumerate(names):
            found = walk.images(folders[name], name) if name in folders else []
            if class_names is None and not found:
                remedy = "remove it, or list all classes by data.options.class_names"
                raise _nothing(folders[name].path, remarks, remedy)
            paths += found
            labels += [label] * len(found)
    if not paths:
        raise _nothing(folder, remarks, _REMEDY)
    return Listing(paths, labels, names, remarks, walk.files)


def list_tree(folder: Path) -> tuple[list[Path], Remarks, frozenset[Identity]]:
    """The images in folder at any depth, in order of folders and names, what was left out, and what identifies them.

    Raises:
        DataError: folder cannot be listed, or holds no images.
    """
    remarks = Remarks()
    with _errors_of(folder):
        walk = _Walk(folder, remarks)
        paths = walk.images(_entry(folder), "")
    if not paths:
        raise _nothing(folder, remarks, "set data.path to a folder with train/ and test/")
    return paths, remarks, walk.files


def list_images(folder: Path) -> tuple[list[Path], Remarks]:
    """The images that lie in folder itself, in order of their names, and what was left out.

    Raises:
        DataError: folder cannot be listed.
    """
    remarks = Remarks()
    with _errors_of(folder):
        entries = _entries(folder)
        for entry in entries:
            if entry.is_folder:
                remarks.add(_BELOW, entry.path)
        return [entry.path for entry in entries if not entry.is_folder and _is_image(entry, remarks)], remarks


@contextmanager
def _errors_of(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = printable(str(error.filename or folder))
        raise DataError(f"cannot list {where} ({error.strerror}); {_REMEDY}, and see that it can be read") from error
    except RecursionError:
        raise DataError(f"cannot list {printable(str(folder))}: too many folders in one another; {_REMEDY}") from None


def _nothing(folder: Path, remarks: Remarks, remedy: str) -> DataError:
    known = " ".join(SUFFIXES)
    return DataError("; ".join([f"{printable(str(folder))} holds no images ({known})", remedy, *remarks.lines()]))


class _Entry(NamedTuple):
    """What a folder holds; identity is the same for all links to a file or folder, None where a link leads nowhere."""

    path: Path
    is_folder: bool
    is_file: bool
    identity: Identity


def _entry(path: Path) -> _Entry:
    try:
        found = path.stat()
    except OSError:
        path.lstat()  # a link that leads nowhere is there itself; of anything else the error is the one to tell
        return _Entry(path, False, False, None)
    identity = (found.st_dev, found.st_ino) if found.st_ino else os.path.realpath(path)
    return _Entry(path, stat.S_ISDIR(found.st_mode), stat.S_ISREG(found.st_mode), identity)


def _entries(folder: Path) -> list[_Entry]:
    return [_entry(path) for path in sorted(folder.iterdir(), key=lambda path: path.name)]


def _containing(folder: Path) -> tuple[Identity, ...]:
    whole = folder.resolve()
    return tuple(_entry(path).identity for path in (whole, *whole.parents))


def _class_folders(folder: Path, class_names: tuple[str, ...] | None, remarks: Remarks) -> dict[str, _Entry]:
    containing = _containing(folder)
    folders: dict[str, _Entry] = {}
    for entry in _entries(folder):
        name = composed(entry.path.name)
        is_listed = class_names is not None and name in class_names
        if not entry.is_folder:
            remarks.add(_BESIDE, entry.path)
        elif entry.identity in containing:
            remarks.add(_LOOP, entry.path)
        elif not is_listed and _is_systems_own(entry.path):
            remarks.add(_SYSTEMS_OWN, entry.path)
        elif class_names is not None and not is_listed:
            raise DataError(
                f"{printable(str(entry.path))} is none of the classes in data.options.class_names "
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
        self._containing = _containing(folder)
        self._remarks = remarks
        self._seen: dict[Identity, tuple[str, Path]] = {}

    @property
    def files(self) -> frozenset[Identity]:
        """All images so far."""
        return frozenset(self._seen)

    def images(self, top: _Entry, class_name: str) -> list[Path]:
        """In order of their folders and names."""
        images = []
        for entry in self._files(top, self._containing):
            if not _is_image(entry, self._remarks):
                continue
            name, path = self._seen.setdefault(entry.identity, (class_name, entry.path))
            if path == entry.path:
                images.append(path)
            elif name == class_name:
                self._remarks.add(_AGAIN, entry.path)
            else:
                raise DataError(
                    f"{printable(str(entry.path))} and {printable(str(path))} are one file in two classes; "
                    "keep it in one of them"
                )
        return sorted(images, key=lambda path: (str(path.parent), path.name))

    def _files(self, folder: _Entry, containing: Sequence[Identity]) -> Iterator[_Entry]:
        within = (*containing, folder.identity)
        for entry in _entries(folder.path):
            if not entry.is_folder:
                yield entry
            elif entry.identity in within:
                self._remarks.add(_LOOP, entry.path)
            elif _is_systems_own(entry.path):
                self._remarks.add(_SYSTEMS_OWN, entry.path)
            else:
                yield from self._files(entry, within)


def _is_image(entry: _Entry, remarks: Remarks) -> bool:
    suffix = entry.path.suffix.lower()
    if entry.path.name.startswith("."):
        remarks.add(_HIDDEN, entry.path)
    elif suffix not in SUFFIXES:
        called = f"called *{printable(suffix)}" if suffix else "without a suffix"
        remarks.add(f"files {called}, left out", entry.path)
    elif entry.identity is None:
        raise DataError(f"{printable(str(entry.path))} is a link to nothing; repair or remove it")
    elif not entry.is_file:
        remarks.add(_IRREGULAR, entry.path)
    else:
        return True
    return False


def _is_systems_own(path: Path) -> bool:
    return path.name.startswith(_NO_CLASS) or path.name in _SYSTEM_FOLDERS
