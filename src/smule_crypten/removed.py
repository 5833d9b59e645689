"""Settings of earlier versions, and what to write now: what is called otherwise, and what is gone.

Gone is what no measurement showed to be good for anything (benchmarks/results/).
"""

from __future__ import annotations

_CHOSEN = "samples are chosen uniformly, which no other rule beat over several seeds; leave it out"
_TRUST = "no rule was shown to be better than training.trust=adaptive or none; set one of these"
_BETWEEN_HOSTS = "parties of a simulation throw their certificates away; leave it out, it serves smule-party only"
_IMAGES = "samples themselves are asked about, which taught more than views of them; leave it out"

REMOVED: dict[str, str] = {
    "exchange.schedule": "every exchange.every-th epoch begins with an exchange; set exchange.every",
    "exchange.num_exchanges": "set exchange.every and exchange.warmup_epochs, from which the number follows",
    "exchange.max_age": "an answer is kept until it is asked again; leave it out",
    "exchange.budget_scope": "exchange.budget_mb holds for one exchange; divide a run's by the number of exchanges",
    "exchange.budget_counts": "exchange.budget_mb counts what the dealer sends; raise it, or set exchange.num_queries",
    "exchange.answer_with": "the best network that a party has answers; training.standalone=false and "
    "training.keep=last leave only the one in training",
    "exchange.queries.selection": _CHOSEN,
    "exchange.queries.view": _IMAGES,
    "exchange.queries.max_views": _IMAGES,
    "exchange.queries.min_gain_per_mb": "all planned exchanges take place; set exchange.every for fewer",
    "joint_head.ridge": "joint_head.penalty counts for the rows of both parties together; set it to the former value "
    "times these, or leave it out",
    "training.weight_schedule": "the weight stays as it is; set training.distillation_weight",
    "training.final_temperature": "the temperature stays as it is; set training.temperature",
    "training.staleness_half_life": "old answers count like new ones until they are asked again; leave it out",
    "training.unasked_share": "it is 0.3, and less where the party's network knows less than the peer; leave it out",
    "party_a.disclosure.ledger": _BETWEEN_HOSTS,
    "party_b.disclosure.ledger": _BETWEEN_HOSTS,
    "party_a.disclosure.former_fingerprints": _BETWEEN_HOSTS,
    "party_b.disclosure.former_fingerprints": _BETWEEN_HOSTS,
    "training.trust=argmax_gate": _TRUST,
    "training.trust=accuracy": _TRUST,
    "training.trust=class_wise": _TRUST,
}
"""Key in dotted form, or key=choice -> what takes its place, or what to do."""


RENAMED = {
    "rank": "role",
    "network": "connection",
    "budget": "disclosure",
    "party_a.budget": "party_a.disclosure",
    "party_b.budget": "party_b.disclosure",
    "party_a.data": "party_a.samples",
    "party_b.data": "party_b.samples",
    **{
        f"{party}disclosure.max_queries_{each}": f"{party}disclosure.max_answers_{each}"
        for party in ("", "party_a.", "party_b.")
        for each in ("total", "per_exchange")
    },
}
"""Key, or section, in dotted form -> its name now."""


def removal(key: str, value: object = None) -> str | None:
    """What to say of a key, or of this value of it, that there was once; None for any other."""
    choice = f"{key}={value}"
    if choice in REMOVED:
        return f"{value} was removed: {REMOVED[choice]}"
    if key in REMOVED:
        return f"was removed: {REMOVED[key]}"
    name = _renamed(key)
    return None if name == key else f"is called {name} now"


def _renamed(key: str) -> str:
    for old, new in RENAMED.items():
        if key == old or key.startswith(f"{old}."):
            return _renamed(new + key.removeprefix(old))
    return key
