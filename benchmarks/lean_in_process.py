"""The two parties and the dealer of scheme `lean` in one process, without links: the same roles, streams and numbers as
between processes, for the errors of many settings in little time."""

from __future__ import annotations

from collections.abc import Callable

import torch

from smule_crypten.fixed_point.program import Program
from smule_crypten.fixed_point.scales import Scales
from smule_crypten.fixed_point.wire import Role
from smule_crypten.inference.lean.data_owner import DataOwner
from smule_crypten.inference.lean.dealing import corrections
from smule_crypten.inference.lean.model_owner import ModelOwner
from smule_crypten.models.module_handlers import Parameters
from smule_crypten.mpc.keys import fresh_entropy
from smule_crypten.mpc.streams import Stream
from smule_crypten.types import LogitOpening

CPU = torch.device("cpu")


def play_roles(
    program: Program,
    parameters: Parameters,
    scales: Scales,
    inputs_NX: torch.Tensor,
    micro_batch: int,
    roles: tuple[Callable[..., ModelOwner], Callable[..., DataOwner]] = (ModelOwner, DataOwner),
    opening: LogitOpening = "differences",
) -> tuple[torch.Tensor, DataOwner]:
    """The logits of one direction under fresh keys, and the role that got them."""
    batches = [len(chunk) for chunk in torch.split(inputs_NX, micro_batch)]
    keys = [fresh_entropy(), fresh_entropy()]
    theirs, ours = (Stream(key) for key in keys)
    dealt = corrections(program, batches, theirs, ours)

    def receive_correction(num_bytes: int) -> torch.Tensor:
        correction = next(dealt)
        assert correction.nbytes == num_bytes
        return correction

    model_owner = roles[0](
        program,
        CPU,
        batches,
        parameters=parameters,
        scales=scales,
        dealt=Stream(keys[0]),
        local=Stream(fresh_entropy()),
        receive_correction=receive_correction,
        opening=opening,
    )
    data_owner = roles[1](program, CPU, batches, inputs_NX=inputs_NX, dealt=Stream(keys[1]), opening=opening)
    return _play((model_owner, data_owner)), data_owner


def _play(roles: tuple[Role, Role]) -> torch.Tensor:
    """Hand over messages until both are done; the result of the second role."""
    scripts = [role.run() for role in roles]
    results = [torch.empty(0), torch.empty(0)]
    sent: list[list[torch.Tensor]] = [[], []]
    waiting = [True, True]
    for number, script in enumerate(scripts):
        next(script)
        sent[number] += [post.data for post in roles[number].outbox]
        roles[number].outbox.clear()
    while any(waiting):
        for number in (0, 1):
            while waiting[number] and sent[1 - number]:
                try:
                    scripts[number].send(sent[1 - number].pop(0))
                except StopIteration as end:
                    results[number], waiting[number] = end.value, False
                sent[number] += [post.data for post in roles[number].outbox]
                roles[number].outbox.clear()
    return results[1]
