from __future__ import annotations

import io

from rich.console import Console, RenderableType

from smule_crypten.report.records import AlarmRecord
from smule_crypten.report.run_records import AttackRecord, RunRecord
from smule_crypten.report.summary import build_summary
from smule_crypten.report.tables import result_table


def test_the_table_says_what_a_run_found(record: RunRecord) -> None:
    """Accuracies alone, of the best control, with SMuLe and pooled, gain, cost, fidelity and time are shown."""
    lines = _lines(result_table(build_summary(record)))
    party_a = lines.index("party a 90.0 % 91.0 % 92.0 % +1.0")
    assert lines[party_a : party_a + 4] == [
        "party a 90.0 % 91.0 % 92.0 % +1.0",
        "small_convnet",
        "800 samples",
        "party b 95.5 % 95.5 % 95.0 % -0.5",
    ]
    assert "best control party a: self mutual, party b: alone (better than SMuLe)" in lines
    assert "classes missing party a lacks 2" in lines
    assert "pooled data 96.0 % by one network trained on both parties' data" in lines
    assert "queries per epoch 150 in 2 of 3 epochs" in lines
    assert "bytes per epoch 5.00 MB in 2 of 3 epochs" in lines
    assert "kept network party a: smule, epoch 3, party b: smule, epoch 3 (the last one" in " ".join(lines)
    assert "bytes in total 10.00 MB in 185 rounds, 33.33 kB per query" in lines
    assert "from the dealer 1.60 kB" in lines
    assert "vs plaintext logit error 3.0e-04 at most, noise with it, top-1 agreement 98.00 %" in " ".join(lines)
    assert "time training 12.5 s + exchange 31.0 s + rest 3.7 s = 47.2 s" in " ".join(lines)


def test_an_insecure_run_says_so(record: RunRecord) -> None:
    """Nobody can take a simulation for a protected run."""
    assert "simulation only: gives no protection (provider=trusted_first_party)" in _lines(
        result_table(build_summary(record))
    )


def test_a_secure_run_is_not_called_insecure(record: RunRecord) -> None:
    """The warning keeps its meaning by being absent elsewhere."""
    record.facts = record.facts.model_copy(update={"insecure_choices": []})
    assert "simulation" not in _text(result_table(build_summary(record)))


def test_a_failed_run_shows_its_error(partial_record: RunRecord) -> None:
    """A partial record prints what is known and why the run ended."""
    lines = _lines(result_table(build_summary(partial_record)))
    assert "party a – – – –" in lines
    assert "queries per epoch no exchange" in lines
    assert "failed: party b: out of memory" in lines
    assert not any(line.startswith(("time", "bytes in total")) for line in lines)


def test_exchanges_of_different_size_are_a_range(record: RunRecord) -> None:
    """One typical number is not shown for exchanges that differ."""
    summary = build_summary(record)
    summary.communication.queries_per_epoch[2] = 20
    assert "queries per epoch 20 to 150 in 2 of 3 epochs" in _lines(result_table(summary))


def test_an_error_that_is_not_finite_is_called_so(record: RunRecord) -> None:
    """An overflow in secure inference does not look like a missing measurement."""
    record.fidelity[0] = record.fidelity[0].model_copy(update={"max_abs_logit_error": None})
    assert "logit error not finite at most" in _text(result_table(build_summary(record)))


def test_names_are_not_read_as_markup(record: RunRecord) -> None:
    """A user's network called [bold] is printed, not interpreted."""
    record.parties["a"] = record.parties["a"].model_copy(update={"architecture": "net[bold]"})
    assert "net[bold]" in _text(result_table(build_summary(record)))


def _lines(renderable: RenderableType) -> list[str]:
    """The printed lines with runs of spaces as one."""
    return [" ".join(line.split()) for line in _text(renderable).splitlines()]


def _text(renderable: RenderableType) -> str:
    console = Console(file=io.StringIO(), width=80)
    console.print(renderable)
    output = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, output.splitlines())) <= 80
    return str(output)


def test_attack_and_alarms_are_shown(record: RunRecord) -> None:
    """A simulated adversary is named, with its success; an alarm names party, exchange, test and evidence."""
    success = {"alone": 0.01, "smule": 0.025, "pooled": None}
    record.attack = AttackRecord(name="backdoor", party="b", success=success)
    alarm = AlarmRecord(
        exchange=2, test="drop", suspects=[2], evidence="5 of 100 answers are right", p_value=1e-9, limit=1e-4
    )
    record.parties["a"] = record.parties["a"].model_copy(update={"alarms": [alarm]})
    lines = _lines(result_table(build_summary(record)))
    assert "simulated attack: party b is an adversary (backdoor)" in lines
    assert "attack success alone 1.0 %, smule 2.5 %" in lines
    assert "alarms party a, exchange 2, drop: 5 of 100 answers are right" in lines
