"""Fits the forecast of a training's gain (training/forecast.py) to the finished cases of learning.py.

Each case of SMuLe with the delivered recipe, and each variant named "pool, N MB", gives one point a party: the gain of
both networks' answers together before the training, the number of samples asked about, and what the training gained
over the network trained alone. The gain of both answers is that on the test samples, so that the error of an estimate
from few held-out samples is not in the fit; it comes on top (the interval of worth.py). Dirichlet splits are left out:
held-out samples of skewed classes do not tell what the peer brings on test samples of all of them.

    python benchmarks/gain_forecast.py --work path/to/work --label learning
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from learning_cases import PARTIES
from learning_settings import SETTINGS, VALIDATION, Setting
from learning_tables import collect
from scipy import optimize

from smule_crypten.training.forecast import ERROR, HALF, TAKEN

Points = npt.NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--label", default="learning")
    arguments = parser.parse_args()
    joint_P, asked_P, gain_P = points(arguments.work / arguments.label)

    def residuals(constants: Points) -> Points:
        taken, half = constants
        residual: Points = gain_P - taken * asked_P / (asked_P + half) * joint_P
        return residual

    found = optimize.least_squares(residuals, np.array([1.0, 500.0]), bounds=([0.0, 1.0], [2.0, 1e5]))
    error = float(np.sqrt((found.fun**2).sum() / (len(gain_P) - 2)))
    for joint, asked, gain, residual in zip(joint_P, asked_P, gain_P, found.fun, strict=True):
        print(
            f"both {100 * joint:+6.2f}  asked {asked:6.0f}  gained {100 * gain:+6.2f}  residual {100 * residual:+6.2f}"
        )
    print(f"{len(gain_P)} points: TAKEN {found.x[0]:.2f}, HALF {found.x[1]:.0f}, ERROR {error:.4f}")
    print(f"in use: TAKEN {TAKEN:.2f}, HALF {HALF:.0f}, ERROR {ERROR:.4f}")


def points(folder: Path) -> tuple[Points, Points, Points]:
    """Gain of both answers together, samples asked about, gain of the training; accuracies are 0 to 1."""
    rows = []
    for setting in (setting for setting in SETTINGS if setting.dirichlet is None):
        methods = collect(folder).get(setting.name, {})
        for method in filter(_as_delivered, methods):
            for seed, result in methods[method].items():
                alone = methods["alone"][seed]
                for rank, party in enumerate(PARTIES):
                    if party in result:
                        joint = result[f"joint_alone_{party}"] - alone[party]
                        rows.append((joint / 100, _asked(setting, rank, result), (result[party] - alone[party]) / 100))
    joint_P, asked_P, gain_P = np.array(rows, dtype=np.float64).T
    return joint_P, asked_P, gain_P


def _as_delivered(method: str) -> bool:
    return method in ("smule", "full exchange") or method.startswith("smule, pool, ")


def _asked(setting: Setting, rank: int, result: dict[str, list[int]]) -> int:
    """Different samples in all epochs together: all of the pool or, without one, of the labelled ones at most."""
    held = setting.unlabeled[rank] or round((1 - VALIDATION) * setting.labeled[rank])
    return min(held, result["queries"][rank] * setting.epochs) if "queries" in result else held


if __name__ == "__main__":
    main()
