"""What one run of the program was told by its global options; every command gets it from click's
context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import click

from provisioner.cli.terminal import Terminal
from provisioner.core.redaction import Redactor


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

    @property
    def typed(self) -> list[str]:
        """The command as it was typed, to be shown; not with variables, whose values may be
        confidential."""
        return ["provisioner", *(["..."] if self.variables else self.arguments)]


pass_invocation = click.make_pass_decorator(Invocation)
