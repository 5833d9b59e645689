"""The peer at the other end of a secure-inference scheme: announce, charge, ask and answer, check.

A scheme is seen only through its contract, so every scheme is used in the same way.

0. Each party says how many samples it will ask about; both agree on keys, and what the exchange needs is dealt, or
   made by the two. That happens ahead of time.
1. Each party announces how many samples it asks about, its model step, and a public bound for its network's logits;
   with a joint head, what its validation part says of three teachers, too, which it enters into its ledger before.
2. Each charges the other's query to its budget, before anything is computed.
3. The scheme runs both directions.
4. With exchange.spot_checks, each asks so many of its samples again, or all where it has fewer, with fresh randomness
   and charged again. If two answers differ, the run ends (spot_check.py). Both know the number; nothing is announced.
5. Each drops answers that cannot be right. The other one does not hear of it.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from smule_crypten.config.exchange import ExchangeTerms
from smule_crypten.data.samples import Samples
from smule_crypten.errors import ProtocolError
from smule_crypten.inference.answerer import Answerer
from smule_crypten.inference.scheme import SecureInferenceScheme
from smule_crypten.models.calibration import calibration_positions, check_inputs
from smule_crypten.mutual_learning.announcement import (
    Announcement,
    checked_announcement,
    checked_most,
    checked_preparation,
)
from smule_crypten.mutual_learning.budget import QueryBudget
from smule_crypten.mutual_learning.peer import AnsweringNetwork, Answers
from smule_crypten.mutual_learning.schedule import NOTHING_PUBLIC, PublicPlan
from smule_crypten.mutual_learning.spot_check import (
    NOISE_TOLERANCE,
    compare_answers,
    draw_subset,
    fitting_inputs,
    plausible_answers,
)
from smule_crypten.types import PARTY_NAMES, Cost, Disclosure, InferenceQuery, PeerPrediction

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """A question that is under way: charged, and not yet computed.

    inputs are what is sent of it; of those of fits_N the peer's network can say something. own and peer is what
    was announced.
    """

    sample_ids: torch.Tensor
    inputs: torch.Tensor
    fits_N: torch.Tensor
    own: Announcement
    peer: Announcement
    disclosure: Disclosure
    answerer: Answerer


class SecurePeer:
    """A Peer over a scheme that was prepared.

    Args:
        num_queries: the most samples that party a and party b ask about in one exchange; None for what each says when
            they agree.
        budget: limits what this party's network answers.
        calibration: samples that say how large the values of the party's own network become.
    """

    def __init__(
        self,
        scheme: SecureInferenceScheme,
        terms: ExchangeTerms,
        *,
        num_queries: tuple[int, int] | None,
        budget: QueryBudget,
        calibration: Samples,
    ) -> None:
        self._scheme = scheme
        self._terms = terms
        self._rank = scheme.session.rank
        self._is_limited = num_queries is not None
        self._peer_limit = None if num_queries is None else num_queries[1 - self._rank]
        self._budget = budget
        self._calibration_NX = calibration.read(calibration_positions(len(calibration)))
        self._query_id = 0
        self._prepared: tuple[int, int] | None = None
        self._before: Cost | None = None
        self._asked: _Asked | None = None
        self._ready: tuple[AnsweringNetwork, Answerer] | None = None

    @property
    def next_number(self) -> int:
        return self._query_id + 1

    def agree(self, num_exchanges: int, most: int, public: PublicPlan = NOTHING_PUBLIC) -> None:
        """Before everything else: fix what the peer may ask in one exchange, and plan the budget of the whole run.

        Args:
            num_exchanges: of the whole run, those before this process began with them.
            most: samples that this party asks about in one exchange, where there is no limit.
            public: answers about public samples beside these.

        Raises:
            BudgetError: this party's limits do not suffice for the plan.
            ProtocolError: the peer wants to ask about an impossible number of samples, or more than it said before.
            PeerError: the peer is gone or late.
        """
        if not self._is_limited:
            message = self._scheme.announce({"asks_at_most": most})
            self._peer_limit = checked_most(message, peer=self._peer_name, limit=self._peer_limit)
        assert self._peer_limit is not None
        each = self._peer_limit + self._num_checks(self._peer_limit)
        self._budget.plan(self._peer_name, [each] * num_exchanges, first=self.next_number, public=public)

    def prepare(self, num_samples: int) -> None:
        """Fix the size of the next exchange, so that what depends on nothing else is dealt while the parties train.

        Raises:
            ProtocolError, PeerError: as `ask`.
        """
        self._before = self._before or self._scheme.session.meter.total()
        number = self.next_number
        message = self._scheme.announce({"prepared_query": number, "num_samples": num_samples})
        peer = checked_preparation(message, query_id=number, peer=self._peer_name, limit=self._peer_limit)
        self._prepared = num_samples, peer
        self._begin(number, num_samples, peer, attempt=0)

    def ask(self, question: Samples, answering: AnsweringNetwork, losses: Sequence[float] | None = None) -> None:
        """Announce the question, and charge the peer's; the network answers it as it is now.

        Raises:
            BudgetError: the peer asks for more than this party discloses.
            DataError, UnshareableModelError: values do not fit the fixed-point range.
            ProtocolError: the peer announced something that is not a query.
            PeerError: the peer is gone or late.
        """
        if self._prepared is None:
            self.prepare(len(question))
        assert self._prepared is not None
        if len(question) != self._prepared[0]:
            raise ProtocolError(f"a question of {len(question)} samples was prepared as one of {self._prepared[0]}")
        self._query_id += 1
        log.info(
            "exchange begun exchange=%d network=%s model_step=%d", self._query_id, answering.name, answering.model_step
        )
        inputs_NX, sample_ids = question.in_memory().inputs, question.sample_ids
        check_inputs(inputs_NX, sample_ids, self._scheme.largest_input)
        answerer = self._made_ready(answering)
        terms = dataclasses.asdict(answerer.terms)
        told = None if losses is None else tuple(losses)
        own = Announcement(num_samples=len(question), model_step=answering.model_step, **terms, losses=told)
        if told:
            self._budget.enter_losses(self._disclosure(len(told), own))
        peer = self._announce(own)
        if (own.num_samples, peer.num_samples) != self._prepared:
            raise ProtocolError(f"party {self._peer_name} asks about another number of samples than it prepared")
        self._prepared = None
        disclosure = self._disclosure(peer.num_samples, own)
        self._budget.charge(disclosure, num_second=self._num_checks(peer.num_samples))
        fits_N = fitting_inputs(inputs_NX, peer.input_bound)
        self._asked = _Asked(
            sample_ids=sample_ids,
            # The number of questions is public, so zeros take the place of what the peer's network was not fitted for.
            inputs=torch.where(fits_N.view(-1, *[1] * (inputs_NX.dim() - 1)), inputs_NX, torch.zeros(())),
            fits_N=fits_N,
            own=own,
            peer=peer,
            disclosure=disclosure,
            answerer=answerer,
        )

    def answers(self) -> Answers:
        """Compute both directions, and keep what can be right.

        Raises:
            SpotCheckError: the peer's answers are others when asked for again.
            BudgetError, ProtocolError, PeerError: as `ask`.
        """
        asked, self._asked = self._asked, None
        assert asked is not None, "ask comes first"
        prediction = self._exchange(asked)
        prediction = self._checked(asked, prediction)
        kept_N = plausible_answers(prediction, asked.peer.logit_bound) & asked.fits_N
        assert self._before is not None, "prepare has set it"
        cost, self._before = self._scheme.session.meter.total() - self._before, None
        disclosed = asked.peer.num_samples + self._num_checks(asked.peer.num_samples)
        return Answers(
            prediction=dataclasses.replace(
                prediction, sample_ids=prediction.sample_ids[kept_N], logits_NC=prediction.logits_NC[kept_N]
            ),
            disclosure=dataclasses.replace(asked.disclosure, num_samples=disclosed),
            num_asked=asked.own.num_samples,
            num_dropped=int((~kept_N).sum()),
            logit_noise=asked.own.logit_noise,
            logit_bound=asked.peer.logit_bound,
            peer_losses=asked.peer.losses,
            cost=dataclasses.replace(cost, peak_memory_bytes=prediction.cost.peak_memory_bytes),
        )

    def check(self) -> None:
        self._scheme.check()

    def state_dict(self) -> dict[str, Any]:
        return {"query_id": self._query_id, "peer_limit": self._peer_limit}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._query_id, self._peer_limit = state["query_id"], state["peer_limit"]

    def _begin(self, number: int, own: int, peer: int, *, attempt: int) -> None:
        """Keys and dealing for query `number`. The dealer serves an index once; a second attempt is one of its own."""
        counts = (own, peer) if self._rank == 0 else (peer, own)
        self._scheme.begin(2 * number + attempt, counts)

    def _exchange(self, asked: _Asked) -> PeerPrediction:
        own = InferenceQuery(
            query_id=self._query_id,
            model_owner=1 - self._rank,
            data_owner=self._rank,
            num_samples=asked.own.num_samples,
            model_step=asked.peer.model_step,
            sample_ids=asked.sample_ids,
            inputs=asked.inputs,
        )
        answered = InferenceQuery(
            query_id=self._query_id,
            model_owner=self._rank,
            data_owner=1 - self._rank,
            num_samples=asked.peer.num_samples,
            model_step=asked.own.model_step,
        )
        return self._scheme.exchange(asked.answerer, own, answered)

    def _checked(self, asked: _Asked, first: PeerPrediction) -> PeerPrediction:
        """Have some answers computed again, and the peer's; returns the first ones, with the cost of both."""
        num_own, num_peer = (self._num_checks(announced.num_samples) for announced in (asked.own, asked.peer))
        if num_own == num_peer == 0:
            return first
        if num_peer:
            self._budget.charge_second(self._disclosure(num_peer, asked.own))
        self._begin(self._query_id, num_own, num_peer, attempt=1)
        chosen_N = draw_subset(asked.own.num_samples, num_own)
        again = self._exchange(
            dataclasses.replace(
                asked,
                sample_ids=asked.sample_ids[chosen_N],
                inputs=asked.inputs[chosen_N],
                own=dataclasses.replace(asked.own, num_samples=num_own),
                peer=dataclasses.replace(asked.peer, num_samples=num_peer),
            )
        )
        compared = dataclasses.replace(
            first, sample_ids=first.sample_ids[chosen_N], logits_NC=first.logits_NC[chosen_N]
        )
        tolerance = max(self._terms.spot_check_tolerance, NOISE_TOLERANCE * asked.peer.logit_noise)
        if tolerance > self._terms.spot_check_tolerance:
            log.info("spot check allows more, for the noise of party %s tolerance=%.3g", self._peer_name, tolerance)
        compare_answers(compared, again, asked.peer.logit_bound, tolerance)
        return dataclasses.replace(first, cost=first.cost + again.cost)

    def _num_checks(self, num_samples: int) -> int:
        """Second answers of an exchange about so many samples."""
        return min(self._terms.spot_checks, num_samples)

    def _disclosure(self, num_samples: int, own: Announcement) -> Disclosure:
        return Disclosure(
            query_id=self._query_id, to_party=self._peer_name, num_samples=num_samples, model_step=own.model_step
        )

    def _made_ready(self, answering: AnsweringNetwork) -> Answerer:
        """With noise for as many answers as the budget allows; once, where the same network answers again."""
        if self._ready is None or self._ready[0] is not answering:
            answerer = self._scheme.prepare_answers(answering.model, self._calibration_NX, self._budget.noise_rule)
            self._ready = answering, answerer
        return self._ready[1]

    def _announce(self, own: Announcement) -> Announcement:
        message = self._scheme.announce({"query_id": self._query_id, **own.as_plain()})
        limit, told = self._peer_limit, own.losses is not None
        peer = checked_announcement(
            message, query_id=self._query_id, peer=self._peer_name, limit=limit, has_losses=told
        )
        sizes = (own.num_samples, own.model_step, peer.num_samples, peer.model_step)
        text = "queries announced exchange=%d own_samples=%d own_model_step=%d peer_samples=%d peer_model_step=%d"
        log.debug(text, self._query_id, *sizes)
        return peer

    @property
    def _peer_name(self) -> str:
        return PARTY_NAMES[1 - self._rank]
