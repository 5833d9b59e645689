"""What both parties must agree on, as the handshake compares it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from smule_crypten.config.exchange import ExchangeTerms
from smule_crypten.config.run import PartyConfig
from smule_crypten.config.sections import ProviderConfig, Randomness, SchemeConfig, Section
from smule_crypten.metric_names import TaskName
from smule_crypten.types import InputShape, LogitOpening


class PublicData(Section):
    """What both parties must know of the data to mean the same by an input and by an output.

    class_names are in order of the class numbers, None where the classes are only numbered. mean and std have one
    value for each place of the first axis of an input, as they are applied; target_mean and target_std one for each
    target in regression, and none in other tasks. columns: of a table, what its schema says of each column that is
    used.
    """

    input_shape: InputShape
    num_classes: int
    class_names: tuple[str, ...] | None = None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    target_mean: tuple[float, ...]
    target_std: tuple[float, ...]
    columns: dict[str, str] = Field(default_factory=dict)


class PublicFeatures(Section):
    """By which map inputs were made, and of what: input_shape is that of the samples before, map its digest."""

    name: str = "none"
    input_shape: InputShape | None = None
    map: str | None = None


_NO_FEATURES = PublicFeatures()


class PublicQuestionTerms(Section):
    """Of which public samples questions may be, and of how many in an exchange.

    digest: of their content, shape and normalisation. All as it stands here where a party has not opted in.
    """

    digest: str | None = None
    num_samples: int = 0
    num_queries: int = 0


_NO_PUBLIC_QUESTIONS = PublicQuestionTerms()


class JointHeadTerms(Section):
    """Of the joint head, all numbers that both parties follow; as it stands here where a party has none.

    answers, penalty, bound and iterations are written out. features: D, the constant one included. map: digest of a map
    of its own; null where its features are those of the run, or inputs. clip_norm: of rows.
    """

    name: str = "none"
    answers: int = 0
    noise: float = 0.0
    reveal: str = "nobody"
    reveal_small: bool = False
    penalty: float = 0.0
    bound: float = 0.0
    iterations: int = 0
    features: int = 0
    map: str | None = None
    clip_norm: float = 0.0

    @property
    def is_on(self) -> bool:
        return self.name != "none"


_NO_JOINT_HEAD = JointHeadTerms()


class ProtocolConfig(Section):
    """The public part: identical at both parties, compared by digest before anything else is sent.

    opening: what answers open of the logits; no key of the configuration, it follows from what is learned. provider:
    who deals, written out; null with a scheme of the two parties alone. terms: digest of the terms that both signed,
    null without any, and in the terms themselves.
    """

    protocol_version: int = 3
    scheme: SchemeConfig
    opening: LogitOpening
    provider: ProviderConfig
    randomness: Randomness
    exchange: ExchangeTerms
    epochs: int
    task: TaskName
    data: PublicData
    features: PublicFeatures = _NO_FEATURES
    public_pool: PublicQuestionTerms = _NO_PUBLIC_QUESTIONS
    joint_head: JointHeadTerms = _NO_JOINT_HEAD
    terms: str | None = None

    @classmethod
    def from_party(
        cls,
        party: PartyConfig,
        input_shape: InputShape,
        num_classes: int,
        class_names: tuple[str, ...] | None,
        scheme_options: Mapping[str, Any],
        columns: Mapping[str, str] | None = None,
        features: PublicFeatures = _NO_FEATURES,
        public_pool: PublicQuestionTerms = _NO_PUBLIC_QUESTIONS,
        joint_head: JointHeadTerms = _NO_JOINT_HEAD,
    ) -> ProtocolConfig:
        """class_names, columns: as in PublicData. scheme_options: all, those that nobody wrote with their defaults."""
        data = party.data
        # Features may be thousands, and have no constants here.
        places = 1 if party.features.is_on else input_shape[0]
        mean, std = (values * places if len(values) == 1 else values for values in (data.mean, data.std))
        targets = num_classes if party.task == "regression" else 0
        target_mean, target_std = (
            values * targets if len(values) == 1 else values for values in (data.target_mean, data.target_std)
        )
        return cls(
            scheme=party.scheme.model_copy(update={"options": dict(scheme_options)}),
            opening=party.opening,
            provider=ProviderConfig(name=party.deals),
            randomness=party.randomness,
            exchange=party.exchange.terms,
            epochs=party.training.epochs,
            task=party.task,
            data=PublicData(
                input_shape=input_shape,
                num_classes=num_classes,
                class_names=class_names,
                mean=mean,
                std=std,
                columns=dict(columns or {}),
                target_mean=target_mean,
                target_std=target_std,
            ),
            features=features,
            public_pool=public_pool,
            joint_head=joint_head,
        )

    def digest(self) -> str:
        """SHA-256 of the canonical JSON form, in hexadecimal."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()
