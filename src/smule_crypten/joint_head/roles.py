"""The solve under sharing: two roles, P and Q (plan.py), as generators without I/O, with a dealer or without.

<v> is a pair of shares (v_P, v_Q), int64, whose sum is v modulo 2^64. All matrices are integers (integers.py). K <x>
for a matrix K of one party is one message of the other one to it: masked once, K stays where it is (dealing.py with a
dealer, lattice_products.py without, where the shares have some binary digits more).

1. P -> Q: M_P^-1 and probes V, masked. Q -> P: G_Q / n, masked, and H_Q as the input of 2. They cross.
2. <B> = rounded(M_P^-1 H_Q); P adds M_P^-1 H_P.

Then, T times, from W = 0 and R = B, with the public numbers of plan.py:

3. <step> = rounded(repeat <step> + along <R>); <W> = <W> + <step>. Local.
4. P -> Q: its share of W, masked. <y> = rounded(G_Q <W>). P's share of that needs no message.
5. Q -> P: its share of y, masked. <R> = <B> - <W> - rounded(M_P^-1 <y>), of the present W: no error stays.

The check:

6. Q -> P, with the last message of 5: its share of R, masked, and its shares of V <R>, summed over outputs with normal
   factors that both know, plus noise.
7. P -> Q: its own, plus noise. Both add up and hold the root of the mean square against the plan's tolerance. Beyond
   it: once more from 3 with the second attempt, the same masked matrices, and new masks of what is multiplied.
8. Both refresh their shares of W. Nothing of W is opened.

**Rounding**, without a message: both first refresh their shares by a stream that they have in common (P adds, Q takes
off), so that P's is uniform whatever came before; then P's is rounded down and Q's up. Exact in the mean.

**Opened**: the `probes` numbers of 6 and 7, once an attempt: random combinations of what is left of B, with normal
noise of both parties, each of a deviation of NOISE * sqrt(C). P knows its probes, Q does not. What is left is a
fraction of that noise on the data that was looked at; the bound itself allows Attempt.remainder * sqrt(bound) times
the root mean square of the targets, which may be twice the noise. Where an attempt fails it is far above, so that both
learn these numbers nearly as they are, and that the bound was too small. All other messages are uniform to whom they
go to.

**Failure**: a number z wraps with the probability |z| / 2^64, in all `Range.wraps` (solve_in_clear.py). A wrap is off
by 2^48 units, of which the iterations after it leave a hundredth at best: the check sees it. (In B it stays, and both
attempts fail.) The check refuses a good head with a probability below 10^-10, if little is left. It passes one that is
10 tolerances off with one below 10^-6, 5 off below 3 * 10^-4, even if one direction and one output is all that is off
(Chernoff's bound for a product of two normal numbers; benchmarks/joint_head_budget.py).

**Rounds**: one for step 1, then 2 T + 1 an attempt, of which Q, not P, speaks last but one. Bytes: cost.py.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Generator

import torch

from smule_crypten.errors import ProtocolError, TrainingError
from smule_crypten.fixed_point.wire import Post, Script, Want
from smule_crypten.joint_head.integers import (
    own_gram,
    own_inverse,
    own_moments,
    own_part,
    own_probes,
    rounded_down,
    rounded_up,
)
from smule_crypten.joint_head.plan import CONSTANT_BITS, PRECISION_BITS, RING_BITS, VALUE_BITS, Attempt, SolvePlan
from smule_crypten.joint_head.products import MatrixName, Products
from smule_crypten.joint_head.statistics import Statistics
from smule_crypten.mpc.packing import pack, packed_bytes, unpack
from smule_crypten.mpc.streams import Stream

NOISE = 0.015
"""Of each party on an opened number, for one output, in units of the targets."""

_FACTOR_BITS = 6

Talk = Generator[Want, torch.Tensor, torch.Tensor]


class SolveRole(ABC):
    """What both do alike. outbox: what it has said and nobody has taken yet.

    Args:
        products: this party's side of them.
        local: a stream that nobody else knows.
        common: a stream that both parties have, and nobody else.

    opened: the numbers of each attempt's check so far, in units of the targets times sqrt(C).
    """

    def __init__(
        self, plan: SolvePlan, statistics: Statistics, *, products: Products, local: Stream, common: Stream
    ) -> None:
        due, got = (plan.features, plan.outputs), (statistics.features, statistics.outputs)
        if due != got:
            raise ProtocolError(f"the plan is for {due} features and outputs, the party's own sums are of {got}")
        self._plan, self._statistics = plan, statistics
        self._products, self._local, self._common = products, local, common
        self._probe_bits = PRECISION_BITS + VALUE_BITS + products.scale_bits + _FACTOR_BITS
        self.outbox: list[Post] = []
        self.opened: list[list[float]] = []

    def run(self) -> Script:
        """Returns this party's share of W, int64 (D, C), of VALUE_BITS binary digits, modulo 2^64.

        Raises:
            TrainingError: both attempts failed, or the party's own sums leave the ring. P knows it first: Q may hear of
                it from its link alone.
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
    def _rounded(self, share: torch.Tensor, bits: int) -> torch.Tensor:
        """Of a share of z, this party's share of z / 2^bits."""

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

    def _give(self, name: MatrixName, share: torch.Tensor) -> torch.Tensor:
        """Hand this party's share of x over to the owner of a matrix; its share of the product."""
        self.outbox.append(Post(name, self._products.message(name, share)))
        return self._products.given(name)

    def _multiply(self, name: MatrixName, share: torch.Tensor) -> Talk:
        """This party's share of the product of a matrix of its own."""
        message = yield Want(name, self._products.message_bytes(self._plan, name))
        return self._products.multiply(name, share, message)

    def _send_masked(self, name: MatrixName, matrix: torch.Tensor) -> None:
        self.outbox.append(Post(name, self._products.mask(name, matrix)))

    def _take_masked(self, name: MatrixName) -> Generator[Want, torch.Tensor, None]:
        self._products.receive_mask(name, (yield Want(name, self._products.masked_bytes(self._plan, name))))

    def _rounded_product(self, share: torch.Tensor) -> torch.Tensor:
        return self._rounded(share, PRECISION_BITS + self._products.scale_bits)

    def _under_noise(self, probed_JC: torch.Tensor) -> torch.Tensor:
        """Summed over outputs with normal factors that both know, and noise of this party: (J,)."""
        factors_JC = (self._common.normal(tuple(probed_JC.shape)) * (1 << _FACTOR_BITS)).round().long()
        noise_J = self._local.normal((self._plan.probes,)) * (NOISE * math.sqrt(self._plan.outputs))
        return (probed_JC * factors_JC).sum(dim=1) + (noise_J * 2.0**self._probe_bits).round().long()

    def _is_small(self, numbers_J: torch.Tensor) -> bool:
        """Of integers, exactly: both parties must find the same."""
        numbers = [int(number) for number in numbers_J]
        self.opened.append([number / 2.0**self._probe_bits for number in numbers])
        most = int(self._plan.outputs * self._plan.probes * self._plan.tolerance**2 * (1 << (2 * self._probe_bits)))
        return sum(number * number for number in numbers) <= most

    def _post_numbers(self, numbers_J: torch.Tensor) -> None:
        self.outbox.append(Post("check", pack(numbers_J, RING_BITS)))

    def _take_numbers(self) -> Talk:
        count = self._plan.probes
        return unpack((yield Want("check", packed_bytes(count, RING_BITS))), count, RING_BITS)


class PreconditionerRole(SolveRole):
    """P, whose own inverse preconditions."""

    def _right_side(self) -> Talk:
        plan = self._plan
        inverse = own_inverse(self._statistics, plan)
        self._send_masked("inverse", inverse)
        normal_JD = self._local.normal((plan.probes, plan.features))
        self._send_masked("probes", own_probes(self._statistics, plan, normal_JD))
        moments = own_moments(self._statistics, plan)
        yield from self._take_masked("gram")
        theirs = yield from self._multiply("inverse", torch.zeros_like(moments))
        return self._rounded_product(theirs) + own_part(inverse, moments)

    def _preconditioned(self, weights: torch.Tensor) -> Talk:
        y = self._rounded_product(self._give("gram", weights))
        return self._rounded_product((yield from self._multiply("inverse", y)))

    def _probed(self, left: torch.Tensor) -> Talk:
        own = self._under_noise((yield from self._multiply("probes", left)))
        theirs = yield from self._take_numbers()
        self._post_numbers(own)
        return own + theirs

    def _refreshed(self, share: torch.Tensor) -> torch.Tensor:
        return share + self._common.ring_elements(tuple(share.shape))

    def _rounded(self, share: torch.Tensor, bits: int) -> torch.Tensor:
        return rounded_down(self._refreshed(share), bits)


class GramRole(SolveRole):
    """Q, whose sums the other party's inverse does not know."""

    def _right_side(self) -> Talk:
        self._send_masked("gram", own_gram(self._statistics, self._plan))
        moments = own_moments(self._statistics, self._plan)
        self.outbox.append(Post("inverse", self._products.message("inverse", moments)))
        yield from self._take_masked("inverse")
        yield from self._take_masked("probes")
        return self._rounded_product(self._products.given("inverse"))

    def _preconditioned(self, weights: torch.Tensor) -> Talk:
        y = self._rounded_product((yield from self._multiply("gram", weights)))
        return self._rounded_product(self._give("inverse", y))

    def _probed(self, left: torch.Tensor) -> Talk:
        own = self._under_noise(self._give("probes", left))
        self._post_numbers(own)
        return own + (yield from self._take_numbers())

    def _refreshed(self, share: torch.Tensor) -> torch.Tensor:
        return share - self._common.ring_elements(tuple(share.shape))

    def _rounded(self, share: torch.Tensor, bits: int) -> torch.Tensor:
        return rounded_up(self._refreshed(share), bits)
