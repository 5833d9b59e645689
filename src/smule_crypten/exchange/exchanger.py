"""One exchange from the side of a party: choose, announce, ask and answer, keep.

The exchanger sees a scheme only through its contract, so every scheme is used in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from smule_crypten.config import ExchangeConfig
from smule_crypten.data.images import LabelledImages
from smule_crypten.errors import ProtocolError
from smule_crypten.exchange.cache import SoftLabelCache
from smule_crypten.exchange.selection import UniformSelection
from smule_crypten.inference.scheme import SecureInferenceScheme
from smule_crypten.types import PARTY_NAMES, Disclosure, InferenceQuery, PeerPrediction

IMPLAUSIBLE_LOGIT = float(2**20)
"""A logit beyond this is a truncation that wrapped around the ring (probability about |z| / 2^64 an element)."""


@dataclass(frozen=True, kw_only=True)
class ExchangeResult:
    """prediction is what the peer answered; num_discarded answers were implausible and are not used."""

    prediction: PeerPrediction
    disclosure: Disclosure
    num_discarded: int


class Exchanger:
    """Asks about this party's samples, answers the peer, fills the cache.

    Args:
        train: this party's samples, normalised, float32.
        seed: decides which samples are asked when.
    """

    def __init__(
        self,
        *,
        scheme: SecureInferenceScheme,
        config: ExchangeConfig,
        train: LabelledImages,
        num_classes: int,
        seed: int,
    ) -> None:
        self._scheme = scheme
        self._config = config
        order = train.sample_ids_N.argsort()
        self._sorted_ids, self._sorted_positions = train.sample_ids_N[order], order
        self._images_NCHW = train.images_NCHW
        self._selection = UniformSelection(train.sample_ids_N, seed)
        self._query_id = 0
        self.cache = SoftLabelCache(train.sample_ids_N, num_classes, config.max_age)

    def run(self, model: nn.Module, model_step: int) -> ExchangeResult:
        """Exchange predictions with the peer; model answers the peer's query as it is now.

        Raises:
            ProtocolError: the peer announced something that is not a query.
            PeerError: the peer is gone or late.
        """
        self._query_id += 1
        rank = self._scheme.session.rank
        sample_ids = self._selection.next(self._config.num_queries)
        announced = self._scheme.announce(
            {"query_id": self._query_id, "num_samples": len(sample_ids), "model_step": model_step}
        )
        num_peer_samples, peer_step = self._checked_announcement(announced)
        asked = InferenceQuery(
            query_id=self._query_id,
            model_owner=1 - rank,
            data_owner=rank,
            num_samples=len(sample_ids),
            model_step=peer_step,
            sample_ids=sample_ids,
            inputs_NCHW=self._images(sample_ids),
        )
        answered = InferenceQuery(
            query_id=self._query_id,
            model_owner=rank,
            data_owner=1 - rank,
            num_samples=num_peer_samples,
            model_step=model_step,
        )
        prediction = self._scheme.exchange(model, asked, answered)
        disclosure = Disclosure(
            query_id=self._query_id,
            to_party=PARTY_NAMES[1 - rank],
            num_samples=num_peer_samples,
            model_step=model_step,
        )
        return ExchangeResult(prediction=prediction, disclosure=disclosure, num_discarded=self._keep(prediction))

    def _images(self, sample_ids: torch.Tensor) -> torch.Tensor:
        rows = torch.searchsorted(self._sorted_ids, sample_ids)
        return self._images_NCHW[self._sorted_positions[rows]]

    def _keep(self, prediction: PeerPrediction) -> int:
        plausible = (prediction.logits_NC.abs() < IMPLAUSIBLE_LOGIT).all(1)
        self.cache.store(prediction.sample_ids[plausible], prediction.logits_NC[plausible], prediction.model_step)
        return int((~plausible).sum())

    def _checked_announcement(self, announced: object) -> tuple[int, int]:
        peer = PARTY_NAMES[1 - self._scheme.session.rank]
        if not isinstance(announced, dict):
            raise ProtocolError(f"party {peer} announced {announced!r} in place of a query")
        num_samples, model_step = announced.get("num_samples"), announced.get("model_step")
        if announced.get("query_id") != self._query_id:
            raise ProtocolError(
                f"party {peer} is at query {announced.get('query_id')!r}, this party at {self._query_id}; restart both"
            )
        if type(num_samples) is not int or type(model_step) is not int or num_samples < 0 or model_step < 0:
            raise ProtocolError(f"party {peer} announced {num_samples!r} samples for model step {model_step!r}")
        limit = self._config.num_queries
        if limit is not None and num_samples > limit:
            raise ProtocolError(f"party {peer} asks about {num_samples} samples, exchange.num_queries allows {limit}")
        return num_samples, model_step
