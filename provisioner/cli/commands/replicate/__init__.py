"""``provisioner replicate``: a group of commands about copies of machines at another site, each in
a module of its name.
"""

from __future__ import annotations

from typing import Any

import click

from provisioner.cli.lazy import LazyGroup
from provisioner.cli.options import global_options

COMMANDS = {
    "run": "Synchronise every machine once",
    "watch": "Synchronise every machine at its interval, until Ctrl-C",
    "status": "Show how old the copies are",
}
"""Commands in the order in which they are needed, with their summaries."""


@click.group("replicate", cls=LazyGroup, table=COMMANDS, package=__name__)
@global_options
def command(**_: Any) -> None:
    """Copy the machines of recovery plans to the other site.

    ProtectionGroups say which machines are copied, how, and how often.
    """
