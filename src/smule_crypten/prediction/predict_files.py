"""Joint prediction: a trained party asks its peer about new images, and combines both answers.

How much the peer's answers weigh follows from the own validation part, which the peer is asked about in the same
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
from smule_crypten.data.inputs import Inputs, Scale, read_inputs
from smule_crypten.errors import ConfigError, OutputError
from smule_crypten.files import write_atomic, write_text
from smule_crypten.inference.scheme import SecureInferenceScheme
from smule_crypten.party.environment import describe_versions
from smule_crypten.party.featured import as_the_network_sees
from smule_crypten.prediction.asking import Answers, TrainedParty, ask_once, asked_record, load_trained_party
from smule_crypten.report.answer_records import AskedRecord, CombinationRecord, JudgedRecord, PredictionRecord
from smule_crypten.training.combination import Combined, accuracies

log = logging.getLogger(__name__)


def predict(config: PartyConfig, images: Path | None = None, output: Path | None = None) -> AskedRecord:
    """Ask and answer. The predictions go to output (an .npz or .csv file), and what is returned also to one with .json.

    Args:
        images: an .npz file or a folder, see data/inputs.py; None to answer only, output is then None, too.

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
    bundle = party.inputs.bundle
    inputs = read_inputs(
        images,
        bundle.input_shape if bundle.origin is None else bundle.origin.input_shape,
        trained_on=bundle.train.inputs.dtype if bundle.origin is None else bundle.origin.dtype,
        scale=Scale.of(bundle.train.inputs) if bundle.origin is None else Scale.before(bundle.origin),
        layout=config.data.options.get("layout"),
    )
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
    """Combine, and write both files. Where the peer's answer was dropped, the own one stands alone."""
    count, rule = len(inputs.inputs), party.combination_rule
    judged_N = answers.answered_N[count:]
    own_known_NC, peer_known_NC = own_NC[count:][judged_N], answers.logits_NC[count:][judged_N]
    labels = party.held_out.targets[judged_N]
    combination = rule(own_known_NC, peer_known_NC, labels)
    judged = accuracies(own_known_NC, peer_known_NC, labels, rule)
    record = PredictionRecord(
        **vars(asked),
        num_images=count,
        class_names=list(party.inputs.bundle.class_names),
        combination=CombinationRecord(**combination.as_plain()),
        validation=None if judged is None else JudgedRecord(**vars(judged)),
        notes=list(inputs.notes),
        versions=describe_versions(),
    )
    arrays = _arrays(own_NC[:count], answers.logits_NC[:count], answers.answered_N[:count], combination)
    arrays["class_names"] = np.array(party.inputs.bundle.class_names)
    if inputs.names:
        arrays["names"] = np.array(inputs.names)
    _write(output, arrays, record)
    return record


def _arrays(
    own_NC: torch.Tensor, peer_NC: torch.Tensor, answered_N: torch.Tensor, combination: Combined
) -> dict[str, Any]:
    own, combined = own_NC.softmax(1), combination.probabilities(own_NC, peer_NC)
    arrays: dict[str, Any] = {}
    for name, values_NC in (
        ("own", own),
        ("peer", peer_NC.softmax(1)),
        ("combined", torch.where(answered_N[:, None], combined, own)),
    ):
        arrays[f"{name}_probabilities"] = values_NC.numpy()
        arrays[f"{name}_class"] = values_NC.argmax(1).numpy()
    arrays["peer_probabilities"][~answered_N.numpy()] = np.nan
    arrays["peer_class"][~answered_N.numpy()] = -1
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
    """A line an image: its file's name, or its number where there is none, and what is predicted.

    That is the names of the classes that both networks together and each alone predict, and the joint probability of
    each class.
    """
    classes = [str(name) for name in arrays["class_names"]]
    probabilities_NC = arrays["combined_probabilities"]
    names = arrays.get("names", np.arange(len(probabilities_NC)))
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["image", *CSV_CLASSES, *(f"probability of {name}" for name in classes)])
    for index, name in enumerate(names):
        predicted = [classes[arrays[key][index]] for key in CSV_CLASSES.values()]
        writer.writerow([name, *predicted, *(f"{value:.6g}" for value in probabilities_NC[index])])
    return buffer.getvalue().encode()


CSV_CLASSES = {"predicted class": "combined_class", "class by own": "own_class", "class by peer": "peer_class"}
"""Column of the table -> the array that its classes come from."""

WRITERS: dict[str, Callable[[Mapping[str, Any]], bytes]] = {".npz": _as_npz, ".csv": _as_csv}
"""Suffix of the output -> how it is written."""
