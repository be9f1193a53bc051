"""``provisioner dr answer``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import global_options
from provisioner.cli.recoveryoptions import past_options

if TYPE_CHECKING:
    from provisioner.service.recovery.opening import Source


@click.command("answer")
@past_options
@click.argument("task", metavar="[TASK]", required=False)
@click.argument("text", metavar="ANSWER", required=False)
@global_options
@pass_invocation
def command(
    invocation: Invocation,
    task: str | None,
    text: str | None,
    *,
    source: Source,
    stack: Path,
) -> None:
    """Answer the question of a run, from this terminal or another one.

    ANSWER is yes, or anything else for no. TASK may be left out where only one asks; 'dr status'
    lists the questions.
    """
    from provisioner.cli.opening import open_workspace
    from provisioner.service.recovery.running import answer

    if text is None:
        task, text = None, task
    if text is None:
        raise click.UsageError("Missing argument 'ANSWER'.")
    terminal = invocation.terminal
    workspace = open_workspace(invocation, stack)
    answered = answer(workspace, source, task, text)
    if terminal.json:
        terminal.print_json({"task": answered, "text": text})
    else:
        terminal.print([f"Answered {text!r} to {answered}."])
