"""The options of the schemes whose values are integers. All of them are public and the same at both parties."""

from __future__ import annotations

import math

from pydantic import Field

from smule_crypten.config.options import parse_options
from smule_crypten.config.sections import SchemeConfig, Section


class FixedPointOptions(Section):
    """What such schemes have in common."""

    ring_bits: int = Field(default=32, ge=16, le=64)
    """Bits of a product before its rounding; more for networks whose values do not fit, with scheme=lean up to 64, with
    two_party as many as its lattices have room for; 30 with precision_bits=12 for 5 % fewer bytes. Less precision_bits
    from it is the width of an activation: each bit less there doubles the noise that hides the rounding
    (docs/protocol.md)."""
    input_bits: int = Field(default=10, ge=4, le=24)
    """Fractional bits of an input; the first layer's weights get what it leaves."""
    margin_bits: int = Field(default=2, ge=2, le=8)
    """How much larger values may become on the peer's data than on the owner's, as a power of two."""

    def blocks(self, bits: int) -> tuple[int, ...]:
        """Widths of the tables by which so many bits are compared, highest first; none where there are no tables."""
        return ()


class LeanOptions(FixedPointOptions):
    block_bits: int = Field(default=4, ge=1, le=5)
    """Bits of one table look-up of a comparison."""

    def blocks(self, bits: int) -> tuple[int, ...]:
        """Blocks of at most block_bits bits, as equal as possible, the wider ones first."""
        count = math.ceil(bits / self.block_bits)
        return tuple(bits // count + (number < bits % count) for number in range(count))


class TwoPartyOptions(FixedPointOptions):
    """Of scheme two_party."""


_OPTIONS: dict[str, type[FixedPointOptions]] = {"lean": LeanOptions, "two_party": TwoPartyOptions}


def fixed_point_options(config: SchemeConfig) -> FixedPointOptions:
    """The options of a scheme section, by its name.

    Raises:
        ConfigError: an option that is unknown to that scheme, or unusable.
    """
    return parse_options(_OPTIONS[config.name], config.options, "scheme.options")
