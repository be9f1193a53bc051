"""Reading the definitions of a machine's snapshots. Called by the handler of Snapshot, and by that
of VirtualMachine for discovery.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from provisioner_plugins._libvirt.connection import Connection
from provisioner_plugins._libvirt.xml import Element, parse


def documents(
    connection: Connection, uuid: UUID, names: Collection[str] | None = None
) -> dict[str, Element]:
    """The definitions of a machine's snapshots by name, of all or of those with these names; none
    if the machine is not there. One call, and one for each of them.
    """

    def read(handle: Any) -> dict[str, Element]:
        domain = handle.lookupByUUID(uuid.bytes)
        return {
            snapshot.getName(): parse(snapshot.getXMLDesc(0))
            for snapshot in domain.listAllSnapshots(0)
            if names is None or snapshot.getName() in names
        }

    return connection.find(f"read the snapshots of machine {uuid}", read) or {}
