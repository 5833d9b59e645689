"""The configuration of a dealer between hosts."""

from __future__ import annotations

from pydantic import Field

from smule_crypten.config.sections import LaunchConfig, Section


class DealerConfig(Section):
    """The dealer between hosts."""

    certificate: str
    """The dealer's own certificate, a file in PEM form."""
    key: str
    """The private key that belongs to it, a file in PEM form."""
    listen: str
    """host:port on which it waits for both parties; 0.0.0.0 stands for all addresses of the host."""
    party_a: str
    """The certificate of party a, compared by telephone."""
    party_b: str
    """The certificate of party b, compared by telephone."""
    output_dir: str = "."
    """Where the dealer keeps its audit log and its status: in the folder dealer below it."""
    runs: int | None = Field(default=None, ge=1)
    """After so many runs it ends; null for never."""
    launch: LaunchConfig = LaunchConfig()
