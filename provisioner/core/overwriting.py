"""Which files a result may take the place of, and how a file takes the place of another at once."""

from __future__ import annotations

import os
import re
import tempfile
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


def replace_file(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Put a whole file, which only its owner can read, in the place of another one at once; raises
    OSError and leaves what was there if that fails. ``durable``: it is on the disk by then.
    """
    with tempfile.NamedTemporaryFile(  # its mode is 0600
        dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as new:
        try:
            new.write(content)
            new.flush()
            if durable:
                os.fsync(new.fileno())
            Path(new.name).replace(path)
        except OSError:
            Path(new.name).unlink(missing_ok=True)
            raise
