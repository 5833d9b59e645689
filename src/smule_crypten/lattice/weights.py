"""M's weights under a mask: what it sends once, before any input is handed over.

For each product, slot and output channel o:

1. M draws a fresh ternary u_o and an error e1_o, and computes c1_o = sum_c W_oc a_c + P u_o + e1_o modulo q.
2. M sends c1_o rounded to c1_bits a coefficient: slots * O * N * c1_bits bits for a product, M to D. Nothing is opened;
   c1_o is a sample of ring-LWE with secret u_o (see parameters.py for what D's later view adds).
3. D computes with c1 as received; M with W and u_o. The rounding is another e1.

M's stream gives, product by product, u for all slots and outputs, then e1 for all of them; a message has the same
order, coefficient by coefficient.

No u_o serves twice: under the same one, the difference of two c1 is a multiple of a_c that gives the difference of two
weights away.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from smule_crypten.errors import ProtocolError, UnshareableModelError
from smule_crypten.lattice.plan import HandOver, Plan, Product
from smule_crypten.lattice.public import PublicPolynomials
from smule_crypten.lattice.ring import (
    EXACT_BITS,
    Spectrum,
    errors,
    limb_width,
    limbs,
    product,
    rounded,
    spectrum,
    ternary,
)
from smule_crypten.mpc.packing import pack, packed_bytes, signed, unpack
from smule_crypten.mpc.streams import Stream


class MaskedWeights:
    """M's side for one set of weights.

    Args:
        weights: int64 of the program's shapes, by the name of the product.
        local: a stream that nobody else knows.
        device: where a batch is multiplied with the kernels. All else is done on the CPU.

    kernels: by product, float64 (O, C / groups, kernel size), on the device. secrets: by product, spectra of u
    (slots, O, N).

    Raises:
        UnshareableModelError: the weights of an output channel are beyond the public bound.
    """

    def __init__(
        self,
        plan: Plan,
        public: PublicPolynomials,
        weights: dict[str, torch.Tensor],
        local: Stream,
        device: torch.device | None = None,
    ) -> None:
        self.kernels: dict[str, torch.Tensor] = {}
        self.secrets: dict[str, Spectrum] = {}
        self._messages: list[torch.Tensor] = []
        check_norms(plan, weights)
        common = spectrum(public.p, plan.lattice.modulus_bits)
        for hand_over, a in zip(plan.hand_overs, public.a, strict=True):
            for one in hand_over.products:
                kernel = hand_over.kernel(one, weights[one.name]).double()
                self.kernels[one.name] = kernel.to(device or kernel.device)
                self._messages.append(self._mask(plan, hand_over, one, kernel, a, common, local))

    def messages(self) -> list[torch.Tensor]:
        """What D gets, a packed uint8 tensor for each product in the order of the plan; once.

        Raises:
            ProtocolError: asked for again. After a crash there are new public polynomials and new weights to mask.
        """
        if not self._messages:
            raise ProtocolError("masked weights are sent once; mask them again under new public polynomials")
        messages, self._messages = self._messages, []
        return messages

    def _mask(
        self,
        plan: Plan,
        hand_over: HandOver,
        one: Product,
        kernel: torch.Tensor,
        a: torch.Tensor,
        common: Spectrum,
        local: Stream,
    ) -> torch.Tensor:
        degree = plan.lattice.degree
        count = hand_over.slots * one.outputs
        u = ternary(local, count, degree)
        secrets = spectrum(u.view(hand_over.slots, one.outputs, degree), 2)
        self.secrets[one.name] = secrets
        masks = product(Spectrum(common.values.view(-1, 1, 1, degree // 2), common.width), secrets)
        masks += errors(local, tuple(masks.shape))
        for slot in range(hand_over.slots):
            masks[slot] += _times_public(plan, hand_over, one, kernel, a[slot])
        return pack(rounded(masks, plan.lattice.modulus_bits, one.c1_bits), one.c1_bits)


def received_weights(plan: Plan, messages: Sequence[torch.Tensor]) -> dict[str, Spectrum]:
    """D's side: spectra of c1 (slots, O, N) by product, of its c1_bits highest bits.

    Raises:
        ProtocolError: a message has another length than the plan says.
    """
    degree, found = plan.lattice.degree, {}
    products = [(hand_over, one) for hand_over in plan.hand_overs for one in hand_over.products]
    if len(messages) != len(products):
        raise ProtocolError(f"{len(messages)} messages of masked weights came where {len(products)} are due")
    for (hand_over, one), message in zip(products, messages, strict=True):
        count = plan.c1_values(hand_over, one)
        check_length(message, count, one.c1_bits, f"the masked weights of layer {one.name}")
        values = signed(unpack(message, count, one.c1_bits), one.c1_bits)
        found[one.name] = spectrum(values.view(hand_over.slots, one.outputs, degree), one.c1_bits)
    return found


def check_length(message: torch.Tensor, count: int, width: int, what: str) -> None:
    """Refuse a message of another length.

    Raises:
        ProtocolError: the other party follows another plan.
    """
    due = packed_bytes(count, width)
    if message.nbytes != due:
        raise ProtocolError(f"{what} came in {message.nbytes} bytes where {due} are due; the parties' plans differ")


def limbs_beside(plan: Plan, hand_over: HandOver, one: Product, kernel: torch.Tensor) -> tuple[int, int]:
    """How residues are cut so that their sums with a kernel are exact in float64: by the bound, which is public."""
    fan_in = kernel[0].numel()
    size = plan.norm_bound(hand_over, one) * math.sqrt(fan_in)
    return limb_width(plan.lattice.modulus_bits, EXACT_BITS - math.ceil(math.log2(size)))


def check_norms(plan: Plan, weights: dict[str, torch.Tensor]) -> None:
    """Refuse weights whose error would be larger than the plan allows; `weights` as MaskedWeights takes them.

    Raises:
        UnshareableModelError: the weights of an output channel are beyond the public bound.
    """
    for hand_over in plan.hand_overs:
        for one in hand_over.products:
            _check_norm(plan, hand_over, one, hand_over.kernel(one, weights[one.name]).double())


def _check_norm(plan: Plan, hand_over: HandOver, one: Product, kernel: torch.Tensor) -> None:
    norms, bound = kernel.flatten(1).norm(dim=1), plan.norm_bound(hand_over, one)
    worst = int(norms.argmax())
    if float(norms[worst]) > bound:
        option = "raise scheme.options.input_bits" if hand_over.is_input else "lower scheme.options.ring_bits"
        raise UnshareableModelError(
            f"layer {one.name}",
            f"the weights of output {worst} are {float(norms[worst]) / bound:.3g} times as large as its error allows",
            f"train with weight decay, {option}, or use scheme=crypten",
        )


def _times_public(
    plan: Plan, hand_over: HandOver, one: Product, kernel: torch.Tensor, a_CN: torch.Tensor
) -> torch.Tensor:
    """sum_c W_oc a_c for each output (O, N): tap d of a kernel is X^-d, so it takes coefficient n + d of a_c."""
    grid, degree = hand_over.grid, a_CN.size(1)
    pitches = (grid.row_pitch, 1)
    first = sum(start * pitch for start, pitch in zip(one.start, pitches, strict=True))
    strides = tuple(cells * pitch for cells, pitch in zip(one.dilation, pitches, strict=True))
    total = torch.zeros(one.outputs, degree, dtype=torch.int64)
    by_group = kernel.view(one.groups, one.outputs // one.groups, -1)
    count, width = limbs_beside(plan, hand_over, one, kernel)
    for number, limb in enumerate(limbs(a_CN, count, width)):
        extended = torch.cat([limb, -limb], dim=1)  # X^N = -1
        shape = (hand_over.channels, *one.kernel_size, degree)
        taps = extended.as_strided(shape, (2 * degree, *strides, 1), first)
        sums = by_group @ taps.reshape(one.groups, -1, degree)
        total += sums.view(one.outputs, degree).long() << (number * width)
    return total
