"""Where the processes between hosts are, and how they prove who they are."""

from __future__ import annotations

from smule_crypten.config.sections import Section


class PeerConfig(Section):
    """The other party."""

    address: str | None = None
    """host:port at which party b finds party a; party a has none."""
    certificate: str
    """The certificate of the other party, a file in PEM form, compared by telephone."""


class DealerAddress(Section):
    """The dealer, where the scheme needs one."""

    address: str
    """host:port on which the dealer listens."""
    certificate: str
    """The certificate of the dealer, a file in PEM form, compared by telephone."""


class ConnectionConfig(Section):
    """A party's place in the network between hosts. Certificates and keys are files in PEM form."""

    certificate: str
    """The party's own certificate, a file in PEM form."""
    key: str
    """The private key that belongs to it, a file in PEM form."""
    listen: str | None = None
    """host:port on which party a waits for party b; party b has none."""
    peer: PeerConfig
    dealer: DealerAddress | None = None
    """Where the scheme needs a dealer; the two parties alone have none."""
