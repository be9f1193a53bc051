"""``provisioner version``."""

from __future__ import annotations

import platform

import click

from provisioner import __version__
from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import global_options


@click.command("version")
@global_options
@pass_invocation
def command(invocation: Invocation) -> None:
    """Print versions of the program and its environment."""
    from provisioner.service.providers import API_VERSION

    versions = {
        "provisioner": __version__,
        "providerApi": f"{API_VERSION[0]}.{API_VERSION[1]}",
        "python": platform.python_version(),
        "system": platform.platform(),
    }
    if invocation.terminal.json:
        invocation.terminal.print_json(versions)
        return
    invocation.terminal.print(
        [
            f"provisioner {versions['provisioner']}",
            f"provider API {versions['providerApi']}",
            f"Python {versions['python']}",
            versions["system"],
        ]
    )
