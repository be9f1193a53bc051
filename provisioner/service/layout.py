"""Where things stand: in the folder of a stack, and in a user's own."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

STATE_FOLDER = ".provisioner"
"""Everything that is recorded about a stack; kept out of version control."""

NO_ENVIRONMENT = "default"
"""Folder of the state of a stack without an environment; therefore no environment's name."""


def state_path(stack: Path, environment: str | None, folder: Path | None = None) -> Path:
    """The state database of a stack in an environment; ``folder`` is where its states lie, if not
    in the stack's own.
    """
    states = folder if folder is not None else stack.resolve() / STATE_FOLDER
    return states / (environment or NO_ENVIRONMENT) / "state.db"


class CachePlace(NamedTuple):
    """Where the caches of one user lie, and the file with the key of their seals."""

    folder: Path
    secret: Path


SCHEMAS = "schemas"
"""Folder in a stack's folder; stands under version control with the manifests that point to it."""
