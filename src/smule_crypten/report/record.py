"""What all records have in common, and how one is read from a file.

None, which is null in a file, stands for "not known" or "not measured".
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from smule_crypten.errors import DataError, printable


class Record(BaseModel):
    """Base of all records: immutable, of exactly these keys and types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


RecordT = TypeVar("RecordT", bound=Record)


def parse_record(kind: type[RecordT], text: str, where: object) -> RecordT:
    """A record of this version of the program or an earlier one, whose unknown keys are left out.

    Args:
        where: what an error names.

    Raises:
        DataError: it is none.
    """
    try:
        return kind.model_validate_json(text, extra="ignore")
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "as a whole"
        raise DataError(
            f"{where} is no {kind.__name__}: {printable(key)}: {first['msg']}; give what a run wrote"
        ) from None


def read_record(kind: type[RecordT], path: Path) -> RecordT:
    """As parse_record, of a file.

    Raises:
        DataError: it cannot be read, or is none.
    """
    return parse_record(kind, read_text(path), path)


def read_text(path: Path) -> str:
    """Raises DataError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}; give what a run wrote") from error


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def maybe(description: str) -> Any:
    """A field that is None where its value is not known."""
    return Field(default=None, description=description)


Finite = Annotated[float | None, BeforeValidator(_finite)]
"""None also where it is infinite or no number, which JSON cannot say."""
