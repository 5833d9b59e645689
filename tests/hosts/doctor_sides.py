"""Two sides, and a dealer where the scheme needs one, as files in a folder; examined within a second."""

from __future__ import annotations

import socket
from collections.abc import Callable, Generator
from pathlib import Path

import numpy as np

from smule_crypten.config.run import PartyConfig
from smule_crypten.doctor.all_checks import examine
from smule_crypten.doctor.checkup import Finding
from smule_crypten.launch.side_file import read_party
from smule_crypten.transport.credentials import create_identity

CERTIFICATES = {"a": "hospital-a", "b": "hospital-b", "dealer": "dealer"}


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def write_sides(folder: Path, scheme: str = "lean") -> dict[str, int]:
    """Keys, data and a.yaml, b.yaml and dealer.yaml in folder; the ports of party a and of the dealer.

    With scheme two_party nobody is told of the dealer.
    """
    ports = {"a": free_port(), "dealer": free_port()}
    for name in CERTIFICATES.values():
        create_identity(name, folder)
    for role in "ab":
        write_data(folder / f"{role}.npz", num_train=60)
        other = "b" if role == "a" else "a"
        listen = f"listen: 127.0.0.1:{ports['a']}" if role == "a" else ""
        dealer = f"dealer: {{address: 127.0.0.1:{ports['dealer']}, certificate: dealer.crt.pem}}"
        address = f"address: 127.0.0.1:{ports['a']}, " if role == "b" else ""
        (folder / f"{role}.yaml").write_text(
            f"""
role: {role}
scheme: {{name: {scheme}}}
data: {{name: npz, path: {role}.npz}}
model: {{name: mlp, options: {{hidden: [4]}}}}
training: {{epochs: 6, batch_size: 16}}
exchange: {{num_queries: 10, every: 1, warmup_epochs: 3}}
disclosure: {{max_answers_total: 30}}
output_dir: out_{role}
terms: none
connection:
  certificate: {CERTIFICATES[role]}.crt.pem
  key: {CERTIFICATES[role]}.key.pem
  {listen}
  peer: {{{address}certificate: {CERTIFICATES[other]}.crt.pem}}
  {dealer if scheme == "lean" else ""}
"""
        )
    (folder / "dealer.yaml").write_text(
        f"""
certificate: dealer.crt.pem
key: dealer.key.pem
listen: 127.0.0.1:{ports["dealer"]}
party_a: hospital-a.crt.pem
party_b: hospital-b.crt.pem
"""
    )
    return ports


def write_data(path: Path, *, num_train: int, missing: int | None = None, value: float | None = None) -> None:
    """Three classes of 1x4x4 images; without class `missing`, and with one pixel of that value."""
    generator = np.random.default_rng(0)
    labels = np.arange(num_train + 9) % 3
    if missing is not None:
        labels[labels == missing] = 2
    images = generator.normal(size=(len(labels), 1, 4, 4)).astype(np.float32)
    if value is not None:
        images[0, 0, 0, 0] = value
    train, test = slice(num_train), slice(num_train, None)
    np.savez(path, x_train=images[train], y_train=labels[train], x_test=images[test], y_test=np.arange(9) % 3)


def side(folder: Path, role: str, *overrides: str) -> PartyConfig:
    """The configuration of one side, as the command reads it."""
    return read_party([f"+party={folder / role}.yaml", *overrides])


def examination(
    config: PartyConfig, wait_seconds: float, say: Callable[[str], None] = lambda text: None
) -> Generator[Finding]:
    assert config.connection is not None
    return examine(config, config.connection, wait_seconds=wait_seconds, rehearse=False, say=say)


def findings(
    config: PartyConfig, wait_seconds: float = 0.1, say: Callable[[str], None] = lambda text: None
) -> list[Finding]:
    return list(examination(config, wait_seconds, say))


def by_check(found: list[Finding]) -> dict[str, Finding]:
    return {finding.check: finding for finding in found}
