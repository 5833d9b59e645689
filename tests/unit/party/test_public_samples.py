"""The pool of public questions: read as other data, normalised as the party's own, compared by content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from party_configs import party
from PIL import Image
from pydantic import ValidationError

from smule_crypten.config.features import FeaturesConfig
from smule_crypten.config.party import SamplesConfig
from smule_crypten.config.public_pool import PublicPoolConfig
from smule_crypten.config.sections import DataConfig, DpConfig, TrainingConfig
from smule_crypten.data.bundled_sets import load_digits
from smule_crypten.data.datasets import load_data
from smule_crypten.errors import DataError
from smule_crypten.party.inputs import PartyInputs, load_party_inputs, public_configuration
from smule_crypten.party.public_samples import FIRST_ID
from smule_crypten.tables.schema import Column, TableSchema
from smule_crypten.tables.schema_file import text_of

COUNT = 12


def write(
    path: Path, shape: tuple[int, ...] = (1, 8, 8), labels: int = 2, seed: int = 0, kind: Any = np.float32
) -> str:
    values = np.random.default_rng(seed).uniform(size=(COUNT, *shape))
    inputs = (values * 255).astype(kind) if kind is np.uint8 else values.astype(kind)
    targets = np.arange(COUNT) % labels
    np.savez(path, x_train=inputs, y_train=targets, x_test=inputs, y_test=targets)
    return str(path)


def loaded(
    path: str, *, mean: tuple[float, ...] = (0.25,), max_samples: int | None = None, **settings: Any
) -> PartyInputs:
    pool = PublicPoolConfig(name="npz", path=path, num_queries=5, max_samples=max_samples)
    data = DataConfig(name="digits", max_train=90, max_test=20, mean=mean, std=(0.5,))
    defaults: dict[str, Any] = {"data": data, "public_pool": pool, "samples": SamplesConfig(unlabeled=20)}
    return load_party_inputs(party(**(defaults | settings)))


def digest(inputs: PartyInputs) -> str | None:
    return public_configuration(inputs.config, inputs.bundle).public_pool.digest


def test_the_pool_as_the_network_sees_it(tmp_path: Path) -> None:
    """Normalised by the own constants, without labels, with ids that no own sample has."""
    inputs = loaded(write(tmp_path / "pool.npz"))
    assert inputs.public is not None
    raw = torch.from_numpy(np.load(tmp_path / "pool.npz")["x_train"])
    torch.testing.assert_close(inputs.public.inputs, (raw - 0.25) / 0.5)
    assert (inputs.public.targets == -1).all()
    assert inputs.public.sample_ids.tolist() == [FIRST_ID + number for number in range(COUNT)]
    assert len(inputs.unlabelled) == 20 + COUNT
    terms = public_configuration(inputs.config, inputs.bundle).public_pool
    assert (terms.num_samples, terms.num_queries) == (COUNT, 5)


def test_what_the_digest_is_of(tmp_path: Path) -> None:
    """Content, shape, normalisation and which samples are used; labels and the name of the file are nothing to it. One
    constant for all channels is one a channel. States of a run on another pool are not gone on from."""
    first = write(tmp_path / "pool.npz")
    base = loaded(first)
    same = [loaded(write(tmp_path / "other.npz", labels=3)), loaded(first, mean=(0.25,))]
    assert {digest(one) for one in same} == {digest(base)}
    assert {one.digest for one in same} == {base.digest}
    others = [
        loaded(write(tmp_path / "others.npz", seed=1)),
        loaded(first, mean=(0.5,)),
        loaded(first, max_samples=8),
        loaded(first, public_pool=PublicPoolConfig()),
    ]
    assert len({digest(one) for one in [base, *others]}) == 5
    assert len({one.digest for one in [base, others[0], others[2], others[3]]}) == 4
    assert others[2].public is not None
    assert len(others[2].public) == 8
    assert others[3].public is None


def test_features_are_made_of_it(tmp_path: Path) -> None:
    """By the map of the own samples; the digest is that of what they were made of."""
    features = FeaturesConfig(name="patches", cache=str(tmp_path / "cache"))
    inputs = loaded(write(tmp_path / "pool.npz"), features=features)
    assert inputs.public is not None
    assert inputs.public.inputs.shape[1:] == inputs.train.inputs.shape[1:] != (1, 8, 8)
    assert digest(inputs) != digest(loaded(str(tmp_path / "pool.npz")))


def test_a_file_without_labels(tmp_path: Path) -> None:
    """The same pool, by content, as a set with labels; a folder is read in order of names, max_samples holds."""
    labelled = write(tmp_path / "pool.npz")
    np.savez(tmp_path / "bare.npz", inputs=np.load(labelled)["x_train"])
    bare = PublicPoolConfig(name="unlabeled", path=str(tmp_path / "bare.npz"), num_queries=5)
    assert digest(loaded("", public_pool=bare)) == digest(loaded(labelled))
    some = loaded("", public_pool=bare.model_copy(update={"max_samples": 8}))
    assert digest(some) == digest(loaded(labelled, max_samples=8))
    (tmp_path / "images").mkdir()
    for number, value in enumerate((255, 0)):
        Image.fromarray(np.full((8, 8), value, np.uint8)).save(tmp_path / "images" / f"{number}.png")
    folder = loaded("", public_pool=bare.model_copy(update={"path": str(tmp_path / "images")}))
    assert folder.public is not None
    torch.testing.assert_close(folder.public.inputs.mean((1, 2, 3)), torch.tensor([(1 - 0.25) / 0.5, -0.25 / 0.5]))


def test_a_table_without_targets(tmp_path: Path) -> None:
    """By the schema of the own table, whose target the pool does not have."""
    columns = [Column(name="x", kind="numeric", centre=30.0, scale=20.0)]
    columns.append(Column(name="y", kind="numeric", role="target", centre=60.0, scale=40.0))
    (tmp_path / "schema.yaml").write_text(text_of(TableSchema(columns=tuple(columns))))
    (tmp_path / "own.csv").write_text("x,y\n" + "".join(f"{i},{2 * i}.5\n" for i in range(60)))
    (tmp_path / "pool.csv").write_text("x\n10\n30\n")
    options = {"schema_file": str(tmp_path / "schema.yaml")}
    data = DataConfig(name="table", path=str(tmp_path / "own.csv"), options=options)
    pool = PublicPoolConfig(name="unlabeled", path=str(tmp_path / "pool.csv"), num_queries=5)
    inputs = loaded("", data=data, public_pool=pool, samples=SamplesConfig(), task="regression")
    assert inputs.public is not None
    assert inputs.public.inputs.flatten().tolist() == [-1.0, 0.0]


def test_own_samples_in_the_pool_are_told(tmp_path: Path) -> None:
    """Who names the own data set as public shows its own samples, and may learn from those it is tested on."""
    pool = PublicPoolConfig(name="digits", num_queries=5)
    notes = loaded("", public_pool=pool).bundle.notes
    assert "public pool: 90 of its samples are training samples here; is that meant?" in notes
    assert not any("test samples" in note for note in notes)
    assert not any("public pool" in note for note in loaded(write(tmp_path / "pool.npz")).bundle.notes)
    digits = load_digits(DataConfig(name="digits"))
    test = digits.test.inputs.numpy()
    np.savez(tmp_path / "test.npz", x_train=test, y_train=np.arange(len(test)) % 2, x_test=test[:2], y_test=[0, 1])
    assert (
        "public pool: 20 of its samples are test samples here; is that meant?"
        in loaded(str(tmp_path / "test.npz")).bundle.notes
    )


@pytest.mark.parametrize(
    ("of_pool", "words"),
    [
        ({"shape": (1, 4, 4)}, r"public_pool: its samples are torch.float32 of shape \(1, 4, 4\)"),
        ({"kind": np.uint8}, "public_pool: its samples are torch.uint8"),
        ({"labels": 1}, "public_pool: data set 'npz'"),
    ],
)
def test_a_pool_that_does_not_fit(tmp_path: Path, of_pool: dict[str, Any], words: str) -> None:
    """Found before anybody is met, in one line that names the section."""
    with pytest.raises(DataError, match=words):
        loaded(write(tmp_path / "pool.npz", **of_pool))


@pytest.mark.parametrize(
    ("pool", "words"),
    [
        ({"name": "npz", "path": "pool.npz"}, "num_queries: 0 asks about none of the pool"),
        ({"num_queries": 5}, "name: must be given"),
        ({"name": "unlabeled", "num_queries": 5}, "name: unlabeled needs a path"),
    ],
)
def test_a_key_without_effect_is_refused(pool: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        PublicPoolConfig.model_validate(pool)


def test_private_training_has_none() -> None:
    """Gradients of samples beside the labelled ones are not shortened one by one."""
    pool = PublicPoolConfig(name="npz", path="pool.npz", num_queries=5)
    training = TrainingConfig(dp=DpConfig(target_epsilon=8.0), trust="none")
    with pytest.raises(ValidationError, match=r"training.dp: .* set public_pool.name=null "):
        party(public_pool=pool, training=training)


def test_own_samples_are_told_where_there_are_features(tmp_path: Path) -> None:
    """Whatever the place of a sample among others has to do with the last digit of its features."""
    own = load_data(DataConfig(name="digits", max_train=90, max_test=20), "classification").train.inputs
    own = own.numpy()[::-1][:37].copy()
    np.savez(tmp_path / "own.npz", x_train=own, y_train=np.arange(37) % 2, x_test=own[:2], y_test=[0, 1])
    features = FeaturesConfig(name="patches", cache=str(tmp_path / "cache"))
    notes = loaded(str(tmp_path / "own.npz"), features=features).bundle.notes
    assert "public pool: 37 of its samples are training samples here; is that meant?" in notes
