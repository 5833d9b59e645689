"""One exchange from the side of a party: choose, announce, charge, ask and answer, check, keep.

The exchanger sees a scheme only through its contract, so every scheme is used in the same way.

0. Each party says how many samples it will ask about; both agree on keys, and the dealer begins to deal. That happens
   ahead of time; with exchange.schedule=adaptive only once a party has said that it wants the exchange.
1. Each party announces how many samples it asks about, its model step, and a public bound for its network's logits.
2. Each charges the other's query to its budget, before anything is computed.
3. The scheme runs both directions.
4. With exchange.spot_checks, each asks so many of its samples again, or all where it has fewer, with fresh randomness
   and charged again. If two answers differ, the run ends (spot_check.py). Both know the number; nothing is announced.
5. Each drops answers that cannot be right. The other one does not hear of it.
"""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from smule_crypten.config.exchange import ExchangeConfig
from smule_crypten.data.images import LabelledImages
from smule_crypten.errors import ProtocolError
from smule_crypten.inference.scheme import SecureInferenceScheme
from smule_crypten.models.calibration import calibration_images, check_inputs
from smule_crypten.mutual_learning.announcement import (
    Announcement,
    checked_announcement,
    checked_most,
    checked_preparation,
    checked_wish,
)
from smule_crypten.mutual_learning.budget import QueryBudget
from smule_crypten.mutual_learning.cache import SoftLabelCache
from smule_crypten.mutual_learning.knowledge import OwnKnowledge
from smule_crypten.mutual_learning.queries import Queries, QueryPlan, Question
from smule_crypten.mutual_learning.replay import ViewReplay
from smule_crypten.mutual_learning.spot_check import (
    NOISE_TOLERANCE,
    compare_answers,
    draw_subset,
    fitting_inputs,
    plausible_answers,
)
from smule_crypten.mutual_learning.views import Views
from smule_crypten.types import PARTY_NAMES, Cost, Disclosure, InferenceQuery, PeerPrediction

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ExchangeResult:
    """prediction holds the answers that are kept, the last ones those to views_NCHW. num_asked were asked about, of
    which num_dropped got an answer that cannot be right. disclosure is what this party answered, with second answers,
    and logit_noise the standard deviation of the noise on these. cost is everything from the preparation on,
    announcements included."""

    prediction: PeerPrediction
    views_NCHW: torch.Tensor
    disclosure: Disclosure
    num_asked: int
    num_dropped: int
    logit_noise: float
    cost: Cost


class Exchanger:
    """Asks about this party's samples or views of them, answers the peer, fills the cache and the replay.

    Args:
        train, pool, held_out: this party's labelled, unlabelled and validation samples, normalised, float32; the last
            two may be empty.
        num_queries: the most samples that party a and party b ask about in one exchange; None for what each says when
            they agree.
        budget: limits what this party's network answers.
        seed: decides which samples are asked when, unless queries does, and how views are made.
        calibration: samples that say how large the own network's values become; None for all that may be asked about.
    """

    def __init__(
        self,
        *,
        scheme: SecureInferenceScheme,
        config: ExchangeConfig,
        train: LabelledImages,
        pool: LabelledImages,
        held_out: LabelledImages,
        num_queries: tuple[int, int] | None,
        num_classes: int,
        budget: QueryBudget,
        seed: int,
        queries: Queries | None = None,
        calibration: LabelledImages | None = None,
    ) -> None:
        self._scheme = scheme
        rank = scheme.session.rank
        self._is_limited = num_queries is not None
        self._own_limit = None if num_queries is None else num_queries[rank]
        self._peer_limit = None if num_queries is None else num_queries[1 - rank]
        self._candidates = candidates = train.with_others(pool).with_others(held_out)
        self._calibration = candidates if calibration is None else calibration
        self._budget = budget
        self._config = config
        self._queries = queries or QueryPlan(train, pool, held_out, config.queries, seed)
        self._query_id = 0
        self._prepared: tuple[int, int] | None = None
        self._before: Cost | None = None
        self.cache = SoftLabelCache(candidates.sample_ids_N, num_classes, config.max_age)
        self._views = Views(config.queries.view, candidates.images_NCHW, seed)
        image_shape = tuple(candidates.images_NCHW.shape[1:])
        self.replay = ViewReplay(image_shape, num_classes, config.queries.max_views, config.max_age)

    @property
    def next_query_id(self) -> int:
        """The number of the exchange to come, counted from 1."""
        return self._query_id + 1

    def agree(self, num_exchanges: int) -> None:
        """Before everything else: fix what the peer may ask in one exchange, and plan the budget of the whole run.

        Args:
            num_exchanges: the most that may take place in the whole run, those before this process began with them.

        Raises:
            BudgetError: this party's limits do not suffice for the plan.
            ProtocolError: the peer wants to ask about an impossible number of samples, or more than it said before.
            PeerError: the peer is gone or late.
        """
        if not self._is_limited:
            message = self._scheme.announce({"asks_at_most": self._queries.count(None)})
            self._peer_limit = checked_most(message, peer=self._peer_name, limit=self._peer_limit)
        assert self._peer_limit is not None
        each = self._peer_limit + self._num_checks(self._peer_limit)
        self._budget.plan(self._peer_name, [each] * num_exchanges, first=self.next_query_id)

    def prepare(self) -> None:
        """Fix the size of the next exchange, so that what depends on nothing else is dealt while the parties train.

        Raises:
            ProtocolError, PeerError: as `run`.
        """
        self._before = self._before or self._scheme.session.meter.total()
        number = self.next_query_id
        own = self._queries.count(self._own_limit)
        message = self._scheme.announce({"prepared_query": number, "num_samples": own})
        peer = checked_preparation(message, query_id=number, peer=self._peer_name, limit=self._peer_limit)
        self._prepared = own, peer
        self._begin(number, own, peer, attempt=0)

    def skip(self, wants: bool) -> Cost | None:
        """Say whether this party wants the exchange that may take place now: it does where one of both wants it.

        Returns:
            what saying so has cost where the exchange is left out; None where it takes place, whose cost this is then.

        Raises:
            ProtocolError: the peer says something else.
            PeerError: the peer is gone or late.
        """
        meter = self._scheme.session.meter
        before, number = meter.total(), self._query_id + 1
        message = self._scheme.announce({"next_query": number, "wants": wants})
        peer_wants = checked_wish(message, query_id=number, peer=self._peer_name)
        if not wants and not peer_wants:
            return meter.total() - before
        self._before = before
        return None

    def run(self, model: nn.Module, model_step: int) -> ExchangeResult:
        """Exchange predictions with the peer; model answers the peer's query as it is now, and scores the own samples.

        Raises:
            BudgetError: the peer asks for more than this party discloses.
            DataError, UnshareableModelError: values do not fit the fixed-point range.
            ProtocolError: the peer announced something that is not a query.
            SpotCheckError: its answers are others when asked for again.
            PeerError: the peer is gone or late.
        """
        if self._prepared is None:
            self.prepare()
        self._query_id += 1
        question = self._queries.next(self._own_limit, OwnKnowledge(model, self._candidates.of_ids, self.cache))
        plain_NCHW, views_NCHW = self._asked_images(question)
        inputs_NCHW = torch.cat([plain_NCHW, views_NCHW])
        check_inputs(inputs_NCHW, question.sample_ids, self._scheme.largest_input)
        terms = self._scheme.calibrate(model, calibration_images(self._calibration.images_NCHW))
        own = Announcement(num_samples=len(inputs_NCHW), model_step=model_step, **dataclasses.asdict(terms))
        peer = self._announce(own)
        if (own.num_samples, peer.num_samples) != self._prepared:
            raise ProtocolError(f"party {self._peer_name} asks about another number of samples than it prepared")
        self._prepared = None
        disclosure = Disclosure(
            query_id=self._query_id, to_party=self._peer_name, num_samples=peer.num_samples, model_step=model_step
        )
        num_second = self._num_checks(peer.num_samples)
        self._budget.charge(disclosure, num_second=num_second)
        fits_N = fitting_inputs(inputs_NCHW, peer.input_bound)
        # The number of questions is public, so zeros take the place of what the peer's network was not fitted for.
        sent_NCHW = torch.where(fits_N.view(-1, 1, 1, 1), inputs_NCHW, torch.zeros(()))
        prediction = self._ask(model, question.sample_ids, sent_NCHW, own, peer)
        prediction = self._checked(model, prediction, sent_NCHW, own, peer)
        kept_N = plausible_answers(prediction, peer.logit_bound) & fits_N
        num_plain = len(plain_NCHW)
        self._keep(prediction, kept_N, views_NCHW, num_plain)
        assert self._before is not None, "prepare has set it"
        cost, self._before = self._scheme.session.meter.total() - self._before, None
        return ExchangeResult(
            prediction=dataclasses.replace(
                prediction, sample_ids=prediction.sample_ids[kept_N], logits_NC=prediction.logits_NC[kept_N]
            ),
            views_NCHW=views_NCHW[kept_N[num_plain:]],
            disclosure=dataclasses.replace(disclosure, num_samples=peer.num_samples + num_second),
            num_asked=own.num_samples,
            num_dropped=int((~kept_N).sum()),
            logit_noise=own.logit_noise,
            cost=dataclasses.replace(cost, peak_memory_bytes=prediction.cost.peak_memory_bytes),
        )

    def forget(self, number: int) -> None:
        """Drop the answers of exchange `number`."""
        self.cache.forget(number)
        self.replay.forget(number)

    def state_dict(self) -> dict[str, Any]:
        return {
            "query_id": self._query_id,
            "peer_limit": self._peer_limit,
            "queries": self._queries.state_dict(),
            "views": self._views.state_dict(),
            "cache": self.cache.state_dict(),
            "replay": self.replay.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._query_id, self._peer_limit = state["query_id"], state["peer_limit"]
        self._queries.load_state_dict(state["queries"])
        self._views.load_state_dict(state["views"])
        self.cache.load_state_dict(state["cache"])
        self.replay.load_state_dict(state["replay"])

    def _begin(self, number: int, own: int, peer: int, *, attempt: int) -> None:
        """Keys and dealing for query `number`. The dealer serves an index once; a second attempt is one of its own."""
        counts = (own, peer) if self._scheme.session.rank == 0 else (peer, own)
        self._scheme.begin(2 * number + attempt, counts)

    def _ask(
        self,
        model: nn.Module,
        sample_ids: torch.Tensor,
        inputs_NCHW: torch.Tensor,
        own: Announcement,
        peer: Announcement,
    ) -> PeerPrediction:
        rank = self._scheme.session.rank
        asked = InferenceQuery(
            query_id=self._query_id,
            model_owner=1 - rank,
            data_owner=rank,
            num_samples=own.num_samples,
            model_step=peer.model_step,
            sample_ids=sample_ids,
            inputs_NCHW=inputs_NCHW,
        )
        answered = InferenceQuery(
            query_id=self._query_id,
            model_owner=rank,
            data_owner=1 - rank,
            num_samples=peer.num_samples,
            model_step=own.model_step,
        )
        return self._scheme.exchange(model, asked, answered)

    def _num_checks(self, num_samples: int) -> int:
        """Second answers of an exchange about so many samples."""
        return min(self._config.spot_checks, num_samples)

    def _checked(
        self, model: nn.Module, first: PeerPrediction, inputs_NCHW: torch.Tensor, own: Announcement, peer: Announcement
    ) -> PeerPrediction:
        """Have some answers computed anew, and the peer's; returns the first ones, with the cost of both."""
        own_again, peer_again = (
            dataclasses.replace(announced, num_samples=self._num_checks(announced.num_samples))
            for announced in (own, peer)
        )
        if own_again.num_samples == peer_again.num_samples == 0:
            return first
        if peer_again.num_samples:
            self._budget.charge_second(
                Disclosure(
                    query_id=self._query_id,
                    to_party=self._peer_name,
                    num_samples=peer_again.num_samples,
                    model_step=own.model_step,
                )
            )
        self._begin(self._query_id, own_again.num_samples, peer_again.num_samples, attempt=1)
        chosen_N = draw_subset(own.num_samples, own_again.num_samples)
        sample_ids, logits_NC = first.sample_ids[chosen_N], first.logits_NC[chosen_N]
        again = self._ask(model, sample_ids, inputs_NCHW[chosen_N], own_again, peer_again)
        compared = dataclasses.replace(first, sample_ids=sample_ids, logits_NC=logits_NC)
        tolerance = max(self._config.spot_check_tolerance, NOISE_TOLERANCE * peer.logit_noise)
        compare_answers(compared, again, peer.logit_bound, tolerance)
        return dataclasses.replace(first, cost=first.cost + again.cost)

    def _keep(self, prediction: PeerPrediction, kept_N: torch.Tensor, views_NCHW: torch.Tensor, num_plain: int) -> None:
        """Remember the answers of kept_N: those to samples by id, those to views with the view."""
        of_samples, of_views = kept_N[:num_plain], kept_N[num_plain:]
        step = prediction.model_step
        self.cache.store(
            prediction.sample_ids[:num_plain][of_samples], prediction.logits_NC[:num_plain][of_samples], step
        )
        self.replay.store(views_NCHW[of_views], prediction.logits_NC[num_plain:][of_views], step)

    def _asked_images(self, question: Question) -> tuple[torch.Tensor, torch.Tensor]:
        """The images that are asked about as they are, and the views of the others."""
        images_NCHW = self._candidates.of_ids(question.sample_ids).images_NCHW
        num_plain = len(images_NCHW) - question.num_views
        return images_NCHW[:num_plain], self._views.of(images_NCHW[num_plain:])

    def _announce(self, own: Announcement) -> Announcement:
        message = self._scheme.announce({"query_id": self._query_id, **dataclasses.asdict(own)})
        peer = checked_announcement(message, query_id=self._query_id, peer=self._peer_name, limit=self._peer_limit)
        log.debug(
            "queries announced exchange=%d own_samples=%d own_model_step=%d peer_samples=%d peer_model_step=%d",
            self._query_id,
            own.num_samples,
            own.model_step,
            peer.num_samples,
            peer.model_step,
        )
        return peer

    @property
    def _peer_name(self) -> str:
        return PARTY_NAMES[1 - self._scheme.session.rank]
