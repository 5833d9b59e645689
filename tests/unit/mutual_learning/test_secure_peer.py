from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_scheme import BOUND, IDS, INPUT_BOUND, MODEL, PEER_STEP, TERMS, FakeScheme, make_asker
from torch import nn

from smule_crypten.config.party import DisclosureConfig
from smule_crypten.errors import BudgetError, DataError, ProtocolError, SpotCheckError, UnshareableModelError
from smule_crypten.mutual_learning.disclosures import read_ledger
from smule_crypten.mutual_learning.peer import AnsweringNetwork
from smule_crypten.training.three_teachers import NUM_LOSSES
from smule_crypten.types import Disclosure


@pytest.mark.parametrize("rank", [0, 1])
def test_queries_of_one_exchange(tmp_path: Path, rank: int) -> None:
    """Own and peer's query name the right owners, numbers of samples and model steps; inputs only in the own one."""
    scheme = FakeScheme(rank)
    asker = make_asker(scheme, tmp_path, num_queries=3)
    result = asker.run(MODEL, model_step=5)
    # Pixels reach 1000, the margin is 16, and the bound is rounded up to a power of two.
    own = {"logit_bound": 2.0**14, "input_bound": INPUT_BOUND, "logit_noise": 0.25}
    assert scheme.announced == [{"query_id": 1, "num_samples": 3, "model_step": 5, **own}]
    assert scheme.prepared == [{"prepared_query": 1, "num_samples": 3}]
    assert scheme.begun == [(2, (3, 2) if rank == 0 else (2, 3))]
    [(answerer, asked, answered)] = scheme.exchanges
    assert [answerer] == scheme.answerers
    assert [rule.num_answers for rule in scheme.noise_rules] == [asker.peer._budget.limit]
    assert (asked.model_owner, asked.data_owner, asked.num_samples, asked.model_step) == (1 - rank, rank, 3, PEER_STEP)
    assert (answered.model_owner, answered.data_owner, answered.num_samples, answered.model_step) == (
        rank,
        1 - rank,
        2,
        5,
    )
    assert answered.inputs is None
    assert answered.sample_ids is None
    assert result.disclosure == Disclosure(query_id=1, to_party="ba"[rank], num_samples=2, model_step=5)
    assert (result.num_asked, result.num_dropped) == (3, 0)
    # The preparation and an announcement of 20 bytes.
    assert (result.cost.rounds, result.cost.bytes_total) == (2, 40)


def test_what_was_prepared_is_what_is_asked(tmp_path: Path) -> None:
    """Preparing ahead begins the exchange once, and counts to its cost; a peer that then asks more is refused."""
    scheme = FakeScheme()
    asker = make_asker(scheme, tmp_path, num_queries=3)
    asker.prepare()
    assert (scheme.begun, scheme.announced) == ([(2, (3, 2))], [])
    assert asker.run(MODEL, model_step=5).cost.rounds == 2
    assert scheme.begun == [(2, (3, 2))]
    other = FakeScheme(prepares={"prepared_query": 1, "num_samples": 1})
    with pytest.raises(ProtocolError, match="party b asks about another number of samples than it prepared"):
        make_asker(other, tmp_path / "other", num_queries=3).run(MODEL, model_step=5)
    assert other.exchanges == []


def test_images_and_answers_belong_to_the_asked_ids(tmp_path: Path) -> None:
    """Ids are in no order; each must be asked with its own image, and its answer kept under the same id."""
    scheme = FakeScheme()
    asker = make_asker(scheme, tmp_path)
    result = asker.run(MODEL, model_step=5)
    [(_, asked, _)] = scheme.exchanges
    assert asked.sample_ids is not None
    assert asked.inputs is not None
    assert sorted(asked.sample_ids.tolist()) == sorted(IDS.tolist())
    assert torch.equal(asked.inputs.flatten(), asked.sample_ids.float())
    assert torch.equal(result.prediction.logits_NC[:, 0], result.prediction.sample_ids.float())
    assert result.prediction.model_step == PEER_STEP


def test_queries_are_numbered_and_do_not_repeat(tmp_path: Path) -> None:
    """Two exchanges of two cover all four samples; the query ids count up."""
    scheme = FakeScheme()
    asker = make_asker(scheme, tmp_path, num_queries=2)
    results = [asker.run(MODEL, model_step) for model_step in (5, 6)]
    asked = torch.cat([result.prediction.sample_ids for result in results])
    assert sorted(asked.tolist()) == sorted(IDS.tolist())
    assert [result.prediction.query_id for result in results] == [1, 2]
    assert [message["model_step"] for message in scheme.announced] == [5, 6]


@pytest.mark.parametrize("logit", [BOUND * 1.01, -(2.0**47), float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("spot_checks", [0, 2])
def test_implausible_answers_are_dropped_in_silence(tmp_path: Path, logit: float, spot_checks: int) -> None:
    """One truncation that wrapped around would dominate the loss. The peer learns nothing: it sees the same messages
    and the same numbers as without."""
    heard = []
    for damage in ({}, {1000: logit}):
        scheme = FakeScheme()
        scheme.damage = [damage]
        asker = make_asker(scheme, tmp_path / str(len(damage)), spot_checks=spot_checks)
        result = asker.run(MODEL, model_step=5)
        asked = [(asked.num_samples, answered.num_samples) for _, asked, answered in scheme.exchanges]
        heard.append((scheme.prepared, scheme.announced, scheme.begun, asked, result.cost))
    assert heard[0] == heard[1]
    assert (result.num_asked, result.num_dropped) == (4, 1)
    assert sorted(result.prediction.sample_ids.tolist()) == [3, 7, 40]
    assert torch.equal(result.prediction.logits_NC[:, 0], result.prediction.sample_ids.float())


def test_a_run_goes_on_without_any_plausible_answer(tmp_path: Path) -> None:
    """To end it would tell the peer what this party's samples are like."""
    scheme = FakeScheme()
    scheme.damage = [dict.fromkeys(IDS.tolist(), 2.0**40)]
    asker = make_asker(scheme, tmp_path)
    assert asker.run(MODEL, model_step=5).num_dropped == 4
    assert asker.run(MODEL, model_step=6).num_dropped == 0


def test_large_but_plausible_answers_are_kept(tmp_path: Path) -> None:
    """A confident network is not an error."""
    scheme = FakeScheme()
    scheme.damage = [{1000: BOUND}]
    assert make_asker(scheme, tmp_path).run(MODEL, model_step=5).num_dropped == 0


def test_query_is_charged_before_it_is_answered(tmp_path: Path) -> None:
    """A query beyond the budget is refused before any computation; one within it stands in the ledger."""
    scheme = FakeScheme()
    asker = make_asker(scheme, tmp_path, num_queries=2)
    asker.peer._budget.plan("b", [], can_repeat=False)
    with pytest.raises(BudgetError, match=r"party b asks for 2 answers, the plan of this run, of 0 answers, leaves 0"):
        asker.run(MODEL, model_step=5)
    assert scheme.exchanges == []
    assert not (tmp_path / "disclosures.jsonl").exists()
    asker = make_asker(scheme, tmp_path, num_queries=2)
    asker.ask(MODEL, model_step=5)
    assert scheme.exchanges == []
    assert [entry.num_samples for entry in read_ledger(tmp_path / "disclosures.jsonl")] == [2]
    asker.peer.answers()
    assert len(scheme.exchanges) == 1


def test_a_budget_that_cannot_suffice_is_refused_at_the_beginning(tmp_path: Path) -> None:
    """Not in the middle of a run that both have paid for; the plan counts second answers."""
    scheme = FakeScheme()
    with pytest.raises(BudgetError, match=r"may ask for 30 answers in 10 exchange.*total=29 leaves 29; 30 would do"):
        make_asker(scheme, tmp_path, DisclosureConfig(max_answers_total=29), num_queries=2, spot_checks=1)
    assert scheme.begun == []


@pytest.mark.parametrize(
    ("pixel", "error", "message"),
    [
        (float("inf"), DataError, "sample 1000 holds a value that is not finite"),
        (2.0**27, UnshareableModelError, r"layer .*lower scheme\.precision_bits"),
    ],
)
def test_values_beyond_the_range_are_refused(
    tmp_path: Path, pixel: float, error: type[Exception], message: str
) -> None:
    """What does not fit fixed point would wrap around silently: inputs by sample, layers by name."""
    scheme = FakeScheme()
    with pytest.raises(error, match=message):
        make_asker(scheme, tmp_path, largest=pixel).run(MODEL, model_step=5)
    assert scheme.announced == []


def test_a_resumed_peer_counts_on(tmp_path: Path) -> None:
    """The numbers of exchanges go on where they stopped."""
    cut_off, resumed = (make_asker(FakeScheme(), tmp_path / name, num_queries=2) for name in "ab")
    cut_off.run(MODEL, model_step=5)
    resumed.peer.load_state_dict(cut_off.peer.state_dict())
    assert resumed.peer.next_number == 2
    assert resumed.run(MODEL, model_step=6).prediction.query_id == 2


def test_a_network_that_changed_its_ways_is_refused(tmp_path: Path) -> None:
    """What the scheme would compute must be what the network says with the weights that it has now."""

    class Moody(nn.Flatten):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return super().forward(inputs) + torch.rand(())

    scheme = FakeScheme()
    with pytest.raises(UnshareableModelError):
        make_asker(scheme, tmp_path).run(Moody(), model_step=5)
    assert scheme.announced == []


def test_a_spot_check_compares_answers(tmp_path: Path) -> None:
    """A wrong but plausible answer is found when asked again, and named; without a check it is kept."""
    scheme = FakeScheme()
    scheme.damage = [{1000: 5.0}]
    asker = make_asker(scheme, tmp_path, spot_checks=4)
    with pytest.raises(
        SpotCheckError, match="spot check of exchange 1: 1 of 4 answers of the other party differ when asked again"
    ):
        asker.run(MODEL, model_step=5)
    assert [message["num_samples"] for message in scheme.announced] == [4]
    unchecked = FakeScheme()
    unchecked.damage = [{1000: 5.0}]
    assert make_asker(unchecked, tmp_path / "b").run(MODEL, model_step=5).num_dropped == 0


def test_a_passed_spot_check_costs_queries_and_changes_nothing(tmp_path: Path) -> None:
    """What the peer asks again is charged to it before that: nothing proves that it asks about the same samples."""
    scheme = FakeScheme()
    result = make_asker(scheme, tmp_path, spot_checks=1).run(MODEL, model_step=5)
    assert result.num_dropped == 0
    assert result.disclosure.num_samples == 3
    assert result.prediction.cost.rounds == 2
    assert scheme.begun == [(2, (4, 2)), (3, (1, 1))]
    entries = read_ledger(tmp_path / "disclosures.jsonl")
    assert [(entry.kind, entry.num_samples) for entry in entries] == [("first", 2), ("second", 1)]


@pytest.mark.parametrize(("spot_checks", "own", "peer"), [(3, 3, 2), (100, 4, 2)])
def test_the_number_of_second_questions_is_fixed(tmp_path: Path, spot_checks: int, own: int, peer: int) -> None:
    """It follows from what both agreed on: neither the answers nor the peer can change it."""
    scheme = FakeScheme()
    scheme.damage = [dict.fromkeys(IDS.tolist(), float("nan"))]
    make_asker(scheme, tmp_path, spot_checks=spot_checks).run(MODEL, model_step=5)
    assert scheme.begun == [(2, (4, 2)), (3, (own, peer))]
    [_, (_, asked, answered)] = scheme.exchanges
    assert (asked.num_samples, answered.num_samples) == (own, peer)


def test_inputs_that_the_peers_network_was_not_fitted_for_are_not_sent(tmp_path: Path) -> None:
    """Sample 1000 is larger than the peer's bound: zeros go in its place, its answer is dropped and counted, and the
    number of questions stays what was agreed on.
    """
    announced = {"query_id": 1, "num_samples": 2, "model_step": PEER_STEP, **TERMS, "input_bound": 64.0}
    scheme = FakeScheme(announces=announced)
    asker = make_asker(scheme, tmp_path, num_queries=4)
    result = asker.run(MODEL, model_step=5)
    [(_, asked, _)] = scheme.exchanges
    assert asked.inputs is not None
    assert sorted(asked.inputs.flatten().tolist()) == [0.0, 3.0, 7.0, 40.0]
    assert (result.num_asked, result.num_dropped) == (4, 1)
    assert 1000 not in result.prediction.sample_ids


@pytest.mark.parametrize(("logit_noise", "passes"), [(0.0, False), (0.4, False), (0.6, True)])
def test_a_spot_check_tolerates_the_announced_noise(tmp_path: Path, logit_noise: float, passes: bool) -> None:
    """Ten times its standard deviation: an honest peer that adds noise is not accused."""
    scheme = FakeScheme(
        announces={"query_id": 1, "num_samples": 2, "model_step": PEER_STEP, **TERMS, "logit_noise": logit_noise}
    )
    scheme.damage = [{}, {sample: -sample + 5.0 for sample in IDS.tolist()}]
    asker = make_asker(scheme, tmp_path, num_queries=4, spot_checks=4)
    if passes:
        asker.run(MODEL, model_step=5)
    else:
        with pytest.raises(SpotCheckError):
            asker.run(MODEL, model_step=5)


def test_losses_are_entered_before_they_are_told(tmp_path: Path) -> None:
    """With a joint head: a line for the numbers that the announcement bears, and none of them is an answer."""
    told, at_that_time = [0.5] * NUM_LOSSES, []

    class Watched(FakeScheme):
        def announce(self, message: Any) -> Any:
            if "losses" in message:
                at_that_time.append([entry.kind for entry in read_ledger(tmp_path / "disclosures.jsonl")])
            return super().announce(json.loads(json.dumps(message)))

    asker = make_asker(Watched(), tmp_path, num_queries=3)
    for number, losses in enumerate((told, []), 1):
        question = asker._images.of_ids(asker._plan.next(3))
        asker.peer.ask(question, AnsweringNetwork(MODEL, 5, "some network"), losses)
        assert asker.peer.answers().peer_losses == tuple(losses)
        assert asker.peer._budget.answered == 2 * number
    entries = [(entry.kind, entry.query_id, entry.num_samples) for entry in read_ledger(tmp_path / "disclosures.jsonl")]
    assert entries == [("joint_head_losses", 1, NUM_LOSSES), ("first", 1, 2), ("first", 2, 2)]
    assert at_that_time == [["joint_head_losses"], ["joint_head_losses", "first"]]
