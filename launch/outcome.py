"""How a command ends: what a user can fix in one line on stderr, and the exit code (see errors.py)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from smule_crypten.errors import INTERRUPTED_EXIT_CODE, SmuleError
from smule_crypten.files import output_error
from smule_crypten.launch.composition import explain

MENDABLE = (SmuleError, HydraException, OmegaConfBaseException, OSError)


def exit_code_of(task: Callable[[], object], next_steps: Mapping[int, str] | None = None) -> int:
    """Run task, show how it failed, and return the exit code. Errors that nobody expected pass through.

    Args:
        next_steps: what to do after each exit code, where the message alone does not say it.
    """
    next_steps = next_steps or {}
    try:
        task()
    except MENDABLE as error:
        return show(error, next_steps).exit_code
    except KeyboardInterrupt:
        print(f"smule: interrupted{_next(next_steps, INTERRUPTED_EXIT_CODE)}", file=sys.stderr)
        return INTERRUPTED_EXIT_CODE
    return 0


def show(error: Exception, next_steps: Mapping[int, str] | None = None) -> SmuleError:
    """Print the error in one line, after the tracebacks of the parties if that line explains nothing."""
    explained = _explained(error)
    for traceback in getattr(explained, "__notes__", []):
        print(traceback, file=sys.stderr)
    print(f"smule: error: {explained}{_next(next_steps or {}, explained.exit_code)}", file=sys.stderr)
    return explained


def _next(steps: Mapping[int, str], exit_code: int) -> str:
    return f". Next: {steps[exit_code]}" if exit_code in steps else ""


def _explained(error: Exception) -> SmuleError:
    if isinstance(error, SmuleError):
        return error
    if isinstance(error, OSError) and not isinstance(error, HydraException):  # Hydra's missing file is both
        return output_error(Path(error.filename or "."), error)
    return explain(error)
