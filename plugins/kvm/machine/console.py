"""A machine's consoles: the address of its screen, its serial port, and what was said there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any
from uuid import UUID

import libvirt

from provisioner.core.diagnostics import error
from provisioner.providers.api import Resource, Terminal
from provisioner.providers.capabilities import ConsoleStream, GraphicsAddress
from provisioner_plugins._libvirt.connection import Connection
from provisioner_plugins._libvirt.errors import translate
from provisioner_plugins._libvirt.events import attentive
from provisioner_plugins._libvirt.ownership import uuid_or_none
from provisioner_plugins._libvirt.xml import attribute
from provisioner_plugins.kvm.domain.consoles import serial_log
from provisioner_plugins.kvm.machine.domain_calls import DomainCalls
from provisioner_plugins.kvm.machine.files import MachineFiles

_CHUNK = 4096
_WOULD_BLOCK = -2
_LOOK_SECONDS = 0.02


class MachineConsole:
    """Consoles of the machines on one daemon; the capability ``console``."""

    def __init__(self, connection: Connection, files: MachineFiles) -> None:
        self._connection = connection
        self._files = files

    def _domain(self, resource: Resource) -> DomainCalls:
        uuid: UUID = uuid_or_none(resource.external_id or "") or resource.uid
        return DomainCalls(self._connection, uuid, resource.name, resource.address)

    def graphics(self, resource: Resource) -> GraphicsAddress | None:
        """See :class:`provisioner.providers.capabilities.Console`."""
        live = self._domain(resource).live()
        screen = live.find("devices/graphics") if live is not None else None
        if screen is None:
            return None
        protocol, port = screen.get("type", "vnc"), screen.get("port")
        if port is None or int(port) < 0:
            return None
        address = attribute(screen, "listen", "address") or screen.get("listen") or "127.0.0.1"
        host = f"[{address}]" if ":" in address else address
        return GraphicsAddress(protocol, f"{protocol}://{host}:{port}")

    def serial_log(self, resource: Resource) -> str | None:
        """See :class:`provisioner.providers.capabilities.Console`."""
        domain = self._domain(resource)
        document = domain.live()
        path = serial_log(document if document is not None else domain.configured())
        return self._files.read_log(path) if path is not None else None

    def serial(self, resource: Resource) -> ConsoleStream:
        """See :class:`provisioner.providers.capabilities.Console`. Raises Terminal (PRV5204) if the
        machine does not run or has no serial port.
        """
        domain = self._domain(resource)
        live = domain.live()
        if live is None or live.find("devices/serial") is None:
            raise Terminal(
                error(
                    "PRV5204",
                    f"{resource.address} has no serial console now",
                    detail="It does not run." if live is None else "It has no serial port.",
                    hint="Start it."
                    if live is None
                    else "Set console.serial: true and restart it.",
                )
            )

        def open_stream(guest: Any) -> Any:
            stream = guest.connect().newStream(libvirt.VIR_STREAM_NONBLOCK)
            # By force: whoever holds it otherwise (a forgotten terminal) is cut off.
            guest.openConsole(None, stream, libvirt.VIR_DOMAIN_CONSOLE_FORCE)
            return stream

        return SerialStream(*domain.lasting("open the console of", open_stream), resource.name)


class SerialStream:
    """Both ways of a serial port; see ``ConsoleStream`` in the capabilities of the contract."""

    def __init__(self, stream: Any, release: Callable[[], None], machine: str) -> None:
        """``release`` gives the stream's handle back."""
        self._stream = stream
        self._release = release
        self._machine = machine
        self._lock = threading.Lock()
        self._ended = False
        # A stream that does not block gets its data from the event loop.
        self._attention = ExitStack()
        self._attention.enter_context(attentive())

    def read(self, timeout: float) -> bytes | None:
        """What the guest wrote, b"" if nothing came within ``timeout`` seconds, None at the end."""
        end = time.monotonic() + timeout
        while not self._ended:
            data = self._receive()
            if data is None or data:
                return data
            if time.monotonic() >= end:
                return b""
            time.sleep(_LOOK_SECONDS)
        return None

    def _receive(self) -> bytes | None:
        with self._lock:
            if self._ended:
                return None
            try:
                data = self._stream.recv(_CHUNK)
            except libvirt.libvirtError:
                # The guest was switched off, or the daemon went away.
                self._end()
                return None
            if data == _WOULD_BLOCK:
                return b""
            if not data:
                self._end()
                return None
            return bytes(data)

    def write(self, data: bytes) -> None:
        """Type to the guest; raises Terminal if the console has ended."""
        rest = data
        while rest:
            with self._lock:
                if self._ended:
                    raise Terminal(
                        error("PRV5204", f"the serial console of {self._machine} has ended")
                    )
                try:
                    sent = self._stream.send(rest)
                except libvirt.libvirtError as problem:
                    self._end()
                    raise translate(
                        problem, f"write to the console of {self._machine}"
                    ) from problem
            if sent == _WOULD_BLOCK:
                time.sleep(_LOOK_SECONDS)
            else:
                rest = rest[sent:]

    def close(self) -> None:
        """Give the console free; may be called twice."""
        with self._lock:
            if not self._ended:
                self._end()

    def _end(self) -> None:
        self._ended = True
        self._attention.close()
        # Where it had ended by itself, it says so.
        with suppress(libvirt.libvirtError):
            self._stream.abort()
        self._stream = None
        self._release()
