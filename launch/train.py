"""`smule`: the main job. Simulates both parties, or runs one of them where the environment names it.

With WORLD_SIZE, RANK and RENDEZVOUS set, this process is that party, so two shells (or CrypTen's launcher) can run
one party each.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from smule_crypten.config import RunConfig
from smule_crypten.errors import INTERRUPTED_EXIT_CODE, PartyFailedError, SmuleError
from smule_crypten.files import output_error, write_atomic
from smule_crypten.launch.composition import explain, register_party_models, to_run_config
from smule_crypten.launch.sweep import SweepSummary
from smule_crypten.processes.simulation import simulate
from smule_crypten.processes.single_party import named_by_environment, run_single_party
from smule_crypten.report.summary import build_summary
from smule_crypten.report.sweep import ERROR_FILE, OVERRIDES_FILE
from smule_crypten.report.tables import result_table

register_party_models()


@hydra.main(version_base="1.3", config_path="pkg://smule_crypten.conf", config_name="config")
def _task(composed: DictConfig) -> None:
    settings = HydraConfig.get()
    run_dir = Path(settings.runtime.output_dir)
    if settings.mode == RunMode.RUN:
        # SystemExit passes through Hydra untouched; any other exception would get a line of its own.
        exit_code = exit_code_of(lambda: _run(composed, run_dir))
        if exit_code:
            _remove_if_empty(run_dir)
        sys.exit(exit_code)
    _run_sweep_job(composed, run_dir, list(settings.overrides.task))


def main() -> None:
    """Console entry point."""
    # Errors of composing are explained here, in one line; Hydra would print several and exit on its own.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    exit_code = exit_code_of(_task)
    if SweepSummary.failed_jobs:
        message = f"{SweepSummary.failed_jobs} job(s) of the sweep failed; see sweep_summary.csv"
        exit_code = _fail(PartyFailedError(message))
    sys.exit(exit_code)


def exit_code_of(task: Callable[[], object]) -> int:
    """Run task; show what a user can mend as one line on stderr and return the exit code (see errors.py)."""
    try:
        task()
    except SmuleError as error:
        return _fail(error)
    except (HydraException, OmegaConfBaseException) as error:
        return _fail(explain(error))
    except OSError as error:
        return _fail(output_error(Path(error.filename or "."), error))
    except KeyboardInterrupt:
        print("smule: interrupted", file=sys.stderr)
        return INTERRUPTED_EXIT_CODE
    return 0


def _run(composed: DictConfig, run_dir: Path) -> None:
    run = to_run_config(composed)
    console = Console()
    _print_banner(run, console)
    if named_by_environment():
        run_single_party(run, run_dir, console)
        return
    record = simulate(run, run_dir, console)
    write_atomic(run_dir / "config.yaml", lambda file: file.write(OmegaConf.to_yaml(composed).encode()))
    console.print(result_table(build_summary(record)))
    console.print(f"Run folder: {run_dir}", soft_wrap=True)


def _run_sweep_job(composed: DictConfig, run_dir: Path, overrides: list[str]) -> None:
    """A failing job is shown and recorded; the sweep goes on."""
    text = json.dumps(overrides)
    write_atomic(run_dir / OVERRIDES_FILE, lambda file: file.write(text.encode()))
    print(f"--- {' '.join(overrides)}")
    try:
        _run(composed, run_dir)
    except (SmuleError, OmegaConfBaseException) as error:
        explained = error if isinstance(error, SmuleError) else explain(error)
        _fail(explained)
        text = f"{explained}\n"
        write_atomic(run_dir / ERROR_FILE, lambda file: file.write(text.encode()))


def _print_banner(run: RunConfig, console: Console) -> None:
    parties = " and ".join(f"{name} ({run.party_section(rank).model.name})" for rank, name in enumerate("ab"))
    console.print(
        f"SMuLe: parties {parties}, data {run.data.name}, scheme {run.scheme.name}", highlight=False, soft_wrap=True
    )
    if run.insecure_choices:
        choices = ", ".join(run.insecure_choices)
        console.print(
            f"simulation only: protects nothing ({choices})", style="bold yellow", highlight=False, soft_wrap=True
        )


def _remove_if_empty(folder: Path) -> None:
    """Hydra creates the folder before the configuration is checked."""
    with contextlib.suppress(OSError):
        folder.rmdir()


def _fail(error: SmuleError) -> int:
    print(f"smule: error: {error}", file=sys.stderr)
    return error.exit_code
