"""The options of the lean scheme. All of them are public and the same at both parties."""

from __future__ import annotations

from pydantic import Field

from smule_crypten.config.options import parse_options
from smule_crypten.config.sections import SchemeConfig, Section


class LeanOptions(Section):
    ring_bits: int = Field(default=32, ge=16, le=64)
    """Bits of a product before its rounding; 64 for networks whose values do not fit; 30 with precision_bits=12 for 5 %
    fewer bytes. Less precision_bits from it is the width of an activation: each bit less there doubles the noise that
    hides the rounding (docs/protocol.md)."""
    input_bits: int = Field(default=10, ge=4, le=24)
    """Fractional bits of an input; the first layer's weights get what it leaves."""
    block_bits: int = Field(default=4, ge=1, le=5)
    """Bits of one table look-up of a comparison."""
    margin_bits: int = Field(default=2, ge=2, le=8)
    """How much larger values may become on the peer's data than on the owner's, as a power of two."""


def lean_options(config: SchemeConfig) -> LeanOptions:
    """The options of a scheme section.

    Raises:
        ConfigError: an unknown or unusable option, or widths that leave nothing to compare.
    """
    return parse_options(LeanOptions, config.options, "scheme.options")
