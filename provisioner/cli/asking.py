"""Questions that stand between a person and what cannot be undone. Asked on the error stream, so
that the output stays a result."""

from __future__ import annotations

import click

from provisioner.cli.terminal import Terminal
from provisioner.core.diagnostics import ProvisionerError, error


def confirm(
    terminal: Terminal,
    question: str,
    *,
    yes: bool,
    answer: str | None = None,
    detail: str = "",
    hint: str = "Pass --yes.",
) -> None:
    """Ask, unless ``yes``; raises click.Abort for anything but a yes, or but ``answer`` if that is
    what has to be typed.

    Raises ProvisionerError (PRV6002) where there is nobody who could be asked.
    """
    if yes:
        return
    if terminal.json or not terminal.interactive:
        raise ProvisionerError(
            error(
                "PRV6002",
                "confirmation is needed, and there is no terminal to ask on",
                detail=detail,
                hint=hint,
            )
        )
    try:
        if answer is None:
            agreed = click.confirm(question, default=False, err=True)
        else:
            given = click.prompt(question, default="", show_default=False, err=True)
            agreed = given.strip() == answer
    except click.Abort:
        # The end of the input, or Ctrl-C: nobody has ended the line.
        terminal.note([""])
        raise
    if not agreed:
        raise click.Abort
