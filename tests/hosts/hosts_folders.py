"""The working folders of a run between hosts: data, keys and one YAML file each, and what a run leaves there."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hosts_network import ROLES, Network

from smule_crypten.config.schemes import SCHEME_TRAITS
from smule_crypten.training.checkpoint import load_checkpoint
from smule_crypten.transport.credentials import create_identity

NAMES = {"a": "hospital-a", "b": "hospital-b", "dealer": "dealer"}
PEER = {"a": "b", "b": "a"}
DEADLINE_SECONDS = 3.0
JOIN_SECONDS = 6.0
NUM_QUERIES = 8
EXCHANGES = (1, 2, 3)
SMALL: dict[str, Any] = {
    "model": {"name": "mlp", "options": {"hidden": [8]}},
    "training": {"epochs": 4, "batch_size": 16, "keep": "last"},
    "exchange": {"num_queries": NUM_QUERIES, "every": 1, "warmup_epochs": 1},
    "launch": {"deadline_seconds": DEADLINE_SECONDS, "join_seconds": JOIN_SECONDS, "log_level": "debug"},
    "seed": 5,
}
"""Three exchanges, before epochs 2 to 4, in a second or two."""


class Folders:
    """Writes <root>/{a,b}/side.yaml with data and keys beside it, and for a scheme with a dealer <root>/dealer.

    settings are merged over SMALL for both parties, key by key in dotted form; those of one role come with `change`.
    """

    def __init__(self, root: Path, network: Network, scheme: str = "lean", **settings: Any) -> None:
        self._root = root
        self._network = network
        self._scheme = scheme
        self.roles = ROLES if SCHEME_TRAITS[scheme].needs_dealer else tuple(PEER)
        for number, role in enumerate(self.roles):
            create_identity(NAMES[role], self.folder(role))
            if role != "dealer":
                write_data(self.folder(role) / "data.npz", seed=number)
        for role in self.roles:
            for other in set(self.roles) - {role}:
                shutil.copy(self.folder(role) / f"{NAMES[role]}.crt.pem", self.folder(other))
        self._sides = {role: self._dealer() if role == "dealer" else self._party(role, settings) for role in self.roles}
        self._write()

    def folder(self, role: str) -> Path:
        return self._root / role

    def side_file(self, role: str) -> Path:
        return self.folder(role) / "side.yaml"

    def output(self, role: str) -> Path:
        """Where a party keeps what is its own."""
        return self.folder(role) / "out" / f"party_{role}"

    def change(self, role: str, **settings: Any) -> None:
        """Set keys of one side, "." written as "__"."""
        _set(self._sides[role], settings)
        self._write()

    def renew(self, owner: str, *holders: str, expired: bool = False) -> None:
        """Give a role another key and certificate, and hand the certificate to these other roles only."""
        name, folder = NAMES[owner], self.folder(owner)
        for path in folder.glob(f"{name}.*.pem"):
            path.unlink()
        create_identity(name, folder)
        if expired:
            _let_expire(folder / f"{name}.crt.pem", folder / f"{name}.key.pem")
        for holder in holders:
            shutil.copy(folder / f"{name}.crt.pem", self.folder(holder))

    def _party(self, role: str, settings: dict[str, Any]) -> dict[str, Any]:
        address = self._network.listening
        connection: dict[str, Any] = {
            "certificate": f"{NAMES[role]}.crt.pem",
            "key": f"{NAMES[role]}.key.pem",
            "peer": {"certificate": f"{NAMES[PEER[role]]}.crt.pem"},
        }
        if "dealer" in self.roles:
            connection["dealer"] = {"certificate": "dealer.crt.pem", "address": address["dealer"]}
        if role == "a":
            connection["listen"] = address["a"]
        else:
            connection["peer"]["address"] = address["a"]
        side = {
            "role": role,
            "scheme": {"name": self._scheme},
            "data": {"name": "npz", "path": "data.npz"},
            "output_dir": "out",
            "terms": "none",
            "connection": connection,
            **json.loads(json.dumps(SMALL)),
        }
        _set(side, settings)
        return side

    def _dealer(self) -> dict[str, Any]:
        return {
            "certificate": "dealer.crt.pem",
            "key": "dealer.key.pem",
            "listen": self._network.listening["dealer"],
            "party_a": "hospital-a.crt.pem",
            "party_b": "hospital-b.crt.pem",
            "runs": 1,
            "launch": SMALL["launch"],
        }

    def _write(self) -> None:
        for role, side in self._sides.items():
            self.side_file(role).write_text(yaml.safe_dump(side))


def _set(side: dict[str, Any], settings: dict[str, Any]) -> None:
    for key, value in settings.items():
        *parents, last = key.split("__")
        section = side
        for parent in parents:
            section = section.setdefault(parent, {})
        section[last] = value


def _let_expire(certificate_path: Path, key_path: Path) -> None:
    """Replace a certificate by one of the same key that ended ten days ago."""
    key = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    name = x509.load_pem_x509_certificate(certificate_path.read_bytes()).subject
    start, stop = (dt.datetime.now(dt.UTC) - dt.timedelta(days=days) for days in (20, 10))
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), start, stop)
    pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    certificate_path.write_bytes(pem)


def write_data(path: Path, *, num_train: int = 64, seed: int) -> None:
    """Images of 1x8x8 in four classes, easy to tell apart, 40 of them for testing; other noise for another seed."""
    rng = np.random.default_rng(seed)
    patterns = np.random.default_rng(99).uniform(0.2, 0.8, size=(4, 1, 8, 8))
    labels = np.concatenate([np.arange(count) % 4 for count in (num_train, 40)])
    noisy = patterns[labels] + rng.normal(0.0, 0.15, size=(len(labels), 1, 8, 8))
    images = (noisy.clip(0.0, 1.0) * 255).astype(np.uint8)
    train, test = slice(num_train), slice(num_train, None)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, x_train=images[train], y_train=labels[train], x_test=images[test], y_test=labels[test])


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(path).state_dict


def check_results(folders: Folders) -> None:
    """What a run of SMALL leaves, however often it was interrupted: all epochs and exchanges once, trained networks."""
    for role, peer in PEER.items():
        output = folders.output(role)
        assert load_checkpoint(output / "model.pt").model_step == 16
        check_ledger(read_lines(output / "disclosures.jsonl"), peer)
        epochs = [(event["phase"], event["epoch"]) for event in read_lines(output / "record.jsonl")]
        assert epochs == [(phase, epoch) for phase in ("standalone", "smule") for epoch in (1, 2, 3, 4)]


def check_ledger(ledger: list[dict[str, Any]], peer: str) -> None:
    """All exchanges in order, each attempt at one with a line of its own."""
    assert {(entry["to_party"], entry["num_samples"], entry["kind"]) for entry in ledger} == {
        (peer, NUM_QUERIES, "first")
    }
    attempts = [(entry["query_id"], entry["attempt"]) for entry in ledger]
    assert attempts == sorted(set(attempts))
    assert {number for number, _ in attempts} == set(EXCHANGES)
    assert {number for number, attempt in attempts if attempt == 1} == set(EXCHANGES)


def last_attempts(ledger: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What an undisturbed run would have entered."""
    return list({entry["query_id"]: entry for entry in ledger}.values())
