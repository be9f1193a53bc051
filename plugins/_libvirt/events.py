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
_waiting_lock = threading.Lock()
_waiting = 0
_attention = threading.Event()


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
def attentive() -> Iterator[None]:
    """A block in which somebody waits for an event, or for a stream that does not block, so that
    the loop reports it at once.

    Otherwise it looks twice a second only, often enough for the keepalive: every call would wake it
    twice, which makes five hundred short calls take four times as long.
    """
    global _waiting  # noqa: PLW0603 - as the loop
    with _waiting_lock:
        _waiting += 1
        _attention.set()
    try:
        yield
    finally:
        with _waiting_lock:
            _waiting -= 1
            if not _waiting:
                _attention.clear()


def _run() -> None:
    while True:
        _attention.wait(_LOOK_SECONDS)
        try:
            libvirt.virEventRunDefaultImpl()
        except libvirt.libvirtError:
            # Nobody can be told here; the calls that depend on the loop report what they see.
            time.sleep(1)


def _swallow(_context: object, _problem: object) -> None:
    """Print nothing: every error reaches its caller as an exception."""
