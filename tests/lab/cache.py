"""Where the lab keeps what it has built, keyed by what it was built from, so that a second run and
the other workers of the first do not build it again. Called by ``bootsector``,
``linux``, ``capabilities`` and ``golang``."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

# Read when the lab is imported: during the tests the variable names a folder of their own, in which
# nothing would be kept.
_XDG_CACHE_HOME = os.environ.get("XDG_CACHE_HOME")


def built(name: str, key: str, make: Callable[[Path], None]) -> Path:
    """The folder ``name-key``, filled by ``make`` if it does not exist yet.

    Two at once are safe: each fills a folder of its own, and the first to finish wins.
    """
    target = folder(name, key)
    if target.is_dir():
        return target
    work = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=target.parent))
    try:
        make(work)
        work.chmod(0o755)
        work.rename(target)
    except OSError:
        # rename(2) refuses a directory that is not empty: somebody else was faster.
        if not target.is_dir():
            raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def folder(name: str, key: str) -> Path:
    """Where ``built`` makes it, whether it is there or not."""
    return directory() / f"{name}-{key}"


def directory() -> Path:
    """The folder of all that is kept between runs, created if need be."""
    base = Path(_XDG_CACHE_HOME) if _XDG_CACHE_HOME else Path.home() / ".cache"
    directory = base / "provisioner-lab"
    directory.mkdir(parents=True, exist_ok=True)
    return directory
