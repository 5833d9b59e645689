from __future__ import annotations

import pytest
import torch

from smule_crypten.attacks.attack import Attack
from smule_crypten.attacks.table import make_attack
from smule_crypten.attacks.triggers import make_trigger
from smule_crypten.config.sections import AttackConfig
from smule_crypten.data.samples import Samples
from smule_crypten.errors import ConfigError


def attack(name: str, train: Samples, **options: object) -> Attack:
    return make_attack(AttackConfig.model_validate({"name": name, "options": options}), train, 4, seed=0)


def test_symmetric_flips(stripes: Samples) -> None:
    """Exactly the stated share of labels changes, each to another class, all of which occur; images stay."""
    poisoned = attack("label_flip", stripes, fraction=0.3).poisoned(stripes)
    changed_N = poisoned.targets != stripes.targets
    assert int(changed_N.sum()) == 120
    assert poisoned.targets[changed_N].unique().tolist() == [0, 1, 2, 3]
    assert torch.equal(poisoned.inputs, stripes.inputs)
    assert torch.equal(poisoned.sample_ids, stripes.sample_ids)


def test_targeted_flips(stripes: Samples) -> None:
    """Half of class 1 becomes class 3 and nothing else changes; success is the share of class 1 taken for 3."""
    flips = attack("label_flip", stripes, fraction=0.5, source=1, target=3)
    poisoned = flips.poisoned(stripes)
    changed_N = poisoned.targets != stripes.targets
    assert (int(changed_N.sum()), set(stripes.targets[changed_N].tolist())) == (50, {1})
    assert set(poisoned.targets[changed_N].tolist()) == {3}
    answers = torch.nn.functional.one_hot(stripes.targets, 4).float()
    answers[(stripes.targets == 1).nonzero()[:25, 0]] = torch.tensor([0.0, 0.0, 0.0, 1.0])
    assert flips.success(lambda images: answers, stripes) == 0.25


@pytest.mark.parametrize(("clean_label", "count"), [(False, 40), (True, 10)])
def test_backdoor_data(stripes: Samples, clean_label: bool, count: int) -> None:
    """Dirty: a share of all samples, none of class target before, all of it after. Clean: a share of class target."""
    poisoned = attack("backdoor", stripes, fraction=0.1, target=2, clean_label=clean_label).poisoned(stripes)
    stamped_N = (poisoned.inputs != stripes.inputs).flatten(1).any(1)
    assert int(stamped_N.sum()) == count
    assert set(poisoned.targets[stamped_N].tolist()) == {2}
    assert (2 in stripes.targets[stamped_N]) is clean_label
    assert torch.equal(poisoned.targets[~stamped_N], stripes.targets[~stamped_N])


def test_backdoor_success_counts_other_classes_with_the_trigger(stripes: Samples) -> None:
    """A network that sees the corner pixel is fully taken in, one that does not is not; class target does not count."""
    backdoor = attack("backdoor", stripes, target=2)
    corner = stripes.inputs.max()

    def gullible(inputs_NX: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(len(inputs_NX), 4)
        logits[:, 2] = (inputs_NX[:, 0, -1, -1] == corner).float()
        logits[:, 1] = 0.5
        return logits

    assert backdoor.success(gullible, stripes) == 1.0
    assert backdoor.success(lambda images: torch.eye(4)[stripes.targets], stripes) == 0.0


def test_triggers(stripes: Samples) -> None:
    """A patch changes a corner only; a blended pattern all pixels by its share. Both stay in the range of the data."""
    images = stripes.inputs
    patched = make_trigger("patch", images, 1.0, seed=0).stamp(images)
    assert (patched != images).any(0).any(0).nonzero().min(0).values.tolist() == [6, 6]
    assert torch.equal(patched[..., :6, :], images[..., :6, :])
    blended = make_trigger("blended", images, 0.2, seed=0)
    assert torch.allclose(blended.stamp(images) - 0.8 * images, 0.2 * blended.pattern_CHW, atol=1e-6)
    for stamped in (patched, blended.stamp(images)):
        assert images.min() <= stamped.min()
        assert stamped.max() <= images.max()


def test_the_same_seed_poisons_the_same(stripes: Samples) -> None:
    """The parent of a simulation repeats what the adversary did."""
    first, second = (attack("backdoor", stripes, trigger="blended").poisoned(stripes) for _ in range(2))
    assert torch.equal(first.inputs, second.inputs)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("label_flip", {"source": 1}, "give source and target"),
        ("label_flip", {"source": 1, "target": 1}, "give source and target"),
        ("backdoor", {"target": 4}, r"attack.options.target=4 is no class; the data has 0 to 3"),
        ("backdoor", {"trigger": "star"}, "attack.options.trigger"),
        ("answers", {"source": 2, "target": 2}, "two different classes"),
        ("answers", {"kinds": "random"}, "attack.options.kinds: unknown option"),
    ],
)
def test_impossible_options(stripes: Samples, name: str, options: dict[str, object], message: str) -> None:
    """A mistake in attack.options is refused in one line."""
    with pytest.raises(ConfigError, match=message):
        attack(name, stripes, **options)


@pytest.mark.parametrize("shape", [(7,), (2, 9)], ids=str)
@pytest.mark.parametrize("trigger", ["patch", "blended"])
def test_triggers_are_for_images(shape: tuple[int, ...], trigger: str) -> None:
    """An attack with a trigger is refused on vectors and series, with what to choose instead; others work there."""
    samples = Samples(torch.randn(8, *shape), torch.arange(8) % 4, torch.arange(8))
    with pytest.raises(ConfigError, match=r"attack: triggers are for images, .* set attack=label_flip"):
        attack("backdoor", samples, trigger=trigger)
    assert len(attack("label_flip", samples, fraction=0.5).poisoned(samples)) == 8
