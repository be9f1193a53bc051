"""Leases at a memory endpoint: the capability Leases. Called by the session.

A lease is an object of the inventory that names its holder. Of an endpoint in a file, its holder
has one byte of the file locked as well, each another one, which ends with its process: who was
killed holds nothing. The object stays then, and tells who was the last.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import struct
import threading
from pathlib import Path

from provisioner.core.clock import Deadline
from provisioner.providers.api import ProviderError
from provisioner.providers.capabilities import Taken
from provisioner_plugins.memory.access import Access
from provisioner_plugins.memory.objects import StoredObject

KIND = "Lease"
"""Of no manifest, so that nobody discovers it."""
_FAR = 2**40
"""Behind all that a file ever holds."""
_FLOCK = "hhqqi4x"
"""struct flock of fcntl(2)."""


class MemoryLease:
    """See :class:`provisioner.providers.capabilities.Lease`."""

    def __init__(self, access: Access, stored: StoredObject, locked: int | None) -> None:
        self._access = access
        self._stored = stored
        self._locked = locked
        self._mutex = threading.Lock()
        self._released = False

    @property
    def lost(self) -> bool:
        """See :class:`provisioner.providers.capabilities.Lease`."""
        if self._released:
            return True
        try:
            with self._access.reading():
                found = self._access.inventory.get(self._stored.id)
        except ProviderError:
            return False  # nobody gets to the endpoint, nor did anybody to put this one out
        return found is None or found.spec != self._stored.spec

    def release(self) -> None:
        """See :class:`provisioner.providers.capabilities.Lease`."""
        with self._mutex:
            if self._released:
                return
            self._released = True
        try:
            with self._access.changing():
                found = self._access.inventory.get(self._stored.id)
                if found is not None and found.spec == self._stored.spec:
                    self._access.inventory.put(_free(found))
        except ProviderError:
            pass  # nobody gets to the endpoint; that it is free shows when the lock is gone
        finally:
            if self._locked is not None:
                os.close(self._locked)


class EndpointLeases:
    """The leases of one session."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._mutex = threading.Lock()
        self._held: list[MemoryLease] = []

    def hold(
        self,
        name: str,
        holder: str,
        deadline: Deadline,
        *,
        instead_of: str | None = None,
        renews: bool = False,
    ) -> MemoryLease | Taken | None:
        """See :class:`provisioner.providers.capabilities.Leases`."""
        self._access.begin("hold", deadline)
        inventory = self._access.inventory
        with self._access.changing():
            before = inventory.get(f"lease/{name}")
            last = str(before.spec["holder"]) if before is not None else ""
            if renews and last not in ("", holder):
                return Taken(last)
            held = before is not None and _is_held(before, inventory.path)
            if held and not renews and (instead_of is None or last != instead_of):
                return Taken(last)
            at = _FAR + secrets.randbelow(_FAR)
            spec = {"holder": holder, "held": True, "at": at}
            locked = None if inventory.path is None else _locked(inventory.path, at)
            stored = inventory.put(StoredObject(f"lease/{name}", KIND, name, None, spec))
        lease = MemoryLease(self._access, stored, locked)
        with self._mutex:
            self._held.append(lease)
        return lease

    def close(self) -> None:
        """Give back whatever is held."""
        with self._mutex:
            held, self._held = self._held, []
        for lease in held:
            lease.release()


def _free(lease: StoredObject) -> StoredObject:
    return StoredObject(lease.id, KIND, lease.name, None, {**lease.spec, "held": False})


def _is_held(lease: StoredObject, path: Path | None) -> bool:
    if path is None or not lease.spec["held"]:
        return bool(lease.spec["held"])
    handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, lease.spec["at"], 1, 0)
        told = fcntl.fcntl(handle, fcntl.F_OFD_GETLK, asked)
    finally:
        os.close(handle)
    return bool(struct.unpack(_FLOCK, told)[0] != fcntl.F_UNLCK)


def _locked(path: Path, at: int) -> int:
    """An open file with the byte locked: by the file, and so not by whatever else is closed."""
    handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    fcntl.fcntl(
        handle, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, at, 1, 0)
    )
    return handle
