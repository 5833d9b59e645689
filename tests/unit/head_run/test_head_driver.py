"""The joint head between two parties: right, paid for as said, entered before it is sent, and right after any cut."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest
import torch
from head_parties import CLIP_NORM, Pair, Party, data, kinds, sizes, statistics, terms

from smule_crypten.config.joint_head import DEVIATION
from smule_crypten.errors import BudgetError, ConfigError, DataError, OutputError, PeerError
from smule_crypten.head_run import driver
from smule_crypten.head_run.revealing import check_classes, check_rows
from smule_crypten.head_run.sizes import HeadSizes
from smule_crypten.head_run.state import HEAD_FILE
from smule_crypten.joint_head.asking import FLOODING
from smule_crypten.joint_head.integers import as_weights
from smule_crypten.joint_head.solve_in_clear import exact_head
from smule_crypten.joint_head.statistics import with_constant
from smule_crypten.joint_head.weight_noise import drawn_noise
from smule_crypten.mpc.packing import packed_bytes
from smule_crypten.mpc.streams import Stream
from smule_crypten.mutual_learning.head_budget import HeadBudget
from smule_crypten.mutual_learning.kept_ledger import KeptLedger

CHECK_BYTES = packed_bytes(16, 64)
SOLVE_MESSAGES = 1 + 1 + 2 + 6 + 1
"""Of the announcement, the key, step 1, six iterations and the check, at P; Q has as many and one more."""


def expected_head(pair: Pair) -> torch.Tensor:
    first, second = (statistics(pair.rows[rank], rank, pair.scales[rank]) for rank in (0, 1))
    return exact_head(first + second, pair.sizes.penalty(sum(pair.rows)))


def check_right(pair: Pair, parties: tuple[Party, Party]) -> None:
    """Shares add up to the head of both parties' rows and the noise of both; answers are what it says under that of the
    other party, and next to nothing more: a party takes its own off."""
    states = [party.state for party in parties]
    assert states[0] is not None
    assert states[1] is not None
    assert states[0].solve == states[1].solve
    noises = states[0].noise_DC, states[1].noise_DC
    found_DC = states[0].share_DC + states[1].share_DC - noises[0] - noises[1]
    torch.testing.assert_close(as_weights(found_DC), expected_head(pair), atol=0.02, rtol=0)
    for rank, state in enumerate(states):
        assert state.answers_NC is not None
        rows_ND = with_constant(data(10, seed=rank)[0], CLIP_NORM)[: pair.asks[rank]]
        outputs_NC = rows_ND @ as_weights(found_DC + noises[1 - rank])
        left_NC = state.answers_NC - (outputs_NC - outputs_NC.mean(dim=1, keepdim=True))
        assert float(left_NC.abs().max()) < 6 * FLOODING


def watched_noise(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, torch.Tensor]]:
    """Of each draw of a party: deviation and noise."""
    seen: list[tuple[float, torch.Tensor]] = []

    def watched(shape: tuple[int, ...], deviation: float, local: Stream) -> torch.Tensor:
        seen.append((deviation, drawn_noise(shape, deviation, local)))
        return seen[-1][1]

    monkeypatch.setattr(driver, "drawn_noise", watched)
    return seen


def test_noise_is_normal_with_its_deviation() -> None:
    """In units of the last binary digit of a weight."""
    noise_DC = as_weights(drawn_noise((1000, 10), 0.01, Stream(bytes(32))))
    assert float(noise_DC.std()) == pytest.approx(0.01, rel=0.03)
    assert abs(float(noise_DC.mean())) < 0.0004
    assert float((noise_DC.abs() < 0.01).double().mean()) == pytest.approx(0.683, abs=0.02)


@pytest.mark.parametrize("noise", [0.2, 2.0])
def test_both_get_a_share_and_answers(tmp_path: Path, noise: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Party b has more rows and preconditions; noise is on the weights, as much as was agreed and once."""
    seen = watched_noise(monkeypatch)
    pair = Pair(tmp_path, sizes(noise=noise))
    parties = pair.complete()
    check_right(pair, parties)
    assert parties[0].state is not None
    assert parties[0].state.rows == pair.rows
    assert "5 features, 200 rows of party a and 300 of party b" in parties[0].said[0]
    under = f"under noise of {noise * DEVIATION:.2g} on an output"
    assert f"party a got 6 answers of it and gave 5, {under}" in parties[0].said[-1]
    assert [len(party.said) for party in parties] == [3, 1]
    assert [deviation for deviation, _ in seen] == pytest.approx([noise * DEVIATION / 5**0.5] * 2)
    for party in parties:
        assert party.state is not None
        assert sum(torch.equal(party.state.noise_DC, noise_DC) for _, noise_DC in seen) == 1


def test_what_was_answered_once_is_answered_alike_again(tmp_path: Path) -> None:
    """A party that lost its answers gets others, which differ by the fresh noise alone: shares on disk hold the noise
    on the weights, the same in every attempt, and no repeated question takes it off."""
    pair = Pair(tmp_path, sizes(noise=2.0))
    before, _ = pair.complete()
    kept = before.store.load()
    assert kept is not None
    first_NC, kept.answers_NC, kept.asked = kept.answers_NC, None, None
    assert first_NC is not None
    before.store.save(kept)
    after, other = pair.complete()
    check_right(pair, (after, other))
    assert after.state is not None
    assert other.state is not None
    assert after.state.answers_NC is not None
    again_NC = after.state.answers_NC - first_NC
    assert 0 < float(again_NC.abs().max()) < 9 * FLOODING
    rows_ND = with_constant(data(10, seed=0)[0], CLIP_NORM)[:6]
    outputs_NC = rows_ND @ expected_head(pair)
    for answers_NC in (first_NC, after.state.answers_NC):
        off_NC = answers_NC - (outputs_NC - outputs_NC.mean(dim=1, keepdim=True))
        assert float(off_NC.square().mean().sqrt()) > 20 * FLOODING
    assert torch.equal(after.state.share_DC, kept.share_DC)
    assert torch.equal(after.state.noise_DC, kept.noise_DC)


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


def test_a_penalty_that_is_raised_is_that_of_the_head(tmp_path: Path) -> None:
    """What the terms say is less than errors of the solve's products allow with 500 rows: the head is that of more."""
    pair = Pair(tmp_path, sizes(penalty=1e-3, bound=90.0, iterations=20))
    assert pair.sizes.penalty(500) > 3
    check_right(pair, pair.complete())


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
        assert torch.equal(old.state.noise_DC, new.state.noise_DC)


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
    """As long as nothing was answered: the other one forgets its own, and its noise with it."""
    pair = Pair(tmp_path)
    before = pair.attempt((None, SOLVE_MESSAGES + 1))  # before its first word of the answers
    kept = [party.store.load() for party in before]
    assert kept[0] is not None
    assert kept[1] is not None
    (before[1].folder / "states" / HEAD_FILE).unlink()
    after = pair.complete()
    check_right(pair, after)
    assert after[0].state is not None
    assert kept[0].solve != after[0].state.solve
    assert not torch.equal(kept[0].noise_DC, after[0].state.noise_DC)
    assert kinds(after[0]) == [("joint_head_check", 1, 16), ("joint_head_check", 2, 16), ("joint_head", 1, 5)]


def test_what_was_answered_is_not_solved_anew(tmp_path: Path) -> None:
    """A party that says that it lost its share after answers gets no second head, which would have other noise."""
    pair = Pair(tmp_path)
    before = pair.complete()
    (before[1].folder / "states" / HEAD_FILE).unlink()
    for party in pair.attempt():
        assert isinstance(party.error, BudgetError)
        assert "was answered about this run's joint head, and no second one is solved" in str(party.error)
        assert len(kinds(party)) == 2


@pytest.mark.parametrize("loser", [0, 1])
def test_who_saw_something_of_a_head_solves_no_second_one(tmp_path: Path, loser: int) -> None:
    """The other party has lost its whole folder, ledger included, and would draw other noise for the same weights: the
    one that got its answers, and gave none, knows."""
    asks = [0, 0]
    asks[1 - loser] = 6
    pair = Pair(tmp_path, asks=(asks[0], asks[1]))
    before = pair.complete()
    shutil.rmtree(before[loser].folder)
    after = pair.attempt()
    for party, who in ((after[loser], f"party {'ab'[1 - loser]}"), (after[1 - loser], "this party")):
        assert isinstance(party.error, BudgetError)
        assert f"{who} saw something of a joint head that not both have a share of any more" in str(party.error)
        assert len(party.channel.sent) == 1


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
    with pytest.raises(
        OutputError, match=r"is damaged; restore it, or remove it, and .* solved again if nothing of it was opened"
    ):
        party.store.load()


def revealing(tmp_path: Path) -> Pair:
    return Pair(tmp_path, sizes(reveal="both", reveal_small=True), rows=(2100, 2000), asks=(0, 0))


def test_weights_revealed_to_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """W under the other party's noise to each, in one round, entered before; nothing is asked."""
    seen = watched_noise(monkeypatch)
    pair = revealing(tmp_path)
    parties = pair.complete()
    states = [party.state for party in parties]
    assert states[0] is not None
    assert states[1] is not None
    both_DC = states[0].share_DC + states[1].share_DC
    head_DC = as_weights(both_DC - states[0].noise_DC - states[1].noise_DC)
    torch.testing.assert_close(head_DC, expected_head(pair), atol=0.02, rtol=0)
    for rank, state in enumerate(states):
        assert state is not None
        assert state.weights_DC is not None
        assert torch.equal(state.weights_DC, as_weights(both_DC - state.noise_DC))
        off_DC, theirs = state.weights_DC - head_DC, states[1 - rank]
        assert theirs is not None
        torch.testing.assert_close(off_DC, as_weights(theirs.noise_DC), atol=1e-9, rtol=0)
        assert torch.equal(parties[rank].channel.sent[-1], state.share_DC)
    assert [deviation for deviation, _ in seen] == pytest.approx([0.2 * DEVIATION / 5**0.5] * 2)
    for party in parties:
        assert kinds(party) == [("joint_head_check", 1, 16), ("joint_head_weights", 1, 15)]
        assert party.lines_when_sent[-1] == 2
        is_P = party.rank == 0
        cost = pair.sizes.solve_cost(is_P=is_P) + pair.sizes.reveal_cost()
        assert party.channel.meter.total("joint head") == cost
    assert pair.sizes.most_bytes == cost.bytes_total


def test_what_is_revealed_twice_is_the_same(tmp_path: Path) -> None:
    """Cut off between: the same share with its noise is sent again, which cannot be averaged out; no second line."""
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


def test_weights_are_not_revealed_under_a_small_penalty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that is used decides, which both know once they know the rows of both: nothing is solved."""
    monkeypatch.setattr("smule_crypten.head_run.revealing.LEAST_PENALTY", 16.0)
    for party in Pair(tmp_path, sizes(reveal="both", reveal_small=True), rows=(2100, 2000), asks=(0, 0)).attempt():
        assert isinstance(party.error, ConfigError)
        assert "a penalty of 75 is less than 16 for each of the 5 features" in str(party.error)
        assert kinds(party) == []
    large = HeadSizes(terms=terms(features=10_000, penalty=20_000.0), outputs=3, opening="differences")
    assert large.penalty(4_000) == 8_000 < 10_000


def test_weights_are_not_revealed_of_few_rows() -> None:
    """One line each; a class without any row is none of few."""
    for rows in (1999, 0):
        with pytest.raises(DataError, match=r"party b has [\d,]+ rows, and below 2,000"):
            check_rows(rows, "party b", is_small_accepted=True, noise=1.0)
    for is_small_accepted, noise in ((False, 0.2), (True, 0.19)):
        with pytest.raises(DataError, match=r"reveal_small=true and joint_head\.noise to 0\.2 or more"):
            check_rows(19_999, "party b", is_small_accepted=is_small_accepted, noise=noise)
    check_rows(2_000, "party b", is_small_accepted=True, noise=0.2)
    check_rows(20_000, "party b", is_small_accepted=False, noise=0.0)
    check_classes([50, 0, 1000])
    with pytest.raises(DataError, match="this party has 49 of class 1, fewer than 50"):
        check_classes([50, 49, 1000])


def test_a_peer_of_few_rows_is_refused(tmp_path: Path) -> None:
    """Whatever it accepts itself."""
    a, _ = Pair(tmp_path, sizes(reveal="both", reveal_small=True), rows=(2100, 1999), asks=(0, 0)).attempt()
    assert isinstance(a.error, DataError)
    assert "party b has 1,999 rows" in str(a.error)


def test_noise_that_hides_too_little_is_refused() -> None:
    """Before anybody is met: next to none on the weights, where they are not revealed; or more answers than the fresh
    noise hides the key in, however much is on the weights. What is revealed has noise far above a weight's last
    digit."""
    for enough in (sizes(), sizes(noise=0.003), sizes(noise=0.0, answers=0), sizes(noise=0.0, reveal="both")):
        enough.check_noise()
    for noise in (0.0, 1e-9, 0.002):
        with pytest.raises(ConfigError, match=r"raise joint_head\.noise to 0\.0026"):
            sizes(noise=noise).check_noise()
    HeadSizes(terms=terms(features=3201, answers=800), outputs=100, opening="differences").check_noise()
    with pytest.raises(ConfigError, match=r"does not hide the key .* lower joint_head\.answers"):
        sizes(noise=10.0, answers=100_000).check_noise()
    assert sizes(noise=0.0, reveal="both").weight_sigma == pytest.approx(2.0**-12)


def test_nobody_has_a_row(tmp_path: Path) -> None:
    """Both say so."""
    for party in Pair(tmp_path, rows=(0, 0)).attempt():
        assert isinstance(party.error, DataError)
