"""libvirt's event loop, which keepalive and callbacks need: one daemon thread per process,
started before the first connection.
"""

from __future__ import annotations

import threading
import time

import libvirt

_started = threading.Lock()
_thread: threading.Thread | None = None


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


def _run() -> None:
    while True:
        try:
            libvirt.virEventRunDefaultImpl()
        except libvirt.libvirtError:
            # Nobody can be told here; the calls that depend on the loop report what they see.
            time.sleep(1)


def _swallow(_context: object, _problem: object) -> None:
    """Print nothing: every error reaches its caller as an exception."""
