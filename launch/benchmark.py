"""`smule-benchmark`: a suite of comparisons, in the configuration of `smule` with the group `suite` beside it.

    smule-benchmark suite=methods data=digits suite.seeds=[0,1,2]

Finished cases are kept in the folder of the suite and skipped by the next call.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from smule_crypten.config.config_reading import parse
from smule_crypten.config.run import RunConfig
from smule_crypten.launch.composition import register_run
from smule_crypten.launch.info import BENCHMARK, answer
from smule_crypten.launch.outcome import exit_code_of
from smule_crypten.suites.options import SuiteConfig

_NAME = "benchmark"


def main() -> None:
    """Console entry point."""
    answer(lambda _: BENCHMARK)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.environ["HYDRA_FULL_ERROR"] = "1"
    _register()
    sys.exit(exit_code_of(_task))


def _register() -> None:
    """The main job's configuration as it is, with a suite, and a folder that stays the same from call to call."""
    register_run({"suite": SuiteConfig})
    text = resources.files("smule_crypten.conf").joinpath("config.yaml").read_text(encoding="utf-8")
    config: Any = OmegaConf.create(text)
    config.defaults.insert(1, {"suite": "methods"})
    config.hydra = {
        "output_subdir": None,
        "run": {"dir": "runs/benchmark/${suite.name}"},
    }
    ConfigStore.instance().store(name=_NAME, node=OmegaConf.to_container(config, resolve=False))


@hydra.main(version_base="1.3", config_path="pkg://smule_crypten.conf", config_name=_NAME)
def _task(composed: DictConfig) -> None:
    settings = HydraConfig.get()
    values: Any = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    sys.exit(exit_code_of(lambda: _run(values, Path(settings.runtime.output_dir))))


def _run(values: dict[str, Any], folder: Path) -> None:
    from smule_crypten.suites.run import run_suite

    suite = parse(SuiteConfig, values.pop("suite"))
    run = parse(RunConfig, values)
    command = ["smule-benchmark", *sys.argv[1:]]
    run_suite(suite, run, folder, command, Console())


if __name__ == "__main__":
    main()
