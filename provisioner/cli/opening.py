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
        configuration=_configuration(invocation.environ),
        redactor=invocation.redactor,
        states=invocation.states,
    )


def _cache_place(environ: Mapping[str, str]) -> CachePlace | None:
    """The user's folders for caches and for state (XDG Base Directory Specification); None for a
    user who has no home."""
    cache = _folder(environ, "XDG_CACHE_HOME", ".cache")
    state = _folder(environ, "XDG_STATE_HOME", ".local/state")
    if cache is None or state is None:
        return None
    return CachePlace(cache / "provisioner", state / "provisioner/cache.key")


def _configuration(environ: Mapping[str, str]) -> Path | None:
    """The user's own configuration, whether it is there or not; None for one who has no home."""
    folder = _folder(environ, "XDG_CONFIG_HOME", ".config")
    return None if folder is None else folder / "provisioner/config.yaml"


def _folder(environ: Mapping[str, str], name: str, otherwise: str) -> Path | None:
    """A folder that the environment names; a relative path does not count, as the specification
    says."""
    home, path = environ.get("HOME", ""), environ.get(name, "")
    if path.startswith("/"):
        return Path(path)
    return Path(home) / otherwise if home.startswith("/") else None


def _actor() -> str:
    """``user@machine (process 4711)``, for the lock and the history."""
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        user = str(os.geteuid())
    return f"{user}@{socket.gethostname()} (process {os.getpid()})"
