"""A schema as a YAML (or JSON) file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from smule_crypten.config.config_reading import describe_validation, known_keys
from smule_crypten.errors import ConfigError, printable
from smule_crypten.tables.schema import BLANK, TableSchema

_WIDE = 1_000_000
_MOST_SHOWN = 5
_REMEDIES = {
    "role": "write feature, target or ignore",
    "kind": "write numeric, boolean or categorical",
    "centre": "write a typical value that both parties agree on",
    "scale": "write a spread that both parties agree on, above 0",
    "categories": "list all values, in an order that both parties agree on",
}


def read_schema(path: Path) -> TableSchema:
    """The schema in a file.

    Raises:
        ConfigError: it cannot be read, still has blanks, or is no schema; the column is named.
    """
    try:
        # BaseLoader leaves all values texts: the categories No and 1 would become something else.
        values = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=yaml.BaseLoader)
    except OSError as error:
        raise ConfigError(f"cannot read the schema {path} ({error.strerror}); smule-table schema drafts one") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"schema {path}: no YAML in UTF-8 ({printable(str(error))}); fix it") from error
    columns = values.get("columns") if isinstance(values, dict) else None
    if not isinstance(columns, list) or not all(isinstance(column, dict) for column in columns):
        raise ConfigError(f"schema {path}: no list of columns in it; smule-table schema drafts one")
    _refuse_blanks(columns, path)
    try:
        return TableSchema.model_validate(values)
    except ValidationError as error:
        names = [str(column.get("name", f"number {number}")) for number, column in enumerate(columns, 1)]
        raise ConfigError(f"schema {path}: {_described(error, names)}") from None


def _refuse_blanks(columns: Sequence[dict[Any, Any]], path: Path) -> None:
    blanks = [
        f"column {column.get('name')!r}: {key}: {_REMEDIES.get(str(key), 'fill it in')}"
        for column in columns
        for key, value in column.items()
        if value == BLANK or (isinstance(value, list) and BLANK in value)
    ]
    if blanks:
        more = f"; and {len(blanks) - _MOST_SHOWN} more" if len(blanks) > _MOST_SHOWN else ""
        raise ConfigError(f"schema {path} still has blanks ({BLANK}): {'; '.join(blanks[:_MOST_SHOWN])}{more}")


def _described(error: ValidationError, names: Sequence[str]) -> str:
    """As for a configuration, with the name of the column in place of its number."""
    text = describe_validation(error, most=_MOST_SHOWN, known=known_keys(TableSchema))
    for number, name in enumerate(names):
        text = text.replace(f"columns.{number}", f"column {printable(name)!r}")
    return text


def schema_text(columns: Sequence[dict[str, Any]], others: dict[str, Any], comment: str) -> str:
    """A schema file: one line per column.

    Args:
        columns: as Column.written gives them; blanks may be among their values.
        others: the keys beside the columns.
        comment: lines that stand above all.
    """
    lines = [*(f"# {line}".rstrip() for line in comment.splitlines()), "columns:"]
    lines += [f"  - {_flow(column)}" for column in columns]
    lines += [f"{key}: {_flow(value)}" for key, value in others.items()]
    return "\n".join(lines) + "\n"


def text_of(schema: TableSchema, comment: str = "A public schema: both parties have the same one.") -> str:
    """The file of a whole schema; read_schema gives it back."""
    others = {"missing_values": list(schema.missing_values), "limit": schema.limit}
    return schema_text([column.written() for column in schema.columns], others, comment)


def _flow(value: object) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=_WIDE)
    return text.removesuffix("\n").removesuffix("...").strip()
