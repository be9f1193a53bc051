"""libvirt's event loop, which keepalive and callbacks need: one daemon thread per process,
started before the first connection.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import libvirt

_started = threading.Lock()
_thread: threading.Thread | None = None

_LOOK_SECONDS = 0.5
_burst_lock = threading.Lock()
_bursts = 0
_no_burst = threading.Event()
_no_burst.set()


def start_event_loop() -> None:
    """Start the loop if this process has none yet, and keep libvirt from printing errors on
    stderr.
    """
    global _thread  # noqa: PLW0603 - libvirt knows one event loop per process
    with _started:
        if _thread is not None:
            return
        libvirt.registerErrorHandler(_swallow, None)
        libvirt.virEventRegisterDefaultImpl()
        _thread = threading.Thread(target=_run, name="libvirt-events", daemon=True)
        _thread.start()


@contextmanager
def quiet() -> Iterator[None]:
    """A block in which many short calls are made one after the other.

    Each of them wakes the loop twice, which makes five hundred calls take four times as long. In
    the block the loop looks twice a second only: often enough for the keepalive.
    """
    global _bursts  # noqa: PLW0603 - as the loop
    with _burst_lock:
        _bursts += 1
        _no_burst.clear()
    try:
        yield
    finally:
        with _burst_lock:
            _bursts -= 1
            if not _bursts:
                _no_burst.set()


def _run() -> None:
    while True:
        _no_burst.wait(_LOOK_SECONDS)
        try:
            libvirt.virEventRunDefaultImpl()
        except libvirt.libvirtError:
            # Nobody can be told here; the calls that depend on the loop report what they see.
            time.sleep(1)


def _swallow(_context: object, _problem: object) -> None:
    """Print nothing: every error reaches its caller as an exception."""
