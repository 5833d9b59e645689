"""What the commands do, as functions: for programs that import smule_crypten rather than start it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from smule_crypten.config.run import PartyConfig, RunConfig
from smule_crypten.errors import ConfigError
from smule_crypten.launch.composition import compose_run
from smule_crypten.launch.side_file import read_party
from smule_crypten.prediction import estimate as estimating
from smule_crypten.prediction import predict_files
from smule_crypten.prediction.answer_records import AskedRecord, EstimateRecord


def configure(
    *overrides: str,
    data: Callable[..., Any] | None = None,
    networks: tuple[Callable[..., nn.Module], Callable[..., nn.Module]] | None = None,
) -> RunConfig:
    """The configuration of a simulation: that of `smule` with the same words after it.

    Args:
        overrides: ``key=value`` each, as ``"training.epochs=5"`` or ``"party_a/model=lenet"``; docs/keys.md has all
            keys.
        data: a function of your own, without arguments, that gives the data set: a `DataBundle`, or two torch Datasets
            (train, test) of (image (C, H, W), label). Each process calls it, so it must give the same each time.
            ``data.mean``, ``data.std`` and the like stay overrides.
        networks: two functions of your own, for party a and party b: ``build(input_shape, num_classes)``, with the
            shape (C, H, W), gives a network from images (N, C, H, W) to logits (N, num_classes).

    Returns:
        A frozen model of all settings, for `simulate` and `InProcess`; no data is read yet.

    Raises:
        ConfigError: a key or choice is unknown, a value impossible, or other processes could not import a function.

    Example:
        >>> import smule_crypten as smule
        >>> run = smule.configure("training.epochs=5", "party_b/model=lenet")
        >>> run.training.epochs, run.party_b.model.name
        (5, 'lenet')
    """
    chosen = []
    if data is not None:
        chosen += ["data=target", f"data.options._target_={_importable(data)}"]
    for party, build in zip(("party_a", "party_b"), networks or (), strict=networks is not None):
        chosen += [f"{party}/model=target", f"{party}.model.options._target_={_importable(build)}"]
    return compose_run([*chosen, *overrides])


def predict(
    party: str | Path | PartyConfig, images: str | Path | None = None, output: str | Path | None = None
) -> AskedRecord:
    """Ask the other party's trained network about new images, as `smule-predict`; the other one runs it, too.

    Args:
        party: the YAML file of this side (docs/two-hosts.md), or what it says.
        images: an .npz file of samples (N, ...), uint8 or float32, or a folder of image files; None to answer only.
        output: a new .npz or .csv file for the predictions; None to answer only.

    Returns:
        What was asked and what it cost, in bytes and rounds. With images it also says how both networks' answers are
        combined; it goes into a .json file beside output, too.

    Raises:
        ConfigError: the file or a key is wrong, or only one of images and output is given.
        DataError: the images cannot be used, or there is no trained network.
        OutputError: output exists, or cannot be written.
        SmuleError: anything else a user can cause; the other side is gone, or refuses.

    Example:
        >>> import smule_crypten as smule
        >>> record = smule.predict("hospital-a.yaml", "images.npz", "predictions.npz")  # doctest: +SKIP
        >>> record.queries_made, record.bytes_sent  # doctest: +SKIP
    """
    return predict_files.predict(_side(party), _path(images), _path(output))


def estimate(party: str | Path | PartyConfig) -> EstimateRecord:
    """What the other party's network would bring and a run would cost, as `smule-estimate`; the other one runs it, too.

    Args:
        party: the YAML file of this side (docs/two-hosts.md), or what it says.

    Returns:
        ``worth``: accuracies 0 to 1 of either network and of both on held-out samples; ``run``: bytes and rounds of a
        run with these settings. It goes into estimate.json in the party's folder, too.

    Raises:
        ConfigError: the file or a key is wrong.
        DataError: there is no trained network, or no held-out sample.
        SmuleError: anything else a user can cause; the other side is gone, or refuses.

    Example:
        >>> import smule_crypten as smule
        >>> print(smule.estimate("hospital-a.yaml").worth)  # doctest: +SKIP
    """
    return estimating.estimate(_side(party))


def _side(party: str | Path | PartyConfig) -> PartyConfig:
    return party if isinstance(party, PartyConfig) else read_party([f"+party={party}"])


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)


def _importable(function: Callable[..., Any]) -> str:
    """The name by which other processes find it, quoted for Hydra's grammar."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
    remedy = "give a function, or class, that stands at the top of a module or script"
    found: object = sys.modules.get(str(module))
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is not function:
        raise ConfigError(f"{name or function!r}: other processes cannot import it; {remedy}")
    return f"'{module}:{name}'"
