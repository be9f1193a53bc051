"""Standard streams that the caller closed (``>&-``): held open, so that no file of ours takes their
place. Called by :mod:`main` before anything is opened."""

from __future__ import annotations

import os
import sys
from typing import TextIO


def hold_standard_streams() -> None:
    """Give every closed standard descriptor something, and Python a stream for it.

    A closed output becomes one to which writing fails, as it would have; an input ends at once, and
    what goes to a closed error stream is dropped, which is what its closing asks for.
    """
    sys.stdin = sys.stdin or _hold(0, os.O_RDONLY, "r")
    sys.stdout = sys.stdout or _hold(1, os.O_RDONLY, "w")
    sys.stderr = sys.stderr or _hold(2, os.O_WRONLY, "w")


def _hold(descriptor: int, flags: int, mode: str) -> TextIO:
    opened = os.open(os.devnull, flags)
    if opened != descriptor:
        os.dup2(opened, descriptor)
        os.close(opened)
    # Children of ours shall find it, too, as they would find the caller's.
    os.set_inheritable(descriptor, True)  # noqa: FBT003 - it takes no keyword
    stream: TextIO = os.fdopen(descriptor, mode, encoding="utf-8", closefd=False)  # type: ignore[assignment]
    return stream
