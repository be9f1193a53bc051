"""``provisioner init``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from provisioner.cli.completing import folders
from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import global_options
from provisioner.cli.render.text import wrap


@click.command("init")
@click.argument(
    "folder",
    metavar="[DIR]",
    default=".",
    type=click.Path(path_type=Path),
    shell_complete=folders,
)
@click.option("--name", metavar="NAME", help="Name of the stack (default: that of the folder).")
@click.option(
    "--image",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Disk image (qcow2 or raw) for the machine to boot (default: an empty disk).",
)
@global_options
@pass_invocation
def command(invocation: Invocation, folder: Path, name: str | None, image: Path | None) -> None:
    """Create a new stack that is ready to apply.

    It has one machine with a disk and a network, on the user's own libvirt daemon
    (qemu:///session). DIR is created if needed; nothing in it is overwritten.
    """
    from provisioner.service.init import make_stack

    terminal = invocation.terminal
    written = make_stack(folder, name, data_folder(invocation.environ), image)
    terminal.acts = True
    if terminal.json:
        terminal.print_json({"written": [str(path) for path in written]})
        return
    lines = [f"Made a stack in {folder}:", *(f"  {path.name}" for path in written)]
    for remark in _remarks(image):
        lines += ["", *wrap(remark, terminal.width)]
    lines += [
        "",
        "Next:" if folder == Path() else f"Next, in {folder}:",
        "  provisioner plan     see what would be done",
        "  provisioner apply    do it",
    ]
    terminal.print(lines)


def _remarks(image: Path | None) -> Iterator[str]:
    if image is None:
        yield (
            "The machine's disk is empty: it will start, find nothing to boot, and print nothing on"
            " its console. 'provisioner init --image FILE' makes a stack that boots your own image;"
            " disk.yaml explains how to add one later."
        )
    if os.geteuid() == 0:
        yield (
            "You are root, and for root qemu:///session is the system's libvirt daemon. It does not"
            " start by itself: run 'systemctl start libvirtd' or 'libvirtd -d' first."
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
