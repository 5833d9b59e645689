"""The folder of a run: what lies where, and that neither a finished nor a running one is written over."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from smule_crypten.config.run import PartyConfig
from smule_crypten.errors import OutputError
from smule_crypten.files import LOCK_FILE, PRIVATE_FOLDER_MODE, exclusive, output_error, write_text
from smule_crypten.party.states import StateFolder
from smule_crypten.report.records import PartyRecord
from smule_crypten.report.summary import SUMMARY_FILE

LEDGER_FILE = "disclosures.jsonl"
AUDIT_FILE = "audit.jsonl"
HEAD_FILE = "ledger_head.json"
RUN_FILE = "run.json"
STATES_FOLDER = "states"
MODEL_FILE = "model.pt"
STANDALONE_FILE = "standalone.pt"
RESULT_FILE = "party.json"
LOG_FILE = "party.log"
CONFIG_FILE = "config.yaml"
TENSORBOARD_FOLDER = "tensorboard"

_ANOTHER_FOLDER = "set another folder (hydra.run.dir or output_dir)"


def party_folder(config: PartyConfig) -> Path:
    """Where a party keeps what is its own."""
    return Path(config.output_dir) / f"party_{config.name}"


def write_result(config: PartyConfig, result: PartyRecord) -> None:
    """Write party.json.

    Raises:
        OutputError: the folder cannot be written.
    """
    write_text(party_folder(config) / RESULT_FILE, result.model_dump_json(indent=2))


@contextmanager
def claimed_run_dir(run_dir: Path, configs: Sequence[PartyConfig]) -> Iterator[None]:
    """Keep the folders of the parties that run here for this process: created, or those of a run that was cut off.

    Raises:
        OutputError: as check_run_dir, or another process runs there; whatever is there is left untouched.
    """
    _refuse_finished(run_dir, configs)
    with ExitStack() as stack:
        for config in configs:
            folder = party_folder(config)
            _create(folder, run_dir)
            stack.enter_context(_for_itself(folder))
        check_run_dir(run_dir, configs)  # only now: the run that held it may have ended just now
        yield


def check_run_dir(run_dir: Path, configs: Sequence[PartyConfig]) -> None:
    """See that a run of this configuration can begin here or go on; creates folders that are missing.

    A party's folder is for its owner alone. One that exists keeps its mode; smule-doctor says what that is.

    In a simulation a run is finished when its summary says so, elsewhere when the party's result does.

    Raises:
        OutputError: it cannot be written, or holds a finished run or one of another configuration; either is left
            untouched.
    """
    _refuse_finished(run_dir, configs)
    for config in configs:
        StateFolder(party_folder(config) / STATES_FOLDER, config).check()
    for config in configs:
        folder = party_folder(config)
        _create(folder, run_dir)
        probe = folder / ".writable"
        write_text(probe, "")
        probe.unlink(missing_ok=True)  # a run that begins there just now has the same probe


def check_unused(folder: Path) -> None:
    """Raises OutputError where a process runs in a party's folder at this moment."""
    if (folder / LOCK_FILE).exists():
        with _for_itself(folder):
            pass


def _for_itself(folder: Path) -> AbstractContextManager[None]:
    return exclusive(folder / LOCK_FILE, str(folder), if_taken=_ANOTHER_FOLDER)


def _create(folder: Path, run_dir: Path) -> None:
    try:
        folder.mkdir(mode=PRIVATE_FOLDER_MODE, parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(run_dir, error) from error


def _refuse_finished(run_dir: Path, configs: Sequence[PartyConfig]) -> None:
    results = [party_folder(config) / RESULT_FILE for config in configs]
    summary = run_dir / SUMMARY_FILE
    if len(configs) > 1 and summary.exists():
        results = [summary]
    if any(_is_completed(path) for path in results):
        raise OutputError(f"{run_dir} holds a finished run; {_ANOTHER_FOLDER}")


def known_run(config: PartyConfig, states: StateFolder) -> str | None:
    """The identity of the run that was begun in the party's folder, None where it was another one or none at all.

    Raises:
        OutputError: the file that holds it is damaged.
    """
    path = party_folder(config) / RUN_FILE
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        run, belongs_to = str(content["run"]), dict(content["belongs_to"])
    except (OSError, ValueError, LookupError, TypeError):
        raise OutputError(f"{path} is damaged; restore it, or set another output folder for a new run") from None
    same = all(belongs_to.get(key) == value for key, value in states.belongs_to.items() if value is not None)
    return run if same else None


def identify_run(config: PartyConfig, states: StateFolder) -> str:
    """The identity of the run in the party's folder, the same for all attempts at it.

    Raises:
        OutputError: it cannot be read or written.
    """
    known = known_run(config, states)
    if known is not None:
        return known
    run = uuid.uuid4().hex
    write_text(party_folder(config) / RUN_FILE, json.dumps({"run": run, "belongs_to": states.belongs_to}, indent=2))
    return run


def _is_completed(path: Path) -> bool:
    """Whether the result or summary at path is that of a completed run."""
    if not path.exists():
        return False
    try:
        status = json.loads(path.read_text(encoding="utf-8"))["status"]
    except (OSError, ValueError, LookupError, TypeError):
        raise OutputError(f"{path} is damaged; remove it to run again, or set another folder") from None
    return bool(status == "completed")
