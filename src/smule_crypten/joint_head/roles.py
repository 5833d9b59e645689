"""The solve under sharing, with a dealer: two roles, P and Q (plan.py), as generators without I/O.

<v> is a pair of shares (v_P, v_Q), int64, whose sum is v modulo 2^64. All matrices are integers (integers.py): K of P
is M_P^-1, K of Q is G_Q / n. A and r, c as in dealing.py. Messages of 8 bytes a number, D * C numbers unless said
otherwise.

1. P -> Q: M_P^-1 - A (its triangle), probes V - A' (J * D numbers). Q -> P: G_Q - A (triangle), H_Q + r. They cross.
2. <B>: P's share is M_P^-1 (H_Q + r) - (A r - c), Q's is -(M_P^-1 - A) r - c. Rounded (below); P adds M_P^-1 H_P.

Then, T times, from W = 0 and R = B, with the public numbers of plan.py:

3. <step> = rounded(repeat <step> + along <R>); <W> = <W> + <step>. Local.
4. P -> Q: W_P + r. <y> = rounded(G_Q <W>), as in 2 with the parts exchanged: Q's share is G_Q (W_Q + W_P + r) less the
   correction, P's follows from r, c and the masked matrix, without a message.
5. Q -> P: y_Q + r. <R> = <B> - <W> - rounded(M_P^-1 <y>).

The check:

6. Q -> P, with the last message of 5: R_Q + r, and its shares of V <R>, summed over outputs with normal factors
   that both know, plus noise.
7. P -> Q: its own, plus noise. Both add up and hold the root of the mean square against the plan's tolerance. Beyond
   it: once more from 3 with the second attempt, the same masked matrices, and new r and c.
8. Both refresh their shares of W. Nothing of W is opened.

**Rounding**, without a message: both first refresh their shares by a stream that they have in common (P adds, Q takes
off), so that P's is uniform whatever came before; then P's is rounded down and Q's up. Exact in the mean.

**Opened**: the `probes` numbers of 6 and 7, once an attempt: random combinations of what is left of B, with normal
noise of both parties, each of a deviation of NOISE * sqrt(C). P knows its probes, Q does not. While the bound holds,
what is left is a fraction of that noise. Where an attempt fails it is far above, so that both learn these numbers
nearly as they are, and that the bound was too small. All other messages are uniform to whom they go to.

**Failure**: a number z wraps with the probability |z| / 2^64, in all `Range.wraps` (solve_in_clear.py). A wrap is off
by 2^48 units, of which the iterations after it leave a hundredth at best: the check sees it. (In B it stays, and both
attempts fail.) The check refuses a good head with a probability below 10^-10. It passes one that is 10 tolerances off
with one below 10^-6, 5 off below 3 * 10^-4, even if one direction and one output is all that is off (Chernoff's bound
for a product of two normal numbers; benchmarks/joint_head_budget.py).

**Rounds**: one for step 1, then 2 T + 1 an attempt, of which Q, not P, speaks last but one. Bytes: cost.py.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator

import torch

from smule_crypten.errors import ProtocolError, TrainingError
from smule_crypten.fixed_point.wire import Post, Script, Want
from smule_crypten.joint_head.dealing import RING, matrix_mask, probe_mask, product_masks, symmetric, triangle_of
from smule_crypten.joint_head.integers import (
    own_gram,
    own_inverse,
    own_moments,
    own_part,
    own_probes,
    rounded_down,
    rounded_up,
)
from smule_crypten.joint_head.plan import CONSTANT_BITS, PRECISION_BITS, VALUE_BITS, Attempt, SolvePlan
from smule_crypten.joint_head.statistics import Statistics
from smule_crypten.mpc.packing import pack, packed_bytes, unpack
from smule_crypten.mpc.streams import Stream

NOISE = 0.015
"""Of each party on an opened number, for one output, in units of the targets."""

_FACTOR_BITS = 6
_PROBE_BITS = PRECISION_BITS + VALUE_BITS + _FACTOR_BITS

Talk = Generator[Want, torch.Tensor, torch.Tensor]
ReceiveCorrection = Callable[[int], torch.Tensor]


class SolveRole(ABC):
    """What both do alike. outbox: what it has said and nobody has taken yet.

    Args:
        dealt: the stream with the dealer.
        local: a stream that nobody else knows.
        common: a stream that both parties have, and nobody else.
        receive_correction: the next correction, of so many bytes, from the dealer.

    opened: the numbers of each attempt's check so far, in units of the targets times sqrt(C).
    """

    def __init__(
        self,
        plan: SolvePlan,
        statistics: Statistics,
        *,
        dealt: Stream,
        local: Stream,
        common: Stream,
        receive_correction: ReceiveCorrection,
    ) -> None:
        due, got = (plan.features, plan.outputs), (statistics.features, statistics.outputs)
        if due != got:
            raise ProtocolError(f"the plan is for {due} features and outputs, the own sums are of {got}")
        self._plan, self._statistics = plan, statistics
        self._dealt, self._local, self._common = dealt, local, common
        self._receive_correction = receive_correction
        self.outbox: list[Post] = []
        self.opened: list[list[float]] = []

    def run(self) -> Script:
        """Returns this party's share of W, int64 (D, C), of VALUE_BITS binary digits, modulo 2^64.

        Raises:
            TrainingError: both attempts failed, or the own sums leave the ring.
        """
        right = yield from self._right_side()
        for attempt in self._plan.attempts:
            weights, left = yield from self._iterate(attempt, right)
            numbers = yield from self._probed(left)
            if self._is_small(numbers):
                return self._refreshed(weights)
        bounds = " and ".join(f"{attempt.bound:g}" for attempt in self._plan.attempts)
        raise TrainingError(
            f"the joint head did not converge with bounds of {bounds}; let the party with more rows precondition, or "
            "raise the bound"
        )

    @abstractmethod
    def _right_side(self) -> Talk:
        """Steps 1 and 2: the share of B."""

    @abstractmethod
    def _preconditioned(self, weights: torch.Tensor) -> Talk:
        """Steps 4 and 5: the share of M_P^-1 G_Q W."""

    @abstractmethod
    def _probed(self, left: torch.Tensor) -> Talk:
        """Steps 6 and 7: what is opened, int64 (J,)."""

    @abstractmethod
    def _refreshed(self, share: torch.Tensor) -> torch.Tensor:
        """Another share of the same value."""

    @abstractmethod
    def _rounded(self, share: torch.Tensor, bits: int = PRECISION_BITS) -> torch.Tensor: ...

    def _iterate(
        self, attempt: Attempt, right: torch.Tensor
    ) -> Generator[Want, torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        """Steps 3 to 5, T times: shares of W and of what it leaves."""
        weights, step, left = torch.zeros_like(right), torch.zeros_like(right), right
        for repeat, along in attempt.coefficients:
            step = self._rounded(step * repeat + left * along, CONSTANT_BITS)
            weights = weights + step
            left = right - weights - (yield from self._preconditioned(weights))
        return weights, left

    def _give(self, layer: str, share: torch.Tensor, masked: torch.Tensor) -> torch.Tensor:
        """Hand the own share of x over; the own share of K x, K being the other party's, sent as `masked` = K - A."""
        r, c = product_masks(self._plan, len(masked), self._dealt)
        self._post(layer, share + r)
        return -(masked @ r) - c

    def _multiply(self, layer: str, share: torch.Tensor, matrix: torch.Tensor) -> Talk:
        """The own share of K x, K being the own matrix."""
        theirs = yield from self._take(layer, share.shape)
        result = matrix @ (share + theirs)
        correction = self._receive_correction(packed_bytes(result.numel(), RING))
        return result - unpack(correction, result.numel(), RING).view(result.shape)

    def _under_noise(self, probed_JC: torch.Tensor) -> torch.Tensor:
        """Summed over outputs with normal factors that both know, and noise of this party: (J,)."""
        factors_JC = (self._common.normal(tuple(probed_JC.shape)) * (1 << _FACTOR_BITS)).round().long()
        noise_J = self._local.normal((self._plan.probes,)) * (NOISE * math.sqrt(self._plan.outputs))
        return (probed_JC * factors_JC).sum(dim=1) + (noise_J * 2.0**_PROBE_BITS).round().long()

    def _is_small(self, numbers_J: torch.Tensor) -> bool:
        """Of integers, exactly: both parties must find the same."""
        numbers = [int(number) for number in numbers_J]
        self.opened.append([number / 2.0**_PROBE_BITS for number in numbers])
        most = int(self._plan.outputs * self._plan.probes * self._plan.tolerance**2 * (1 << (2 * _PROBE_BITS)))
        return sum(number * number for number in numbers) <= most

    def _post(self, layer: str, values: torch.Tensor) -> None:
        self.outbox.append(Post(layer, pack(values, RING)))

    def _take(self, layer: str, shape: tuple[int, ...]) -> Talk:
        count = math.prod(shape)
        return unpack((yield Want(layer, packed_bytes(count, RING))), count, RING).view(shape)


class PreconditionerRole(SolveRole):
    """P, whose own inverse preconditions."""

    def _right_side(self) -> Talk:
        plan = self._plan
        normal_JD = self._local.normal((plan.probes, plan.features))
        self._inverse = own_inverse(self._statistics, plan)
        self._probes = own_probes(self._statistics, plan, normal_JD)
        self._post("matrices", triangle_of(self._inverse - matrix_mask(plan, self._dealt)))
        self._post("matrices", self._probes - probe_mask(plan, self._dealt))
        self._gram = symmetric((yield from self._take("matrices", (plan.triangle,))), plan.features)
        moments = own_moments(self._statistics, plan)
        theirs = yield from self._multiply("right side", torch.zeros_like(moments), self._inverse)
        return self._rounded(theirs) + own_part(self._inverse, moments)

    def _preconditioned(self, weights: torch.Tensor) -> Talk:
        y = self._rounded(self._give("other gram", weights, self._gram))
        return self._rounded((yield from self._multiply("own inverse", y, self._inverse)))

    def _probed(self, left: torch.Tensor) -> Talk:
        own = self._under_noise((yield from self._multiply("check", left, self._probes)))
        theirs = yield from self._take("check", own.shape)
        self._post("check", own)
        return own + theirs

    def _refreshed(self, share: torch.Tensor) -> torch.Tensor:
        return share + self._common.ring_elements(tuple(share.shape))

    def _rounded(self, share: torch.Tensor, bits: int = PRECISION_BITS) -> torch.Tensor:
        return rounded_down(self._refreshed(share), bits)


class GramRole(SolveRole):
    """Q, whose sums the other party's inverse does not know."""

    def _right_side(self) -> Talk:
        plan = self._plan
        self._gram = own_gram(self._statistics, plan)
        self._post("matrices", triangle_of(self._gram - matrix_mask(plan, self._dealt)))
        moments = own_moments(self._statistics, plan)
        r, c = product_masks(plan, plan.features, self._dealt)
        self._post("right side", moments + r)
        self._inverse = symmetric((yield from self._take("matrices", (plan.triangle,))), plan.features)
        self._probes = yield from self._take("matrices", (plan.probes, plan.features))
        return self._rounded(-(self._inverse @ r) - c)

    def _preconditioned(self, weights: torch.Tensor) -> Talk:
        y = self._rounded((yield from self._multiply("other gram", weights, self._gram)))
        return self._rounded(self._give("own inverse", y, self._inverse))

    def _probed(self, left: torch.Tensor) -> Talk:
        own = self._under_noise(self._give("check", left, self._probes))
        self._post("check", own)
        return own + (yield from self._take("check", own.shape))

    def _refreshed(self, share: torch.Tensor) -> torch.Tensor:
        return share - self._common.ring_elements(tuple(share.shape))

    def _rounded(self, share: torch.Tensor, bits: int = PRECISION_BITS) -> torch.Tensor:
        return rounded_up(self._refreshed(share), bits)
