"""Where the processes between hosts are, and how they prove who they are."""

from __future__ import annotations

from smule_crypten.config.sections import Section


class RemoteConfig(Section):
    """Another process between hosts. address is host:port, null where it connects to this one."""

    address: str | None = None
    certificate: str


class NetworkConfig(Section):
    """How a party stands in the network between hosts. Certificates and keys are files in PEM form.

    listen: host:port on which party a waits for party b; party b needs none.
    """

    certificate: str
    key: str
    listen: str | None = None
    peer: RemoteConfig
    dealer: RemoteConfig
