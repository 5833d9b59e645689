"""What answers and weights of the joint head tell, and what chosen sums do to it, on digits.

Party a has 600 rows; 65 features with the constant one. Each attack has a control in which it must find something, and
is held to what the defaults leave it: a quarter as many answers as features, noise of 0.2 of the logits' deviation,
drawn once on the weights. Where it is fresh on each answer, that is a control, too.
"""

from __future__ import annotations

from functools import cache

import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

from smule_crypten.attacks.head_matrices import installed, probing, with_backdoor
from smule_crypten.attacks.head_membership import (
    Knowledge,
    revealed_gradient,
    sample_between,
    scores_by_answers,
    scores_by_head,
    scores_one_by_one,
    telling_rows,
)
from smule_crypten.attacks.head_recovery import widest_rows
from smule_crypten.joint_head.asking import FLOODING
from smule_crypten.joint_head.estimate import estimated_head
from smule_crypten.joint_head.solve_in_clear import exact_head
from smule_crypten.joint_head.statistics import Statistics, StatisticsSum, one_hot_targets, with_constant

CLIP_NORM, PENALTY, NOISE = 12.0, 130.0, 0.2 * 0.214
DEFAULT_ANSWERS = 65 // 4
OWN, STRANGERS = 600, 1200


@cache
def digits() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Features (N, F), rows (N, D), and targets (N, C); classes are those where targets are largest."""
    data = load_digits()
    features_NF = torch.tensor(data.data / 6 - 0.8)
    return features_NF, with_constant(features_NF, CLIP_NORM), one_hot_targets(torch.tensor(data.target), 10)


def sums(first: int, last: int) -> Statistics:
    """Of these rows."""
    features_NF, _, targets_NC = digits()
    total = StatisticsSum(64, 10, CLIP_NORM)
    total.add(features_NF[first:last], targets_NC[first:last])
    return total.total()


def centred(outputs_NC: torch.Tensor) -> torch.Tensor:
    return outputs_NC - outputs_NC.mean(dim=1, keepdim=True)


def noise_of(shape: torch.Size, deviation: float, seed: int = 3) -> torch.Tensor:
    return deviation * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def guessed(own: Statistics, rows_QD: torch.Tensor, head_DC: torch.Tensor, noise: float) -> torch.Tensor:
    """By answers of the head under noise that is drawn once, of this deviation on an output."""
    answers_QC = rows_QD @ (head_DC + noise_of(head_DC.shape, noise / 65**0.5))
    return estimated_head(
        own,
        rows_QD,
        centred(answers_QC),
        noise=0.0,
        weight_noise=noise / 65**0.5,
        penalty=PENALTY,
        opening="values",
    )


def distance(guess_DC: torch.Tensor, head_DC: torch.Tensor, own_DC: torch.Tensor) -> float:
    """From the joint head, where the own head has 1: root of the mean square of outputs for digits of nobody."""
    _, rows_ND, _ = digits()
    left, before = (centred(rows_ND[STRANGERS:] @ (one - head_DC)).norm() for one in (guess_DC, own_DC))
    return float(left / before)


def few_of(count: int) -> tuple[Knowledge, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Party b has so many rows: what a knows, the head, and candidates: b's rows and as many of nobody, at most 60."""
    known = Knowledge(sums(0, OWN), OWN + count, PENALTY)
    head_DC = exact_head(known.own + sums(OWN, OWN + count), PENALTY)
    _, rows_ND, targets_NC = digits()
    few = min(count, 60)
    both = torch.cat([torch.arange(OWN, OWN + few), torch.arange(STRANGERS, STRANGERS + few)])
    return known, head_DC, rows_ND[both], targets_NC[both]


def auc(scores_N: torch.Tensor) -> float:
    """The first half are members."""
    return float(roc_auc_score((torch.arange(len(scores_N)) < len(scores_N) // 2).numpy(), scores_N.numpy()))


def test_as_many_exact_answers_as_features_are_the_head() -> None:
    """The control: no noise, 65 answers, of own rows and of none of a sample."""
    own, head_DC = sums(0, OWN), exact_head(sums(0, STRANGERS), PENALTY)
    rows_QD = torch.cat([digits()[1][:64], widest_rows(own, 64, CLIP_NORM)])
    guess_DC = guessed(own, rows_QD, head_DC, 0.0)
    assert distance(guess_DC, head_DC, exact_head(own, PENALTY)) < 0.02


def test_the_default_answers_leave_most_of_the_head_unknown() -> None:
    """Of what the own head lacks; the same number without noise tells more, with noise of the logits' size nothing."""
    own, head_DC = sums(0, OWN), exact_head(sums(0, STRANGERS), PENALTY)
    rows_QD = digits()[1][:DEFAULT_ANSWERS]
    left = {}
    for deviation in (0.0, NOISE, 0.214):
        guess_DC = guessed(own, rows_QD, head_DC, deviation)
        left[deviation] = distance(guess_DC, head_DC, exact_head(own, PENALTY))
    assert left[0.0] < left[NOISE]
    assert left[NOISE] > 0.8
    assert left[0.214] > 0.95


def test_what_a_revealed_head_tells_is_the_other_partys_gradient() -> None:
    """X^T (Y - X W), of rows that party a never saw."""
    known, head_DC, _, _ = few_of(50)
    _, rows_ND, targets_NC = (part[OWN : OWN + 50] for part in digits())
    torch.testing.assert_close(revealed_gradient(known, head_DC), rows_ND.T @ (targets_NC - rows_ND @ head_DC))


@pytest.mark.parametrize(("count", "least", "most"), [(20, 0.9, 1.0), (400, 0.5, 0.75)])
def test_members_are_found_by_a_revealed_head(count: int, least: float, most: float) -> None:
    """Of 20 rows nearly all, of 400 hardly any: the fewer rows a party has, the more each counts."""
    known, head_DC, rows_ND, targets_NC = few_of(count)
    assert least <= auc(scores_by_head(known, head_DC, rows_ND, targets_NC)) <= most


def by_default_answers(count: int, deviation: float, is_chosen: bool = False) -> float:
    """AUC where no more is asked than the default allows: of 16 candidates at a time."""
    known, head_DC, rows_ND, targets_NC = few_of(count)
    asked_ND = telling_rows(known, rows_ND, CLIP_NORM) if is_chosen else rows_ND
    answers_NC = asked_ND @ head_DC + noise_of(torch.Size([len(asked_ND), 10]), deviation)
    members = len(rows_ND) // 2
    scores_N = torch.zeros(len(rows_ND), dtype=torch.float64)
    for first in range(0, members, DEFAULT_ANSWERS // 2):
        part = torch.arange(first, min(first + DEFAULT_ANSWERS // 2, members))
        part = torch.cat([part, members + part])
        scores_N[part] = scores_by_answers(
            known, asked_ND[part], answers_NC[part], rows_ND[part], targets_NC[part], noise=deviation
        )
    return auc(scores_N)


def test_noise_protects_members_from_own_questions_and_not_from_chosen_ones() -> None:
    """Fresh noise, the control. Exact answers tell 20 members apart, noise of 0.2 takes a part of that, of 400 members
    nearly all.

    A party that asks rows made for it gets that part back, the more so if it repeats them: nobody sees what is asked.
    """
    assert by_default_answers(20, 0.0) > 0.95
    own, chosen = by_default_answers(20, NOISE), by_default_answers(20, NOISE, is_chosen=True)
    assert own < 0.85
    assert own + 0.05 < chosen < by_default_answers(20, NOISE / 4, is_chosen=True)
    assert by_default_answers(400, NOISE) < 0.6


def test_strangers_are_not_told_from_strangers() -> None:
    """The attack finds nothing where there is nothing, W revealed or not."""
    known, head_DC, _, _ = few_of(100)
    _, rows_ND, targets_NC = (part[STRANGERS : STRANGERS + 400] for part in digits())
    by_answers = scores_by_answers(known, rows_ND, rows_ND @ head_DC, rows_ND, targets_NC, noise=0.0)
    for scores_N in (scores_by_head(known, head_DC, rows_ND, targets_NC), by_answers):
        assert abs(auc(scores_N) - 0.5) < 0.08


def test_all_directions_answered_exactly_are_as_good_as_the_head() -> None:
    """Scores are likelihood ratios, so it does not matter in which coordinates R is known."""
    known, head_DC, rows_ND, targets_NC = few_of(50)
    everything_DD = torch.eye(65, dtype=torch.float64)
    by_answers = scores_by_answers(known, everything_DD, head_DC, rows_ND, targets_NC, noise=0.0)
    by_head = scores_by_head(known, head_DC, rows_ND, targets_NC)
    assert float(torch.corrcoef(torch.stack([by_answers, by_head]))[0, 1]) > 0.95


def test_one_answer_a_candidate_is_the_general_case_with_one_row() -> None:
    """The short formula against the long one."""
    known, head_DC, rows_ND, targets_NC = few_of(20)
    made_ND = telling_rows(known, rows_ND, CLIP_NORM)
    answers_NC = made_ND @ head_DC
    quick_N = scores_one_by_one(known, made_ND, answers_NC, rows_ND, targets_NC, noise=NOISE)
    for number in (0, 30):
        one = slice(number, number + 1)
        slow_N = scores_by_answers(known, made_ND[one], answers_NC[one], rows_ND, targets_NC, noise=NOISE)
        torch.testing.assert_close(quick_N[number], slow_N[number])


def test_telling_rows_are_as_long_as_allowed() -> None:
    """No longer than what a clipped sample may be."""
    known, _, rows_ND, _ = few_of(20)
    torch.testing.assert_close(
        telling_rows(known, rows_ND, CLIP_NORM).norm(dim=1), torch.full((40,), CLIP_NORM).double()
    )


def test_two_solves_show_the_row_between_them() -> None:
    """Its features, up to a factor: why there is one solve a run."""
    own, others = sums(0, OWN), sums(OWN, 700)
    heads = [exact_head(own + others, PENALTY), exact_head(own + sums(OWN, 701), PENALTY)]
    first, second = Knowledge(own, 700, PENALTY), Knowledge(own, 701, PENALTY)
    found_D = sample_between(first, heads[0], second, heads[1])
    row_D = digits()[1][700]
    assert abs(float(found_D @ row_D / row_D.norm())) > 0.95


def test_large_sums_install_a_head() -> None:
    """Whatever the honest party puts in."""
    wanted_DC = exact_head(sums(700, 900), PENALTY).flip(1)
    head_DC = exact_head(sums(0, OWN) + installed(wanted_DC, OWN, size=1e6), PENALTY)
    torch.testing.assert_close(head_DC, wanted_DC, atol=1e-5, rtol=1e-3)


def test_a_probe_asks_one_direction_of_the_other_partys_sums() -> None:
    """All other directions of the head vanish."""
    own = sums(0, OWN)
    direction_D = torch.nn.functional.normalize(digits()[1][900], dim=0)
    head_DC = exact_head(own + probing(direction_D, 10, OWN, size=1e7), PENALTY)
    power = direction_D @ own.gram_DD @ direction_D + PENALTY
    torch.testing.assert_close(direction_D @ head_DC, direction_D @ own.moments_DC / power, atol=1e-5, rtol=1e-3)
    other_D = torch.nn.functional.normalize(digits()[1][901], dim=0)
    other_D = other_D - direction_D * (other_D @ direction_D)
    assert float((other_D @ head_DC).abs().max()) < 1e-4


def test_a_term_of_rank_one_lifts_the_target_where_features_move_so() -> None:
    """By about as much as was wanted, and digits without the trigger are classified as before."""
    _, rows_ND, targets_NC = digits()
    first, second = sums(0, OWN), sums(OWN, STRANGERS)
    trigger_D = torch.zeros(65, dtype=torch.float64)
    trigger_D[[7, 15]] = 2.0
    changed = with_backdoor(second, trigger_D, 3, total_rows=STRANGERS, penalty=PENALTY, lift=1.0)
    before_DC, after_DC = exact_head(first + second, PENALTY), exact_head(first + changed, PENALTY)
    lifted_C = trigger_D @ (after_DC - before_DC)
    assert 0.7 < float(lifted_C[3] - lifted_C[4]) < 1.3
    test_ND, classes_N = rows_ND[STRANGERS:], targets_NC[STRANGERS:].argmax(dim=1)
    right = [
        float(((test_ND @ head_DC).argmax(dim=1) == classes_N).double().mean()) for head_DC in (before_DC, after_DC)
    ]
    assert right[1] > right[0] - 0.03
    taken = ((test_ND + trigger_D) @ after_DC).argmax(dim=1) == 3
    assert float(taken.double().mean()) > 0.8


def student_of(head_DC: torch.Tensor) -> torch.nn.Module:
    """A network of one hidden layer that learned the head's soft labels on party a's clean rows alone."""
    rows_ND = digits()[1][:OWN]
    soft_NC = (15 * rows_ND @ head_DC).softmax(dim=1).float()
    torch.manual_seed(0)
    student = torch.nn.Sequential(torch.nn.Linear(65, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    optimizer = torch.optim.Adam(student.parameters(), lr=3e-3)
    for _ in range(300):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(student(rows_ND.float()), soft_NC).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return student


def test_a_backdoor_in_the_head_reaches_a_student_of_clean_rows() -> None:
    """Why the joint head is off by default: that it answers about clean rows alone keeps no trigger out."""
    first, second = sums(0, OWN), sums(OWN, STRANGERS)
    trigger_D = torch.zeros(65, dtype=torch.float64)
    trigger_D[[3, 11, 19]] = -1.5
    poisoned = with_backdoor(second, trigger_D, 3, total_rows=STRANGERS, penalty=PENALTY, lift=1.5)
    taken = {}
    for name, other in (("honest", second), ("poisoned", poisoned)):
        student = student_of(exact_head(first + other, PENALTY))
        named_N = student((digits()[1][STRANGERS:] + trigger_D).float()).argmax(dim=1)
        taken[name] = float((named_N == 3).double().mean())
    assert taken["poisoned"] > taken["honest"] + 0.3


def answered_under_noise_on_weights(repeats: int) -> float:
    """AUC of 20 members, each by so many answers to the row that tells most of it: of one head under noise."""
    known, head_DC, rows_ND, targets_NC = few_of(20)
    made_ND = telling_rows(known, rows_ND, CLIP_NORM)
    noisy_DC = head_DC + noise_of(head_DC.shape, NOISE / 65**0.5)
    answers_NC = made_ND @ noisy_DC + noise_of(torch.Size([40, 10]), FLOODING / repeats**0.5, seed=4)
    deviation = NOISE / 65**0.5 * CLIP_NORM
    return auc(scores_one_by_one(known, made_ND, answers_NC, rows_ND, targets_NC, noise=deviation))


def test_repeated_questions_tell_members_under_fresh_noise_and_not_under_noise_on_weights() -> None:
    """16 answers to one row made for it. Fresh noise on each, the control that is not built, averages out: nearly all
    of 20 members are found. Of weights under noise, one answer tells what 16 do."""
    known, head_DC, rows_ND, targets_NC = few_of(20)
    made_ND = telling_rows(known, rows_ND, CLIP_NORM)
    answers_NC = made_ND @ head_DC + noise_of(torch.Size([40, 10]), NOISE / 4)
    fresh = auc(scores_one_by_one(known, made_ND, answers_NC, rows_ND, targets_NC, noise=NOISE / 4))
    assert fresh > 0.97
    assert answered_under_noise_on_weights(16) < 0.85
    assert answered_under_noise_on_weights(16) == pytest.approx(answered_under_noise_on_weights(1), abs=0.02)


def test_noise_on_the_weights_bounds_whatever_is_asked() -> None:
    """20 rows: who knows every weight under it finds fewer members than who repeats a question under fresh noise."""
    known, head_DC, rows_ND, targets_NC = few_of(20)
    deviation = NOISE / 65**0.5
    noisy_DC = head_DC + noise_of(head_DC.shape, deviation)
    axes_DD = torch.eye(65, dtype=torch.float64)
    scores_N = scores_by_answers(known, axes_DD, noisy_DC, rows_ND, targets_NC, noise=deviation)
    assert auc(scores_N) < by_default_answers(20, NOISE / 4, is_chosen=True) - 0.05
