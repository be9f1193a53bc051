"""``provisioner console``."""

from __future__ import annotations

from pathlib import Path

import click

from provisioner.cli.completing import addresses
from provisioner.cli.exitcodes import ExitCode
from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import global_options, named, stack_argument
from provisioner.cli.render.text import wrap
from provisioner.core.address import Address


@click.command("console")
@click.argument(
    "name",
    metavar="NAME",
    type=named("VirtualMachine"),
    shell_complete=addresses(recorded_only=True, kind="VirtualMachine"),
)
@stack_argument
@click.option("--log", is_flag=True, help="Print what the guest has written so far.")
@click.option("--graphics", is_flag=True, help="Print the address for a VNC or SPICE viewer.")
@global_options
@pass_invocation
def command(
    invocation: Invocation, name: Address, stack: Path, log: bool, graphics: bool
) -> ExitCode:
    """Connect to a machine's serial or graphical console.

    NAME is a machine that has been applied. Without an option, the serial console is connected to
    this terminal; Ctrl-] leaves it. Without a terminal, the guest's output is copied until the
    input ends.
    """
    from provisioner.cli.opening import open_workspace
    from provisioner.cli.progress import progress
    from provisioner.cli.serial import converse, nothing_logged
    from provisioner.service import console as service

    terminal = invocation.terminal
    if log and graphics:
        raise click.UsageError("Give either --log or --graphics, not both.")
    workspace = open_workspace(invocation, stack)
    with progress(terminal, steps=False) as sink:
        if graphics:
            found = service.graphics_address(workspace, name, sink)
            if terminal.json:
                terminal.print_json({"protocol": found.protocol, "uri": found.uri})
            else:
                terminal.print([found.uri])
        elif log:
            text = service.serial_log(workspace, name, sink)
            if terminal.json:
                terminal.print_json({"log": text})
            else:
                terminal.print_raw(text)
                if not text:
                    terminal.note(wrap(nothing_logged(name), terminal.width))
        elif terminal.json:
            raise click.UsageError("--json needs --log or --graphics.")
        else:
            with service.serial_console(workspace, name, sink) as stream:
                converse(terminal, stream, str(name))
    terminal.report(list(workspace.notices))
    return ExitCode.DONE
