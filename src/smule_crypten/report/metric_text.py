"""Figures of metrics as people read them: shares in percent, the others as numbers, intervals and gains beside them."""

from __future__ import annotations

from smule_crypten.metric_names import METRIC_FACTS
from smule_crypten.report.evaluation_records import MetricRecord
from smule_crypten.report.formatting import MISSING, percent

NO_CLEAR_GAIN = "no clear gain"


def metric_title(metric: str) -> str:
    """The name as it is if a later version wrote it."""
    facts = METRIC_FACTS.get(metric)
    return metric if facts is None else facts.title


def is_share(metric: str) -> bool:
    return metric in METRIC_FACTS and METRIC_FACTS[metric].is_share


def axis_title(metric: str) -> str:
    """Of test figures in a plot, shares in percent."""
    return f"test {metric_title(metric)}" + (" (%)" if is_share(metric) else "")


def on_axis(metric: str, value: float) -> float:
    """As a plot shows it: in percent, where it is a share."""
    return 100 * value if is_share(metric) else value


def metric_value(metric: str, value: float | None) -> str:
    """'87.8 %', '0.912', or of what has a unit of its own four digits."""
    if value is None:
        return MISSING
    return percent(value) if is_share(metric) else _number(metric, value)


def metric_interval(metric: str, figure: MetricRecord | None) -> str:
    """'84.7–90.7'; empty without one."""
    if figure is None or figure.low is None or figure.high is None:
        return ""
    low, high = (_bare(metric, value) for value in (figure.low, figure.high))
    return f"{low} to {high}" if figure.low < 0 else f"{low}–{high}"


def with_interval(metric: str, figure: MetricRecord | None) -> str:
    """'87.8 % (84.7–90.7)'."""
    interval = metric_interval(metric, figure)
    text = metric_value(metric, None if figure is None else figure.value)
    return f"{text} ({interval})" if interval else text


def gain_value(metric: str, gain: float | None) -> str:
    """With a sign: '+2.5' points of a share, '+0.012'."""
    if gain is None:
        return MISSING
    return f"{100 * gain:+.1f}" if is_share(metric) else _number(metric, gain, "+")


def gain_interval(metric: str, gain: MetricRecord | None) -> str:
    """'+1.0 to +4.1', or that it includes zero; empty without one."""
    if gain is None or gain.low is None or gain.high is None:
        return ""
    if not gain.is_clear:
        return NO_CLEAR_GAIN
    return f"{gain_value(metric, gain.low)} to {gain_value(metric, gain.high)}"


def _bare(metric: str, value: float) -> str:
    return metric_value(metric, value).removesuffix(" %")


def _number(metric: str, value: float, sign: str = "") -> str:
    return f"{value:{sign}.4g}" if metric in ("rmse", "mae") else f"{value:{sign}.3f}"
