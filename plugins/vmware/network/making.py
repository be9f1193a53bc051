"""What the handler needs of each sort of switch, and what both share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from pyVmomi import vim

from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, error, quoted
from provisioner.providers.api import Resource, Retryable, Terminal
from provisioner_plugins.vmware.inventory import Inventory
from provisioner_plugins.vmware.marks import Marks
from provisioner_plugins.vmware.nearest import nearest
from provisioner_plugins.vmware.network.finding import Finder
from provisioner_plugins.vmware.network.reading import ENTITIES, READS, Network
from provisioner_plugins.vmware.network.standard import Touched
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.wire.sweep import Row

_POLL_SECONDS = 0.2
_LONGEST_SWITCH_NAME = 31
"""That ESXi takes."""


class Maker(Protocol):
    """Makes, changes and removes the port group of one resource."""

    def require_switch(self) -> None:
        """Raise Terminal (PRV5323) where the switch that others use, too, is not there."""
        ...

    def make(self, found: Network | None) -> tuple[Network, bool]:
        """Make what is missing of it for it to be seen; whether its switch was made with it."""
        ...

    def complete(self, network: Network) -> Network:
        """Make the rest, once it is marked."""
        ...

    def change(self, network: Network, touched: Touched) -> None:
        """Bring what is touched to what the resource says."""
        ...

    def move(self, network: Network, spec: Any) -> None:
        """Put it into the folder that the resource names, if it names one."""
        ...

    def remove(self, network: Network, *, own_switch: bool) -> None:
        """Remove it, with its own switch once that is empty."""
        ...

    def clear_away(self) -> None:
        """Remove what is left beside a port group that is not there any more."""
        ...


class Making:
    """What both sorts share. ``finder`` is what was seen when the call began."""

    def __init__(
        self, site: Site, marks: Marks, resource: Resource, finder: Finder, deadline: Deadline
    ) -> None:
        self._site = site
        self._marks = marks
        self._resource = resource
        self._finder = finder
        self._deadline = deadline

    @property
    def _inventory(self) -> Inventory:
        return self._finder.networks.inventory

    @property
    def _switch_name(self) -> str:
        """The switch that the resource names, else one whose name says whose it is."""
        name = self._resource.spec.get("bridge")
        return str(name) if name is not None else self._derived_name

    @property
    def _derived_name(self) -> str:
        digits = self._resource.uid.hex[:8]
        return f"{self._resource.name[: _LONGEST_SWITCH_NAME - 9]}.{digits}"

    @property
    def _proves_itself(self) -> bool:
        """Whether the name of the switch is the proof that it is ours."""
        return self._switch_name == self._derived_name

    def _datacenter(self) -> Row:
        found = self._inventory.row(self._site.datacenter(self._resource).moid)
        assert found is not None
        return found

    def _hosts(self) -> list[Row]:
        """Hosts that the resource names; else all of the datacenter that it names; else those of
        the cluster that the connection names, or all of its datacenter.
        """
        resource, connection = self._resource, self._site.client.endpoint.connection
        if "hosts" in resource.spec:
            names = resource.spec["hosts"]
            found = [self._host(name) for name in names]
            return [row for moid in found if (row := self._inventory.row(moid)) is not None]
        within = self._site.datacenter(resource)
        if "cluster" in connection and "datacenter" not in resource.spec:
            within = self._site.default(
                resource, "cluster", (vim.ComputeResource,), "Cluster", within=within
            )
        return [row for row in self._inventory.rows(vim.HostSystem) if self._is_in(row, within)]

    def _is_in(self, host: Row, place: Row) -> bool:
        kinds = (vim.ComputeResource, vim.Datacenter)
        above = (self._inventory.above(host, kind) for kind in kinds)
        return place.moid in {row.moid for row in above if row is not None}

    def _host(self, name: str) -> str:
        return self._site.referred(self._resource, "ClusterHost", ("hosts", name), name).moid

    def move(self, network: Network, spec: Any) -> None:
        """See :class:`Maker`."""
        if "folder" not in spec:
            return
        folder = self._site.referred(self._resource, "Folder", ("folder",), spec["folder"])
        what = network.switch or network.row
        parent = what.get("parent")
        if parent is not None and parent._GetMoId() == folder.moid:
            return
        managed = self._site.client.managed(vim.Folder, folder.moid)
        moved = self._site.client.managed(what.kind, what.moid)
        self._site.run(
            f"move network {self._resource.name}",
            lambda _: managed.MoveIntoFolder_Task([moved]),
            self._deadline,
        )

    def _seen(self) -> Network:
        """The network of the resource's name, as soon as the endpoint shows it: a vCenter is told
        by its hosts.
        """
        while True:
            finder = Finder(self._site, Inventory(self._site.client, READS, ENTITIES))
            found = finder.known(self._resource) or finder.find(self._resource)
            if isinstance(found, Network):
                self._finder = finder
                return found
            if self._deadline.remaining() <= _POLL_SECONDS:
                raise Retryable(_unseen(self._resource), 5.0)
            self._site.sleep(_POLL_SECONDS)

    def _missing_switch(self, names: Sequence[str], where: str) -> Diagnostic:
        known = sorted(set(names))
        near = nearest(self._switch_name, known)
        return error(
            "PRV5323",
            f"there is no switch {quoted(self._switch_name)} {where}",
            detail=f"There are: {', '.join(known)}." if known else "There is none.",
            hint=f"Did you mean {' or '.join(near)}?"
            if near
            else "Correct bridge, or have the switch made (mode: isolated, or uplinks).",
            path=("bridge",),
            address=str(self._resource.address),
        )

    def _foreign_switch(self, where: str) -> Terminal:
        return Terminal(
            error(
                "PRV5318",
                f"{self._resource.address}: a switch {quoted(self._switch_name)} {where} already",
                detail="A network that has its switch to itself takes none of anybody else's.",
                hint="Give it another name in bridge, leave bridge out, or use the switch as it is "
                "(mode: bridge).",
                path=("bridge",),
                address=str(self._resource.address),
            )
        )


def _unseen(resource: Resource) -> Diagnostic:
    return error(
        "PRV5308",
        f"network {resource.name} was made, and the endpoint does not show it yet",
        hint="Raise limits.stepTimeout in the Host's manifest.",
        address=str(resource.address),
    )
