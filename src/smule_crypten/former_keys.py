"""Keys of earlier versions, and what to write now: one table, so that a file of yesterday is answered in one line."""

from __future__ import annotations

RENAMED = {
    "rank": "role",
    "network": "connection",
    "budget": "disclosure",
    "party_a.budget": "party_a.disclosure",
    "party_b.budget": "party_b.disclosure",
    "party_a.data": "party_a.samples",
    "party_b.data": "party_b.samples",
    "disclosure.max_queries_total": "disclosure.max_answers_total",
    "disclosure.max_queries_per_exchange": "disclosure.max_answers_per_exchange",
    "party_a.disclosure.max_queries_total": "party_a.disclosure.max_answers_total",
    "party_a.disclosure.max_queries_per_exchange": "party_a.disclosure.max_answers_per_exchange",
    "party_b.disclosure.max_queries_total": "party_b.disclosure.max_answers_total",
    "party_b.disclosure.max_queries_per_exchange": "party_b.disclosure.max_answers_per_exchange",
}
"""A key or a whole section -> its name now."""


def what_became_of(key: str) -> str | None:
    """'it is called disclosure now', for a key in dotted form that an earlier version knew; else None."""
    name = _renamed(key)
    return None if name == key else f"it is called {name} now"


def _renamed(key: str) -> str:
    for old, new in RENAMED.items():
        if key == old or key.startswith(f"{old}."):
            return _renamed(new + key.removeprefix(old))
    return key
