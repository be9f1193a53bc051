"""``provisioner init``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import click

from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import global_options


@click.command("init")
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@click.option("--name", metavar="NAME", help="Name of the stack; else that of the folder.")
@global_options
@pass_invocation
def command(invocation: Invocation, folder: Path, name: str | None) -> None:
    """Make a new stack that plans and applies as it is.

    It has one machine with a disk and a network, on the libvirt daemon of the user
    (qemu:///session). DIR is made if need be; nothing in it is overwritten.
    """
    from provisioner.service.init import make_stack

    terminal = invocation.terminal
    written = make_stack(folder, name, data_folder(invocation.environ))
    terminal.acts = True
    if terminal.json:
        terminal.print_json({"written": [str(path) for path in written]})
        return
    terminal.print(
        [
            f"Made a stack in {folder}:",
            *(f"  {path.name}" for path in written),
            "",
            "Next:" if folder == Path() else f"Next, in {folder}:",
            "  provisioner plan     see what would be done",
            "  provisioner apply    do it",
        ]
    )


def data_folder(environ: Mapping[str, str]) -> Path:
    """Where disks of new stacks go: the user's data folder (XDG Base Directory Specification), for
    root /var/lib.

    A guest's process, which is another user's where root asks for it, could not read root's own
    folder.
    """
    if os.geteuid() == 0:
        return Path("/var/lib/provisioner")
    base = environ.get("XDG_DATA_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".local/share") / "provisioner"
