"""One exchange from the side of a party: choose, announce, charge, ask and answer, check, keep.

The exchanger sees a scheme only through its contract, so every scheme is used in the same way.

0. Ahead of time, each party says how many samples it will ask about; both agree on keys, and the dealer begins to deal.
1. Each party announces how many samples it asks about, its model step, and a public bound for its network's logits.
2. Each charges the other's query to its budget, before anything is computed.
3. The scheme runs both directions.
4. Each party announces how many answers lie beyond the stated bound (a truncation that wrapped around the ring). If
   there are any, exactly those samples are asked again with fresh randomness; if that fails, too, the run ends.
"""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from smule_crypten.config import ExchangeConfig
from smule_crypten.data.images import LabelledImages
from smule_crypten.errors import ProtocolError
from smule_crypten.exchange.budget import QueryBudget
from smule_crypten.exchange.cache import SoftLabelCache
from smule_crypten.exchange.queries import Queries, QueryPlan
from smule_crypten.inference.scheme import SecureInferenceScheme
from smule_crypten.models.calibration import calibration_images, check_inputs
from smule_crypten.types import PARTY_NAMES, Cost, Disclosure, InferenceQuery, PeerPrediction

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ExchangeResult:
    """prediction is what the peer answered; num_recomputed answers had to be asked a second time. cost is everything
    from the preparation on, announcements included."""

    prediction: PeerPrediction
    disclosure: Disclosure
    num_recomputed: int
    cost: Cost


@dataclass(frozen=True, kw_only=True)
class _Announcement:
    num_samples: int
    model_step: int
    logit_bound: float


class Exchanger:
    """Asks about this party's samples, answers the peer, fills the cache.

    Args:
        train, pool, held_out: this party's labelled, unlabelled and validation samples, normalised, float32; the last
            two may be empty.
        num_queries: the most samples that either party asks about in one exchange; None for no limit.
        budget: limits what this party's network answers.
        seed: decides which samples are asked when, unless queries does.
    """

    def __init__(
        self,
        *,
        scheme: SecureInferenceScheme,
        config: ExchangeConfig,
        train: LabelledImages,
        pool: LabelledImages,
        held_out: LabelledImages,
        num_queries: int | None,
        num_classes: int,
        budget: QueryBudget,
        seed: int,
        queries: Queries | None = None,
    ) -> None:
        self._scheme = scheme
        self._config = config
        self._num_queries = num_queries
        candidates = train.with_others(pool).with_others(held_out)
        order = candidates.sample_ids_N.argsort()
        self._sorted_ids, self._sorted_positions = candidates.sample_ids_N[order], order
        self._images_NCHW = candidates.images_NCHW
        self._budget = budget
        self._queries = queries or QueryPlan(train, pool, held_out, config.known_fraction, seed)
        self._query_id = 0
        self._prepared: tuple[int, int] | None = None
        self._before = Cost()
        self.cache = SoftLabelCache(candidates.sample_ids_N, num_classes, config.max_age)

    def prepare(self) -> None:
        """Fix the size of the next exchange, so that what depends on nothing else is dealt while the parties train.

        Raises:
            ProtocolError, PeerError: as `run`.
        """
        self._before = self._scheme.session.meter.total()
        number = self._query_id + 1
        own = self._queries.count(self._num_queries)
        message = self._scheme.announce({"prepared_query": number, "num_samples": own})
        if not isinstance(message, dict) or message.get("prepared_query") != number:
            raise ProtocolError(f"party {self._peer_name} does not prepare query {number}; restart both")
        peer = self._checked_count(message.get("num_samples"))
        self._prepared = own, peer
        self._begin(number, own, peer, attempt=0)

    def run(self, model: nn.Module, model_step: int) -> ExchangeResult:
        """Exchange predictions with the peer; model answers the peer's query as it is now.

        Raises:
            BudgetError: the peer asks for more than this party discloses.
            DataError, UnshareableModelError: values do not fit the fixed-point range.
            ProtocolError: the peer announced something that is not a query, or its answers stay implausible.
            PeerError: the peer is gone or late.
        """
        if self._prepared is None:
            self.prepare()
        self._query_id += 1
        sample_ids = self._queries.next(self._num_queries)
        check_inputs(self._images(sample_ids), sample_ids, self._scheme.largest_input)
        own = _Announcement(
            num_samples=len(sample_ids),
            model_step=model_step,
            logit_bound=self._scheme.calibrate(model, calibration_images(self._images_NCHW)),
        )
        peer = self._announce(own)
        if (own.num_samples, peer.num_samples) != self._prepared:
            raise ProtocolError(f"party {self._peer_name} asks about another number of samples than it prepared")
        self._prepared = None
        disclosure = Disclosure(
            query_id=self._query_id, to_party=self._peer_name, num_samples=peer.num_samples, model_step=model_step
        )
        self._budget.charge(disclosure)
        prediction = self._ask(model, sample_ids, own, peer)
        prediction, num_recomputed = self._mend(model, prediction, own, peer)
        self.cache.store(prediction.sample_ids, prediction.logits_NC, prediction.model_step)
        cost = self._scheme.session.meter.total() - self._before
        return ExchangeResult(
            prediction=prediction,
            disclosure=disclosure,
            num_recomputed=num_recomputed,
            cost=dataclasses.replace(cost, peak_memory_bytes=prediction.cost.peak_memory_bytes),
        )

    def state_dict(self) -> dict[str, Any]:
        return {
            "query_id": self._query_id,
            "queries": self._queries.state_dict(),
            "cache": self.cache.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._query_id = state["query_id"]
        self._queries.load_state_dict(state["queries"])
        self.cache.load_state_dict(state["cache"])

    def _begin(self, number: int, own: int, peer: int, *, attempt: int) -> None:
        """Keys and dealing for query `number`. The dealer serves an index once; a second attempt is one of its own."""
        counts = (own, peer) if self._scheme.session.rank == 0 else (peer, own)
        self._scheme.begin(2 * number + attempt, counts)

    def _ask(
        self, model: nn.Module, sample_ids: torch.Tensor, own: _Announcement, peer: _Announcement
    ) -> PeerPrediction:
        rank = self._scheme.session.rank
        asked = InferenceQuery(
            query_id=self._query_id,
            model_owner=1 - rank,
            data_owner=rank,
            num_samples=own.num_samples,
            model_step=peer.model_step,
            sample_ids=sample_ids,
            inputs_NCHW=self._images(sample_ids),
        )
        answered = InferenceQuery(
            query_id=self._query_id,
            model_owner=rank,
            data_owner=1 - rank,
            num_samples=peer.num_samples,
            model_step=own.model_step,
        )
        return self._scheme.exchange(model, asked, answered)

    def _mend(
        self, model: nn.Module, prediction: PeerPrediction, own: _Announcement, peer: _Announcement
    ) -> tuple[PeerPrediction, int]:
        """Ask once more about implausible answers of either party."""
        doubtful = _beyond(prediction, peer)
        own_again = dataclasses.replace(own, num_samples=int(doubtful.sum()))
        peer_again = self._announce(own_again)
        if peer_again.num_samples > peer.num_samples:
            raise ProtocolError(f"party {self._peer_name} wants more answers again than it asked for")
        if own_again.num_samples == 0 and peer_again.num_samples == 0:
            return prediction, 0
        self._begin(self._query_id, own_again.num_samples, peer_again.num_samples, attempt=1)
        again = self._ask(model, prediction.sample_ids[doubtful], own_again, peer_again)
        if bool(_beyond(again, peer).any()):
            raise ProtocolError(
                f"party {self._peer_name} answers with logits beyond its stated bound of {peer.logit_bound:g}, again "
                "after recomputation; its layers leave the fixed-point range on this data: lower scheme.precision_bits"
            )
        logits_NC = prediction.logits_NC.clone()
        logits_NC[doubtful] = again.logits_NC
        return dataclasses.replace(
            prediction, logits_NC=logits_NC, cost=prediction.cost + again.cost
        ), own_again.num_samples

    def _images(self, sample_ids: torch.Tensor) -> torch.Tensor:
        rows = torch.searchsorted(self._sorted_ids, sample_ids)
        return self._images_NCHW[self._sorted_positions[rows]]

    def _announce(self, own: _Announcement) -> _Announcement:
        message = self._scheme.announce({"query_id": self._query_id, **dataclasses.asdict(own)})
        peer = self._checked(message)
        log.debug(
            "queries announced exchange=%d own_samples=%d own_model_step=%d peer_samples=%d peer_model_step=%d",
            self._query_id,
            own.num_samples,
            own.model_step,
            peer.num_samples,
            peer.model_step,
        )
        return peer

    def _checked(self, message: object) -> _Announcement:
        peer = self._peer_name
        if not isinstance(message, dict):
            raise ProtocolError(f"party {peer} announced {message!r} in place of a query")
        if message.get("query_id") != self._query_id:
            raise ProtocolError(
                f"party {peer} is at query {message.get('query_id')!r}, this party at {self._query_id}; restart both"
            )
        num_samples, model_step, bound = (message.get(k) for k in ("num_samples", "model_step", "logit_bound"))
        count = self._checked_count(num_samples)
        if type(model_step) is not int or model_step < 0:
            raise ProtocolError(f"party {peer} announced model step {model_step!r}")
        if not isinstance(bound, float) or not 0 < bound < float("inf"):
            raise ProtocolError(f"party {peer} announced {bound!r} as bound of its logits")
        return _Announcement(num_samples=count, model_step=model_step, logit_bound=bound)

    def _checked_count(self, num_samples: object) -> int:
        if type(num_samples) is not int or num_samples < 0:
            raise ProtocolError(f"party {self._peer_name} announced {num_samples!r} samples")
        limit = self._num_queries
        if limit is not None and num_samples > limit:
            raise ProtocolError(
                f"party {self._peer_name} asks about {num_samples} samples, exchange.num_queries allows {limit}"
            )
        return num_samples

    @property
    def _peer_name(self) -> str:
        return PARTY_NAMES[1 - self._scheme.session.rank]


def _beyond(prediction: PeerPrediction, peer: _Announcement) -> torch.Tensor:
    """Which answers (N,) cannot be right: not finite, or beyond what the model owner states."""
    return ~(prediction.logits_NC.abs() <= peer.logit_bound).all(1)
