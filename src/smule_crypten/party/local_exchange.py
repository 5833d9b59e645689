"""One exchange on this machine: processes of our own play both parties, and the dealer of a scheme that needs one.

Nobody is protected from anybody here. It shows what an exchange gives and what it costs.
"""

from __future__ import annotations

import pickle
import tempfile
import time
from dataclasses import dataclass
from typing import get_args

import torch
from torch import nn

from smule_crypten.config.schemes import scheme_traits
from smule_crypten.config.sections import LaunchConfig, SchemeConfig
from smule_crypten.data.arrays import as_tensor
from smule_crypten.errors import ConfigError, DataError
from smule_crypten.fork_server import refuse_in_imported_script
from smule_crypten.inference.noise import NoiseRule
from smule_crypten.inference.registry import scheme_class
from smule_crypten.inference.scheme import check_opening
from smule_crypten.models.agreement import translate_checked
from smule_crypten.models.architecture import Architecture
from smule_crypten.models.calibration import check_inputs
from smule_crypten.models.translate import TranslatedNetwork
from smule_crypten.mpc.session import open_session
from smule_crypten.party.dealing import jobs_that_meet
from smule_crypten.party.events import Emit
from smule_crypten.party.launcher import run_jobs
from smule_crypten.transport.meeting import ROLES, role_from_environment, simulated_meeting
from smule_crypten.types import InferenceQuery, LogitOpening, PeerPrediction


@dataclass(frozen=True, kw_only=True)
class Side:
    """What one party brings: its network, its own samples (float32, normalised), and the noise on what it answers."""

    network: TranslatedNetwork
    inputs: torch.Tensor
    noise: NoiseRule


def exchange(
    networks: tuple[nn.Module, nn.Module],
    questions: tuple[torch.Tensor, torch.Tensor],
    *,
    scheme: str = "two_party",
    answers: int | None = None,
    opening: LogitOpening = "differences",
) -> tuple[PeerPrediction, PeerPrediction]:
    """Let each of two networks answer the other party's samples securely, by processes on this machine.

    Two of them are the parties; `lean` and `crypten` have a third one, the dealer.

    The networks stay as they are, on the CPU or elsewhere; they are evaluated as in evaluation mode. A script calls
    this below ``if __name__ == "__main__":``, since the processes import the script.

    Args:
        networks: of party a and party b, inputs (N, X) -> logits (N, classes), of layers that `translate` knows.
        questions: the samples of party a and of party b, float (N, X), normalised, at least one each, of one
            size. Each party asks about its own samples, and they also show it how precise its answers are.
        scheme: `two_party`, `lean`, `crypten`, or `plaintext`, which gives no protection.
        answers: how many answers either network gives the other party in all, from which its noise follows; None for
            those of this exchange alone.
        opening: `differences`, all that a softmax needs: what is common to the outputs for a sample stays hidden; or
            `values`, each output itself, for labels of their own (sigmoids), for regression, and for a single output.

    Returns:
        For party a and party b what the other one's network says of its own samples: ``logits_NC``, with the noise of
        the answering party and, with `differences`, less their mean over the classes, and ``cost``, of this party for
        both directions: bytes and rounds are exact.

    Raises:
        ConfigError: no scheme or opening has this name, or answers are fewer than this exchange gives.
        DataError: the samples have other shapes, values that are not finite, or values too large for fixed point.
        UnshareableModelError: a network cannot be evaluated on secret shares; names the layer and a replacement. Or it
            has one output, of which there are no differences.
        PartyFailedError: a process failed; the message names the cause.

    Example:
        >>> import torch, smule_crypten as smule
        >>> networks = [torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3)) for _ in range(2)]
        >>> mine, theirs = torch.randn(4, 1, 8, 8), torch.randn(2, 1, 8, 8)
        >>> for_a, for_b = smule.exchange(networks, (mine, theirs))
        >>> tuple(for_a.logits_NC.shape), for_a.cost.bytes_sent == for_b.cost.bytes_received
        ((4, 3), True)
    """
    refuse_in_imported_script()
    config = SchemeConfig(name=scheme)
    limit = scheme_class(scheme).input_limit(config)
    if opening not in get_args(LogitOpening):
        raise ConfigError(f"opening={opening}: choose {' or '.join(get_args(LogitOpening))}")
    first, second = (_samples(samples, name, limit) for samples, name in zip(questions, ROLES[:2], strict=True))
    if first.shape[1:] != second.shape[1:]:
        raise DataError(f"the samples have sizes {tuple(first.shape[1:])} and {tuple(second.shape[1:])}; use one size")
    most = max(len(first), len(second))
    if answers is not None and answers < most:
        raise ConfigError(f"answers={answers}: this exchange alone gives {most}; name all that are to be given")
    sides = [
        Side(
            network=translate_checked(network, tuple(own.shape[1:]), own),
            inputs=own,
            noise=NoiseRule(num_answers=answers or len(asked)),
        )
        for network, own, asked in zip(networks, (first, second), (second, first), strict=True)
    ]
    for side in sides:
        check_opening(side.network.architecture, opening)
    (for_a, _), (for_b, _) = exchange_here((sides[0], sides[1]), config, LaunchConfig(), opening=opening)
    return for_a, for_b


def exchange_here(
    sides: tuple[Side, Side],
    scheme: SchemeConfig,
    launch: LaunchConfig,
    *,
    opening: LogitOpening = "differences",
    dealt: bool | None = None,
    repeats: int = 1,
) -> list[tuple[PeerPrediction, float]]:
    """The last of some exchanges: for each party what it was answered, and the seconds of that exchange.

    Args:
        sides: party a and party b.
        scheme: its name and options.
        launch: threads and patience of the processes.
        opening: what the answers open.
        dealt: whether a dealer deals, and not party a; None for what the scheme needs.
        repeats: the first one warms up.

    Raises:
        PartyFailedError: one of the processes failed; the message names the cause.
    """
    dealt = scheme_traits(scheme.name).needs_dealer if dealt is None else dealt
    architectures = sides[0].network.architecture, sides[1].network.architecture
    counts = len(sides[0].inputs), len(sides[1].inputs)
    with tempfile.TemporaryDirectory(prefix="smule-exchange-") as folder:
        terms = _Terms(architectures, counts, scheme, launch, opening, dealt, repeats)
        # As bytes: tensors among the arguments of a process would share memory with it.
        arguments = [(pickle.dumps((side, terms)),) for side in sides]
        jobs = jobs_that_meet(folder, _play, arguments, launch, with_dealer=dealt)
        results = run_jobs(jobs, on_event=lambda name, event: None)
    return [pickle.loads(result) for result in results[:2]]


@dataclass(frozen=True)
class _Terms:
    """What both parties know."""

    architectures: tuple[Architecture, Architecture]
    counts: tuple[int, int]
    scheme: SchemeConfig
    launch: LaunchConfig
    opening: LogitOpening
    dealt: bool
    repeats: int


def _samples(samples: torch.Tensor, name: str, limit: float) -> torch.Tensor:
    inputs_NX = as_tensor(samples, f"samples of {name}")
    if not 2 <= inputs_NX.ndim <= 4 or 0 in inputs_NX.shape:
        raise DataError(
            f"samples of {name}: have shape {tuple(samples.shape)}; give at least one, as (N, features), (N, C, time) "
            "or (N, C, H, W)"
        )
    if not inputs_NX.is_floating_point():
        raise DataError(f"samples of {name}: are {inputs_NX.dtype}; normalise them to floats first")
    check_inputs(inputs_NX, torch.arange(len(inputs_NX)), limit)
    return inputs_NX.float()


def _play(emit: Emit, play: bytes) -> bytes:
    """One party, in its process."""
    side, terms = pickle.loads(play)
    torch.set_num_threads(terms.launch.threads)
    role = role_from_environment()
    rank = ROLES.index(role)
    count, peers_count = terms.counts[rank], terms.counts[1 - rank]
    asked = InferenceQuery(
        query_id=1,
        model_owner=1 - rank,
        data_owner=rank,
        num_samples=count,
        model_step=0,
        sample_ids=torch.arange(count),
        inputs=side.inputs,
    )
    answered = InferenceQuery(query_id=1, model_owner=rank, data_owner=1 - rank, num_samples=peers_count, model_step=0)
    meeting = simulated_meeting(
        role,
        with_dealer=terms.dealt,
        join_seconds=terms.launch.join_seconds,
        deadline_seconds=terms.launch.deadline_seconds,
    )
    config = terms.scheme
    with open_session(
        meeting.meet(), rank, precision_bits=config.precision_bits, randomness="fresh", seed=0
    ) as session:
        scheme = scheme_class(config.name)(session, config, terms.architectures, opening=terms.opening)
        for index in range(1, terms.repeats + 1):
            started = time.perf_counter()
            answerer = scheme.answerer_of(side.network, side.inputs, scheme.config, side.noise, opening=scheme.opening)
            scheme.begin(index, terms.counts)
            prediction = scheme.exchange(answerer, asked, answered)
            seconds = time.perf_counter() - started
    return pickle.dumps((prediction, seconds))
