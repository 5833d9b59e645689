"""What a party says of its joint head in the handshake."""

from __future__ import annotations

from smule_crypten.config.protocol import JointHeadTerms
from smule_crypten.config.run import PartyConfig, RunConfig
from smule_crypten.data.samples import DataBundle
from smule_crypten.head_run.sizes import HeadSizes
from smule_crypten.joint_head.head_rows import HeadFeatures

_BOUND, _ITERATIONS = 32.0, 14
_BOUND_OF_PATCHES, _ITERATIONS_OF_PATCHES = 128.0, 28
_PENALTY = 2.0
"""Measured: docs/joint-head.md. The penalty is that of one feature."""


def head_terms(config: PartyConfig | RunConfig, bundle: DataBundle) -> JointHeadTerms:
    """With every default written out, so that parties that mean the same say the same.

    Raises:
        ConfigError, ModelError, OutputError: as HeadFeatures.
    """
    head = config.joint_head
    if not head.is_on:
        return JointHeadTerms()
    features = HeadFeatures(config, bundle)
    size = features.num_features + 1
    used = head.features if head.features.is_on else config.features
    has_patches = used.name == "patches"
    return JointHeadTerms(
        name=head.name,
        answers=max(1, size // 4) if head.answers is None else head.answers,
        noise=head.noise,
        reveal=head.reveal,
        reveal_small=head.reveal_small,
        penalty=head_penalty(config, size),
        bound=head.bound or (_BOUND_OF_PATCHES if has_patches else _BOUND),
        iterations=head.iterations or (_ITERATIONS_OF_PATCHES if has_patches else _ITERATIONS),
        features=size,
        map=features.map_digest,
        clip_norm=features.clip_norm,
    )


def head_penalty(config: PartyConfig | RunConfig, size: int) -> float:
    """What regularises a head of so many features, the constant one included, be it joint or a party's own."""
    return config.joint_head.penalty or size * _PENALTY


def head_sizes(config: PartyConfig | RunConfig, bundle: DataBundle) -> HeadSizes | None:
    """None without a joint head; raises as head_terms."""
    terms = head_terms(config, bundle)
    return HeadSizes(terms=terms, outputs=bundle.num_classes, opening=config.opening) if terms.is_on else None
