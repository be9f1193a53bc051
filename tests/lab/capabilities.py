"""What libvirt found out about the installed QEMU, kept from one lab daemon to the next: probing
takes most of a second of CPU time. Called by ``daemon``.

libvirt itself checks whether what it reads is about the QEMU, kernel and libvirt that are there.
"""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from tests.lab.cache import directory


def restore(name: str, target: Path) -> None:
    """Fills a new daemon's cache folder with what daemons of the same ``name`` have found."""
    shutil.copytree(_kept(name), target, dirs_exist_ok=True)


def save(name: str, source: Path) -> None:
    """Keeps what a daemon has found, in place of what was kept before."""
    kept = _kept(name)
    for path in source.glob("*.xml"):
        handle, scratch = tempfile.mkstemp(dir=kept)
        os.close(handle)
        # Another worker may be reading: it finds the old file or the new one.
        with contextlib.suppress(FileNotFoundError):
            Path(scratch).write_bytes(path.read_bytes())
            Path(scratch).rename(kept / path.name)


def _kept(name: str) -> Path:
    folder = directory() / f"capabilities-{name}"
    folder.mkdir(exist_ok=True)
    return folder
