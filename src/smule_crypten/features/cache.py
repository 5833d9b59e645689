"""Features on disk, so that a second run does not compute them again.

They are as private as the samples: folder and files are readable by their owner alone. A name follows from what was
computed, so a file never needs to be changed, and processes that write the same one do no harm.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from smule_crypten.config.features import DEFAULT_CACHE
from smule_crypten.errors import DataError, OutputError
from smule_crypten.files import PRIVATE_FOLDER_MODE, write_atomic
from smule_crypten.sources.lazy_inputs import LazyInputs

log = logging.getLogger(__name__)


class FeatureCache:
    """A folder of tensors (N, features) float32 by what they were computed from; without a folder nothing is kept."""

    def __init__(self, folder: str | None) -> None:
        self._folder = None if folder is None else _resolved(folder)

    def get(self, compute: Callable[[], torch.Tensor], *parts: str) -> torch.Tensor:
        """What compute gives, of all that parts name; computed once.

        A damaged file is computed again, and the log says so.

        Raises:
            OutputError: the folder cannot be written.
            DataError: others may read or write the folder.
        """
        if self._folder is None:
            return compute()
        name = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        path = self._folder / f"{name}.npz"
        _private(self._folder)
        found = _read(path)
        if found is not None:
            log.info("features taken from cache=%s", path)
            return found
        features_NF = compute()
        buffer = io.BytesIO()
        np.savez(buffer, features=features_NF.numpy())
        write_atomic(path, lambda file: file.write(buffer.getbuffer()))
        return features_NF


def content_digest(inputs: torch.Tensor | LazyInputs) -> str:
    """SHA-256 of shape, type and values, or of what inputs that are not in memory follow from."""
    if not isinstance(inputs, torch.Tensor):
        return inputs.fingerprint
    digest = hashlib.sha256(f"{tuple(inputs.shape)} {inputs.dtype}\n".encode())
    digest.update(inputs.contiguous().numpy().reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _read(path: Path) -> torch.Tensor | None:
    """None where there is nothing, or nothing whole: the archive holds a check sum."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            features_NF = torch.from_numpy(arrays["features"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile) as error:
        log.warning("%s is damaged (%s); its features are computed again", path, type(error).__name__)
        return None
    if features_NF.dim() != 2 or features_NF.dtype != torch.float32:
        log.warning("%s is damaged (shape or type); its features are computed again", path)
        return None
    return features_NF


def _private(folder: Path) -> None:
    try:
        folder.mkdir(mode=PRIVATE_FOLDER_MODE, parents=True, exist_ok=True)
        mode = folder.stat().st_mode
    except OSError as error:
        raise OutputError(
            f"features.cache: cannot make the folder {folder}: {error.strerror}; name another one, or set "
            "features.cache=null"
        ) from None
    if mode & 0o077:
        raise DataError(
            f"features.cache: others may look into {folder}, and features are as private as samples; run chmod 700 on "
            "it, or name another folder"
        )


def _resolved(folder: str) -> Path:
    path, default = Path(folder).expanduser(), Path(DEFAULT_CACHE).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(base, default.name) if path == default and base and Path(base).is_absolute() else path
