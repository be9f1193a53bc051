"""The exit codes of the command line, and which failure leads to which. Documented in
docs/command-line.md."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from provisioner.core.diagnostics import Diagnostic, Severity


class ExitCode(IntEnum):
    """What a run of the program comes to."""

    DONE = 0
    ERROR = 1
    CHANGES = 2
    STALE = 3
    HELD = 4
    REFUSED = 5
    PARTIAL = 6
    INTERRUPTED = 130
    """128 + SIGINT, as shells report it; nothing was changed."""


_BY_DIAGNOSTIC = {
    "PRV3001": ExitCode.STALE,
    "PRV3002": ExitCode.REFUSED,
    "PRV7126": ExitCode.REFUSED,
    "PRV7150": ExitCode.STALE,
}


def exit_code_of(diagnostics: Iterable[Diagnostic]) -> ExitCode:
    """The exit code of a failure: a special one only if every error in it has that same one."""
    codes = {
        _BY_DIAGNOSTIC.get(item.code, ExitCode.ERROR)
        for item in diagnostics
        if item.severity is Severity.ERROR
    }
    return codes.pop() if len(codes) == 1 else ExitCode.ERROR
