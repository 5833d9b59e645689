"""Which process of a party this one is, by what has started it."""

from __future__ import annotations

import pytest

from smule_crypten.compute.started import rank_outside
from smule_crypten.config.compute import ComputeConfig
from smule_crypten.errors import ConfigError
from smule_crypten.launch.library import configure
from smule_crypten.simulation.simulation import check_inputs

TORCHRUN = {"TORCHELASTIC_RUN_ID": "x", "RANK": "3", "WORLD_SIZE": "4"}
SRUN = {"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "2"}
TWO_BY_TWO = ComputeConfig(devices=2, nodes=2)


def test_who_has_started_it() -> None:
    """torchrun and srun give ranks; a batch script, which is one process of a job of many, does not."""
    assert rank_outside(TWO_BY_TWO, TORCHRUN) == 3
    assert rank_outside(TWO_BY_TWO, SRUN) == 2
    assert rank_outside(TWO_BY_TWO, {**SRUN, **TORCHRUN}) == 3
    assert rank_outside(ComputeConfig(devices=2), {"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}) is None
    assert rank_outside(ComputeConfig(), {**TORCHRUN, "WORLD_SIZE": "1", "RANK": "0"}) is None


@pytest.mark.parametrize("environ", [TORCHRUN, SRUN])
def test_several_processes_that_nobody_asked_for(environ: dict[str, str]) -> None:
    """Each of them would act as the party."""
    with pytest.raises(ConfigError, match=r"has started 4 processes, but compute\.devices=1 times"):
        rank_outside(ComputeConfig(), environ)


def test_several_machines_need_somebody_to_start_them() -> None:
    """A party starts processes on its own machine only."""
    with pytest.raises(ConfigError, match=r"compute\.nodes=2: start the processes by torchrun or srun on each machine"):
        rank_outside(TWO_BY_TWO, {})


def test_a_simulation_has_one_machine() -> None:
    """Said before its parties are started."""
    run = configure("compute.nodes=2", "data.max_train=200")
    with pytest.raises(ConfigError, match=r"^compute\.nodes=2: start the processes by torchrun or srun"):
        check_inputs(run)
