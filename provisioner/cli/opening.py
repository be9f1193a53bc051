"""Opens a workspace with what the command line brings: folder, options, environment, who acts."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Mapping
from pathlib import Path

from provisioner.cli.invocation import Invocation
from provisioner.service.layout import CachePlace
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
        cache=None if invocation.no_cache else _cache_place(invocation.environ),
    )


def _cache_place(environ: Mapping[str, str]) -> CachePlace | None:
    """The user's folders for caches and for state (XDG Base Directory Specification); None for a
    user who has no home."""
    home = environ.get("HOME", "")
    cache = environ.get("XDG_CACHE_HOME", "")
    state = environ.get("XDG_STATE_HOME", "")
    if not all(path.startswith("/") for path in (cache or home, state or home)):
        return None
    return CachePlace(
        Path(cache or f"{home}/.cache") / "provisioner",
        Path(state or f"{home}/.local/state") / "provisioner/cache.key",
    )


def _actor() -> str:
    """``user@machine (process 4711)``, for the lock and the history."""
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        user = str(os.geteuid())
    return f"{user}@{socket.gethostname()} (process {os.getpid()})"
