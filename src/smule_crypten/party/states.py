"""What a party saves at each exchange, so that a run that was cut off goes on where both sides still agree.

The parties never are more than one exchange apart, so the last two states of each are enough to find a common one. The
state of number 0 is saved before the first exchange: once it has answered, nobody has to train alone again. Before
that, one more state holds how far the training alone has come. It concerns nobody else; the next state takes its place.

A run that goes further back, since its owner accepts that, sets later states aside and forgets them when it has come as
far again.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from smule_crypten.config.run import PartyConfig
from smule_crypten.data.samples import Samples
from smule_crypten.errors import OutputError
from smule_crypten.files import write_atomic
from smule_crypten.report.formatting import flattened

SCHEMA_VERSION = 5
_KEPT = 2
_NAME = re.compile(r"exchange_(\d+)\.pt")
_SET_ASIDE = re.compile(r"exchange_(\d+)\.set_aside\.pt")
_ALONE = "alone.pt"
_LEFT_OVER = re.compile(r"\.(exchange_\d+|alone|joint_head)\.pt\..*")
"""A temporary file of write_atomic whose writer was killed."""
_MAY_CHANGE: dict[str, Any] = {
    **dict.fromkeys(("output_dir", "launch", "connection", "disclosure", "terms", "audit", "predict"), True),
    "compute": {"devices", "nodes"},
    "data": {"workers"},
    "features": {"cache"},
    "joint_head": {"features": {"cache"}},
}
"""Between two attempts a host may get another address or certificate, and its owner may allow more queries. What comes
after training makes no difference to it, nor what terms say, which are held to all else anyway."""
_UNSET = "not set"
_NAMED = 3
"""So many changed keys of a configuration are named, of more their number."""


class StateFolder:
    """The saved states of one party, each named by the number of exchanges that were completed.

    Args:
        config: what the party is configured to do; states of another configuration are refused.
        data_digest: of all the party's data; states of other data are refused. None where it is not loaded.
    """

    def __init__(self, folder: Path, config: PartyConfig, data_digest: str | None = None) -> None:
        self._folder = folder
        self._data_digest = data_digest
        self._settings = config.model_dump_json(exclude=_may_change(config))
        self._digest = hashlib.sha256(self._settings.encode()).hexdigest()

    @property
    def belongs_to(self) -> dict[str, str | None]:
        """What a run must have in common with an earlier one to go on from its states."""
        return {"configuration": self._digest, "data": self._data_digest}

    def completed(self) -> list[int]:
        """The numbers of exchanges that a run can go on from, ascending."""
        if not self._folder.is_dir():
            return []
        matches = (_NAME.fullmatch(path.name) for path in self._folder.iterdir())
        return sorted(int(match[1]) for match in matches if match)

    def check(self) -> None:
        """Read the last state, so that a folder of another run is refused before anything is written.

        Raises:
            OutputError: as load.
        """
        for number in self.completed()[-1:]:
            self.load(number)
        self.load_alone()

    def save(self, num_exchanges: int, state: dict[str, Any]) -> None:
        """Keep state, and forget all but the last two. Later ones, of a course that was given up, are set aside.

        Raises:
            OutputError: the folder cannot be written; earlier states stay as they were.
        """
        self._write(self._path(num_exchanges), state)
        (self._folder / _ALONE).unlink(missing_ok=True)
        for old in self.completed():
            if old > num_exchanges:
                self._path(old).replace(self._folder / f"exchange_{old}.set_aside.pt")
            elif old <= num_exchanges - _KEPT:
                self._path(old).unlink()
        for path in list(self._folder.iterdir()):
            match = _SET_ASIDE.fullmatch(path.name)
            if _LEFT_OVER.fullmatch(path.name) or (match and int(match[1]) <= num_exchanges):
                path.unlink()

    def load(self, num_exchanges: int) -> dict[str, Any]:
        """The state after so many exchanges.

        Raises:
            OutputError: the file is damaged, or belongs to another configuration or other data.
        """
        return self._read(self._path(num_exchanges))

    def save_alone(self, state: dict[str, Any]) -> None:
        """Keep how far the training alone has come, in the place of what was kept of it before.

        Raises:
            OutputError: as save.
        """
        self._write(self._folder / _ALONE, state)

    def load_alone(self) -> dict[str, Any] | None:
        """What save_alone kept last; None where there is nothing, or a state of an exchange has taken its place.

        Raises:
            OutputError: as load.
        """
        path = self._folder / _ALONE
        return self._read(path) if path.exists() else None

    def _write(self, path: Path, state: dict[str, Any]) -> None:
        buffer = io.BytesIO()
        content = {
            "schema_version": SCHEMA_VERSION,
            "settings": self._settings,
            "data": self._data_digest,
            "state": state,
        }
        torch.save(content, buffer)
        write_atomic(path, lambda file: file.write(buffer.getbuffer()))

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            content = torch.load(path, weights_only=True)
            version = content["schema_version"]
            if version == SCHEMA_VERSION:
                changes = _changes(json.loads(content["settings"]), json.loads(self._settings))
                state: dict[str, Any] = content["state"]
                data = content["data"]
        except Exception:  # a damaged file may break PyTorch's reader in any way
            raise OutputError(f"{path} is damaged; remove the folder {self._folder} to start again") from None
        if version != SCHEMA_VERSION:
            raise OutputError(
                f"{path} was written by another version of this program; go on with that one, or set another folder"
            )
        if changes:
            raise OutputError(
                f"{path} belongs to a run with another configuration: {changes}; use the same one, or a new output "
                "folder"
            )
        if self._data_digest not in (None, data):
            raise OutputError(
                f"{path} belongs to a run on other data, test and validation samples included; use the same data "
                "(seed a loader of your own), or a new output folder"
            )
        return state

    def _path(self, num_exchanges: int) -> Path:
        return self._folder / f"exchange_{num_exchanges}.pt"


def _may_change(config: PartyConfig) -> dict[str, Any]:
    """Under training.dp the processes must stay as many.

    A repeated epoch adds the noise of the first time. With other values dropped out, which follow from the number of
    processes, the difference of both networks would be one of gradients without any noise.
    """
    if config.training.dp is None:
        return _MAY_CHANGE
    return {key: what for key, what in _MAY_CHANGE.items() if key != "compute"}


def _changes(before: Any, now: Any) -> str:
    """The keys that differ, with both values; empty where none does."""
    old, new = dict(flattened(before)), dict(flattened(now))
    changed = [key for key in dict.fromkeys((*old, *new)) if old.get(key, _UNSET) != new.get(key, _UNSET)]
    texts = [f"{key}: {_shown(old, key)} there, {_shown(new, key)} here" for key in changed[:_NAMED]]
    more = [f"{len(changed) - _NAMED} more"] if len(changed) > _NAMED else []
    return ", ".join(texts + more)


def _shown(settings: dict[str, Any], key: str) -> str:
    return json.dumps(settings[key]) if key in settings else _UNSET


def digest_of(*parts: Samples, made_of: str | None = None) -> str:
    """SHA-256 over ids, labels and inputs of all parts: on others, the same configuration leads elsewhere.

    For inputs that are read as they are needed, names, sizes and times of their files stand.

    Args:
        made_of: what the inputs follow from, where they are features: it stands for them.
    """
    digest = hashlib.sha256()
    if made_of is not None:
        digest.update(f"{made_of}\n".encode())
    for samples in parts:
        digest.update(f"{samples.shape} {samples.dtype}\n".encode())
        inputs = () if made_of is not None else (samples.source,)
        for content in (samples.sample_ids, samples.targets, *inputs):
            digest.update(_bytes_of(content) if isinstance(content, torch.Tensor) else content.fingerprint.encode())
    return digest.hexdigest()


def _bytes_of(tensor: torch.Tensor) -> memoryview:
    return tensor.contiguous().numpy().reshape(-1).view(np.uint8).data
