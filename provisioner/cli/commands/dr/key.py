"""``provisioner dr key``."""

from __future__ import annotations

from pathlib import Path

import click

from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import global_options


@click.command("key")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--name", metavar="NAME", help="Whose key it is; left out: the name of FILE.")
@global_options
@pass_invocation
def command(invocation: Invocation, file: Path, name: str | None) -> None:
    """Make a key to sign plans with.

    FILE becomes the private key, which only you can read, and FILE.pub its public half: one line,
    for the file of trusted keys of everybody who may have to carry out your plans. Nothing is
    overwritten.
    """
    from provisioner.service.recovery.keys import make_key

    terminal = invocation.terminal
    key = make_key(file, " ".join((name or file.name).split()) or file.name)
    if terminal.json:
        terminal.print_json({"private": str(file), "public": f"{file}.pub", "key": key.id})
        return
    terminal.print(
        [
            f"{file}: the private key {key.id}. Keep it where plans are compiled.",
            f"{file}.pub: its public half. Add its line to the trusted keys at the other site.",
        ]
    )
