"""Where things stand: in the folder of a stack, and in a user's own."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

STATE_FOLDER = ".provisioner"
"""Everything that is recorded about a stack; kept out of version control."""

NO_ENVIRONMENT = "default"
"""Folder of the state of a stack without an environment; therefore no environment's name."""


class CachePlace(NamedTuple):
    """Where the caches of one user lie, and the file with the key of their seals."""

    folder: Path
    secret: Path
