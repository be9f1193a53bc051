"""``provisioner dr answer``."""

from __future__ import annotations

from pathlib import Path

import click

from provisioner.cli.completing import addresses
from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import global_options
from provisioner.cli.recoveryoptions import file_options, journal_options
from provisioner.cli.render.text import printable


@click.command("answer")
@click.argument(
    "words",
    metavar="[PLAN] [TASK] ANSWER",
    nargs=-1,
    shell_complete=addresses(kind="RecoveryPlan"),
)
@file_options
@journal_options
@global_options
@pass_invocation
def command(
    invocation: Invocation,
    words: tuple[str, ...],
    *,
    file: Path | None,
    trusted: Path | None,
    journal: Path | None,
    stack: Path,
) -> None:
    """Answer the question of a run, from this terminal or another one.

    ANSWER is yes or no; at a terminal it may be left out, and is asked for. PLAN may be left out
    with --from or --journal, and where there is only one, TASK where only one asks; 'dr status'
    lists the questions.
    """
    from provisioner.cli.opening import open_workspace
    from provisioner.service.recovery.answering import answer, neither, open_question
    from provisioner.service.recovery.model import meaning
    from provisioner.service.recovery.opening import Source

    if len(words) > 3:
        raise click.UsageError(
            f"Found {len(words)} arguments, expected a plan, a task, and yes or no."
        )
    terminal = invocation.terminal
    asks = terminal.interactive and not terminal.json
    text = words[-1] if words and meaning(words[-1]) is not None else None
    if text is None and (not asks or len(words) == 3):
        if not words:
            raise click.UsageError("Missing argument 'ANSWER'.")
        raise neither(words[-1])
    workspace = open_workspace(invocation, stack)
    before = words if text is None else words[:-1]
    question = open_question(workspace, Source(None, file, trusted, journal), before)
    if text is None:
        terminal.note([printable(question.text)])
        text = _asked()
    said = answer(workspace, question, text)
    if terminal.json:
        terminal.print_json({"task": question.task, "text": said})
    else:
        terminal.print([f"Answered {said!r} to {question.task}."])


def _asked() -> str:
    """Yes or no, asked for until it is one of them."""
    return "yes" if click.confirm("Your answer", default=None, err=True) else "no"
