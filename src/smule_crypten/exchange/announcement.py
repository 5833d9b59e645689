"""What a party says of its query and of the network that answers, and what the other one checks of that."""

from __future__ import annotations

from dataclasses import dataclass

from smule_crypten.errors import ProtocolError


@dataclass(frozen=True, kw_only=True)
class Announcement:
    """logit_bound is a public bound for the logits of the network that answers, model_step the steps behind it."""

    num_samples: int
    model_step: int
    logit_bound: float


def checked_announcement(message: object, *, query_id: int, peer: str, limit: int | None) -> Announcement:
    """What party `peer` announced for query `query_id`; limit is the most samples that it may ask about.

    Raises:
        ProtocolError: that is not a query, or not this one.
    """
    if not isinstance(message, dict):
        raise ProtocolError(f"party {peer} announced {message!r} in place of a query")
    if message.get("query_id") != query_id:
        raise ProtocolError(
            f"party {peer} is at query {message.get('query_id')!r}, this party at {query_id}; restart both"
        )
    num_samples, model_step, bound = (message.get(k) for k in ("num_samples", "model_step", "logit_bound"))
    count = checked_count(num_samples, peer=peer, limit=limit)
    if type(model_step) is not int or model_step < 0:
        raise ProtocolError(f"party {peer} announced model step {model_step!r}")
    if not isinstance(bound, float) or not 0 < bound < float("inf"):
        raise ProtocolError(f"party {peer} announced {bound!r} as bound of its logits")
    return Announcement(num_samples=count, model_step=model_step, logit_bound=bound)


def checked_preparation(message: object, *, query_id: int, peer: str, limit: int | None) -> int:
    """The size of query `query_id`; raises ProtocolError where party `peer` prepares another or an impossible one."""
    if not isinstance(message, dict) or message.get("prepared_query") != query_id:
        raise ProtocolError(f"party {peer} does not prepare query {query_id}; restart both")
    return checked_count(message.get("num_samples"), peer=peer, limit=limit)


def checked_most(message: object, *, peer: str, limit: int | None) -> int:
    """The most samples that party `peer` will ask about in one exchange; limit is what it said in an earlier attempt.

    Raises:
        ProtocolError: it does not say so, or wants more than before.
    """
    if not isinstance(message, dict) or "asks_at_most" not in message:
        raise ProtocolError(f"party {peer} did not say how many samples it asks about; use the same version")
    return checked_count(message["asks_at_most"], peer=peer, limit=limit)


def checked_wish(message: object, *, query_id: int, peer: str) -> bool:
    """Whether party `peer` wants query `query_id`; raises ProtocolError where it does not say so."""
    match message:
        case {"next_query": int(theirs), "wants": bool(wants)} if theirs == query_id:
            return wants
    raise ProtocolError(f"party {peer} says {message!r} of query {query_id}; restart both")


def checked_count(num_samples: object, *, peer: str, limit: int | None) -> int:
    """Raises ProtocolError where party `peer` announced no possible number of samples."""
    if type(num_samples) is not int or num_samples < 0:
        raise ProtocolError(f"party {peer} announced {num_samples!r} samples")
    if limit is not None and num_samples > limit:
        raise ProtocolError(f"party {peer} asks about {num_samples} samples, the agreed plan allows {limit}")
    return num_samples
