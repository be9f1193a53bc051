"""Commands to a qemu-storage-daemon of this machine. Called by :mod:`mirror`.

Source: https://www.qemu.org/docs/master/interop/qemu-storage-daemon-qmp-ref.html
"""

from __future__ import annotations

import json
import socket
from types import TracebackType
from typing import Any, Self


class QmpError(Exception):
    """It refused a command, or is not there."""


class Qmp:
    """A connection to a daemon's control socket, as a context manager."""

    def __init__(self, path: str, timeout: float) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(path)
            self._file = self._socket.makefile("rw", encoding="utf-8")
            self._read()
            self("qmp_capabilities")
        except OSError as problem:
            self._socket.close()
            raise QmpError(f"nobody answers at {path}: {problem}") from problem

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self._socket.close()

    def __call__(self, command: str, **arguments: Any) -> Any:
        """What a command returns. Raises QmpError."""
        try:
            self._file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
            self._file.flush()
            while True:
                found = self._read()
                if "error" in found:
                    raise QmpError(f"{command}: {found['error'].get('desc')}")
                if "return" in found:
                    return found["return"]
        except (OSError, ValueError) as problem:
            raise QmpError(f"{command}: {problem}") from problem

    def _read(self) -> dict[str, Any]:
        line = self._file.readline()
        if not line:
            raise QmpError("the connection was closed")
        found: dict[str, Any] = json.loads(line)
        return found
