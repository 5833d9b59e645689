"""Joint prediction: a trained party asks its peer about new images, and combines both answers.

How much the peer's answers weigh follows from its own validation part, which the peer is asked about in the same
exchange. A party without images only answers.
"""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from smule_crypten.config.run import PartyConfig
from smule_crypten.data.inputs import Inputs
from smule_crypten.errors import ConfigError, OutputError
from smule_crypten.files import write_atomic, write_text
from smule_crypten.inference.scheme import SecureInferenceScheme
from smule_crypten.metric_names import TaskName
from smule_crypten.party.environment import describe_versions
from smule_crypten.party.featured import as_the_network_sees
from smule_crypten.party.further_inputs import read_further
from smule_crypten.prediction.answer_records import AskedRecord, CombinationRecord, JudgedRecord, PredictionRecord
from smule_crypten.prediction.asking import Answers, TrainedParty, ask_once, asked_record, load_trained_party
from smule_crypten.tasks.combination import Combined
from smule_crypten.tasks.task import Task
from smule_crypten.training.worth import judged

log = logging.getLogger(__name__)


def predict(config: PartyConfig, images: Path | None = None, output: Path | None = None) -> AskedRecord:
    """Ask and answer. The predictions go to output (an .npz or .csv file), and what is returned also to one with .json.

    Args:
        images: an .npz file or a folder, see data/inputs.py, or a table like the party's own; None to answer only,
            output is then None, too.

    Returns:
        A PredictionRecord where there were images.

    Raises:
        ConfigError: images without output, or the reverse; output is called neither .npz nor .csv.
        OutputError: output exists, or cannot be written.
        DataError: the images cannot be used, or there is no trained network.
        SmuleError: anything else a user can cause.
    """
    if (images is None) != (output is None):
        raise ConfigError("give both input= and output=, or neither to answer only")
    if output is not None:
        _check_output(output)
    party = load_trained_party(config)
    if images is None or output is None:
        nothing = party.held_out.inputs[:0]
        return ask_once(party, nothing, lambda scheme, answers: asked_record(party, scheme, answers))
    config, bundle = party.config, party.inputs.bundle
    inputs = read_further(images, config, bundle)
    for note in inputs.notes:
        log.info("input %s", note)
    both_NX = torch.cat([as_the_network_sees(config, bundle, inputs.inputs), party.held_out.inputs])

    def conclude(scheme: SecureInferenceScheme, answers: Answers) -> PredictionRecord:
        asked = asked_record(party, scheme, answers)
        return _keep(party, inputs, party.own_logits(both_NX), answers, asked, output)

    return ask_once(party, both_NX, conclude)


def metadata_path(output: Path) -> Path:
    return output.with_suffix(".json")


def _check_output(output: Path) -> None:
    if output.suffix not in WRITERS:
        raise ConfigError(f"output={output}: predictions are an .npz file or a .csv file; call it so")
    for path in (output, metadata_path(output)):
        if path.exists():
            raise OutputError(f"{path} exists; predictions are never written over, so name another output=")
    probe = output.with_name(f".{output.name}.writable")
    write_text(probe, "")
    probe.unlink()


def _keep(
    party: TrainedParty, inputs: Inputs, own_NC: torch.Tensor, answers: Answers, asked: AskedRecord, output: Path
) -> PredictionRecord:
    """Combine, and write both files. Where the peer's answer was dropped, the party's own stands alone."""
    count, rule = len(inputs.inputs), party.combination_rule
    judged_N = answers.answered_N[count:]
    own_known_NC, peer_known_NC = own_NC[count:][judged_N], answers.logits_NC[count:][judged_N]
    labels = party.held_out.targets[judged_N]
    combination = rule(own_known_NC, peer_known_NC, labels)
    found = judged(own_known_NC, peer_known_NC, labels, rule, party.task)
    record = PredictionRecord(
        **vars(asked),
        num_images=count,
        class_names=list(party.inputs.bundle.class_names),
        combination=CombinationRecord(**combination.as_plain()),
        validation=None if found is None else JudgedRecord(**vars(found)),
        notes=list(inputs.notes),
        versions=describe_versions(),
    )
    arrays = arrays_of(party.task, own_NC[:count], answers.logits_NC[:count], answers.answered_N[:count], combination)
    arrays["class_names"] = np.array(party.inputs.bundle.class_names)
    if inputs.names:
        arrays["names"] = np.array(inputs.names)
    _write(output, arrays, record)
    return record


def arrays_of(
    task: Task, own_NC: torch.Tensor, peer_NC: torch.Tensor, answered_N: torch.Tensor, combination: Combined
) -> dict[str, Any]:
    """Probabilities and what is decided, or values alone. Without an answer: NaN, and of what is decided -1."""
    own, combined = task.predictions(own_NC), combination.predictions(own_NC, peer_NC)
    said, decided = _ARRAYS[task.name]
    arrays: dict[str, Any] = {}
    for name, values_NC in (
        ("own", own),
        ("peer", task.predictions(peer_NC)),
        ("combined", torch.where(answered_N[:, None], combined, own)),
    ):
        arrays[f"{name}_{said}"] = values_NC.numpy()
        if decided is not None:
            arrays[f"{name}_{decided}"] = task.decided(values_NC).numpy()
    arrays[f"peer_{said}"][~answered_N.numpy()] = np.nan
    if decided is not None:
        arrays[f"peer_{decided}"][~answered_N.numpy()] = -1
    return arrays


def _write(output: Path, arrays: Mapping[str, Any], record: PredictionRecord) -> None:
    content = WRITERS[output.suffix](arrays)
    write_text(metadata_path(output), record.model_dump_json(indent=2))
    write_atomic(output, lambda file: file.write(content))


def _as_npz(arrays: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _as_csv(arrays: Mapping[str, Any]) -> bytes:
    """A line per image: its file's name, or its number where there is none, and what is predicted.

    Of classes their names, that both networks together and each alone predict, and the joint probability of each class.
    Of labels the joint probability of each, of numbers what both say together and each alone.
    """
    classes = [str(name) for name in arrays["class_names"]]
    columns, rows = _columns(arrays, classes)
    names = arrays.get("names", np.arange(len(rows)))
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["image", *columns])
    for name, row in zip(names, rows, strict=True):
        writer.writerow([name, *(value if isinstance(value, str) else f"{value:.6g}" for value in row)])
    return buffer.getvalue().encode()


def _columns(arrays: Mapping[str, Any], classes: list[str]) -> tuple[list[str], list[list[Any]]]:
    """Headings, and the words and numbers of each line."""
    if "combined_values" in arrays:
        headings = [f"{name}{by}" for by in CSV_VALUES for name in classes]
        return headings, np.concatenate([arrays[key] for key in CSV_VALUES.values()], axis=1).tolist()
    headings, rows = [f"probability of {name}" for name in classes], arrays["combined_probabilities"].tolist()
    if "combined_class" not in arrays:
        return headings, rows
    predicted = [[classes[label] for label in arrays[key]] for key in CSV_CLASSES.values()]
    return [*CSV_CLASSES, *headings], [[*words, *row] for *words, row in zip(*predicted, rows, strict=True)]


CSV_CLASSES = {"predicted class": "combined_class", "class by own": "own_class", "class by peer": "peer_class"}
"""Column of the table -> the array that its classes come from."""

CSV_VALUES = {"": "combined_values", " by own": "own_values", " by peer": "peer_values"}
"""Behind the name of a target -> the array that its numbers come from."""

_ARRAYS: dict[TaskName, tuple[str, str | None]] = {
    "classification": ("probabilities", "class"),
    "multilabel": ("probabilities", "labels"),
    "regression": ("values", None),
}
"""Task -> the names of what is said and of what is decided."""

WRITERS: dict[str, Callable[[Mapping[str, Any]], bytes]] = {".npz": _as_npz, ".csv": _as_csv}
"""Suffix of the output -> how it is written."""
