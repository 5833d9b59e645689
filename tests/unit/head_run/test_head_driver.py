"""The joint head between two parties: right, paid for as said, entered before it is sent, and right after any cut."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import torch
from head_parties import CLIP_NORM, RIDGE, Pair, Party, data, kinds, sizes, statistics

from smule_crypten.errors import BudgetError, ConfigError, DataError, OutputError, PeerError
from smule_crypten.head_run.revealing import REVEAL_NOISE, check_classes, check_rows
from smule_crypten.head_run.state import HEAD_FILE
from smule_crypten.joint_head.integers import as_weights
from smule_crypten.joint_head.solve_in_clear import exact_head
from smule_crypten.joint_head.statistics import with_constant
from smule_crypten.mpc.packing import packed_bytes
from smule_crypten.mutual_learning.head_budget import HeadBudget
from smule_crypten.mutual_learning.kept_ledger import KeptLedger

CHECK_BYTES = packed_bytes(16, 64)
SOLVE_MESSAGES = 1 + 1 + 2 + 6 + 1
"""Of the announcement, the key, step 1, six iterations and the check, at P; Q has as many and one more."""


def expected_head(pair: Pair) -> torch.Tensor:
    first, second = (statistics(pair.rows[rank], rank, pair.scales[rank]) for rank in (0, 1))
    return exact_head(first + second, RIDGE)


def check_right(pair: Pair, parties: tuple[Party, Party]) -> None:
    """Shares add up to the head of both parties' rows, and answers are what it says, under noise."""
    states = [party.state for party in parties]
    assert states[0] is not None
    assert states[1] is not None
    assert states[0].solve == states[1].solve
    found_DC = as_weights(states[0].share_DC + states[1].share_DC)
    torch.testing.assert_close(found_DC, expected_head(pair), atol=0.02, rtol=0)
    for rank, state in enumerate(states):
        assert state.answers_NC is not None
        rows_ND = with_constant(data(10, seed=rank)[0], CLIP_NORM)[: pair.asks[rank]]
        outputs_NC = rows_ND @ expected_head(pair)
        left_NC = state.answers_NC - (outputs_NC - outputs_NC.mean(dim=1, keepdim=True))
        assert float(left_NC.abs().max()) < 5 * pair.sizes.sigma


def test_both_get_a_share_and_answers(tmp_path: Path) -> None:
    """Party b has more rows and preconditions; noise is on the answers."""
    pair = Pair(tmp_path)
    parties = pair.complete()
    check_right(pair, parties)
    assert parties[0].state is not None
    assert parties[0].state.rows == pair.rows
    assert "5 features, 200 rows of party a and 300 of party b" in parties[0].said[0]
    assert "party a got 6 answers of it and gave 5, under noise of 0.043" in parties[0].said[-1]
    assert [len(party.said) for party in parties] == [3, 1]


@pytest.mark.parametrize("rows", [(200, 300), (300, 200), (250, 250), (400, 0)])
def test_cost_on_the_wire_is_the_one_said_before(tmp_path: Path, rows: tuple[int, int]) -> None:
    """Bytes and rounds, exactly, in a phase of their own; party a preconditions where both have as many rows."""
    pair = Pair(tmp_path, rows=rows)
    parties = pair.complete()
    check_right(pair, parties)
    for party in parties:
        mine, theirs = pair.asks[party.rank], pair.asks[1 - party.rank]
        is_P = (rows[0] >= rows[1]) == (party.rank == 0)
        solve, answers = pair.sizes.solve_cost(is_P=is_P), pair.sizes.answers_cost(mine, theirs)
        counted = party.channel.meter.total("joint head")
        assert counted == solve + answers
        assert party.channel.meter.total("keys").bytes_total == 2 * 2 * 32
        assert party.state is not None
        assert party.state.solve_cost == {key: getattr(solve, key) for key in party.state.solve_cost}
        assert party.state.opening_cost == {key: getattr(answers, key) for key in party.state.opening_cost}
    most = pair.sizes.most_bytes
    assert (
        most
        == parties[0].channel.meter.total("joint head").bytes_total
        + (pair.sizes.answers_cost(6, 6) - pair.sizes.answers_cost(6, 5)).bytes_total
    )


def test_a_second_attempt_is_paid_and_entered_too(tmp_path: Path) -> None:
    """A bound that is too small: the check fails once, both open other numbers, and the head is right all the same."""
    pair = Pair(tmp_path, sizes(bound=1.5, iterations=12), scales=(1.0, 0.4))
    parties = pair.complete()
    check_right(pair, parties)
    for party in parties:
        assert party.state is not None
        assert party.state.attempts == 2
        cost = pair.sizes.solve_cost(is_P=party.rank == 1, attempts=2)
        assert party.state.solve_cost == {key: getattr(cost, key) for key in party.state.solve_cost}
        assert kinds(party)[:2] == [("joint_head_check", 1, 16)] * 2


def test_everything_is_entered_before_it_is_sent(tmp_path: Path) -> None:
    """The check's numbers and answers: the line is in the ledger when the message leaves."""
    pair = Pair(tmp_path)
    for party in pair.complete():
        given = pair.asks[1 - party.rank]
        assert kinds(party) == [("joint_head_check", 1, 16), ("joint_head", 1, given)]
        sent, lines = party.channel.sent, party.lines_when_sent
        numbers = [number for number, message in enumerate(sent) if getattr(message, "nbytes", 0) == CHECK_BYTES]
        assert len(numbers) == 1
        assert lines[numbers[0]] == 1
        assert set(lines[: numbers[0] - 2]) == {0}  # two leave together with it
        answer = packed_bytes(given * 3, 32)
        answers = [number for number, message in enumerate(sent) if getattr(message, "nbytes", 0) == answer]
        assert len(answers) == 1
        assert lines[answers[0]] == 2


def entered_before(pair: Pair, rank: int, count: int) -> None:
    """The party gave so many answers in another run."""
    folder = tmp_folder(pair, rank)
    with KeptLedger(folder / "disclosures.jsonl", run="before", peer=None) as ledger:
        HeadBudget(ledger, "ab"[1 - rank], answers=count, repeats=0).charge_answers(count, "0" * 64)


def tmp_folder(pair: Pair, rank: int) -> Path:
    folder = pair.root / "ab"[rank]
    folder.mkdir(parents=True)
    return folder


def test_a_party_gets_what_is_left(tmp_path: Path) -> None:
    """Of a limit that both raised after another run: no more, and no refusal. The first questions are asked."""
    pair = Pair(tmp_path, asks=(7, 5))
    entered_before(pair, 1, 2)
    a, b = pair.complete()
    assert a.state is not None
    assert a.state.answers_NC is not None
    assert a.state.asked is not None
    assert (len(a.state.answers_NC), a.state.asked.tolist()) == (4, [0, 1, 2, 3])
    assert kinds(b)[1:] == [("joint_head_check", 1, 16), ("joint_head", 1, 4)]
    assert "party a got 4 answers of it and gave 5" in a.said[-1]
    again = pair.complete()
    assert len(again[0].channel.sent) == 1


def test_a_party_that_nothing_is_left_for_is_refused(tmp_path: Path) -> None:
    """By the one that would answer, in one line, and before anything is solved; raised to that, it suffices."""
    pair = Pair(tmp_path, asks=(6, 5))
    entered_before(pair, 1, 6)
    a, b = pair.attempt()
    assert isinstance(b.error, BudgetError)
    assert str(b.error) == (
        "party a asks for 6 answers of the joint head, joint_head.answers=6 leaves 0; both may raise it to 12"
    )
    assert isinstance(a.error, PeerError)
    assert kinds(a) == []
    assert not (b.folder / "states").exists()
    pair.limits, pair.asks = (12, 12), (10, 5)
    pair.complete()


def test_nothing_is_solved_once_repeats_are_used(tmp_path: Path) -> None:
    """Cut off before the last message of a solve once more than may be: refused at the announcement."""
    pair = Pair(tmp_path, repeats=0)
    a, b = pair.attempt((None, SOLVE_MESSAGES))
    assert kinds(a) == kinds(b) == [("joint_head_check", 1, 16)]
    a, b = pair.attempt()
    assert isinstance(a.error, BudgetError)
    assert isinstance(b.error, BudgetError)
    assert [len(party.channel.sent) for party in (a, b)] == [1, 1]


def test_answers_in_all_runs_count(tmp_path: Path) -> None:
    """What another run gave is taken off, whatever it was for."""
    pair = Pair(tmp_path)
    pair.complete()
    with KeptLedger(tmp_path / "a" / "disclosures.jsonl", run="two", peer=None) as ledger:
        budget = HeadBudget(ledger, "b", answers=6, repeats=2)
        assert (budget.answered, budget.answered_before) == (0, 5)
        budget.check_answers(1)
        with pytest.raises(BudgetError, match="leaves 1; both may raise it to 7"):
            budget.charge_answers(2, "0" * 64)


def messages(tmp_path: Path, pair: Pair) -> tuple[int, int]:
    """That each party sends in an undisturbed run."""
    first, second = Pair(tmp_path, pair.sizes, pair.rows, pair.asks).complete()
    return len(first.channel.sent), len(second.channel.sent)


@pytest.mark.parametrize("who", [0, 1])
def test_cut_off_at_each_message(tmp_path: Path, who: int) -> None:
    """Whoever is gone before whichever message: the next attempt ends with a right head, what had arrived is not asked
    for again, and each attempt has a line of its own."""
    counts = messages(tmp_path / "whole", Pair(tmp_path))
    for number in range(1, counts[who] + 1):
        pair = Pair(tmp_path / f"at_{number}")
        cut = [None, None]
        cut[who] = number  # type: ignore[call-overload]
        before = pair.attempt(tuple(cut))  # type: ignore[arg-type]
        assert isinstance(before[who].error, PeerError)
        kept = [party.store.load() for party in before]
        after = pair.complete()
        check_right(pair, after)
        is_solved = all(kept) and kept[0].solve == kept[1].solve  # type: ignore[union-attr]
        assert (after[0].state.solve == (kept[0].solve if kept[0] else None)) == is_solved  # type: ignore[union-attr]
        for party, state in zip(after, kept, strict=True):
            entries = kinds(party)
            assert sum(kind == "joint_head_check" for kind, _, _ in entries) <= 2
            assert sorted(set(entries)) == sorted(entries)
            if is_solved and state is not None and state.answers_NC is not None:
                assert torch.equal(party.state.answers_NC, state.answers_NC)  # type: ignore[union-attr]


def test_a_repeat_has_other_masks(tmp_path: Path) -> None:
    """Cut off at the last message of the solve, and at the answers: no tensor that is sent again is what it was."""
    pair = Pair(tmp_path)
    counts = messages(tmp_path / "whole", pair)
    first = pair.attempt((SOLVE_MESSAGES, None))
    second = pair.attempt((counts[0], None))
    third = pair.complete()
    for rank in (0, 1):
        sent = [
            [message.numpy().tobytes() for message in attempt[rank].channel.sent if isinstance(message, torch.Tensor)]
            for attempt in (first, second, third)
        ]
        assert len(sent[0]) > 8
        assert len(sent[1]) > 10
        everything = [message for attempt in sent for message in attempt]
        assert len(set(everything)) == len(everything)


def test_nothing_crosses_again_once_both_have_answers(tmp_path: Path) -> None:
    """One announcement, and the counts of the run without interruption."""
    pair = Pair(tmp_path)
    before = pair.complete()
    after = pair.complete()
    for old, new in zip(before, after, strict=True):
        assert len(new.channel.sent) == 1
        assert new.channel.meter.total("joint head") == old.channel.meter.total("joint head")
        assert kinds(new) == kinds(old)
        assert old.state is not None
        assert new.state is not None
        assert torch.equal(old.state.share_DC, new.state.share_DC)


def test_too_many_attempts_end(tmp_path: Path) -> None:
    """A peer that hangs up again and again gets as many answers as the repeats allow, and no more."""
    pair = Pair(tmp_path, repeats=1)
    counts = messages(tmp_path / "whole", pair)
    for cut in (counts[1] - 1, 4):  # before its answer; the second time nothing is solved
        a, _ = pair.attempt((None, cut))
        assert isinstance(a.error, PeerError)
    _, b = pair.attempt()
    assert isinstance(b.error, BudgetError)
    assert "attempted 2 times in this run, and disclosure.repeats=1 are used; set it to 2" in str(b.error)
    assert kinds(b) == [("joint_head_check", 1, 16), ("joint_head", 1, 6), ("joint_head", 2, 6)]


def test_too_many_solves_end(tmp_path: Path) -> None:
    """A solve that came to its check opened numbers: another one is refused before anything of it is sent."""
    pair = Pair(tmp_path, repeats=0)
    a, _ = pair.attempt((SOLVE_MESSAGES, None))
    assert isinstance(a.error, PeerError)
    a, _ = pair.attempt()
    assert isinstance(a.error, BudgetError)
    assert len(a.channel.sent) == 1


def test_a_party_that_lost_its_share_makes_both_begin_anew(tmp_path: Path) -> None:
    """The other one forgets its own, answers with it."""
    pair = Pair(tmp_path)
    before = pair.complete()
    (before[1].folder / "states" / HEAD_FILE).unlink()
    after = pair.complete()
    check_right(pair, after)
    assert before[0].state is not None
    assert after[0].state is not None
    assert before[0].state.solve != after[0].state.solve
    assert kinds(after[0])[2:] == [("joint_head_check", 2, 16), ("joint_head", 2, 5)]


def test_the_state_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Mode 0600; one of another run or of other terms is as none, a damaged one is refused."""
    pair = Pair(tmp_path)
    party, _ = pair.complete()
    path = party.folder / "states" / HEAD_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert party.store.load() is not None
    party.sizes = sizes(noise=0.3)
    assert party.store.load() is None
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(OutputError, match="is damaged; remove it, and the joint head is solved anew"):
        party.store.load()


def revealing(tmp_path: Path, **changes: object) -> Pair:
    return Pair(tmp_path, sizes(reveal="both", reveal_small=True), rows=(2100, 2000), asks=(0, 0), **changes)  # type: ignore[arg-type]


def test_weights_revealed_to_both(tmp_path: Path) -> None:
    """W under the noise of both, in one round, entered before; nothing is asked."""
    pair = revealing(tmp_path)
    parties = pair.complete()
    states = [party.state for party in parties]
    assert states[0] is not None
    assert states[1] is not None
    assert states[0].weights_DC is not None
    assert torch.equal(states[0].weights_DC, states[1].weights_DC)  # type: ignore[arg-type]
    noise_DC = states[0].weights_DC - as_weights(states[0].share_DC + states[1].share_DC)
    assert 0.4 * REVEAL_NOISE < float(noise_DC.square().mean().sqrt()) < 3 * REVEAL_NOISE
    for party in parties:
        assert kinds(party) == [("joint_head_check", 1, 16), ("joint_head_weights", 1, 15)]
        assert party.lines_when_sent[-1] == 2
        is_P = party.rank == 0
        cost = pair.sizes.solve_cost(is_P=is_P) + pair.sizes.reveal_cost()
        assert party.channel.meter.total("joint head") == cost
    assert pair.sizes.most_bytes == cost.bytes_total


def test_what_is_revealed_twice_is_the_same(tmp_path: Path) -> None:
    """Cut off between: the same noisy share is sent again, so that noise cannot be averaged out; no second line."""
    pair = revealing(tmp_path)
    counts = messages_of_a_reveal(tmp_path / "whole")
    before = pair.attempt((None, counts))
    after = pair.complete()
    assert isinstance(before[1].error, PeerError)
    assert torch.equal(before[0].channel.sent[-1], after[0].channel.sent[-1])
    assert kinds(after[0]) == [("joint_head_check", 1, 16), ("joint_head_weights", 1, 15)]


def messages_of_a_reveal(path: Path) -> int:
    _, second = revealing(path).complete()
    return len(second.channel.sent)


def test_weights_are_revealed_of_one_solve(tmp_path: Path) -> None:
    """A party that lost its share cannot have another solve whose weights it sees: two show the rows in between."""
    pair = revealing(tmp_path)
    _, b = pair.complete()
    (b.folder / "states" / HEAD_FILE).unlink()
    for party in pair.attempt():
        assert isinstance(party.error, BudgetError)
        assert "were revealed to party" in str(party.error)
        assert "restore states/joint_head.pt" in str(party.error)
        assert kinds(party) == [("joint_head_check", 1, 16), ("joint_head_weights", 1, 15)]


def test_weights_are_not_revealed_of_few_rows() -> None:
    """One line each; a class without any row is none of few."""
    for rows in (1999, 0):
        with pytest.raises(DataError, match=r"party b has [\d,]+ rows, and below 2,000"):
            check_rows(rows, "party b", is_small_accepted=True)
    with pytest.raises(DataError, match="reveal_small=true at both sides"):
        check_rows(19_999, "party b", is_small_accepted=False)
    check_rows(2_000, "party b", is_small_accepted=True)
    check_rows(20_000, "party b", is_small_accepted=False)
    check_classes([50, 0, 1000])
    with pytest.raises(DataError, match="this party has 49 of class 1, fewer than 50"):
        check_classes([50, 49, 1000])


def test_a_peer_of_few_rows_is_refused(tmp_path: Path) -> None:
    """Whatever it accepts itself."""
    a, _ = Pair(tmp_path, sizes(reveal="both", reveal_small=True), rows=(2100, 1999), asks=(0, 0)).attempt()
    assert isinstance(a.error, DataError)
    assert "party b has 1,999 rows" in str(a.error)


def test_noise_that_hides_no_key_is_refused() -> None:
    """Before anybody is met."""
    sizes().check_noise()
    with pytest.raises(ConfigError, match=r"raise joint_head\.noise"):
        sizes(noise=0.0).check_noise()
    sizes(noise=0.0, answers=0).check_noise()


def test_nobody_has_a_row(tmp_path: Path) -> None:
    """Both say so."""
    for party in Pair(tmp_path, rows=(0, 0)).attempt():
        assert isinstance(party.error, DataError)
