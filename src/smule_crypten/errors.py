"""Every error a user can cause or meet, each with its own exit code.

SmuleError                      1   anything below; never raised itself
├── ConfigError                 2   a setting is unknown, of the wrong type or impossible
├── DataError                   3   data cannot be read or cannot be learned from
├── ModelError                  4   a network cannot be built or used
│   └── UnshareableModelError   4   a network cannot be evaluated on secret shares
├── OutputError                 5   the output folder cannot be written, or holds a finished run
├── PeerError                   6   the other party is gone or late
│   ├── PeerDisconnectedError   6
│   ├── PeerTimeoutError        6
│   ├── PeerRefusedError        6   it gave up since it was stopped, or lost somebody itself
│   ├── RestartError           12   the other party is more than one exchange behind
│   ├── HandshakeError         13   the parties are configured differently, or run different versions or commands
│   └── PeerDeclinedError      14   the other party ended the run for a reason that stays: its budget, its data, a fault
├── ProtocolError               7   a protocol step was called or answered wrongly
│   └── SpotCheckError          7   answers differ when asked for again
├── PartyFailedError            8   a party process ended with an error
├── TrainingError               9   training diverged
├── CredentialError            10   a key or certificate is missing, expired or not the expected one
├── BudgetError                11   a query asks for more than the model owner is willing to disclose
├── TermsError                 15   the signed terms are missing, changed, not valid now, or not those of this side
└── StatusError                16   a process that was looked at is not well, or has left no status

Exit code 6 is worth another try, all others need somebody to look. 130 stands for Ctrl-C and SIGTERM. Messages are one
line: what is wrong, where, and what to do.
"""

from __future__ import annotations

INTERRUPTED_EXIT_CODE = 130

_LONGEST_SHOWN = 200
"""Characters of what another process said, in a message."""


def quoted(value: object) -> str:
    """What another process said, as it may be shown on a terminal: no control characters, and not too long."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def printable(text: str) -> str:
    """Text as one line without control characters, for words of a library that may repeat what another process said."""
    return "".join(char if char.isprintable() else " " for char in text)


class SmuleError(Exception):
    """Base of all errors that a user can cause, each with a message of one line: what is wrong, where, what to do.

    Attributes:
        exit_code: with which a command ends (docs/exit-codes.md).
        tell_peer: whether the other processes are told the message. It is not the default: messages may hold paths.

    Example:
        >>> import smule_crypten as smule
        >>> try:
        ...     smule.configure("training.epoch=3")
        ... except smule.SmuleError as error:
        ...     print(error)
        training.epoch: unknown key; did you mean training.epochs?
    """

    exit_code = 1
    tell_peer = False


class ConfigError(SmuleError):
    exit_code = 2


class DataError(SmuleError):
    exit_code = 3


class ModelError(SmuleError):
    exit_code = 4


class UnshareableModelError(ModelError):
    """A module has no secret-shared counterpart.

    Args:
        module: qualified name and type of the module, as the user wrote it.
        reason: the cryptographic or technical reason.
        remedy: what to use in its place.
    """

    def __init__(self, module: str, reason: str, remedy: str) -> None:
        super().__init__(f"{module} cannot be evaluated on secret shares: {reason}; {remedy}")
        self.module = module
        self.reason = reason
        self.remedy = remedy

    def __reduce__(self) -> tuple[type[UnshareableModelError], tuple[str, str, str]]:
        return type(self), (self.module, self.reason, self.remedy)


class OutputError(SmuleError):
    exit_code = 5


class PeerError(SmuleError):
    """about: the process that is gone or gave up, as far as that is known."""

    exit_code = 6
    tell_peer = True  # what a link says of the other side; whoever is left then learns which process was lost
    about: str | None = None


class PeerDisconnectedError(PeerError):
    pass


class PeerTimeoutError(PeerError):
    pass


class PeerRefusedError(PeerError):
    tell_peer = True


class RestartError(PeerError):
    exit_code = 12


class HandshakeError(PeerError):
    exit_code = 13


class PeerDeclinedError(PeerError):
    exit_code = 14


_WORTH_ANOTHER_TRY = {"PeerError", "PeerDisconnectedError", "PeerTimeoutError", "PeerRefusedError"}
_WAS_STOPPED = {"KeyboardInterrupt", "Stopped"}


def refusal(peer: str, kind: object, reason: str) -> PeerError:
    """The error here when another process gave up.

    Args:
        kind: class of its own error, as it says; None where it says none.
    """
    text = f"{peer} gave up: {reason}"
    for agreed in (HandshakeError, RestartError):
        if kind == agreed.__name__:
            return agreed(text)
    is_passing = not isinstance(kind, str) or kind in _WORTH_ANOTHER_TRY | _WAS_STOPPED
    return PeerRefusedError(text) if is_passing else PeerDeclinedError(text)


class ProtocolError(SmuleError):
    exit_code = 7
    tell_peer = True


class SpotCheckError(ProtocolError):
    tell_peer = False  # the message tells of answers, which are this party's alone


class PartyFailedError(SmuleError):
    exit_code = 8


class TrainingError(SmuleError):
    exit_code = 9


class CredentialError(SmuleError):
    exit_code = 10


class BudgetError(SmuleError):
    exit_code = 11
    tell_peer = True


class TermsError(SmuleError):
    exit_code = 15


class StatusError(SmuleError):
    exit_code = 16
