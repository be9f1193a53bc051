"""Which files a result may take the place of. Called wherever a file that a person names is
written."""

from __future__ import annotations

import re
from pathlib import Path

_BEGINNING = 1024
"""Bytes."""

WHAT_TO_DO = "Name another file, or remove that one first."


def would_be_lost(path: Path, opening: str) -> bool:
    """Whether there is a file that is neither empty nor begins as a result of the same form does: a
    manifest, say. ``opening`` is a regular expression for that. Raises OSError if the file cannot
    be read. Devices and pipes hold nothing.
    """
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        beginning = stream.read(_BEGINNING)
    return bool(beginning) and re.match(opening.encode(), beginning) is None
