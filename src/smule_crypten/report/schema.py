"""The documented form of summary.json (docs/results.md), as data and one check."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

SCHEMA_VERSION = 1

Check: TypeAlias = Callable[[object], bool]
Schema: TypeAlias = "Mapping[str, Check | Schema]"


def is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    return is_int(value) or isinstance(value, float)


def is_text(value: object) -> bool:
    return isinstance(value, str)


def optional(check: Check) -> Check:
    return lambda value: value is None or check(value)


def list_of(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def is_map(value: object) -> bool:
    return isinstance(value, dict)


def map_of(check: Check) -> Check:
    return lambda value: isinstance(value, dict) and all(map(is_text, value)) and all(map(check, value.values()))


def anything(value: object) -> bool:
    return True


CONTROL: Schema = {
    "name": is_text,
    "test_accuracy": is_number,
}
PRIVACY: Schema = {
    "epsilon": is_number,
    "target_epsilon": is_number,
    "delta": is_number,
    "noise_multiplier": is_number,
    "max_gradient_norm": is_number,
    "sample_rate": is_number,
    "steps": is_int,
}
BUDGET: Schema = {
    "answered": is_int,
    "limit": is_int,
    "charged": is_int,
    "charged_before": is_int,
    "left": is_int,
    "repeats_used": is_int,
    "repeats_allowed": is_int,
    "mu": is_number,
    "logit_noise": is_number,
}
PARTY: Schema = {
    "architecture": optional(is_text),
    "num_parameters": optional(is_int),
    "num_train": optional(is_int),
    "num_test": optional(is_int),
    "missing_classes": optional(list_of(is_int)),
    "test_accuracy": optional(is_number),
    "standalone_test_accuracy": optional(is_number),
    "controls": map_of(is_number),
    "best_local_control": optional(lambda value: not _problems(value, CONTROL, "")),
    "planned_exchange_bytes": optional(is_int),
    "kept_network": optional(is_text),
    "kept_because": optional(lambda value: value in ("last", "validation")),
    "privacy": optional(lambda value: not _problems(value, PRIVACY, "")),
    "trust": optional(list_of(is_map)),
    "alarms": optional(list_of(is_map)),
    "queries_made": optional(is_int),
    "queries_answered": optional(is_int),
    "answers_dropped": optional(is_int),
    "dealer_bytes": optional(is_int),
    "budget": optional(lambda value: not _problems(value, BUDGET, "")),
}
COMMUNICATION: Schema = {
    "bytes_per_epoch": list_of(is_int),
    "bytes_total": optional(is_int),
    "dealer_bytes_total": optional(is_int),
    "rounds_total": optional(is_int),
    "queries_per_epoch": list_of(is_int),
    "bytes_per_query": optional(is_number),
    "bytes_by_phase": map_of(is_int),
    "bytes_by_layer": map_of(is_int),
}
FIDELITY: Schema = {
    "max_abs_logit_error": optional(is_number),
    "top1_agreement": is_number,
    "num_samples": is_int,
}
ATTACK: Schema = {
    "name": is_text,
    "party": is_text,
    "success": map_of(optional(is_number)),
}
SECONDS: Schema = {
    "training": optional(is_number),
    "exchange": optional(is_number),
    "total": optional(is_number),
}
SUMMARY: Schema = {
    "schema_version": lambda value: value == SCHEMA_VERSION,
    "status": lambda value: value in ("running", "completed", "failed", "interrupted"),
    "run_id": is_text,
    "recorded_by": optional(is_text),
    "scheme": is_text,
    "provider": is_text,
    "randomness": is_text,
    "insecure_choices": list_of(is_text),
    "seed": is_int,
    "epochs": is_int,
    "parties": {"a": PARTY, "b": PARTY},
    "pooled_test_accuracy": optional(is_number),
    "communication": COMMUNICATION,
    "fidelity": optional(lambda value: not _problems(value, FIDELITY, "")),
    "attack": optional(lambda value: not _problems(value, ATTACK, "")),
    "seconds": SECONDS,
    "versions": map_of(is_text),
    "hardware": map_of(anything),
    "error": optional(is_text),
}


def validate_summary(summary: Mapping[str, Any]) -> None:
    """Check keys and types against the schema; no key may be missing and none may be extra.

    Raises:
        ValueError: one line that names every place where the summary differs.
    """
    problems = _problems(summary, SUMMARY, "")
    if problems:
        raise ValueError(f"not a summary of schema version {SCHEMA_VERSION}: {'; '.join(problems)}")


def _problems(value: object, schema: Schema, where: str) -> list[str]:
    if not isinstance(value, Mapping):
        return [f"{where.rstrip('.') or 'summary'}: expected an object, got {value!r}"]
    problems = [f"{where}{key}: unknown key" for key in value if key not in schema]
    for key, expected in schema.items():
        if key not in value:
            problems.append(f"{where}{key}: missing")
        elif isinstance(expected, Mapping):
            problems += _problems(value[key], expected, f"{where}{key}.")
        elif not expected(value[key]):
            problems.append(f"{where}{key}: unexpected {value[key]!r}")
    return problems
