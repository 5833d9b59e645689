"""What a run brought in sentences: classes that a party has no sample of, and why a party did not gain."""

from __future__ import annotations

from collections.abc import Sequence

from smule_crypten.report.advice import advice
from smule_crypten.report.formatting import percent
from smule_crypten.report.records import EpochRecord
from smule_crypten.report.run_records import PartySummary, RunSummary
from smule_crypten.types import OTHER_PARTY


def in_words(summary: RunSummary, epochs: Sequence[EpochRecord]) -> list[str]:
    """What the terminal and the page say: what was learned of missing classes, then why a party did not gain."""
    return [*story(summary), *advice(summary, epochs)]


def story(summary: RunSummary) -> list[str]:
    """One sentence for each party that lacks classes, where the test samples of these were judged."""
    return [
        f"Party {name} has no sample of class {_listed(party.missing_classes)}. Alone it recognizes {percent(alone)} "
        f"of them, with party {OTHER_PARTY[name]}'s answers {percent(smule)}."
        for name, party in summary.parties.items()
        if party.missing_classes
        and (alone := _recognized(party, "standalone")) is not None
        and (smule := _recognized(party, "smule")) is not None
    ]


def _recognized(party: PartySummary, network: str) -> float | None:
    """Share of the test samples of missing classes that the network finds, 0 to 1; None where there are none."""
    evaluation = (party.evaluations or {}).get(network)
    classes = [] if evaluation is None else evaluation.by_class or []
    missing = [one for one in classes if one.label in (party.missing_classes or ()) and one.recall.value is not None]
    support = sum(one.support for one in missing)
    return sum((one.recall.value or 0.0) * one.support for one in missing) / support if support else None


def _listed(labels: Sequence[int] | None) -> str:
    *others, last = map(str, labels or ())
    return f"{', '.join(others)} or {last}" if others else last
