"""What `smule` does once everything is imported: compose, run one job or a sweep, and say how it ended."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import sys
import traceback
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from smule_crypten.config.run import RunConfig
from smule_crypten.errors import INTERRUPTED_EXIT_CODE, PeerError
from smule_crypten.files import write_text
from smule_crypten.launch.composition import register_run, to_run_config
from smule_crypten.launch.outcome import MENDABLE, exit_code_of, show
from smule_crypten.launch.sweep import SweepSummary, finish_sweep, is_completed, lost_jobs
from smule_crypten.party.recording import with_versions
from smule_crypten.report.phrases import attack_notice
from smule_crypten.report.run_records import AttackRecord
from smule_crypten.report.summary import build_summary
from smule_crypten.report.sweep import ERROR_FILE, OVERRIDES_FILE
from smule_crypten.report.tables import result_table
from smule_crypten.simulation.named_role import named_by_environment, run_named_role
from smule_crypten.simulation.simulation import run_simulation
from smule_crypten.types import PARTY_NAMES

register_run()


def run_command() -> int:
    """Run what sys.argv asks for; returns the exit code.

    Raises:
        SystemExit: with the exit code, where Hydra stands in between.
    """
    # Errors of composing are explained here, in one line; Hydra would print several and exit on its own.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    register_run()
    SweepSummary.forget()
    exit_code = exit_code_of(_command)
    folder = SweepSummary.folder
    if folder is not None:
        exit_code_of_summary = exit_code_of(lambda: finish_sweep(folder))
        exit_code = exit_code or exit_code_of_summary
    return exit_code


def _command() -> None:
    try:
        _task()
    except MENDABLE:
        raise
    except Exception as error:
        if SweepSummary.folder is None:
            raise
        lost = lost_jobs(error)
        lost.add_note(traceback.format_exc())
        raise lost from error


@hydra.main(version_base="1.3", config_path="pkg://smule_crypten.conf", config_name="config")
def _task(composed: DictConfig) -> None:
    settings = HydraConfig.get()
    run_dir = Path(settings.runtime.output_dir)
    if settings.mode == RunMode.RUN:
        # SystemExit passes through Hydra untouched; any other exception would get a line of its own.
        go_on = f"the same command with hydra.run.dir={run_dir} goes on from what was saved there"
        steps = {PeerError.exit_code: go_on, INTERRUPTED_EXIT_CODE: go_on}
        exit_code = exit_code_of(lambda: _run(composed, run_dir), steps)
        if exit_code:
            remove_if_empty(run_dir)
        sys.exit(exit_code)
    _run_sweep_job(composed, run_dir, list(settings.overrides.task))


def _run(composed: DictConfig, run_dir: Path) -> None:
    run = to_run_config(composed)
    console = Console()
    print_banner(run, console)
    if named_by_environment():
        run_named_role(run, run_dir, console)
        return
    record = run_simulation(run, run_dir, console)
    write_text(run_dir / "config.yaml", with_versions(OmegaConf.to_yaml(composed)))
    console.print(result_table(build_summary(record), record.epochs))
    console.print(f"Run folder: {run_dir}", soft_wrap=True)


def _run_sweep_job(composed: DictConfig, run_dir: Path, overrides: list[str]) -> None:
    """A failing job is shown and recorded; the sweep goes on. One that an earlier attempt completed stays as it is."""
    _leave_loky()
    print(f"--- {' '.join(overrides)}")
    if is_completed(run_dir):
        print(f"{run_dir} is complete")
        return
    write_text(run_dir / OVERRIDES_FILE, json.dumps(overrides))
    (run_dir / ERROR_FILE).unlink(missing_ok=True)
    try:
        _run(composed, run_dir)
    except MENDABLE as error:
        write_text(run_dir / ERROR_FILE, f"{show(error)}\n")


def _leave_loky() -> None:
    """Have the processes of a job in Hydra's joblib launcher start as everywhere else.

    Hydra's joblib launcher runs a job in a process of loky, which names itself as the way to start processes; Python
    hands that name on to spawned ones, and they do not know it.
    """
    if multiprocessing.get_start_method(allow_none=True) == "loky":
        multiprocessing.set_start_method("spawn", force=True)


def print_banner(run: RunConfig, console: Console) -> None:
    """Who runs what, and that it gives no protection where that is so."""
    parties = " and ".join(f"{name} ({run.party_section(rank).model.name})" for rank, name in enumerate(PARTY_NAMES))
    console.print(
        f"SMuLe: parties {parties}, data {run.data.name}, scheme {run.scheme.name}", highlight=False, soft_wrap=True
    )
    if run.insecure_choices:
        choices = ", ".join(run.insecure_choices)
        console.print(
            f"simulation only: gives no protection ({choices})", style="bold yellow", highlight=False, soft_wrap=True
        )
    if run.attack.name != "none":
        notice = attack_notice(AttackRecord(name=run.attack.name, party=run.attack.party))
        console.print(notice, style="bold yellow", highlight=False, soft_wrap=True)


def remove_if_empty(folder: Path) -> None:
    """Hydra creates the folder before the configuration is checked."""
    with contextlib.suppress(OSError):
        folder.rmdir()
