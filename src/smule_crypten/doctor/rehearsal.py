"""A rehearsal of an exchange on this machine: both parties and the dealer are played by processes of our own."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from smule_crypten.config.run import PartyConfig
from smule_crypten.inference.noise import NoiseRule
from smule_crypten.inference.plaintext import evaluate_plaintext
from smule_crypten.inference.registry import scheme_class
from smule_crypten.models.translate import translate
from smule_crypten.models.zoo import build_model
from smule_crypten.mpc.session import open_session
from smule_crypten.party.dealing import jobs_that_meet
from smule_crypten.party.events import Emit
from smule_crypten.party.inputs import party_seed
from smule_crypten.party.launcher import run_jobs
from smule_crypten.transport.meeting import ROLES, role_from_environment, simulated_meeting
from smule_crypten.types import Cost, InferenceQuery, centred


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """Each side asked about num_samples; seconds are those of the whole exchange, costs those of party a and b."""

    num_samples: int
    seconds: float
    max_abs_logit_error: float
    costs: tuple[Cost, Cost]


def rehearse(config: PartyConfig, inputs_NCHW: torch.Tensor, num_classes: int) -> Rehearsal:
    """Let the party's network, with its initial weights, answer its own samples through the secure protocol.

    Args:
        inputs_NCHW: normalised, float32.

    Raises:
        PartyFailedError: one of the three processes failed; the message names the cause.
    """
    with tempfile.TemporaryDirectory(prefix="smule-rehearsal-") as folder:
        arguments = [(config, inputs_NCHW.numpy(), num_classes)] * 2
        jobs = jobs_that_meet(folder, _play, arguments, config.launch, with_dealer=config.needs_dealer)
        results = run_jobs(jobs, on_event=lambda name, event: None)
    costs = results[0].pop("cost"), results[1].pop("cost")
    return Rehearsal(num_samples=len(inputs_NCHW), costs=costs, **results[0])


def _play(emit: Emit, config: PartyConfig, images: npt.NDArray[np.float32], num_classes: int) -> dict[str, Any]:
    torch.set_num_threads(config.launch.threads)
    role = role_from_environment()
    rank = ROLES.index(role)
    inputs_NCHW = torch.from_numpy(images)
    channels, height, width = inputs_NCHW.shape[1:]
    model = build_model(config.model, (channels, height, width), num_classes, party_seed(config))
    network = translate(model, (channels, height, width))
    query: dict[str, Any] = {"query_id": 1, "num_samples": len(inputs_NCHW), "model_step": 0}
    asked = InferenceQuery(
        model_owner=1 - rank,
        data_owner=rank,
        sample_ids=torch.arange(len(inputs_NCHW)),
        inputs_NCHW=inputs_NCHW,
        **query,
    )
    answered = InferenceQuery(model_owner=rank, data_owner=1 - rank, **query)
    launch, seconds = config.launch, 0.0
    meeting = simulated_meeting(
        role,
        with_dealer=config.needs_dealer,
        join_seconds=launch.join_seconds,
        deadline_seconds=launch.deadline_seconds,
    )
    with open_session(
        meeting.meet(), rank, precision_bits=config.scheme.precision_bits, randomness="fresh", seed=0
    ) as session:
        both = (network.architecture, network.architecture)
        scheme = scheme_class(config.scheme.name)(session, config.scheme, both)
        # Both roles are this process's own: there is nobody to hide anything from, and the error is what is asked for.
        noise = NoiseRule.without_protection()
        for index in (1, 2):  # the first one warms up
            started = time.perf_counter()
            answerer = scheme.prepare_answers(model, inputs_NCHW, noise)
            scheme.begin(index, (len(inputs_NCHW), len(inputs_NCHW)))
            prediction = scheme.exchange(answerer, asked, answered)
            seconds = time.perf_counter() - started
    error = (prediction.logits_NC - centred(evaluate_plaintext(network, inputs_NCHW))).abs().max()
    return {"seconds": seconds, "max_abs_logit_error": float(error), "cost": prediction.cost}
