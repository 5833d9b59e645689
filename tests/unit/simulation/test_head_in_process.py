"""A joint head in one process: against ridge regression on the rows of both by scikit-learn, and what it costs."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from smule_crypten.config.exchange import ExchangeConfig
from smule_crypten.config.joint_head import DEVIATION, JointHeadConfig
from smule_crypten.config.party import PartySection, SamplesConfig
from smule_crypten.config.run import RunConfig
from smule_crypten.config.sections import DataConfig, ModelConfig, OptimizerConfig, PartitionConfig, TrainingConfig
from smule_crypten.config.simulation import SimulationConfig
from smule_crypten.joint_head.asking import FLOODING
from smule_crypten.joint_head.head_rows import own_statistics
from smule_crypten.joint_head.knowledge import SHARPNESS
from smule_crypten.joint_head.solve_in_clear import exact_head
from smule_crypten.simulation.in_process import InProcess
from smule_crypten.simulation.joint_head import answers_of, own_head_answers
from smule_crypten.training.evaluate import predict_logits

CPU = torch.device("cpu")
RIDGE = JointHeadConfig(name="ridge", answers=40)


def configured(head: JointHeadConfig) -> RunConfig:
    section = PartySection(model=ModelConfig(name="mlp"), samples=SamplesConfig(validation=0.2, unlabeled=20))
    return RunConfig(
        allow_insecure=True,
        data=DataConfig(name="digits", mean=(0.3,), std=(0.4,), max_train=900),
        partition=PartitionConfig(name="dirichlet", alpha=0.1),
        party_a=section,
        party_b=section,
        exchange=ExchangeConfig(num_queries=100, every=2),
        training=TrainingConfig(
            epochs=6, batch_size=16, balanced_softmax=True, optimizer=OptimizerConfig(learning_rate=0.05)
        ),
        simulation=SimulationConfig(fidelity=False),
        joint_head=head,
    )


@cache
def both() -> InProcess:
    return InProcess(configured(RIDGE))


def ridge_logits(learners: tuple[int, ...], inputs_NX: torch.Tensor) -> np.ndarray:
    """scikit-learn's, of the labelled rows of some parties; inputs are far below the clipping norm."""
    held = [both().learners[rank].holding.train for rank in learners]
    x = np.concatenate([part.inputs.flatten(1).double().numpy() for part in held])
    targets = np.concatenate([part.targets.numpy() for part in held])
    with_one = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    fitted = Ridge(alpha=2.0 * 65, fit_intercept=False).fit(with_one, np.eye(10)[targets] - 0.1)
    asked = inputs_NX.flatten(1).double().numpy()
    return SHARPNESS * np.asarray(fitted.predict(np.concatenate([asked, np.ones((len(asked), 1))], axis=1)))


def test_the_head_is_ridge_regression_on_all_rows() -> None:
    """The rows of both, whoever has them; each party's control is the same on its own."""
    here = both()
    heads, test = here.heads, here.simulated.data.test
    assert heads is not None
    found = SHARPNESS * heads.features.rows_of(test) @ heads.weights_DC
    assert np.allclose(found.numpy(), ridge_logits((0, 1), test.inputs), atol=1e-5)
    for rank, learner in enumerate(here.learners):
        held_out = learner.holding.validation
        _, logits_NC = own_head_answers(here.run, here.simulated.data.bundle, learner).of(held_out.sample_ids)
        assert np.allclose(logits_NC.numpy(), ridge_logits((rank,), held_out.inputs), atol=1e-4)


def test_a_penalty_that_is_raised_is_that_of_the_joint_head_alone() -> None:
    """Errors of the solve's products allow no less; of a party's own head, which is judged against, nothing is solved
    under sharing."""
    here = InProcess(configured(RIDGE.model_copy(update={"penalty": 1e-3})))
    assert here.heads is not None
    statistics = [
        own_statistics(here.heads.features, "classification", learner.holding.train, 10) for learner in here.learners
    ]
    joint = statistics[0] + statistics[1]
    raised = here.heads.sizes.penalty(joint.rows)
    assert raised > 5
    torch.testing.assert_close(here.heads.weights_DC, exact_head(joint, raised))
    assert float((here.heads.weights_DC - exact_head(joint, 1e-3)).abs().max()) > 1e-3
    held_out = here.learners[0].holding.validation
    _, logits_NC = own_head_answers(here.run, here.simulated.data.bundle, here.learners[0]).of(held_out.sample_ids)
    own = SHARPNESS * here.heads.features.rows_of(held_out) @ exact_head(statistics[0], 1e-3)
    torch.testing.assert_close(logits_NC, own.float(), atol=1e-3, rtol=1e-3)


def test_each_party_learns_of_the_head_under_the_other_ones_noise() -> None:
    """0.2 of 0.214 on an output of a row of norm sqrt(D), of either party its own; two answers to the same row differ
    by the fresh noise alone."""
    heads = both().heads
    assert heads is not None
    noises = [told_DC - heads.weights_DC for told_DC in heads.told_DC]
    for noise_DC in noises:
        assert float(noise_DC.std()) * 65**0.5 == pytest.approx(0.2 * DEVIATION, rel=0.1)
    assert abs(float(torch.corrcoef(torch.stack([noise_DC.flatten() for noise_DC in noises]))[0, 1])) < 0.2
    rows_ND = heads.features.rows_of(both().simulated.data.test)
    outputs_NC = rows_ND @ heads.told_DC[0]
    first_NC, second_NC = (answers_of(rows_ND, heads.told_DC[0], heads.sizes, seed) for seed in (3, 4))
    off_NC = first_NC - (outputs_NC - outputs_NC.mean(dim=1, keepdim=True))
    assert float(off_NC.std()) == pytest.approx(FLOODING * (9 / 10) ** 0.5, rel=0.05)
    assert float((first_NC - second_NC).std()) == pytest.approx(FLOODING * (18 / 10) ** 0.5, rel=0.05)
    assert float(off_NC.sum(dim=1).abs().max()) < 1e-9
    assert float((heads.knowledge[0].weights_DC - heads.told_DC[0]).abs().max()) > 1e-3


def test_costs_are_those_of_the_protocols() -> None:
    """Of the solve and of both directions of asking, as the run's plan counts them; what one sends the other gets."""
    here = both()
    assert here.heads is not None
    of_a, of_b = (known.cost for known in here.heads.knowledge)
    assert (of_a.bytes_sent, of_a.bytes_received) == (of_b.bytes_received, of_b.bytes_sent)
    assert of_a.bytes_total == here.heads.sizes.most_bytes == here.plan.head_bytes
    assert [known.num_answers for known in here.heads.knowledge] == [40, 40]
    disclosed = [known.disclosure for known in here.heads.knowledge]
    assert [None if one is None else (one.to_party, one.num_samples) for one in disclosed] == [("b", 40), ("a", 40)]


def test_skewed_parties_learn_from_it() -> None:
    """Both networks come far beyond what each was alone, and keep what the head taught; without a head, the same run
    tells no losses."""
    here = both()
    alone = here.alone(0), here.alone(1)
    parties = here.mutual(alone)
    gains = [party.accuracy - before.accuracy for party, before in zip(parties, alone, strict=True)]
    assert min(gains) > 0.02
    assert max(gains) > 0.2
    assert [party.best.name for party in parties] == ["", ""]
    weights = [party._trainer.teacher.weights for party in parties]
    assert min(head for _, _, head in weights) >= 0.5

    plain = InProcess(configured(JointHeadConfig()))
    assert plain.heads is None
    trainer = plain.learners[0].taught_trainer(plain.learners[0].network(), _Nothing(), None, lambda: None)
    assert trainer.teacher is not None
    assert trainer.teacher.losses is None


class _Nothing:
    def lookup(self, sample_ids: torch.Tensor) -> None:
        return None


def test_the_control_learns_from_own_rows_alone() -> None:
    """own_head gives no classes that the party lacks: it ends below what the joint head teaches."""
    here = both()
    rank = min((0, 1), key=lambda rank: len(here.learners[rank].holding.train.targets.unique()))
    finished = here.alone(rank)
    control = here.control("own_head", rank, finished)
    test = here.simulated.data.test
    lacking = [number for number in range(10) if int((here.learners[rank].holding.train.targets == number).sum()) == 0]
    assert lacking
    said = predict_logits(control.model, test.inputs, 512, CPU).argmax(1)
    assert int(torch.isin(said, torch.tensor(lacking)).sum()) < 0.02 * len(said)
    assert control.accuracy is not None
