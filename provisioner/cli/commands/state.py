"""``provisioner state``: a group of commands about what was recorded. None of them needs valid
manifests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from provisioner.cli.asking import confirm
from provisioner.cli.completing import addresses
from provisioner.cli.exitcodes import ExitCode
from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import address, global_options, pattern, stack_argument
from provisioner.cli.render.text import listed, natural, wrap
from provisioner.core.address import Address, AddressPattern
from provisioner.core.diagnostics import error


@click.group("state")
@global_options
def command(**_: Any) -> None:
    """Inspect and maintain what was recorded.

    The state says what the last apply did, not what is there now: 'provisioner drift' compares the
    two. It is kept in .provisioner/ of the stack's folder (or in the folder that $PROVISIONER_STATE
    names), separately for each environment.
    """


@command.command("list")
@stack_argument
@global_options
@pass_invocation
def list_entries(invocation: Invocation, stack: Path) -> None:
    """List everything recorded."""
    from provisioner.cli.opening import open_workspace
    from provisioner.cli.render.state import entry_json, render_entries
    from provisioner.service.schema import Vocabulary
    from provisioner.service.state import read_state

    terminal = invocation.terminal
    state = read_state(open_workspace(invocation, stack))
    entries = [state.entries[key] for key in sorted(state.entries)]
    if terminal.json:
        vocabulary = Vocabulary()
        terminal.print_json(
            {
                "lineage": str(state.lineage),
                "serial": state.serial,
                "resources": [entry_json(entry, vocabulary) for entry in entries],
            }
        )
        return
    terminal.print(render_entries(entries, terminal.paint(terminal.out), terminal.width))
    if state.open_intents:
        names = sorted({str(item.address) for item in state.open_intents}, key=natural)
        text = f"The last run did not finish. The next one first checks {listed(names)}."
        terminal.note(wrap(text, terminal.width))


@command.command("show")
@click.argument(
    "resource", metavar="ADDRESS", type=address, shell_complete=addresses(recorded_only=True)
)
@stack_argument
@global_options
@pass_invocation
def show(invocation: Invocation, resource: Address, stack: Path) -> None:
    """Show everything recorded about one resource."""
    from provisioner.cli.opening import open_workspace
    from provisioner.cli.render.state import entry_json, render_entry
    from provisioner.service.schema import Vocabulary
    from provisioner.service.state import matching_entries, read_state

    terminal = invocation.terminal
    state = read_state(open_workspace(invocation, stack))
    (entry,) = matching_entries(state, AddressPattern(*resource))
    if terminal.json:
        terminal.print_json(entry_json(entry, Vocabulary()))
    else:
        paint = terminal.paint(terminal.out)
        terminal.print(render_entry(entry, Vocabulary(), paint, terminal.width))


@command.command("history")
@stack_argument
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=20, show_default=True, metavar="N"
)
@click.option("--operation", metavar="ID", help="Show the journal of this operation instead.")
@global_options
@pass_invocation
def history(invocation: Invocation, stack: Path, limit: int, operation: str | None) -> None:
    """Show who applied what and when, newest first."""
    from provisioner.cli.opening import open_workspace
    from provisioner.cli.render import state as rendering
    from provisioner.service import state as service
    from provisioner.service.schema import Vocabulary

    terminal = invocation.terminal
    workspace = open_workspace(invocation, stack)
    paint = terminal.paint(terminal.out)
    if operation is not None:
        records = service.journal(workspace, operation)
        if terminal.json:
            terminal.print_json(rendering.journal_json(records, Vocabulary()))
        else:
            terminal.print(rendering.render_journal(records, paint, terminal.width))
        return
    operations = service.history(workspace, limit)
    if terminal.json:
        terminal.print_json(rendering.history_json(operations))
    else:
        terminal.print(rendering.render_history(operations, paint, terminal.width))


@command.command("verify")
@stack_argument
@global_options
@pass_invocation
def verify(invocation: Invocation, stack: Path) -> ExitCode:
    """Check every page and record.

    Exits with 1 if anything is damaged.
    """
    from provisioner.cli.opening import open_workspace
    from provisioner.service import state as service

    terminal = invocation.terminal
    workspace = open_workspace(invocation, stack)
    problems = service.verify(workspace)
    if terminal.json:
        terminal.print_json({"sound": not problems, "problems": problems})
    elif problems:
        terminal.report(
            [
                error(
                    "PRV6014",
                    f"the state {workspace.state_path} is damaged",
                    detail="\n".join(problems),
                    hint="Restore a backup: provisioner state restore FILE.",
                )
            ]
        )
    else:
        terminal.print(["The state is sound."])
    return ExitCode.ERROR if problems else ExitCode.DONE


@command.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@stack_argument
@global_options
@pass_invocation
def backup(invocation: Invocation, file: Path, stack: Path) -> None:
    """Write a verified copy to FILE.

    Works while the state is in use. An existing file is never overwritten.
    """
    from provisioner.cli.opening import open_workspace
    from provisioner.service import state as service

    service.backup(open_workspace(invocation, stack), file)
    _say(invocation, {"written": str(file)}, f"Written to {file}.")


@command.command("restore")
@click.argument("file", type=click.Path(path_type=Path))
@stack_argument
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@global_options
@pass_invocation
def restore(invocation: Invocation, file: Path, stack: Path, yes: bool) -> None:
    """Replace the state with the backup FILE.

    The state that was there is kept beside it.
    """
    from provisioner.cli.opening import open_workspace
    from provisioner.service import state as service

    workspace = open_workspace(invocation, stack)
    confirm(invocation.terminal, f"Replace {workspace.state_path} with {file}?", yes=yes)
    note = service.restore(workspace, file)
    if note is not None:
        invocation.terminal.note(wrap(note, invocation.terminal.width))
    _say(invocation, {"restored": str(file)}, f"Restored from {file}.")


@command.command("forget")
@click.argument(
    "resources", metavar="PATTERN", type=pattern, shell_complete=addresses(recorded_only=True)
)
@stack_argument
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@global_options
@pass_invocation
def forget(invocation: Invocation, resources: AddressPattern, stack: Path, yes: bool) -> None:
    """Remove resources from the record.

    The objects themselves stay where they are; the next apply would find and adopt them.

    PATTERN is an address, possibly with wildcards: 'VirtualMachine/web*'.
    """
    from provisioner.cli.opening import open_workspace
    from provisioner.service import state as service

    workspace = open_workspace(invocation, stack)
    entries = service.matching_entries(service.read_state(workspace), resources)
    names = sorted((str(entry.address) for entry in entries), key=natural)
    terminal = invocation.terminal
    if len(names) == 1:
        question = f"Forget {names[0]}?"
    else:
        question = f"Forget these {len(names)} resources?"
        if not yes:
            terminal.note(wrap(f"To be forgotten: {listed(names)}.", terminal.width))
    confirm(terminal, question, yes=yes)
    forgotten = [str(entry.address) for entry in service.forget(workspace, resources)]
    text = f"Forgotten: {listed(sorted(forgotten, key=natural))}."
    _say(invocation, {"forgotten": forgotten}, text)


@command.command("unlock")
@click.argument("token", metavar="[TOKEN]", required=False)
@stack_argument
@global_options
@pass_invocation
def unlock(invocation: Invocation, token: str | None, stack: Path) -> None:
    """Show the lock, or break it by its TOKEN.

    Only break a lock whose holder is certainly gone: two applies at once could undo each other's
    work.
    """
    from provisioner.cli.opening import open_workspace
    from provisioner.cli.render.state import render_lock
    from provisioner.service import state as service

    if token is not None and Path(token).is_dir():
        # 'state unlock DIR' asks about the lock there; a token is no folder.
        stack, token = Path(token), None
    workspace = open_workspace(invocation, stack)
    if token is not None:
        service.unlock(workspace, token)
        _say(invocation, {"unlocked": token}, "The lock is broken.")
        return
    holder = service.lock_holder(workspace)
    if not invocation.terminal.json:
        invocation.terminal.print(render_lock(holder))
        return
    data = None
    if holder is not None:
        data = {
            "owner": holder.owner,
            "purpose": holder.purpose,
            "since": holder.since.isoformat(),
            "expires": holder.expires.isoformat(),
            "token": holder.token,
            "ended": holder.has_ended,
        }
    invocation.terminal.print_json({"lock": data})


def _say(invocation: Invocation, data: dict[str, Any], text: str) -> None:
    """Tell what was done."""
    invocation.terminal.acts = True
    if invocation.terminal.json:
        invocation.terminal.print_json(data)
    else:
        invocation.terminal.print(wrap(text, invocation.terminal.width))
