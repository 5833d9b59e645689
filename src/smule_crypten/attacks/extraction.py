"""Model extraction by an honest-but-curious party: imitate the peer's network from the answers it is entitled to.

The party trains a network of its own, the surrogate, on nothing but answers, and so learns how much a number of
queries gives away (F. Tramèr et al., "Stealing Machine Learning Models via Prediction APIs", 2016; N. Papernot et al.,
"Practical Black-Box Attacks against Machine Learning", 2017). Selections: own images at random; noise; mixed pairs of
own images; uncertain ones, chosen in rounds where the surrogate's two most likely classes are closest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from smule_crypten.attacks.attack import Predict
from smule_crypten.models.modules import device_of

Selection = Literal["random", "noise", "mixed", "uncertain"]
_ROUNDS = 4
_BATCH = 64


def extract(
    answer: Predict,
    own_inputs_NX: torch.Tensor,
    make_surrogate: Callable[[], nn.Module],
    num_queries: int,
    selection: Selection,
    *,
    steps: int,
    seed: int,
) -> nn.Module:
    """A surrogate trained on num_queries answers; there must be at least as many own images.

    Args:
        answer: the peer's network, as the party may ask it.
        steps: of Adam, a round (four rounds for selection "uncertain").
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(own_inputs_NX), generator=generator)
    if selection == "uncertain":
        return _in_rounds(answer, own_inputs_NX[order], make_surrogate, num_queries, steps, generator)
    asked = _crafted(own_inputs_NX[order], num_queries, selection, generator)
    return _fitted(make_surrogate(), asked, answer(asked), steps, generator)


def fidelity(surrogate: Predict, answer: Predict, inputs_NX: torch.Tensor) -> float:
    """Share of the images for which both name the same class."""
    return float((surrogate(inputs_NX).argmax(1) == answer(inputs_NX).argmax(1)).double().mean())


def _crafted(inputs_NX: torch.Tensor, count: int, selection: Selection, generator: torch.Generator) -> torch.Tensor:
    chosen = inputs_NX[:count]
    if selection == "noise":
        low, high = inputs_NX.min(), inputs_NX.max()
        return low + (high - low) * torch.rand(chosen.shape, generator=generator)
    if selection == "mixed":
        share = torch.rand(len(chosen), 1, 1, 1, generator=generator)
        return share * chosen + (1 - share) * chosen[torch.randperm(len(chosen), generator=generator)]
    return chosen


def _in_rounds(
    answer: Predict,
    inputs_NX: torch.Tensor,
    make_surrogate: Callable[[], nn.Module],
    num_queries: int,
    steps: int,
    generator: torch.Generator,
) -> nn.Module:
    sizes = [len(part) for part in torch.arange(num_queries).chunk(_ROUNDS)]
    asked, rest = inputs_NX[: sizes[0]], inputs_NX[sizes[0] :]
    answers = answer(asked)
    surrogate = _fitted(make_surrogate(), asked, answers, steps, generator)
    for size in sizes[1:]:
        with torch.no_grad():
            first_two = _apply(surrogate, rest).cpu().softmax(1).topk(2, dim=1).values
        order = (first_two[:, 0] - first_two[:, 1]).argsort()
        chosen, rest = rest[order[:size]], rest[order[size:]]
        asked, answers = torch.cat([asked, chosen]), torch.cat([answers, answer(chosen)])
        surrogate = _fitted(make_surrogate(), asked, answers, steps, generator)
    return surrogate


def _fitted(
    model: nn.Module, inputs_NX: torch.Tensor, logits_NC: torch.Tensor, steps: int, generator: torch.Generator
) -> nn.Module:
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    model.train()
    for _ in range(steps):
        chosen = torch.randint(len(inputs_NX), (_BATCH,), generator=generator)
        logits_MC = _apply(model, inputs_NX[chosen])
        loss = F.cross_entropy(logits_MC, logits_NC[chosen].softmax(1).to(logits_MC))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return model.eval()


def _apply(model: nn.Module, inputs_NX: torch.Tensor) -> torch.Tensor:
    logits_NC: torch.Tensor = model(inputs_NX.to(device_of(model)))
    return logits_NC
