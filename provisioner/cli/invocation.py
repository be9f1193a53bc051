"""What one run of the program was told by its global options; every command gets it from click's
context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from provisioner.cli.terminal import Terminal
from provisioner.core.diagnostics import ProvisionerError, error, quoted
from provisioner.core.redaction import Redactor

STATE_VARIABLE = "PROVISIONER_STATE"


@dataclass
class Invocation:
    """Global options as given before or after the command, the terminal, and the process's
    environment."""

    terminal: Terminal
    environ: Mapping[str, str]
    arguments: Sequence[str] = ()
    """As they were typed."""
    environment: str | None = None
    no_cache: bool = False
    variables: dict[str, str] = field(default_factory=dict)
    redactor: Redactor = field(default_factory=Redactor)
    """Learns every secret that the run resolves."""
    forms: list[str] = field(default_factory=list)
    """In which a plan is to be shown; more than one is a mistake."""

    @property
    def form(self) -> str | None:
        """The form in which a plan is to be shown; None: as text, or as the program's own JSON.
        Raises click.UsageError if there are several.
        """
        chosen = [*self.forms, *(["json"] if self.terminal.json else [])]
        if self.forms and len(chosen) > 1:
            names = " and ".join(f"--{name}" for name in dict.fromkeys(chosen))
            raise click.UsageError(f"{names} exclude each other.")
        return self.forms[0] if self.forms else None

    @property
    def typed(self) -> list[str]:
        """The command as it was typed, to be shown; not with variables, whose values may be
        confidential."""
        return ["provisioner", *(["..."] if self.variables else self.arguments)]

    @property
    def states(self) -> Path | None:
        """The folder of the stack's states, where it is not in that of the stack: a pipeline checks
        the stack out anew each time. Raises ProvisionerError (PRV6042) for a relative path, which
        would mean another folder wherever a command is run.
        """
        path = self.environ.get(STATE_VARIABLE, "")
        if path and not path.startswith("/"):
            raise ProvisionerError(
                error(
                    "PRV6042",
                    f"{STATE_VARIABLE} is {quoted(path)}, expected an absolute path",
                    hint="Name the folder in which the states of this stack lie, one folder for"
                    " each stack: /var/lib/provisioner/shop, say.",
                )
            )
        return Path(path) if path else None


pass_invocation = click.make_pass_decorator(Invocation)
