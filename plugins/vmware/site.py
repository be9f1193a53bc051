"""What handlers share: the session's client and tasks, and where on the endpoint things go.

A place (datacenter, folder, pool of resources, datastore, network) is what the manifest refers to;
else what the Host's connection names; else the only one there is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pyVmomi import vim

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import error, quoted
from provisioner.core.values import Path
from provisioner.providers.api import Resource, Terminal
from provisioner_plugins.vmware.flavour import Flavour
from provisioner_plugins.vmware.inventory import Inventory, name_of
from provisioner_plugins.vmware.nearest import nearest
from provisioner_plugins.vmware.wire.client import Client
from provisioner_plugins.vmware.wire.questions import NO_ANSWERS, Answers
from provisioner_plugins.vmware.wire.rest import Rest
from provisioner_plugins.vmware.wire.sweep import Row
from provisioner_plugins.vmware.wire.tasks import Report, Tasks

PLACES: Mapping[type, Sequence[str]] = {
    vim.Datacenter: ("vmFolder", "hostFolder", "datastoreFolder", "networkFolder"),
    vim.Folder: ("childType",),
    vim.ComputeResource: ("resourcePool",),
    vim.ClusterComputeResource: ("configurationEx.drsConfig",),
    vim.HostSystem: ("datastore",),
    vim.ResourcePool: ("owner",),
    vim.Datastore: ("browser", "summary.accessible", "summary.freeSpace"),
    vim.Network: (),
}
_SHOWN = 8
"""Names that a message lists."""


class Site:
    """An endpoint as handlers see it. Thread-safe."""

    def __init__(self, client: Client, flavour: Flavour) -> None:
        self.client = client
        self.flavour = flavour
        self.tasks = Tasks(client)
        self.rest = Rest(client)
        self._lock = threading.Lock()
        self._places: Inventory | None = None

    def run(
        self,
        what: str,
        start: Callable[[Any], Any],
        deadline: Deadline,
        report: Report | None = None,
        answers: Answers = NO_ANSWERS,
    ) -> Any:
        """See :meth:`~provisioner_plugins.vmware.wire.tasks.Tasks.run`."""
        return self.tasks.run(what, start, deadline, report, answers)

    def places(self, *, anew: bool = False) -> Inventory:
        """Everything but machines, as this session has read it; ``anew``: as it is now."""
        with self._lock:
            if self._places is None or anew:
                self._places = Inventory(self.client, PLACES, tuple(PLACES))
            return self._places

    def sleep(self, seconds: float) -> None:
        """Wait for what nothing tells the end of."""
        threading.Event().wait(seconds)

    def seen(self, inventory: Inventory) -> Inventory:
        """Take an inventory, which was read just now, for the places of this session, too."""
        with self._lock:
            self._places = inventory
        return inventory

    # --- places ---

    def referred(self, resource: Resource, kind: str, path: Path, name: str) -> Row:
        """The object of a resource that a field at ``path`` refers to by its name.

        Raises Terminal (PRV5323) if it is not on the endpoint.
        """
        other = resource.related.get(Address(kind, name))
        moid = None if other is None else other.external_id
        for anew in (False, True):
            row = self.places(anew=anew).row(moid)
            if row is not None:
                return row
        raise Terminal(
            error(
                "PRV5323",
                f"{kind}/{name} is not on the endpoint",
                detail=f"{resource.address} needs it.",
                hint="Plan again: it was removed since it was read, or is still to be made.",
                path=path,
                address=str(resource.address),
            )
        )

    def datacenter(self, resource: Resource) -> Row:
        """The datacenter in which a resource's object goes."""
        name = resource.spec.get("datacenter")
        if name is not None:
            return self.referred(resource, "Datacenter", ("datacenter",), name)
        return self.default(resource, "datacenter", (vim.Datacenter,), "Datacenter")

    def default(
        self,
        resource: Resource,
        field: str,
        kinds: Sequence[type],
        title: str,
        *,
        within: Row | None = None,
        field_of_resource: str | None = None,
    ) -> Row:
        """The object that the Host's ``connection`` names in ``field``, else the only one.

        Raises Terminal: PRV5323 where there is none of the name, PRV5324 where there are several.
        """
        places = self.places()
        found = [
            row for row in places.rows(*kinds) if within is None or _is_below(places, row, within)
        ]
        name = self.client.endpoint.connection.get(field)
        if name is not None:
            return self.named(str(name), found, title, field)
        if len(found) == 1:
            return found[0]
        way = "" if field_of_resource is None else f"{field_of_resource} in {resource.address}, or "
        names = [places.path(row) for row in found]
        raise Terminal(
            error(
                "PRV5324",
                f"it is open which {title.lower()} is meant for {resource.address}"
                if found
                else f"the endpoint has no {title.lower()} for {resource.address}",
                detail=f"There are {len(found)}: {listed(names)}." if found else "",
                hint=f"Write {way}connection.{field} in the Host's manifest.",
                address=str(resource.address),
            )
        )

    def named(self, name: str, among: Sequence[Row], title: str, field: str) -> Row:
        """The one of these objects with this name or inventory path."""
        places = self.places()
        by_path = name.startswith("/")
        texts = {row.moid: places.path(row) if by_path else name_of(row) for row in among}
        found = [row for row in among if texts[row.moid] == name]
        if len(found) == 1:
            return found[0]
        host = f"Host/{self.client.endpoint.name}"
        where: dict[str, Any] = {"address": host, "path": ("connection", field)}
        if found:
            raise Terminal(
                error(
                    "PRV5324",
                    f"{host}: {len(found)} objects are called {quoted(name)}",
                    detail=f"Their paths: {listed([places.path(row) for row in found])}.",
                    hint=f"Write the whole path into connection.{field}.",
                    **where,
                )
            )
        near = nearest(name, texts.values())
        raise Terminal(
            error(
                "PRV5323",
                f"{host}: there is no {title.lower()} {quoted(name)}",
                detail=f"There are: {listed(sorted(texts.values()))}."
                if texts
                else f"There is no {title.lower()} that this user can see.",
                hint=f"Did you mean {' or '.join(near)}?"
                if near
                else f"Correct connection.{field} in the Host's manifest.",
                **where,
            )
        )


def _is_below(places: Inventory, row: Row, above: Row) -> bool:
    # By id: another thread may have had the places read anew since ``above`` was found.
    found = places.parent(row)
    while found is not None and found.moid != above.moid:
        found = places.parent(found)
    return found is not None


def listed(names: Sequence[str]) -> str:
    """Names for a message: the first ones, and how many more there are."""
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
