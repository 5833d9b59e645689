"""What a party says of its query and of the network that answers, and what the other one checks of that."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from smule_crypten.errors import ProtocolError, quoted
from smule_crypten.training.three_teachers import LARGEST_LOSS, NUM_LOSSES

LARGEST_BOUND = 2.0**32
"""No network that learned anything gives such logits: with a bound beyond it, any answer would pass for possible."""
LEAST_ROOM = 8.0
"""So many standard deviations of the noise must lie within the bound: with more noise, spot checks would accept any
difference. An owner leaves room for twice as many (inference/answerer.py)."""


@dataclass(frozen=True, kw_only=True)
class Announcement:
    """What a party says before it answers.

    Attributes:
        model_step: the steps behind the network that answers.
        logit_bound: beyond it an answer cannot be right.
        input_bound: larger inputs are beyond what it was fitted for.
        logit_noise: standard deviation of the noise on each of its logits.
        losses: of three teachers, at every point of their weights (training/three_teachers.py); empty where the party
            cannot tell yet, None without a joint head.
    """

    num_samples: int
    model_step: int
    logit_bound: float
    input_bound: float
    logit_noise: float
    losses: tuple[float, ...] | None = None

    def as_plain(self) -> dict[str, Any]:
        """The announcement; nothing of losses where there are none to speak of."""
        values = dataclasses.asdict(self)
        return values if self.losses is not None else {key: values[key] for key in values if key != "losses"}


def checked_announcement(
    message: object, *, query_id: int, peer: str, limit: int | None, has_losses: bool = False
) -> Announcement:
    """What party `peer` announced for query `query_id`; limit is the most samples that it may ask about.

    has_losses: with a joint head, so that both tell theirs.

    Raises:
        ProtocolError: that is not a query, or not this one.
    """
    if not isinstance(message, dict):
        raise ProtocolError(f"party {peer} announced {quoted(message)} in place of a query")
    if message.get("query_id") != query_id:
        raise ProtocolError(
            f"party {peer} is at query {quoted(message.get('query_id'))}, this party at {query_id}; restart both"
        )
    count = checked_count(message.get("num_samples"), peer=peer, limit=limit)
    model_step = message.get("model_step")
    if type(model_step) is not int or model_step < 0:
        raise ProtocolError(f"party {peer} announced model step {quoted(model_step)}")
    bound = _checked_size(message, "logit_bound", peer, is_positive=True)
    noise = _checked_size(message, "logit_noise", peer, is_positive=False)
    if bound > LARGEST_BOUND:
        raise ProtocolError(
            f"party {peer} announced {bound:g} as logit_bound of its network, more than {LARGEST_BOUND:g}: its "
            "training has diverged, or its targets need data.target_mean and data.target_std"
        )
    if LEAST_ROOM * noise > bound:
        raise ProtocolError(
            f"party {peer} announced {noise:g} as logit_noise of its network, whose logits stay within {bound:g}: no "
            "answer would say anything; lower disclosure.logit_noise there, or use the same version"
        )
    return Announcement(
        num_samples=count,
        model_step=model_step,
        logit_bound=bound,
        input_bound=_checked_size(message, "input_bound", peer, is_positive=True),
        logit_noise=noise,
        losses=_checked_losses(message, peer, has_losses),
    )


def _checked_losses(message: dict[str, object], peer: str, has_losses: bool) -> tuple[float, ...] | None:
    """Each is a number from 0 to LARGEST_LOSS; nothing else is looked at, so nothing else can come in."""
    if not has_losses:
        if "losses" in message:
            raise ProtocolError(f"party {peer} tells losses of a joint head, and this party has none; restart both")
        return None
    losses = message.get("losses")
    if not isinstance(losses, list) or len(losses) not in (0, NUM_LOSSES):
        count = f"{len(losses)} losses" if isinstance(losses, list) else quoted(losses)
        raise ProtocolError(f"party {peer} announced {count} of its teachers, none or {NUM_LOSSES} are due")
    for loss in losses:
        if type(loss) is not float or not 0 <= loss <= LARGEST_LOSS:
            raise ProtocolError(
                f"party {peer} announced {quoted(loss)} as a loss of its teachers, which are 0 to {LARGEST_LOSS:g}"
            )
    return tuple(losses)


def _checked_size(message: dict[str, object], key: str, peer: str, *, is_positive: bool) -> float:
    value = message.get(key)
    if isinstance(value, float) and 0 <= value < float("inf") and (value > 0 or not is_positive):
        return value
    raise ProtocolError(f"party {peer} announced {quoted(value)} as {key} of its network")


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


def checked_count(num_samples: object, *, peer: str, limit: int | None) -> int:
    """Raises ProtocolError where party `peer` announced no possible number of samples."""
    if type(num_samples) is not int or num_samples < 0:
        raise ProtocolError(f"party {peer} announced {quoted(num_samples)} samples")
    if limit is not None and num_samples > limit:
        raise ProtocolError(f"party {peer} asks about {num_samples} samples, the agreed plan allows {limit}")
    return num_samples
