"""What SMuLe is compared with beside training alone: FedAvg, and full training under secret sharing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smule_crypten.baselines.averaging import federated_averaging
from smule_crypten.baselines.full_training import train_in_full
from smule_crypten.config.run import RunConfig
from smule_crypten.errors import ModelError
from smule_crypten.report.formatting import human_bytes, human_seconds, percent
from smule_crypten.suites.cases import CaseStore
from smule_crypten.suites.options import SuiteConfig

FULL_TRAINING = "full training on shares (CrypTen)"


def figures(basis: str, accuracies: list[float | None], curves: dict[str, Any]) -> dict[str, Any]:
    """A method that sends nothing; others replace the zeros. Its time is that of the slower party's curve."""
    zeros = ("epoch_bytes", "epoch_dealer_bytes", "epoch_rounds", "total_bytes", "total_dealer_bytes", "rounds")
    return {
        "basis": basis,
        "accuracies": accuracies,
        "curves": curves,
        "bytes_by_layer": {},
        "local_seconds": max((points[-1]["seconds"] for points in curves.values() if points), default=None),
        "note": "",
        **dict.fromkeys(zeros, 0),
    }


def averaged(run: RunConfig, settings: dict[str, Any], store: CaseStore) -> dict[str, Any]:
    if run.party_a.model != run.party_b.model:
        return figures("not possible", [None], {}) | {"note": "FedAvg needs one architecture, the parties have two."}
    result = store.result(f"FedAvg seed {run.seed}", settings, lambda folder: federated_averaging(run))
    return figures("measured", [result["accuracy"]], {"both": result["curve"]}) | {
        "epoch_bytes": result["bytes_total"] // run.training.epochs,
        "epoch_rounds": 1,
        "total_bytes": result["bytes_total"],
        "rounds": run.training.epochs,
        "note": "FedAvg: accuracy measured, bytes are those of the weights as float32, which nobody sent here.",
    }


def fully_trained(suite: SuiteConfig, run: RunConfig, settings: dict[str, Any], store: CaseStore) -> dict[str, Any]:
    to_the_end = suite.full_training.run == "to_the_end"
    max_steps = None if to_the_end else suite.full_training.steps + 1
    try:
        result = store.result(
            f"full training on shares seed {run.seed}",
            {**settings, "max_steps": max_steps},
            lambda folder: train_in_full(run, max_steps, lambda point: store.say(_progress(point))),
        )
    except ModelError as error:
        return figures("not possible", [None], {}) | {"note": f"Full training on shares: {error}."}
    return _of_full_training(result)


def _progress(point: Mapping[str, Any]) -> str:
    return (
        f"full training on shares, epoch {point['epoch']}: test accuracy {percent(point['test_accuracy'])}, "
        f"{human_bytes(point['bytes_total'])} so far, {human_seconds(point['seconds'])}"
    )


def _of_full_training(result: dict[str, Any]) -> dict[str, Any]:
    """An epoch is a step times the number of steps; so is the whole training where it was not run to the end."""
    complete, step, steps = result["is_complete"], result["step"], result["steps_per_epoch"]
    times = steps * result["epochs"]
    points = [
        {
            "epoch": point["epoch"],
            "accuracy": point["test_accuracy"],
            "bytes": point["bytes_total"] + point["dealer_bytes"],
            "seconds": point["seconds"],
        }
        for point in result["curve"]
    ]
    accuracy = result["test_accuracy"] if complete else None
    return {
        **figures("measured" if complete else "extrapolated", [accuracy], {"both": points}),
        "epoch_bytes": step["bytes_total"] * steps,
        "epoch_dealer_bytes": step["dealer_bytes"] * steps,
        "epoch_rounds": step["rounds"] * steps,
        "total_bytes": result["bytes_total"] if complete else step["bytes_total"] * times,
        "total_dealer_bytes": result["dealer_bytes"] if complete else step["dealer_bytes"] * times,
        "rounds": result["rounds"] if complete else step["rounds"] * times,
        "epoch_seconds": step["seconds"] * steps,
        "local_seconds": result["seconds"] if complete else step["seconds"] * times,
        "bytes_by_layer": result["bytes_by_layer"],
        "note": _remarks(result),
    }


def _remarks(result: dict[str, Any]) -> str:
    step = result["step"]
    text = (
        f"Full training on shares: batch {result['batch_parts'][0]} + {result['batch_parts'][1]}, no clipping; "
        f"a step {step['bytes_total'] / 1e6:.2f} MB online, {step['dealer_bytes'] / 1e6:.2f} MB from the dealer, "
        f"{step['rounds']:.0f} rounds, {step['seconds']:.2f} s here (median, after one that warms up); weights "
        f"after the first step {result['first_step_error']:.1e} from plaintext SGD, which moved them by up to "
        f"{result['first_step_moved']:.1e}."
    )
    if not result["is_complete"]:
        text += f" {result['steps']} steps were run; an epoch and the whole training are extrapolated."
    return text
