"""What a run leaves for people and programs, however it ends: summary and report, of a simulation and of one party."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from smule_crypten.config.options import one_line
from smule_crypten.config.run import PartyConfig, RunConfig
from smule_crypten.errors import OutputError, SmuleError
from smule_crypten.files import write_text
from smule_crypten.metric_names import PRIMARY
from smule_crypten.pages.report_page import write_report
from smule_crypten.party.environment import describe_hardware, describe_versions
from smule_crypten.party.events import Begun, EpochEnded, Event
from smule_crypten.party.run_folder import CONFIG_FILE, TENSORBOARD_FOLDER, party_folder
from smule_crypten.report.records import PartyRecord, RunStatus
from smule_crypten.report.run_records import AttackRecord, RunFacts, RunRecord
from smule_crypten.report.summary import write_summary
from smule_crypten.report.tensorboard import TensorBoardWriter


def new_record(config: RunConfig | PartyConfig, run_id: str, recorded_by: str | None = None) -> RunRecord:
    """Of a run that begins now."""
    facts = RunFacts(
        run_id=run_id,
        recorded_by=recorded_by,
        scheme=config.scheme.name,
        provider=config.deals,
        randomness=config.randomness,
        insecure_choices=list(config.insecure_choices),
        seed=config.seed,
        task=config.task,
        metric=shown_metric(config),
        epochs=config.training.epochs,
        versions=describe_versions(),
        hardware=describe_hardware(config.device),
    )
    return RunRecord(
        facts=facts,
        data=config.data.name,
        settings=config.model_dump(mode="json") | {"insecure_choices": facts.insecure_choices},
        asked_controls=config.controls if isinstance(config, RunConfig) else (),
        attack=None
        if config.attack.name == "none"
        else AttackRecord(name=config.attack.name, party=config.attack.party),
    )


def shown_metric(config: RunConfig | PartyConfig) -> str:
    """By which tables and curves show the networks of a run."""
    return config.metric or PRIMARY[config.task]


def note_data(record: RunRecord, notes: Sequence[str]) -> None:
    """Keep what the reader of the data counted, left out and changed."""
    record.facts = record.facts.model_copy(update={"data_notes": list(notes)})


@contextmanager
def finally_written(record: RunRecord, run_dir: Path, started: float) -> Iterator[None]:
    """Whatever happens, leave a summary and a report that say how the run ended.

    Args:
        started: what time.perf_counter() said when the run began.
    """
    write_summary(run_dir, record)
    try:
        yield
        record.status = "completed"
        record.total_seconds = time.perf_counter() - started
        write_report(run_dir, record)
        write_summary(run_dir, record)
    except BaseException as error:
        record.total_seconds = time.perf_counter() - started
        record.status, record.error = _how_it_ended(error)
        for write in (write_summary, write_report):
            with suppress(OutputError):  # the first error is the one to show
                write(run_dir, record)
        raise


def _how_it_ended(error: BaseException) -> tuple[RunStatus, str]:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", "interrupted by the user"
    return "failed", str(error) if isinstance(error, SmuleError) else one_line(error)


def with_versions(text: str) -> str:
    """The text of a YAML file with the versions that ran it as comments before it."""
    versions = "".join(f"# {name} {version}\n" for name, version in describe_versions().items())
    return versions + text


class PartyRecording:
    """The record of one party, seen by itself, in its folder. A context manager around run_party.

    Nothing is written before run_party says that the run has begun: one that is refused leaves the files of the run
    that was cut off as they are.

    Raises:
        OutputError: the folder cannot be written (here and in every method).
    """

    def __init__(self, config: PartyConfig) -> None:
        self._config = config
        self._folder = party_folder(config)
        self._started = time.perf_counter()
        self._stack = ExitStack()
        self._tensorboard: TensorBoardWriter | None = None
        self.record = new_record(config, Path(config.output_dir).name, recorded_by=config.name)

    def add(self, event: Event) -> None:
        """Take an event of run_party."""
        if isinstance(event, Begun):
            note_data(self.record, event.data_notes)
            self._stack.enter_context(finally_written(self.record, self._folder, self._started))
            self._tensorboard = self._stack.enter_context(TensorBoardWriter(self._folder / TENSORBOARD_FOLDER))
            self._write_config()
        elif isinstance(event, EpochEnded):
            self.record.epochs.append(event.record)
            if self._tensorboard is not None:
                self._tensorboard.add(event.record)

    def complete(self, result: PartyRecord) -> None:
        """Take what run_party returned."""
        self.record.parties = {self._config.name: result}

    def _write_config(self) -> None:
        """As a file that smule-party takes, paths absolute."""
        values = self._config.model_dump(mode="json", exclude={"attack"})
        text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
        write_text(self._folder / CONFIG_FILE, with_versions(text))

    def __enter__(self) -> PartyRecording:
        return self

    def __exit__(self, *ended: Any) -> None:
        self._stack.__exit__(*ended)
