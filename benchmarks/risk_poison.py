"""Poison in the joint head: what it does to the head, to the other party's guess of it, and to that party's student."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from risk_world import TRIGGERS, Holding, Rows, World, samples_of, triggered_classes
from torch import nn
from torch.nn import functional as F

from smule_crypten.attacks.attack import answered_as
from smule_crypten.attacks.backdoor import Backdoor, BackdoorOptions
from smule_crypten.attacks.head_matrices import with_backdoor
from smule_crypten.attacks.labels import LabelFlip, LabelFlipOptions
from smule_crypten.config.joint_head import DEVIATION
from smule_crypten.data.samples import Samples
from smule_crypten.joint_head.asking import FLOODING
from smule_crypten.joint_head.estimate import estimated_head
from smule_crypten.joint_head.knowledge import SHARPNESS
from smule_crypten.joint_head.solve_in_clear import exact_head
from smule_crypten.joint_head.statistics import Statistics
from smule_crypten.joint_head.validation import advantage

TARGET = 0
NOISE = 0.2
_HIDDEN = 128
_LIFT = 1.0
"""In units of the targets."""
_TRIED = 100
"""Own images by which an adversary learns how features move."""


@dataclass(frozen=True, eq=False)
class Poison:
    """What party b puts in: its rows or sums, and its validation rows, which are poisoned like them."""

    name: str
    sums: Statistics
    validation: Rows


def poisons(world: World, holding: Holding, total_rows: int, fraction: float, seed: int) -> Iterator[Poison]:
    """Without poison first."""
    rows, validation = world.train.of(holding.labelled), world.train.of(holding.validation)
    outputs = rows.outputs
    honest = rows.statistics()
    yield Poison("none", honest, validation)
    for name, step in (("random", None), ("the next class", 1)):
        wrong = [part.with_classes(_flipped(part.classes, step, outputs, seed)) for part in (rows, validation)]
        yield Poison(f"40 % of labels, {name}", wrong[0].statistics(), wrong[1])
    for trigger in TRIGGERS:
        yield Poison(f"{trigger}: {fraction:.0%} of rows", _with_trigger(world, holding, trigger, fraction), validation)
    for trigger in ("patch", "pattern 0.5"):
        moved_D = _movement(world, holding, trigger)
        changed = with_backdoor(
            honest, moved_D, TARGET, total_rows=total_rows, penalty=world.penalty(total_rows), lift=_LIFT
        )
        yield Poison(f"{trigger}: a term of rank one", changed, validation)


def poisoned(
    world: World, both: tuple[Holding, Holding], fraction: float, epochs: int, seed: int
) -> Iterator[dict[str, Any]]:
    """Figures for each poison of party b, at party a."""
    own = world.train.of(both[0].labelled)
    held_out = world.train.of(both[0].validation)
    clean = torch.cat([both[0].labelled, both[0].validation, both[0].unlabelled])
    features, labels = world.train.features[clean], F.one_hot(own.classes, own.outputs).float()
    sums = own.statistics()
    total_rows = sums.rows + len(both[1].labelled)
    penalty = world.penalty(total_rows)
    own_head = exact_head(sums, world.own_penalty(sums.rows))
    generator = torch.Generator().manual_seed(seed)
    asked = own.of(torch.randperm(len(own), generator=generator)[: sums.features // 4])
    classes = triggered_classes(world)
    tried = {name: world.stamped(world.trigger(name), world.test_images) for name in TRIGGERS}

    def successes(student: nn.Module) -> dict[str, float]:
        return {name: 100 * answered_as(student(images), classes, TARGET) for name, images in tried.items()}

    for poison in poisons(world, both[1], total_rows, fraction, seed):
        head = exact_head(sums + poison.sums, penalty)
        deviation = NOISE * DEVIATION / sums.features**0.5
        noisy = head + deviation * torch.randn(head.shape, generator=generator, dtype=torch.float64)
        answers = asked.rows_ND @ noisy + FLOODING * torch.randn(len(asked), own.outputs, generator=generator)
        guess = estimated_head(
            sums,
            asked.rows_ND,
            answers - answers.mean(dim=1, keepdim=True),
            noise=FLOODING,
            weight_noise=deviation,
            penalty=penalty,
            opening="differences",
        )
        one: dict[str, Any] = {"poison": poison.name, "own_head": world.test.accuracy(own_head)}
        for name, weights in (("head", head), ("guess", guess)):
            linear = _Linear(weights, own.clip_norm)
            one[name] = {"accuracy": world.test.accuracy(weights), "success": successes(linear)}
            soft = (SHARPNESS * linear(features)).softmax(dim=1)
            # Own labels and the head's soft ones, half and half; the latter alone of rows without a label.
            student = _student(features, torch.cat([(labels + soft[: len(own)]) / 2, soft[len(own) :]]), epochs, seed)
            one[f"student_{name}"] = {"accuracy": _accuracy(world, student), "success": successes(student)}
        rows = held_out.rows_ND
        one["alarm"] = advantage(rows @ guess, rows @ own_head, held_out.classes)
        theirs = (poison.validation, exact_head(poison.sums, world.own_penalty(poison.sums.rows)), head)
        one["weight_own"] = _weight([(held_out, own_head, guess)])
        one["weight_sum"] = _weight([(held_out, own_head, guess), theirs])
        if poison.name == "none":
            one["alone"] = _accuracy(world, _student(own.features, labels, epochs, seed))
        yield one


class _Linear(nn.Module):
    def __init__(self, head_DC: torch.Tensor, clip_norm: float) -> None:
        super().__init__()
        self.head_DC, self.clip_norm = head_DC, clip_norm

    def forward(self, features_NF: torch.Tensor) -> torch.Tensor:
        rows = Rows(features_NF, torch.zeros(len(features_NF)), self.clip_norm, self.head_DC.size(1))
        return (rows.rows_ND @ self.head_DC).float()


def _accuracy(world: World, student: nn.Module) -> float:
    return 100 * float((student(world.test.features).argmax(1) == world.test.classes).double().mean())


def _student(features: torch.Tensor, targets: torch.Tensor, epochs: int, seed: int) -> nn.Module:
    """A head of one hidden layer, trained on targets (N, C) that sum to one."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        student = nn.Sequential(nn.Linear(features.size(1), _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, targets.size(1)))
    optimizer = torch.optim.Adam(student.parameters(), lr=1e-3)
    for _ in range(epochs):
        for batch in torch.split(torch.randperm(len(features), generator=generator), 128):
            loss = F.cross_entropy(student(features[batch]), targets[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return student.eval().requires_grad_(False)


def _weight(parts: list[tuple[Rows, torch.Tensor, torch.Tensor]]) -> float:
    """Of the joint head beside the own one, in tenths: by the least sum of mean validation losses."""

    def loss(weight: float) -> float:
        total = 0.0
        for rows, own, joint in parts:
            own_NC, joint_NC = ((SHARPNESS * rows.rows_ND @ head).softmax(dim=1) for head in (own, joint))
            mixed = (1 - weight) * own_NC + weight * joint_NC
            total += float(F.nll_loss(mixed.clamp(min=1e-6).log(), rows.classes))
        return total

    return min((tenth / 10 for tenth in range(11)), key=loss)


def _flipped(classes: torch.Tensor, step: int | None, outputs: int, seed: int) -> torch.Tensor:
    if step is None:
        samples = Samples(torch.zeros(len(classes), 1), classes, torch.arange(len(classes)))
        return LabelFlip(LabelFlipOptions(fraction=0.4), samples, outputs, seed).poisoned(samples).targets
    chosen = torch.rand(len(classes), generator=torch.Generator().manual_seed(seed)) < 0.4
    return torch.where(chosen, (classes + step) % outputs, classes)


def _with_trigger(world: World, holding: Holding, name: str, fraction: float) -> Statistics:
    """Rows of which some have the trigger, put on before the map, and its class."""
    samples = samples_of(world, holding.labelled)
    kind, opacity = TRIGGERS[name]
    options = BackdoorOptions(trigger=kind, target=TARGET, fraction=fraction, opacity=opacity)
    attack = Backdoor(options, samples, world.train.outputs, seed=0)  # the trigger that is tried
    changed = attack.poisoned(samples)
    touched = (changed.inputs != samples.inputs).flatten(1).any(dim=1)
    features = world.train.features[holding.labelled].clone()
    features[touched] = world.features_of(changed.inputs[touched])
    return world.train.of(holding.labelled).with_features(features).with_classes(changed.targets).statistics()


def _movement(world: World, holding: Holding, name: str) -> torch.Tensor:
    """How rows move by the trigger, on average over some own images."""
    some = holding.labelled[:_TRIED]
    before = world.train.of(some)
    after = before.with_features(world.stamped(world.trigger(name), world.images[some]))
    return (after.rows_ND - before.rows_ND).mean(dim=0)
