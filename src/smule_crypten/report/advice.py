"""Why a party did not gain, by what the record knows, and what to try: one sentence each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from smule_crypten.report.evaluation_records import MetricRecord
from smule_crypten.report.formatting import PHASE_TITLES, count, percent
from smule_crypten.report.metric_text import gain_value, is_share, metric_value
from smule_crypten.report.records import EpochRecord, TrustRecord
from smule_crypten.report.run_records import PartySummary, RunSummary, higher_is_better
from smule_crypten.types import OTHER_PARTY, PARTY_NAMES

_HARDLY_HEARD = 0.2
"""Mean weight of the peer's answers, 0 to 1, below which they cannot teach much."""
_STILL_FALLING = 0.9
"""Loss of the last epoch over that of the one before, below which the training was not at its end."""
_MANY_DROPPED = 0.1


@dataclass(frozen=True, kw_only=True)
class _Case:
    """losses: of the epochs with SMuLe. gain: over training alone."""

    peer: str
    party: PartySummary
    summary: RunSummary
    losses: Sequence[float]
    gain: MetricRecord

    @property
    def alone(self) -> MetricRecord | None:
        return self.party.figure("standalone", self.summary.metric)


def advice(summary: RunSummary, epochs: Sequence[EpochRecord]) -> list[str]:
    """One sentence for each party whose gain is known and not clear; nothing for the others."""
    sentences = (_of_party(name, summary, epochs) for name in PARTY_NAMES)
    return [sentence for sentence in sentences if sentence]


def is_gain(gain: MetricRecord | None) -> bool:
    """Whether it is above 0, and its interval, where there is one, does not include 0."""
    return gain is not None and (gain.value or 0.0) > 0 and (gain.low is None or gain.is_clear)


def _of_party(name: str, summary: RunSummary, epochs: Sequence[EpochRecord]) -> str:
    party, peer = summary.parties[name], OTHER_PARTY[name]
    gain = party.gain("standalone", summary.metric)
    if gain is None or gain.value is None:
        return ""
    if is_gain(gain):
        return _without_the_other(name, party, summary.metric)
    own = [epoch for epoch in epochs if (epoch.party, epoch.phase) == (name, "smule")]
    losses = [epoch.loss for epoch in own if epoch.loss is not None]
    case = _Case(peer=f"party {peer}", party=party, summary=summary, losses=losses, gain=gain)
    why, remedy = next(found for cause in _CAUSES if (found := cause(case)) is not None)
    clearly = "" if gain.low is None or gain.is_clear else "clearly "
    return f"Party {name} did not {clearly}gain: {why}. Try {remedy}."


def _without_the_other(name: str, party: PartySummary, metric: str) -> str:
    """Of a gain over training alone that a control has, too."""
    best = party.best_local_control
    if best is None or best.name == "standalone" or is_gain(party.gain(best.name, metric)):
        return ""
    figure = party.best_control(metric)
    reached = metric_value(metric, None if figure is None else figure.value)
    return (
        f"Party {name} gained over training alone, but {PHASE_TITLES.get(best.name, best.name)} comes to {reached} "
        "without the other party, so the gain may be regularisation. Try other seeds before trusting it."
    )


def _alarm(case: _Case) -> tuple[str, str] | None:
    if not case.party.alarms:
        return None
    return (
        f"its alarm found answers that an honest network of {case.peer} does not give",
        f"to settle with {case.peer} which network answered before another run",
    )


def _nothing_asked(case: _Case) -> tuple[str, str] | None:
    party = case.party
    if party.queries_made or party.public_made or party.joint_head or party.queries_made is None:
        return None
    return (
        "it asked nothing",
        "a larger exchange.num_queries, another exchange.share_a, or fewer exchange.warmup_epochs",
    )


def _answers_dropped(case: _Case) -> tuple[str, str] | None:
    dropped, asked = case.party.answers_dropped or 0, case.party.queries_made or 0
    if not asked or dropped < _MANY_DROPPED * asked:
        return None
    return (
        f"{count(dropped)} of {count(asked)} answers could not be right, and were dropped",
        f"to see with {case.peer} whether its network diverged",
    )


def _little_to_gain(case: _Case) -> tuple[str, str] | None:
    """Where the pooled reference is within the interval of the network trained alone, or worse."""
    metric = case.summary.metric
    pooled, alone = case.summary.pooled_figure(metric), case.alone
    if pooled is None or pooled.value is None or alone is None or alone.low is None or alone.high is None:
        return None
    if (pooled.value > alone.high) if higher_is_better(metric) else (pooled.value < alone.low):
        return None
    return (
        f"even one network trained on the data of both comes to {metric_value(metric, pooled.value)} only, so "
        f"{case.peer} has little to add",
        "a peer that knows what this party lacks: other classes, or many more samples",
    )


def _weak_peer(case: _Case) -> tuple[str, str] | None:
    last = case.party.trust[-1] if case.party.trust else None
    if last is None:
        return None
    own = case.party.figure("standalone", "accuracy")
    is_worse = own is not None and own.value is not None and _less(last.peer_accuracy, own.value)
    if not is_worse and last.peer_weight >= _HARDLY_HEARD:
        return None
    return (
        f"{_heard(case.peer, last)} and got the weight {last.peer_weight:.2f} of 1 in the end",
        f"more training.epochs, exchange.warmup_epochs above 0 where {case.peer} learns before it answers, or more "
        f"labelled samples at {case.peer}",
    )


def _less(value: float | None, other: float) -> bool:
    return value is not None and value < other


def _heard(peer: str, last: TrustRecord) -> str:
    if last.peer_accuracy is None:
        return f"the answers of {peer} did not help on its validation part"
    return f"the answers of {peer} were right on {percent(last.peer_accuracy)} of the samples whose label it knows"


def _still_learning(case: _Case) -> tuple[str, str] | None:
    if len(case.losses) < 2 or case.losses[-1] >= _STILL_FALLING * case.losses[-2]:
        return None
    fell = percent(1 - case.losses[-1] / case.losses[-2], 0)
    return f"its loss still fell by {fell} in the last epoch, so it was not through", "more training.epochs"


def _private_training(case: _Case) -> tuple[str, str] | None:
    spent = case.party.privacy
    if spent is None:
        return None
    return (
        f"training.dp adds noise to each step, at epsilon {spent.epsilon:.2g}",
        "more labelled samples, which need less noise, or a larger epsilon",
    )


def _kept_alone(case: _Case) -> tuple[str, str] | None:
    if not (case.party.kept_network or "").startswith("alone"):
        return None
    return (
        "no network with answers was better on its validation part, so it kept the one trained alone",
        "more answers (exchange.num_queries, exchange.every)",
    )


def _too_few_test_samples(case: _Case) -> tuple[str, str] | None:
    gain, metric = case.gain, case.summary.metric
    if gain.low is None or gain.high is None or gain.is_clear:
        return None
    points = " points" if is_share(metric) else ""
    interval = f"{gain_value(metric, gain.low)} to {gain_value(metric, gain.high)}{points}"
    return f"its {count(case.party.num_test)} test samples only tell that the gain is {interval}", "other seeds"


def _unknown(case: _Case) -> tuple[str, str]:
    return (
        f"the record names no reason, {case.peer} being heard and not worse",
        "more answers (exchange.num_queries, exchange.every) or another training.distillation_weight",
    )


_CAUSES = (
    _alarm,
    _nothing_asked,
    _answers_dropped,
    _little_to_gain,
    _weak_peer,
    _still_learning,
    _private_training,
    _kept_alone,
    _too_few_test_samples,
    _unknown,
)
"""The first that is found counts: what makes answers useless, then what makes them few, then what hides a gain."""
