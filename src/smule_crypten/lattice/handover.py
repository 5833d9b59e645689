"""D hands a layer's input over, encoded; M multiplies it with its weights: additive shares of L_W(x), modulo q.

<x>_M + <x>_D = x, in whole units modulo 2^k with t bits below (the network's input: t = 0, <x>_M = 0). Delta = q / 2^k,
Delta_t = q / 2^(k + t). Packing as in grid.py; c runs over input channels, o over output channels.

Before the inputs of a micro-batch are looked at:

1. D draws fresh ternary secrets s_j for all layers together, and errors; polynomial i of a layer takes slot i mod slots
   and secret i div slots. It computes the masks a_c s_j + e of all layers.
2. D sends p_j = P s_j + e', rounded to p_bits: secrets * N * p_bits bits. It sends those coefficients of the masks that
   windows take and that hold no pixel, rounded to value_bits.
3. D's share of L_W(x) is -c1_o s_j at the windows' places: known now. M computes p_j u_o.

For each layer, one message, D to M:

4. D sends b = a_c s_j + e + Delta_t <x>_D at the pixels, rounded to value_bits (k + 3 for the network's input, else
   k + t): C * H * W * value_bits bits per sample. Nothing is opened: to M, b is uniform under ring-LWE; for all layers
   together, under one s_j, that is a stronger assumption (parameters.py).
5. M adds Delta_t <x>_M, multiplies with W (a product of integers modulo q), and adds p_j u_o and Delta times its bias.

D's stream gives all s_j, then all e', then for each hand-over e at the pixels, channel by channel, and e at the other
coefficients. Messages have the order of grid.Layout within a channel, channel after channel; p the order of its j.

<L>_M + <L>_D = Delta L_W(x) + W e + e' u - e1 s with all roundings in e, e' and e1: Plan.deviation says how much, and 8
times that is exceeded with a probability below 2^-49 a value. There is no other failure. D knows e, e' and s, that is a
part of the error: what M's noise on the logits has to hide.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from smule_crypten.errors import ProtocolError
from smule_crypten.fixed_point.products import exact_sums
from smule_crypten.lattice.grid import cells_of
from smule_crypten.lattice.plan import HandOver, Plan, Product
from smule_crypten.lattice.public import PublicPolynomials
from smule_crypten.lattice.ring import Spectrum, errors, limbs, product, rounded, spectrum, ternary
from smule_crypten.lattice.weights import MaskedWeights, check_length, limbs_beside
from smule_crypten.mpc.packing import pack, signed, unpack
from smule_crypten.mpc.streams import Stream

Shares = dict[str, torch.Tensor]
"""By the name of a product, int64 of the step's shape, residues modulo q."""


class DataOwnerBatch:
    """D's side of one micro-batch: steps 1 to 4.

    Args:
        weights: c1 as received.
        images: how many samples.
        local: a stream that nobody else knows.

    shares: D's share of every product.
    """

    def __init__(
        self, plan: Plan, public: PublicPolynomials, weights: dict[str, Spectrum], images: int, local: Stream
    ) -> None:
        self._plan, self._images = plan, images
        self._masks: list[torch.Tensor | None] = []
        self._prepared: list[torch.Tensor] = []
        degree, bits = plan.lattice.degree, plan.lattice.modulus_bits
        secrets = spectrum(ternary(local, plan.secrets(images), degree), 2)
        p = product(spectrum(public.p, bits).beside_several(), secrets) + errors(local, (plan.secrets(images), degree))
        self._p = pack(rounded(p, bits, plan.p_bits), plan.p_bits)
        self.shares: Shares = {}
        for hand_over, a in zip(plan.hand_overs, public.a, strict=True):
            self._mask(hand_over, a, secrets, local)
            for one in hand_over.products:
                dropped = bits - one.c1_bits
                share = -_at_windows(hand_over, one, weights[one.name], secrets, images) << dropped
                self.shares[one.name] = signed(share, bits)

    def prepared_messages(self) -> list[torch.Tensor]:
        """Step 2: p, then for each hand-over the coefficients without a pixel; packed."""
        return [self._p, *self._prepared]

    def hand_over(self, number: int, x_D: torch.Tensor) -> torch.Tensor:
        """Step 4 for a hand-over of the plan: the packed message.

        Args:
            x_D: int64, D's share of the program's value with `fraction` bits below a unit.

        Raises:
            ProtocolError: these masks have been used, or x_D has another shape than they are for.
        """
        hand_over, masks = self._plan.hand_overs[number], self._masks[number]
        _check_shape(hand_over, x_D, self._images)
        if masks is None:
            raise ProtocolError(f"layer {hand_over.name}: the masks of a micro-batch encode one input; draw new ones")
        self._masks[number] = None
        layout, bits = hand_over.grid.layout(self._images), self._plan.lattice.modulus_bits
        shift = bits - hand_over.ring - hand_over.fraction
        encoded = masks + (cells_of(hand_over.spread.images(x_D), layout) << shift)
        return pack(rounded(encoded, bits, hand_over.value_bits), hand_over.value_bits)

    def _mask(self, hand_over: HandOver, a_SCN: torch.Tensor, secrets: Spectrum, local: Stream) -> None:
        layout, bits = hand_over.grid.layout(self._images), self._plan.lattice.modulus_bits
        public = spectrum(a_SCN, bits)
        masks = []
        for polynomial in range(hand_over.grid.polynomials(self._images)):
            slot, secret = hand_over.place(polynomial)
            masks.append(product(public[slot], secrets[secret].beside_several()))
        flat = torch.stack(masks, dim=1).flatten(1)
        kept = flat.index_select(1, layout.data)
        self._masks.append(kept + errors(local, tuple(kept.shape)))
        padding = flat.index_select(1, layout.padding)
        padding = padding + errors(local, tuple(padding.shape))
        self._prepared.append(pack(rounded(padding, bits, hand_over.value_bits), hand_over.value_bits))


class ModelOwnerBatch:
    """M's side of one micro-batch: steps 3 and 5.

    Args:
        prepared: D's messages of step 2.

    Raises:
        ProtocolError: a message has another length than the plan says.
    """

    def __init__(self, plan: Plan, weights: MaskedWeights, images: int, prepared: list[torch.Tensor]) -> None:
        if len(prepared) != 1 + len(plan.hand_overs):
            raise ProtocolError(f"{len(prepared)} prepared messages came where {1 + len(plan.hand_overs)} are due")
        self._plan, self._weights, self._images = plan, weights, images
        bits, degree = plan.lattice.modulus_bits, plan.lattice.degree
        count = plan.secrets(images) * degree
        check_length(prepared[0], count, plan.p_bits, "what D prepares for all layers")
        p = signed(unpack(prepared[0], count, plan.p_bits), plan.p_bits).view(-1, degree)
        p_spectra = spectrum(p, plan.p_bits)
        self._padding = [
            self._unpacked(message, hand_over, hand_over.prepared_values(images))
            for message, hand_over in zip(prepared[1:], plan.hand_overs, strict=True)
        ]
        self._known: Shares = {}
        for hand_over in plan.hand_overs:
            for one in hand_over.products:
                found = _at_windows(hand_over, one, weights.secrets[one.name], p_spectra, images)
                self._known[one.name] = found << (bits - plan.p_bits)

    def multiply(self, number: int, message: torch.Tensor, x_M: torch.Tensor | None) -> Shares:
        """M's shares of the products of a hand-over, without bias.

        Args:
            message: what D sent in step 4.
            x_M: int64, M's share of the program's value; None for the network's input.

        Raises:
            ProtocolError: the message has another length, or x_M another shape, than the plan says; there is an x_M for
                the network's input, or none for a hidden value.
        """
        hand_over, bits = self._plan.hand_overs[number], self._plan.lattice.modulus_bits
        grid, layout = hand_over.grid, hand_over.grid.layout(self._images)
        encoded = self._unpacked(message, hand_over, hand_over.online_values(self._images))
        if hand_over.is_input != (x_M is None):
            due = "has no share of the network's input" if hand_over.is_input else "has a share of a hidden value"
            raise ProtocolError(f"layer {hand_over.name}: the model owner {due}")
        if x_M is not None:
            _check_shape(hand_over, x_M, self._images)
            shift = bits - hand_over.ring - hand_over.fraction
            encoded = encoded + (cells_of(hand_over.spread.images(x_M), layout) << shift)
        polynomials = grid.polynomials(self._images)
        b = torch.zeros(hand_over.channels, polynomials * grid.degree, dtype=torch.int64)
        b.index_copy_(1, layout.data, encoded)
        b.index_copy_(1, layout.padding, self._padding[number])
        cells = grid.gathered(signed(b, bits).view(hand_over.channels, polynomials, grid.degree), self._images)
        shares = {}
        for one in hand_over.products:
            windows = grid.assembled(self._product(hand_over, one, cells), self._images)
            shares[one.name] = signed(one.finished(windows) + self._known[one.name], bits)
        return shares

    def _product(self, hand_over: HandOver, one: Product, cells: torch.Tensor) -> torch.Tensor:
        """The windows of pieces (S, O, block), modulo 2^64; computed where the kernels are."""
        kernel, grid = self._weights.kernels[one.name], hand_over.grid
        hops = (grid.rows.hop, grid.columns.hop)
        ends = [
            one.start[axis] + (grid.block[axis] - 1) * hops[axis] + one.dilation[axis] * (one.kernel_size[axis] - 1) + 1
            for axis in (0, 1)
        ]
        part = cells[:, :, one.start[0] : ends[0], one.start[1] : ends[1]].to(kernel.device)
        total = torch.zeros((), dtype=torch.int64, device=kernel.device)
        count, width = limbs_beside(self._plan, hand_over, one, kernel)
        with exact_sums():
            for number, limb in enumerate(limbs(part, count, width)):
                sums = F.conv2d(limb, kernel, None, hops, 0, one.dilation, one.groups)
                total = total + (sums.long() << (number * width))
        return total.cpu()

    def _unpacked(self, message: torch.Tensor, hand_over: HandOver, count: int) -> torch.Tensor:
        """Coefficients (C, n) as D sent them, in units of residues modulo q."""
        check_length(message, count, hand_over.value_bits, f"the input of layer {hand_over.name}")
        values = unpack(message, count, hand_over.value_bits) << (
            self._plan.lattice.modulus_bits - hand_over.value_bits
        )
        return values.view(hand_over.channels, -1)


def _at_windows(hand_over: HandOver, one: Product, by_slot: Spectrum, by_secret: Spectrum, images: int) -> torch.Tensor:
    """Polynomials (slots, O, N) times those (secrets, N) that they meet, at the windows' places; one is ternary.

    Returns a value of the program, int64 modulo 2^64.
    """
    grid = hand_over.grid
    windows, found = grid.windows(), []
    for polynomial in range(grid.polynomials(images)):
        slot, secret = hand_over.place(polynomial)
        found.append(product(by_slot[slot], by_secret[secret].beside_several(), windows))
    pieces = torch.stack(found, dim=1).view(one.outputs, -1, grid.block[0] * grid.block[1])
    return one.finished(grid.assembled(pieces[:, : grid.pieces(images)].transpose(0, 1), images))


def _check_shape(hand_over: HandOver, share: torch.Tensor, images: int) -> None:
    due = (images, *hand_over.shape)
    if tuple(share.shape) != due:
        raise ProtocolError(f"layer {hand_over.name}: a share of shape {tuple(share.shape)} came where {due} is due")
