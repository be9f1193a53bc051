"""Opens a workspace with what the command line brings: folder, options, environment, who acts."""

from __future__ import annotations

import os
import pwd
import socket
from pathlib import Path

from provisioner.cli.invocation import Invocation
from provisioner.service.workspace import Workspace


def open_workspace(
    invocation: Invocation, folder: Path, environment: str | None = None
) -> Workspace:
    """The workspace of a stack's folder; ``environment`` overrules the option (a plan file has its
    own)."""
    return Workspace(
        folder,
        environment if environment is not None else invocation.environment,
        invocation.variables,
        environ=invocation.environ,
        actor=_actor(),
    )


def _actor() -> str:
    """``user@machine (process 4711)``, for the lock and the history."""
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        user = str(os.geteuid())
    return f"{user}@{socket.gethostname()} (process {os.getpid()})"
