"""Secrets that commands print: ``command://NAME`` and ``command://NAME/ARGUMENT``.

Used by :mod:`provisioner.service.secrets`. A stack only names a command; what is run stands in the
user's own configuration. No shell is involved, and what a command prints is seen by nobody but the
provider that needs it: also what it complains of may hold the secret.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error, quoted, shortened
from provisioner.service.output import NoOutput, Running
from provisioner.service.userconfig import (
    AllowedCommand,
    UserConfiguration,
    read_configuration,
    within,
)

LONGEST_ARGUMENT = 4096


class _Line(NamedTuple):
    """What is to be run, where it is known to be allowed."""

    arguments: tuple[str, ...]
    seconds: float


class CommandSecrets:
    """The commands that the user allows; the configuration is read when the first one is named."""

    def __init__(self, environ: Mapping[str, str], stack: Path, configuration: Path | None) -> None:
        """``configuration`` is where the file would be; None for a user without a home."""
        self._environ = environ
        self._stack = stack
        self._path = configuration
        self._read: UserConfiguration | None = None
        self._running = Running()

    def check(self, rest: str, reference: str) -> None:
        """Raise ProvisionerError (PRV1501, PRV1502) if the command may not or cannot be run; it is
        not."""
        self._line(rest, reference)

    def read(self, rest: str, reference: str) -> str:
        """What the command prints, without one newline at its end. Raises ProvisionerError, also
        if it fails (PRV1503)."""
        line = self._line(rest, reference)
        assert self._path is not None, "else nothing is allowed"
        try:
            data = self._running.output_of(
                line.arguments, self._environ, self._path.parent, line.seconds
            )
            return data.decode("utf-8").removesuffix("\n")
        except NoOutput as problem:
            reason = str(problem)
        except UnicodeDecodeError:
            reason = "What it printed is not UTF-8 text."
        raise ProvisionerError(
            error(
                "PRV1503",
                f"the command of the secret {shortened(reference)} failed",
                detail=f"{reason} What it wrote is not shown, for it may hold the secret.",
                hint=f"Run it by hand to see why: {shortened(shlex.join(line.arguments), 200)}",
            )
        )

    def _line(self, rest: str, reference: str) -> _Line:
        name, slash, argument = rest.partition("/")
        allowed = self._allowed(name, reference, has_argument=bool(slash))
        given = (argument,) if slash else ()
        reason = _misfit(allowed, argument if slash else None)
        if reason is not None:
            raise ProvisionerError(
                error(
                    "PRV1501",
                    f"the secret {shortened(reference)} does not fit what is allowed",
                    detail=f"{self._path}: {reason}.",
                    hint="Change the reference, or what the configuration allows, if you trust "
                    "everybody who can change the stack.",
                )
            )
        return _Line((self._program(allowed, reference), *allowed.run[1:], *given), allowed.seconds)

    def _allowed(self, name: str, reference: str, *, has_argument: bool) -> AllowedCommand:
        if self._read is None and self._path is not None:
            self._read = read_configuration(self._path, self._stack)
        known = self._read.commands if self._read is not None else {}
        if name in known:
            return known[name]
        raise ProvisionerError(
            _not_allowed(name, reference, self._path, list(known), has_argument=has_argument)
        )

    def _program(self, allowed: AllowedCommand, reference: str) -> str:
        name = allowed.run[0]
        folders = [
            folder
            for folder in self._environ.get("PATH", "").split(":")
            # A relative one would be looked for where the user happens to be: in the stack, say.
            if folder.startswith("/")
        ]
        found = shutil.which(name, path=":".join(folders))
        if found is not None and not within(Path(found), self._stack):
            return found
        reason = f"There is no program {quoted(name)} on PATH."
        if name.startswith("/"):
            reason = f"{name} is no program that you may run."
        if found is not None:
            reason = f"The program found is {found}, which lies in the folder of the stack."
        raise ProvisionerError(
            error(
                "PRV1501",
                f"the command of the secret {shortened(reference)} cannot be run",
                detail=reason,
                hint=f"Install it, or correct its entry in {self._path}.",
            )
        )


def _misfit(allowed: AllowedCommand, argument: str | None) -> str | None:
    """Why a stack may not give this argument."""
    if allowed.argument is None:
        return "it allows no argument here" if argument is not None else None
    if argument is None:
        return "it asks for an argument (command://NAME/ARGUMENT)"
    if argument.startswith("-"):
        return "an argument may not begin with '-', which the command could take for an option"
    if len(argument) > LONGEST_ARGUMENT or "\0" in argument:
        return f"an argument has at most {LONGEST_ARGUMENT} characters, none of them null"
    if allowed.argument.fullmatch(argument) is None:
        return f"the argument {quoted(argument)} does not match {quoted(allowed.argument.pattern)}"
    return None


def _not_allowed(
    name: str, reference: str, path: Path | None, known: list[str], *, has_argument: bool
) -> Diagnostic:
    if path is None:
        detail = "There is no configuration: the environment names no home (HOME)."
        hint = "Set HOME or XDG_CONFIG_HOME to an absolute path."
    else:
        detail = f"{path} does not exist." if not known else f"{path} allows {', '.join(known)}."
        if path.exists() and not known:
            detail = f"{path} allows none."
        argument = ", argument: 'PATTERN'" if has_argument else ""
        entry = f"{name}: {{run: [PROGRAM, ARGUMENT, ...]{argument}}}"
        hint = (
            "Only you can allow it, not a stack: write into that file "
            f"secrets: {{commands: {{{entry}}}}}"
        )
    return error(
        "PRV1501",
        f"the command of the secret {shortened(reference)} is not allowed",
        detail=detail,
        hint=hint,
    )
