"""One party's part in the joint head of a run, over the session of a scheme, by ring-LWE whatever the scheme is.

1. Each says how many rows it has, how many answers it will ask for and how many it still gives, and of which solve it
   has a share, answers, or revealed weights. So each learns the other's number of rows. What is asked is what is left,
   if that is less; where nothing is, or attempts are used up, the run ends before anything is solved.
2. P is the party with more rows, party a of two with as many. If both have a share of the same solve, nothing is
   solved. Else whatever was there is forgotten, both agree on new keys, and solve (joint_head/roles.py). Each adds
   noise E of its own to its share of W, once, and keeps both (joint_head/weight_noise.py): from now on the shares are
   of W + E_a + E_b.
3. Party a's questions, then party b's: new keys, and each asks all at once (joint_head/asking.py), unless it has its
   answers already. Who asks takes its own E off its share for that. Each keeps its answers.
4. With joint_head.reveal=both, in place of 3: each sends its share, adds them up and takes its own E off.

**Opened**, beside what step 1 says: in step 2 the numbers of the check, to both; in step 3 answers of W under the
answering party's E, to the party that asked; in step 4 W under the other one's E. Before any of these is sent, its
sender enters it into its ledger (mutual_learning/head_budget.py), and keeps what it refuses to itself.

**Cut off anywhere**: a party that goes on has its share, its answers, or neither. A solve begins again if either lacks
its share and nothing of W was opened yet, by the ledger of either and by what both say; then its check opens other
numbers, under new masks, and E is another one. Answers that have not arrived are asked for again, under new masks, and
charged again. They are of the same W and E: nothing is fresh but what floods the errors of the lattice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch

from smule_crypten.errors import BudgetError, DataError
from smule_crypten.fixed_point.wire import Post
from smule_crypten.head_run.announcing import Announced, checked
from smule_crypten.head_run.keys import HeadKeys, agree_on_keys
from smule_crypten.head_run.revealing import check_penalty, check_rows
from smule_crypten.head_run.sizes import HeadSizes
from smule_crypten.head_run.state import HeadState, HeadStore
from smule_crypten.head_run.talking import converse
from smule_crypten.inference.scheme import SecureInferenceScheme
from smule_crypten.joint_head.asking import AskingPlan, HeadDataOwner, HeadModelOwner
from smule_crypten.joint_head.asking_products import LatticeAsking
from smule_crypten.joint_head.integers import as_weights
from smule_crypten.joint_head.lattice_products import LatticeProducts
from smule_crypten.joint_head.roles import GramRole, PreconditionerRole
from smule_crypten.joint_head.statistics import Statistics
from smule_crypten.joint_head.weight_noise import drawn_noise
from smule_crypten.mpc.streams import Stream
from smule_crypten.mutual_learning.head_budget import HeadBudget
from smule_crypten.report.formatting import human_bytes
from smule_crypten.transport.meter import Traffic
from smule_crypten.types import PARTY_NAMES

log = logging.getLogger(__name__)
PHASE: Literal["joint head"] = "joint head"


@dataclass(frozen=True, kw_only=True, eq=False)
class Questions:
    """rows_ND: what is asked, as with_constant makes it. positions: (N,) int64, of these among the candidates."""

    rows_ND: torch.Tensor
    positions: torch.Tensor


class HeadDriver:
    """Solves, asks and answers once.

    Args:
        scheme: prepared; nothing of it is used but its session, and that it settles what it does ahead.
        own: sums over own rows.
        questions: own ones.
        say: hears how far it is.
    """

    def __init__(
        self,
        scheme: SecureInferenceScheme,
        sizes: HeadSizes,
        own: Statistics,
        questions: Questions,
        *,
        budget: HeadBudget,
        store: HeadStore,
        say: Callable[[str], None],
    ) -> None:
        self._scheme, self._session, self._rank = scheme, scheme.session, scheme.session.rank
        self._sizes, self._own, self._questions = sizes, own, questions
        self._budget, self._store, self._say = budget, store, say

    def run(self) -> HeadState:
        """All steps, or what is left of them; returns a state with share, rows, and answers or weights.

        Raises:
            BudgetError: the peer asks for more than this party discloses, or too often.
            ConfigError: with the rows of both the penalty is too small to reveal weights.
            TrainingError: the solve did not converge, or own sums do not suit it.
            DataError: nobody has a row; features are too large.
            OutputError: the state or the ledger cannot be written.
            PeerError, ProtocolError: the peer is gone, late, or follows other terms.
        """
        kept = self._store.load()
        own, theirs = self._announced(kept)
        rows = (own.rows, theirs.rows) if self._rank == 0 else (theirs.rows, own.rows)
        if kept is not None and (kept.solve, kept.rows) == (theirs.solve, rows):
            self._check_answers(own, theirs)
            state = kept
            self._session.meter.by_phase[PHASE] = Traffic(**_sum(state.solve_cost, state.opening_cost))
            log.info("joint head resumed solve=%s answered=%s", state.solve[:16], own.answered)
        else:
            fresh, their_fresh = own.of_a_new_solve(), theirs.of_a_new_solve()
            self._check_answers(fresh, their_fresh)
            self._budget.check_solve()
            if self._sizes.is_revealed:
                self._budget.check_weights()
            self._check_nobody_saw(own, theirs)
            own, theirs = fresh, their_fresh
            state = self._solved(rows)
        if self._sizes.is_revealed:
            if not (own.revealed and theirs.revealed):
                self._reveal(state)
        else:
            self._ask_and_answer(state, own, theirs)
        return state

    def _announced(self, state: HeadState | None) -> tuple[Announced, Announced]:
        """Step 1."""
        asks = len(self._questions.rows_ND) if state is None or state.asked is None else len(state.asked)
        own = Announced(
            rows=self._own.rows,
            asks=0 if self._sizes.is_revealed else asks,
            left=self._budget.left,
            solve=None if state is None else state.solve,
            answered=state is not None and state.answers_NC is not None,
            revealed=state is not None and state.weights_DC is not None,
        )
        peer = PARTY_NAMES[1 - self._rank]
        theirs = checked(self._scheme.announce(own.message()), peer)
        if own.rows + theirs.rows == 0:
            raise DataError("no party has a labelled row for the joint head; set joint_head=none")
        if self._sizes.is_revealed:
            terms = self._sizes.terms
            check_rows(theirs.rows, f"party {peer}", is_small_accepted=terms.reveal_small, noise=terms.noise)
            check_penalty(self._sizes.penalty(own.rows + theirs.rows), terms.features)
        return own, theirs

    def _check_answers(self, own: Announced, theirs: Announced) -> None:
        """Raises BudgetError where the peer asks and nothing is left, or too often; before anything is computed."""
        if theirs.asks and not theirs.answered:
            self._budget.check_answers(theirs.due(own) or theirs.asks)

    def _check_nobody_saw(self, own: Announced, theirs: Announced) -> None:
        """Of a head that is about to be forgotten: whoever gave it may have lost its ledger, and does not know.

        Raises:
            BudgetError: either party has answers or weights of it.
        """
        if own.has_seen or theirs.has_seen:
            who = "this party" if own.has_seen else f"party {PARTY_NAMES[1 - self._rank]}"
            raise BudgetError(
                f"{who} saw something of a joint head that not both have a share of any more, and no second one is "
                "solved, which would have other noise; restore states/joint_head.pt at both parties, or begin a new run"
            )

    def _solved(self, rows: tuple[int, int]) -> HeadState:
        """Step 2: a state with the party's own share and noise alone, saved."""
        plan = self._sizes.solve_plan(sum(rows))
        is_P = (rows[0] >= rows[1]) == (self._rank == 0)
        expected = self._sizes.solve_cost(is_P=is_P)
        self._say_once(
            f"joint head: {plan.features:,} features, {rows[0]:,} rows of party a and {rows[1]:,} of party b, "
            f"{human_bytes(expected.bytes_total)} in {expected.rounds} rounds for the solve"
        )
        keys = agree_on_keys(self._session, "solve")
        role = (PreconditionerRole if is_P else GramRole)(
            plan,
            self._own,
            products=LatticeProducts(plan, keys.common("public polynomials"), keys.local("masks")),
            local=keys.local("noise and probes"),
            common=Stream(keys.common("roundings")),
        )

        def enter(post: Post) -> None:
            if post.layer == "check":
                self._budget.charge_check(plan.probes, keys.identity)

        crossing = self._sizes.first_bytes(is_P=not is_P)
        with self._counted() as counted:
            share_DC = converse(self._session, role, crossing_bytes=crossing, before=enter)
        noise_DC = drawn_noise(tuple(share_DC.shape), self._sizes.weight_sigma, keys.local("noise on weights"))
        state = HeadState(
            solve=keys.identity,
            rows=rows,
            attempts=len(role.opened),
            share_DC=share_DC + noise_DC,
            noise_DC=noise_DC,
            solve_cost=counted,
        )
        self._store.save(state)
        again = "" if state.attempts == 1 else ", the first of which did not converge"
        self._say_once(f"joint head: solved in {state.attempts} attempt(s){again}; each party keeps a share of it")
        return state

    def _ask_and_answer(self, state: HeadState, own: Announced, theirs: Announced) -> None:
        """Step 3."""
        both = (own.due(theirs), theirs.due(own)) if self._rank == 0 else (theirs.due(own), own.due(theirs))
        keys = agree_on_keys(self._session, "answers") if any(both) else None
        for asker, count in enumerate(both):
            if count == 0:
                continue
            assert keys is not None
            with self._counted() as counted:
                if asker == self._rank:
                    self._ask(state, keys, asker, count)
                else:
                    self._answer(state, keys, asker, count)
            state.opening_cost = _sum(state.opening_cost, counted)
            self._store.save(state)
        if any(both):
            self._say(
                f"joint head: party {PARTY_NAMES[self._rank]} got {own.gets(theirs):,} answers of it and gave "
                f"{theirs.gets(own):,}, under noise of {self._sizes.sigma:.2g} on an output, whose targets are 0 to 1"
            )

    def _ask(self, state: HeadState, keys: HeadKeys, asker: int, count: int) -> None:
        """At D: the first of its questions, if not all of them may be asked."""
        rows_ND = self._questions.rows_ND[:count]
        plan = self._sizes.asking_plan(count)
        side = self._asking_side(plan, keys, asker)
        role = HeadDataOwner(plan, state.own_DC, rows_ND, side=side)
        state.answers_NC = converse(self._session, role, crossing_bytes=side.handed_bytes(plan))
        state.asked = self._questions.positions[:count]

    def _answer(self, state: HeadState, keys: HeadKeys, asker: int, count: int) -> None:
        """At M: charged before anything is computed."""
        self._budget.charge_answers(count, state.solve)
        plan = self._sizes.asking_plan(count)
        side = self._asking_side(plan, keys, asker)
        role = HeadModelOwner(plan, state.share_DC, side=side, local=keys.local(f"flooding for {PARTY_NAMES[asker]}"))
        converse(self._session, role, crossing_bytes=side.asked_bytes(plan, count))

    def _asking_side(self, plan: AskingPlan, keys: HeadKeys, asker: int) -> LatticeAsking:
        name = PARTY_NAMES[asker]
        return LatticeAsking(plan, keys.common(f"public polynomials, party {name} asks"), keys.local(f"masks, {name}"))

    def _reveal(self, state: HeadState) -> None:
        """Step 4."""
        self._budget.charge_weights(self._sizes.weights, state.solve)
        with self._counted() as counted:
            (theirs_DC,) = self._session.channel.swap([state.share_DC])
        state.weights_DC = as_weights(state.own_DC + theirs_DC)
        state.opening_cost = counted
        self._store.save(state)
        self._say_once("joint head: its weights are revealed to both parties")

    def _say_once(self, text: str) -> None:
        """What both parties know."""
        log.info("%s", text)
        if self._rank == 0:
            self._say(text)

    @contextmanager
    def _counted(self) -> Iterator[dict[str, int]]:
        """What crosses meanwhile, in the end."""
        meter = self._session.meter
        counted: dict[str, int] = {}
        before = meter.total(PHASE)
        with meter.phase(PHASE):
            yield counted
        cost = meter.total(PHASE) - before
        counted |= {key: getattr(cost, key) for key in ("rounds", "bytes_sent", "bytes_received")}


def _sum(first: Mapping[str, int], second: Mapping[str, int]) -> dict[str, int]:
    return {key: first.get(key, 0) + second.get(key, 0) for key in {**first, **second}}
