"""What a party learned of classes that it has no sample of: the plainest thing that a peer can teach."""

from __future__ import annotations

from collections.abc import Sequence

from smule_crypten.report.formatting import percent
from smule_crypten.report.run_records import PartySummary, RunSummary
from smule_crypten.types import PARTY_NAMES

_OTHER = dict(zip(PARTY_NAMES, reversed(PARTY_NAMES), strict=True))


def story(summary: RunSummary) -> list[str]:
    """One sentence for each party that lacks classes, where the test samples of these were judged."""
    return [
        f"Party {name} has no sample of class {_listed(party.missing_classes)}. Alone it recognizes {percent(alone)} "
        f"of them, with party {_OTHER[name]}'s answers {percent(smule)}."
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
