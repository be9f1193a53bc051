"""What one run of the program was told by its global options; every command gets it from click's
context."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import click

from provisioner.cli.terminal import Terminal


@dataclass
class Invocation:
    """Global options as given before or after the command, the terminal, and the process's
    environment."""

    terminal: Terminal
    environ: Mapping[str, str]
    environment: str | None = None
    variables: dict[str, str] = field(default_factory=dict)


pass_invocation = click.make_pass_decorator(Invocation)
