"""Facts of a summary in words, the same on the terminal and on the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from smule_crypten.report.formatting import MISSING, PHASE_TITLES, count, human_bytes, human_seconds, percent
from smule_crypten.report.metric_text import with_interval
from smule_crypten.report.records import TrustRecord
from smule_crypten.report.run_records import AttackRecord, Communication, Fidelity, PartySummary, RunSeconds, RunSummary

_KEPT_BECAUSE = {
    "last": "the last one, as nothing is chosen with a joint head, or without training.keep=best and a validation part",
    "validation": "the latest that is not clearly worse than the best one on the validation part",
}


def insecurity_notice(insecure_choices: Sequence[str]) -> str:
    """The line that no output of an insecure run may lack; empty where nothing insecure was chosen."""
    return f"simulation only: gives no protection ({', '.join(insecure_choices)})" if insecure_choices else ""


def whose_record(recorded_by: str | None) -> str:
    """What a dash stands for where one party alone recorded the run; empty for a simulation, which sees both."""
    if recorded_by is None:
        return ""
    return f"recorded by party {recorded_by} alone: {MISSING} stands for what only the other party can know"


def attack_notice(attack: AttackRecord | None) -> str:
    """The line that no output of a run with a simulated adversary may lack; empty where both parties are honest."""
    return "" if attack is None else f"simulated attack: party {attack.party} is an adversary ({attack.name})"


def attack_success(attack: AttackRecord | None) -> str:
    """How often each of the honest party's networks does what the attack aims at; empty where it aims at nothing."""
    measured = {} if attack is None else attack.success
    return ", ".join(f"{name} {percent(value)}" for name, value in measured.items() if value is not None)


def queries_per_epoch(communication: Communication) -> str:
    """'500 in 9 of 10 epochs', or a range where exchanges differ in size."""
    return _per_exchange(communication.queries_per_epoch, communication.queries_per_epoch, count)


def bytes_per_epoch(communication: Communication) -> str:
    """The same for bytes. Epochs without a query are left out: a few bytes of control cross in these too."""
    return _per_exchange(communication.bytes_per_epoch, communication.queries_per_epoch, human_bytes)


def total_traffic(communication: Communication) -> str:
    """Bytes and rounds of the whole run; empty where they are not known."""
    if communication.bytes_total is None:
        return ""
    text = f"{human_bytes(communication.bytes_total)} in {count(communication.rounds_total)} rounds"
    per_query = communication.bytes_per_query
    return text if per_query is None else f"{text}, {human_bytes(per_query)} per query"


def dealer_traffic(summary: RunSummary) -> str:
    """Bytes from the dealer to both parties, or to the one that recorded the run; empty where there were none."""
    recorded_by = summary.recorded_by
    if recorded_by is None:
        dealer_bytes = summary.communication.dealer_bytes_total
        return human_bytes(dealer_bytes) if dealer_bytes else ""
    dealer_bytes = summary.parties[recorded_by].dealer_bytes
    return f"{human_bytes(dealer_bytes)} to party {recorded_by}" if dealer_bytes else ""


def logit_error(fidelity: Fidelity) -> str:
    error = fidelity.max_abs_logit_error
    return "not finite" if error is None else f"{error:.1e}"


def agreement(fidelity: Fidelity | None) -> str:
    """How closely secure inference matched plaintext; empty where it was not measured."""
    if fidelity is None:
        return ""
    text = f"logit error {logit_error(fidelity)} at most, noise with it"
    agreeing = fidelity.top1_agreement
    return text if agreeing is None else f"{text}, top-1 agreement {percent(agreeing, 2)}"


def missing_classes(parties: Mapping[str, PartySummary]) -> str:
    """Which party has no training sample of which class; empty where all have all."""
    return ", ".join(
        f"party {name} lacks {', '.join(map(str, party.missing_classes))}"
        for name, party in parties.items()
        if party.missing_classes
    )


def pooled(summary: RunSummary) -> str:
    """What one network on the data of both comes to; empty where there was none."""
    figure = summary.pooled_figure(summary.metric)
    text = "" if figure is None else with_interval(summary.metric, figure)
    return f"{text} by one network trained on both parties' data" if text else ""


def best_controls(summary: RunSummary) -> str:
    """Which training without the other party went best at each, and whether it is better than SMuLe."""
    return ", ".join(
        f"party {name}: {PHASE_TITLES[party.best_local_control.name]}{_better_than_smule(party, summary.metric)}"
        for name, party in summary.parties.items()
        if party.best_local_control
    )


def _better_than_smule(party: PartySummary, metric: str) -> str:
    best = party.best_local_control
    gain = None if best is None else party.gain(best.name, metric)
    return " (better than SMuLe)" if gain is not None and gain.value is not None and gain.value < 0 else ""


def trust(summary: RunSummary) -> str:
    """How each party judges the other's answers, and what weight they got over time."""
    return "; ".join(
        f"party {name} {_rightness(party.trust, summary.task)}weighs answers {_weights(party.trust)}"
        for name, party in summary.parties.items()
        if party.trust
    )


def alarms(parties: Mapping[str, PartySummary]) -> str:
    """Which exchanges a party found suspicious, and by which test; empty where there was no alarm."""
    return "; ".join(
        f"party {name}, exchange {alarm.exchange}, {alarm.test}: {alarm.evidence}"
        for name, party in parties.items()
        for alarm in party.alarms or ()
    )


def _rightness(epochs: list[TrustRecord], task: str) -> str:
    """Values are not right or wrong."""
    if task == "regression":
        return ""
    accuracy = epochs[-1].peer_accuracy
    found = "no known label answered" if accuracy is None else f"{percent(accuracy)} of known labels right"
    return f"finds {found} and "


def _weights(epochs: list[TrustRecord]) -> str:
    first, last = epochs[0], epochs[-1]
    return f"{first.peer_weight:.2f} (epoch {first.epoch}) to {last.peer_weight:.2f} (epoch {last.epoch})"


def kept_networks(parties: Mapping[str, PartySummary]) -> str:
    """Which network each party keeps, and why: 'party a: smule, epoch 9; party b: smule, epoch 12 (the last one)'."""
    kept = {name: party for name, party in parties.items() if party.kept_network}
    reasons = {party.kept_because for party in kept.values()}
    if len(reasons) == 1:
        networks = ", ".join(f"party {name}: {party.kept_network}" for name, party in kept.items())
        return networks + _why_kept(reasons.pop())
    return "; ".join(
        f"party {name}: {party.kept_network}{_why_kept(party.kept_because)}" for name, party in kept.items()
    )


def _why_kept(because: str | None) -> str:
    return f" ({_KEPT_BECAUSE[because]})" if because else ""


def privacy(parties: Mapping[str, PartySummary]) -> str:
    """What each party's training samples are protected by, whatever the other party asks."""
    return ", ".join(
        f"party {name}: epsilon {spent.epsilon:.2f} at delta {spent.delta:g} "
        f"(noise {spent.noise_multiplier:.2f}, {count(spent.steps)} steps)"
        for name, spent in ((name, party.privacy) for name, party in parties.items())
        if spent
    )


def noise(sigma: float, task: str) -> str:
    """A standard deviation, with its unit where it has one."""
    return f"{sigma:.2g} target_std" if task == "regression" else f"{sigma:.2g}"


def budgets(parties: Mapping[str, PartySummary], task: str) -> str:
    """What each network answered, and what its owner's limit leaves; empty where that is not known."""
    return ", ".join(
        f"party {name}: {count(budget.charged)} charged of {count(budget.limit)}, {count(budget.left)} left"
        + (f", {count(budget.public)} of them about public samples" if budget.public else "")
        + (f", {count(budget.repeats_used)} exchange(s) repeated" if budget.repeats_used else "")
        + f", noise {noise(budget.logit_noise, task)}"
        for name, budget in ((name, party.budget) for name, party in parties.items())
        if budget
    )


def public_questions(summary: RunSummary) -> str:
    """How many public samples each party asked about in the clear, and what all answers took; empty where none."""
    made = ", ".join(
        f"party {name} asked about {count(party.public_made)}"
        for name, party in summary.parties.items()
        if party.public_made
    )
    num_bytes = summary.communication.bytes_by_phase.get("public", 0)
    return f"{made}, answered in the clear: {human_bytes(num_bytes)}" if made else ""


def joint_head(parties: Mapping[str, PartySummary]) -> str:
    """What the joint head is made of, what it took, who learns what of it; empty without one."""
    heads = {name: party.joint_head for name, party in parties.items() if party.joint_head}
    if not heads:
        return ""
    head = next(iter(heads.values()))
    rows = " and ".join(
        f"{count(number)} {'rows ' * (name == 'a')}of party {name}" for name, number in head.rows.items()
    )
    made = f"{count(head.features)} features, {rows}, solved for {human_bytes(head.solve_bytes)}" + "".join(
        f"; {one.advantage:+.1f} deviations against the head of party {name}{', left out' * one.is_left_out}"
        for name, one in heads.items()
        if one.advantage is not None
    )
    if head.is_revealed:
        return f"{made}; both parties know its weights, noise {head.noise:.2g}, for {human_bytes(head.opening_bytes)}"
    answers = "; ".join(
        f"party {name} gave {count(one.answers_given)} answers of {count(one.answers_limit)}, got "
        f"{count(one.answers_got)}"
        + (f", gave {count(one.answers_before)} in other runs" if one.answers_before else "")
        for name, one in heads.items()
    )
    return f"{made}; nobody knows its weights; {answers}, noise {head.noise:.2g}, {human_bytes(head.opening_bytes)}"


def dropped_answers(parties: Mapping[str, PartySummary]) -> str:
    """How many answers could not be right; empty where all could."""
    return ", ".join(
        f"party {name} dropped {count(party.answers_dropped)} answers that cannot be right"
        for name, party in parties.items()
        if party.answers_dropped
    )


def planned_exchange(parties: Mapping[str, PartySummary]) -> str:
    """What an exchange was said to cost at most, before the first one, and what came once before all of them."""
    values = ((party.planned_exchange_bytes, party.planned_set_up_bytes) for party in parties.values())
    planned, once = next((value for value in values if value[0] is not None), (None, None))
    if planned is None:
        return ""
    return f"at most {human_bytes(planned)} per exchange" + (f", set-up {human_bytes(once)} once" if once else "")


def durations(seconds: RunSeconds) -> str:
    """'training 2.0 s + exchange 3.0 s + rest 1.0 s = 6.0 s', so that what is shown adds up.

    Training and exchange hold those of earlier attempts at a run that was cut off, the total does not.
    """
    training, exchange, total = seconds.training, seconds.exchange, seconds.total
    if total is None:
        return ""
    if training is None or exchange is None:
        return f"{human_seconds(total)} in all"
    digits = 1 if total < 59.95 else 0
    rest = round(total, digits) - round(training, digits) - round(exchange, digits)
    parts = f"training {_duration(training, digits)} + exchange {_duration(exchange, digits)}"
    if rest < -0.5 * 10**-digits:
        return f"{parts}, earlier attempts with them; the last attempt {_duration(total, digits)}"
    return f"{parts} + rest {_duration(abs(rest), digits)} = {_duration(total, digits)}"


def _duration(seconds: float, digits: int) -> str:
    """Whole seconds where any of several times is a minute or more."""
    return human_seconds(seconds) if digits or seconds >= 59.95 else f"{seconds:.0f} s"


def failure(status: str, error: str | None) -> str:
    """'failed: why', or nothing for a completed run."""
    return "" if status == "completed" else f"{status}: {error or 'no error was recorded'}"


def _per_exchange(values: Sequence[int], queries: Sequence[int], show: Callable[[int], str]) -> str:
    used = [value for value, asked in zip(values, queries, strict=True) if asked]
    if not used:
        return "no exchange"
    low, high = show(min(used)), show(max(used))
    amount = low if low == high else f"{low} to {high}"
    return f"{amount} in {len(used)} of {len(values)} epochs"
