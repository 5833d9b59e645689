"""Files that somebody else may have written: whatever stands in them, a reader ends with a result or a typed error."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from mutations import BOUNDED, LONG, changed
from terms_files import terms_of

from smule_crypten.audit.events import Exchanged, Resumed
from smule_crypten.audit.log import opened_log, read_log
from smule_crypten.config.party import DisclosureConfig
from smule_crypten.config.sections import ModelConfig
from smule_crypten.errors import SmuleError
from smule_crypten.launch.side_file import read_dealer, read_party
from smule_crypten.models.zoo import build_model
from smule_crypten.mutual_learning.budget import QueryBudget
from smule_crypten.mutual_learning.disclosures import read_ledger
from smule_crypten.terms.document import SignedTerms, canonical, read_terms
from smule_crypten.training.checkpoint import Checkpoint, load_model, save_checkpoint
from smule_crypten.transport.credentials import create_identity, load_certificate, load_identity
from smule_crypten.types import Disclosure


@functools.cache
def example(kind: str) -> bytes:
    """A file of its kind as the program writes it, or as the guide shows it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        match kind:
            case "certificate":
                return create_identity("hospital-a", folder).certificate.path.read_bytes()
            case "checkpoint":
                model = ModelConfig(name="mlp", options={"hidden": [2]})
                checkpoint = Checkpoint(
                    model=model,
                    input_shape=(1, 2, 2),
                    num_classes=2,
                    class_names=("ant", "bee"),
                    mean=(0.0,),
                    std=(1.0,),
                    model_step=3,
                    state_dict=build_model(model, (1, 2, 2), 2, seed=0).state_dict(),
                )
                save_checkpoint(folder / "model.pt", checkpoint)
                return (folder / "model.pt").read_bytes()
            case "ledger":
                with QueryBudget(DisclosureConfig(), folder / "ledger.jsonl", run="r", peer=None) as budget:
                    budget.plan("b", [5, 5])
                    for number in (1, 2):
                        budget.charge(Disclosure(query_id=number, to_party="b", num_samples=5, model_step=number))
                return (folder / "ledger.jsonl").read_bytes()
            case "terms":
                return canonical(SignedTerms(terms=terms_of(folder)))
            case "audit log":
                with opened_log(folder / "audit.jsonl", "a") as log:
                    log.append(Resumed(exchange=1))
                    log.append(Exchanged(exchange=2, asked=3, answered=4, public_asked=0, public_answered=0, dropped=1))
                return (folder / "audit.jsonl").read_bytes()
            case _:
                remote = {"address": "host:7700", "certificate": "t.pem"}
                party = {
                    "role": "a",
                    "scheme": {"name": "lean"},
                    "data": {"name": "npz", "path": "mine.npz"},
                    "model": {"name": "mlp", "options": {"hidden": [2]}},
                    "connection": {"certificate": "a.pem", "key": "a.key", "listen": "host:7701", "peer": remote,
                                "dealer": remote},
                    "training": {"epochs": 3, "temperature": 2.0},
                    "output_dir": "runs/one",
                    "terms": "terms.json",
                }  # fmt: skip
                return yaml.safe_dump(party).encode()


READERS: dict[str, Callable[[Path], object]] = {
    "certificate": load_certificate,
    "checkpoint": load_model,
    "ledger": read_ledger,
    "terms": read_terms,
    "audit log": read_log,
    "party": lambda path: read_party([f"+party={path}"]),
    "dealer": lambda path: read_dealer([f"+dealer={path}"]),
}
each_kind = pytest.mark.parametrize("kind", READERS)


def only_typed(kind: str, content: bytes) -> None:
    """Also that what it says is one line."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file.yaml" if kind in ("party", "dealer") else "file")
        path.write_bytes(content)
        message = ""
        try:
            READERS[kind](path)
        except SmuleError as error:
            message = str(error)
        assert len(message.splitlines()) <= 1


@each_kind
@given(data=st.data())
@BOUNDED
def test_files(kind: str, data: st.DataObject) -> None:
    """Changed files of each kind."""
    only_typed(kind, data.draw(changed([example(kind)])))


@pytest.mark.slow
@each_kind
@given(data=st.data())
@LONG
def test_many_files(kind: str, data: st.DataObject) -> None:
    """The same for longer, otherwise each time; and any bytes at all."""
    only_typed(kind, data.draw(st.one_of(changed([example(kind)]), st.binary(max_size=200))))


@given(content=changed([b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]))
@BOUNDED
def test_keys(content: bytes) -> None:
    """A private key beside a certificate that is right."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "c.pem").write_bytes(example("certificate"))
        key = folder / "k.pem"
        key.write_bytes(content)
        key.chmod(0o600)
        with pytest.raises(SmuleError):
            load_identity(folder / "c.pem", key)


def test_the_examples_are_right() -> None:
    """The mutations begin with files that their readers accept."""
    for kind, reader in READERS.items():
        if kind == "dealer":
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "file.yaml")
            path.write_bytes(example(kind))
            found = reader(path)
            assert found
            assert not isinstance(found, torch.nn.Module) or not found.training
