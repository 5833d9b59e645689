"""What the owner of the inputs (D) holds of every rounding, beside its logits.

Collected in the clear, hundreds of answers a second: the shares and masks that the protocol would give both parties are
drawn uniformly, everything else follows from them. Or from the real roles of lean, to which
tests/benchmarks/test_rounding_leak.py holds what is computed in the clear.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import torch
from lean_in_process import play_roles
from rounding_first_version import FirstDataOwner, FirstModelOwner, first_version, rounded_locally, truncated_bits
from torch import nn

from smule_crypten.attacks.rounding import MAX_COLUMNS, ROWS_A_COLUMN, layers_within
from smule_crypten.config.sections import SchemeConfig
from smule_crypten.fixed_point.clear import ClearEvaluator
from smule_crypten.fixed_point.evaluator import Evaluator, Share, Talk
from smule_crypten.fixed_point.program import Opening, Step
from smule_crypten.inference.answerer import Answerer
from smule_crypten.inference.crypten_scatter import SharesInTheClear
from smule_crypten.inference.fixed_point_answers import FixedPointAnswerer
from smule_crypten.inference.lean.data_owner import DataOwner
from smule_crypten.inference.lean.dealing import OpeningMaterial
from smule_crypten.inference.lean.model_owner import ModelOwner
from smule_crypten.inference.noise import NoiseRule
from smule_crypten.inference.registry import scheme_class
from smule_crypten.inference.two_party.ideal import IdealFunction
from smule_crypten.lattice.parameters import GUARD_BITS
from smule_crypten.lattice.plan import HandOver
from smule_crypten.models import architecture as arch
from smule_crypten.models.pooling import SumPool
from smule_crypten.models.translate import TranslatedNetwork, translate
from smule_crypten.two_party.plan import Activation, plan_direction
from smule_crypten.types import LogitOpening

SCHEMES = ("lean", "crypten", "two_party")
CPU = torch.device("cpu")

Known = dict[str, torch.Tensor]
"""Kind of knowledge -> one value for each value of a hidden layer, of all samples of a micro-batch."""
Knowledge = dict[str, list[torch.Tensor]]
"""Kind of knowledge -> (Q, units) for each hidden layer, from the last one backwards."""


@dataclass(frozen=True)
class Asked:
    """A network behind a scheme with its delivered settings, as its owner has made it ready, without noise."""

    network: TranslatedNetwork
    config: SchemeConfig
    answerer: Answerer

    @classmethod
    def of(
        cls, scheme: str, model: nn.Module, calibration_NX: torch.Tensor, opening: LogitOpening = "differences"
    ) -> Asked:
        """Raises UnshareableModelError where the scheme refuses the network."""
        config = SchemeConfig(name=scheme)
        channels, height, width = calibration_NX.shape[1:]
        network = translate(model, (channels, height, width))
        noise = NoiseRule.without_protection()
        return cls(
            network, config, scheme_class(scheme).answerer_of(network, calibration_NX, config, noise, opening=opening)
        )


@dataclass(frozen=True)
class Answers:
    """logits_QC: what is opened, without the owner's noise. knowledge: of the roundings of hidden values behind them.
    others_QK: what else is known and moves the logits: the roundings of the logits themselves, where there are such;
    how the image that an answer is exact for differs from the one that was asked about."""

    logits_QC: torch.Tensor
    knowledge: Knowledge
    others_QK: torch.Tensor | None = None


def answers(
    asked: Asked, batches: list[torch.Tensor], rounding: str, source: str, seed: int, guard_bits: int = GUARD_BITS
) -> Answers:
    """What D gets and knows.

    Args:
        rounding: "protocol", or "local" for lean's first version, and for two_party without guard bits; makes no
            difference for crypten.
        guard_bits: of scheme two_party.
        source: "simulated", or "protocol" for the real roles of lean, under fresh keys.
    """
    notebook = Notebook(_layers_kept(asked, sum(map(len, batches))))
    if source == "protocol":
        logits_QC = _of_roles(asked, torch.cat(batches), len(batches[0]), rounding, notebook)
        return Answers(logits_QC, notebook.knowledge())
    generator = torch.Generator().manual_seed(seed)
    if asked.config.name == "two_party":
        return _of_two_parties(asked, batches, notebook, generator, 0 if rounding == "local" else guard_bits)
    if isinstance(asked.answerer, FixedPointAnswerer):
        answerer = asked.answerer
        lean = LeanInTheClear(answerer.program, answerer.parameters, answerer.scales, generator, CPU)
        lean.notebook, lean.is_local = notebook, rounding == "local"
        opened = [lean.logits(inputs_NX, answerer.opening) for inputs_NX in batches]
        return Answers(torch.cat(opened), notebook.knowledge())
    crypten = CryptenInTheClear(asked.network, asked.config.precision_bits, generator)
    crypten.notebook = notebook
    opening = asked.answerer.opening
    found = [(crypten.logits(inputs_NX, opening), crypten.known["own share"]) for inputs_NX in batches]
    logits_QC, others_QK = (torch.cat(parts) for parts in zip(*found, strict=True))
    return Answers(logits_QC, notebook.knowledge(), others_QK)


def _of_two_parties(
    asked: Asked, batches: list[torch.Tensor], notebook: Notebook, generator: torch.Generator, guard_bits: int
) -> Answers:
    answerer = asked.answerer
    assert isinstance(answerer, FixedPointAnswerer)
    plan = plan_direction(asked.network.architecture, [len(batches[0])], asked.config, guard_bits=guard_bits)
    function = TwoPartyInTheClear(plan, answerer.parameters, answerer.scales, generator, CPU)
    function.notebook, function.image_errors = notebook, []
    logits_QC = torch.cat([function.logits(inputs_NX, answerer.opening) for inputs_NX in batches])
    images_QK = torch.cat(function.image_errors)
    # More unknowns than answers would explain everything.
    few = images_QK.size(1) <= min(MAX_COLUMNS, len(images_QK) // ROWS_A_COLUMN)
    return Answers(logits_QC, notebook.knowledge(), images_QK if few else None)


def _layers_kept(asked: Asked, num_answers: int) -> int:
    """Of these two kinds of networks, in which every ReLU is a hidden layer."""
    architecture = asked.network.architecture
    units = [
        shape.numel()
        for op, shape in zip(architecture.ops, map(torch.Size, architecture.shapes), strict=True)
        if isinstance(op, arch.ReLU)
    ]
    return layers_within(units[::-1], num_answers)


def _of_roles(
    asked: Asked, inputs_NX: torch.Tensor, micro_batch: int, rounding: str, notebook: Notebook
) -> torch.Tensor:
    answerer = asked.answerer
    assert isinstance(answerer, FixedPointAnswerer)
    program = answerer.program
    roles: tuple[type[ModelOwner], type[_WritingRole]] = (ModelOwner, SeeingDataOwner)
    if rounding == "local":
        program, roles = first_version(program), (FirstModelOwner, SeeingFirstDataOwner)

    def data_owner(*arguments: Any, **options: Any) -> DataOwner:
        role = roles[1](*arguments, **options)
        role.notebook = notebook
        return role

    logits_QC, _ = play_roles(
        program,
        answerer.parameters,
        answerer.scales,
        inputs_NX,
        micro_batch,
        (roles[0], data_owner),
        opening=answerer.opening,
    )
    return logits_QC.double()


class Notebook:
    """Takes down what is known of the last `layers` hidden layers, micro-batch by micro-batch."""

    def __init__(self, layers: int) -> None:
        self._layers = layers
        self._batches: list[list[Known]] = []

    def begin(self) -> None:
        """A new micro-batch."""
        self._batches.append([])

    def write(self, known: Known, batch: int) -> None:
        """The next layer of a micro-batch of so many samples."""
        page = self._batches[-1]
        page.append({kind: values.reshape(batch, -1).float() for kind, values in known.items()})
        del page[: -self._layers]

    def knowledge(self) -> Knowledge:
        found: Knowledge = defaultdict(list)
        for layer in reversed(list(zip(*self._batches, strict=True))):
            for kind in layer[0]:
                found[kind].append(torch.cat([batch[kind] for batch in layer]))
        return dict(found)


def lean_knowledge(
    own_share: torch.Tensor, own_rho: torch.Tensor | None, public: torch.Tensor, fraction: int, width: int
) -> Known:
    """What D holds of the rounding of `fraction` bits, as fractions of the range.

    own share: the low bits of its share (negative, since the first version rounded up where they are small).
    own part of rho, and the bits that D sends, which are the sum of these two. opened: the public value of width bits.
    """
    size = 1 << fraction
    known = {"own share": -(own_share % size).double() / size}
    if own_rho is not None:
        known["own part of rho"] = own_rho.double() / size
        known["bits sent"] = ((own_share + own_rho) % size).double() / size
    return known | {"opened": public.double() / (1 << width), "lowest bit opened": (public & 1).double()}


class _Writing(Evaluator):
    """notebook is to be set before anything runs."""

    notebook: Notebook

    def _evaluate(self, batch: int, first: Share | None) -> Talk:
        self.notebook.begin()
        return (yield from super()._evaluate(batch, first))


class LeanInTheClear(_Writing, ClearEvaluator):
    """The ideal function of scheme lean, with D's part of the randomness apart.

    is_local: each party drops the low bits of its own share, as in the first version.
    """

    is_local = False

    def _opening(self, step: Step, opening: Opening, batch: int, share: Share) -> Talk:
        if not opening.fraction:
            return (yield from super()._opening(step, opening, batch, share))
        fraction, width, z = opening.fraction, opening.width, share.reshape(-1)
        own_share, own_rho = self._uniform(fraction, z), None
        if self.is_local:
            value, carry = rounded_locally(z, own_share, fraction), torch.zeros_like(z)
        else:
            own_rho = self._uniform(fraction, z)
            both = own_rho + self._their_rho(fraction, z)
            value, carry = (z + both % (1 << fraction)) >> fraction, both >> fraction
        public = (value + carry + self._uniform(width, z)) % (1 << width)  # the sum of both masks is uniform
        self.notebook.write(lean_knowledge(own_share, own_rho, public, fraction, width), batch)
        unused = 64 - width
        value = (value << unused) >> unused
        return value.clamp(min=0) if opening.blocks else value

    def _their_rho(self, fraction: int, like: torch.Tensor) -> torch.Tensor:
        """M's part, which D does not know."""
        return self._uniform(fraction, like)

    def _uniform(self, bits: int, like: torch.Tensor) -> torch.Tensor:
        """Uniform integers of so many bits."""
        return torch.randint(0, 1 << bits, like.shape, generator=self._generator)


class _WritingRole(_Writing, DataOwner):
    pass


class SeeingDataOwner(_WritingRole):
    """The real role of D, which writes down what it has in its hands."""

    def _public_value(self, step: Step, opening: Opening, material: OpeningMaterial, share: Share) -> Talk:
        public = yield from super()._public_value(step, opening, material, share)
        if opening.fraction:
            known = lean_knowledge(share, material.drawn.values("rounding"), public, opening.fraction, opening.width)
            self.notebook.write(known, len(share) // opening.elements)
        return public


class SeeingFirstDataOwner(_WritingRole, FirstDataOwner):
    """The same of the first version."""

    _share = torch.empty(0)

    def _opening(self, step: Step, opening: Opening, batch: int, share: Share) -> Talk:
        self._share = share.reshape(-1)
        return (yield from super()._opening(step, opening, batch, share))

    def _public_value(self, step: Step, opening: Opening, material: OpeningMaterial, share: Share) -> Talk:
        public = yield from super()._public_value(step, opening, material, share)
        fraction = truncated_bits(self._program, step)
        if fraction:
            known = lean_knowledge(self._share, None, public, fraction, opening.width)
            self.notebook.write(known, len(share) // opening.elements)
        return public


class TwoPartyInTheClear(_Writing, IdealFunction):
    """The ideal function of scheme two_party, with what D knows of its errors apart.

    Of a hidden value: the bits below a unit of D's share at its rounding, what D drops of them, the error of b when the
    value is handed over, and all that this makes of the value. (Of the secrets s and e', which meet M's u and e1, see
    tests/unit/lattice/test_joint_views.py.)
    """

    image_errors: list[torch.Tensor]

    def _rounded(self, activation: Activation, value: torch.Tensor) -> torch.Tensor:
        self._shares: list[torch.Tensor] = []
        result = super()._rounded(activation, value)
        share, grid = self._shares[0], 2.0**activation.guard_bits
        self._at_rounding = {"own share": share, "dropped": (share * grid + 0.5).floor() / grid - share}
        return result

    def _below_a_unit(self, bits: int, like: torch.Tensor) -> torch.Tensor:
        self._shares.append(super()._below_a_unit(bits, like))
        return self._shares[-1]

    def _errors_of(self, hand_over: HandOver, like: torch.Tensor) -> torch.Tensor:
        errors = super()._errors_of(hand_over, like)
        of_value = errors
        if errors.shape != like.shape:  # with padding around it
            rows, columns = ((errors.size(axis) - like.size(axis)) // 2 for axis in (2, 3))
            of_value = errors[:, :, rows : rows + like.size(2), columns : columns + like.size(3)]
        if hand_over.is_input:
            self.image_errors.append(of_value.flatten(1))
            return errors
        at_rounding = {kind: values.view_as(like) for kind, values in self._at_rounding.items()}
        known = at_rounding | {"error of b": of_value, "both": at_rounding["dropped"] + of_value}
        self.notebook.write(known, len(like))
        return errors


class CryptenInTheClear(SharesInTheClear):
    """CrypTen's arithmetic on both shares, for a chain of layers. notebook is to be set before anything runs.

    known: of the roundings since the last weights; in the end of those of the logits.

    A division rounds up where the low bits of D's own share are small (inference/crypten_scatter.py). What D knows of a
    hidden value is the sum over the divisions that lead there without a weight in between, with their factors.
    """

    notebook: Notebook

    def logits(self, inputs_NX: torch.Tensor, opening: LogitOpening = "differences") -> torch.Tensor:
        self.notebook.begin()
        self.known: Known = {}
        return super().logits(inputs_NX, opening)

    def _apply(self, op: arch.Op, operands: list[torch.Tensor]) -> torch.Tensor:
        before, x = self.known, operands[0]
        if isinstance(op, arch.Conv2d | arch.Linear) and before:
            self.notebook.write(before, len(x))
        result = super()._apply(op, operands)
        match op:
            case arch.AvgPool2d():
                pool = SumPool(op, (x.size(2), x.size(3)))
                self.known["own share"] += pool.sums(before["own share"]) / pool.window
            case arch.Conv2d() | arch.Linear() | arch.ReLU() | arch.Flatten():
                pass
            case _:
                raise TypeError(f"what is known of roundings is not followed through {type(op).__name__}")
        return result

    def _divided(self, values: torch.Tensor, divisor: int) -> torch.Tensor:
        share = torch.empty_like(values).random_(-(2**63), None, generator=self._generator)
        self.known = {
            "own share": -share.remainder(divisor).float() / divisor,
            "sign of own share": (share < 0).float(),
        }
        theirs = (values - share).div_(divisor, rounding_mode="trunc")
        return theirs.add_(share.div_(divisor, rounding_mode="trunc"))
