"""Gives datastores to hosts and takes them away again; called by the StoragePool handler."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

from pyVmomi import vim

from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.providers.api import Resource, Terminal
from provisioner_plugins.vmware.inventory import Inventory, name_of
from provisioner_plugins.vmware.ownership import half_made, taken
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.storage.vmfs import new_spec
from provisioner_plugins.vmware.wire.errors import EXISTS, VANISHED
from provisioner_plugins.vmware.wire.sweep import Row, look

_OF_HOST = ("name", "runtime.connectionState", "configManager.datastoreSystem")


class Mounts:
    """The datastores of hosts."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def make(
        self, resource: Resource, inventory: Inventory, row: Row | None, deadline: Deadline
    ) -> str:
        """Give every host that is meant the datastore; ``row``: it is there already, on some.
        Returns its id.
        """
        del deadline
        moid = None if row is None else row.moid
        had = _hosts_of(row)
        for host in self._hosts(resource, inventory):
            # A VMFS is seen by every host that sees the device.
            if host.moid not in had and (moid is None or resource.spec["type"] != "vmfs"):
                with half_made() if row is None and moid is not None else nullcontext():
                    moid = self._give(resource, host, moid)
        if moid is None:
            raise Terminal(_no_host(resource))
        return moid

    def edit(self, resource: Resource, inventory: Inventory, row: Row, deadline: Deadline) -> None:
        """Have the hosts of the manifest have it, and no others."""
        wanted = self._hosts(resource, inventory)
        self.make(resource, inventory, row, deadline)
        left = _hosts_of(row) - {host.moid for host in wanted}
        self._take(row, left)

    def remove(self, row: Row) -> None:
        """Take it from every host that has it."""
        self._take(row, _hosts_of(row))

    def _hosts(self, resource: Resource, inventory: Inventory) -> list[Row]:
        """Hosts that the manifest names; else those that are connected of the datacenter that it
        names, of the connection's cluster, or of its datacenter.
        """
        chosen = resource.spec.get("hosts")
        if chosen is not None:
            path = ("hosts",)
            named = (self._site.referred(resource, "ClusterHost", path, name) for name in chosen)
            return self._read([row.moid for row in named])
        within, connection = self._site.datacenter(resource), self._site.client.endpoint.connection
        if "datacenter" not in resource.spec and "cluster" in connection:
            within = self._site.default(
                resource, "cluster", (vim.ComputeResource,), "Cluster", within=within
            )
        hosts = self._read(
            [
                row.moid
                for row in inventory.rows(vim.HostSystem)
                if within.moid in _above(inventory, row)
            ]
        )
        # One that is away gets it when somebody names it.
        there = vim.HostSystem.ConnectionState.connected
        return [host for host in hosts if host.get("runtime.connectionState") == there]

    def _read(self, moids: list[str]) -> list[Row]:
        objects = [self._site.client.managed(vim.HostSystem, moid) for moid in moids]
        return look(self._site.client, "read hosts", objects, {vim.HostSystem: _OF_HOST})

    def _give(self, resource: Resource, host: Row, known: str | None) -> str:
        system = host.get("configManager.datastoreSystem")
        what = f"give {name_of(host)} the datastore {resource.name}"
        try:
            made = self._site.client.call(what, lambda _: _create(resource, host, system))
        except Terminal as problem:
            # Of an attempt that was made at the same time, or on a host that had it already.
            if problem.diagnostic.code != EXISTS.code or not (known or resource.begun):
                raise
            found = self._named(resource, host)
            if found is None or found != (known or found):
                raise
            return found
        moid = str(made._GetMoId())
        if known is not None and moid != known:
            raise Terminal(taken(resource, f"is another one on host {name_of(host)}"))
        return moid

    def _named(self, resource: Resource, host: Row) -> str | None:
        objects = [self._site.client.managed(vim.HostSystem, host.moid)]
        what = f"look for datastore {resource.name}"
        rows = look(self._site.client, what, objects, {vim.HostSystem: ("datastore",)})
        stores = [store for row in rows for store in row.get("datastore", ())]
        named = look(self._site.client, what, stores, {vim.Datastore: ("name",)})
        return next((row.moid for row in named if name_of(row) == resource.name), None)

    def _take(self, row: Row, hosts: set[str]) -> None:
        if isinstance(row.get("info"), vim.host.VmfsDatastoreInfo):
            return  # the call would remove the file system with all that is on it
        store = self._site.client.managed(vim.Datastore, row.moid)
        for host in self._read(sorted(hosts)):
            what = f"take the datastore {name_of(row)} from {name_of(host)}"
            remove = host.get("configManager.datastoreSystem").RemoveDatastore
            try:
                self._site.client.call(what, partial(_without_content, remove, store))
            except Terminal as problem:
                if problem.diagnostic.code != VANISHED.code:
                    raise


def _above(inventory: Inventory, host: Row) -> set[str]:
    kinds = (vim.ComputeResource, vim.Datacenter)
    found = (inventory.above(host, kind) for kind in kinds)
    return {row.moid for row in found if row is not None}


def _without_content(call: Callable[[Any], None], store: Any, _: Any) -> None:
    call(store)


def _hosts_of(row: Row | None) -> set[str]:
    return set() if row is None else {item.key._GetMoId() for item in row.get("host", ())}


def _create(resource: Resource, host: Row, system: Any) -> Any:
    spec = resource.spec
    match spec["type"]:
        case "netfs":
            source = spec["source"]
            return system.CreateNasDatastore(
                vim.host.NasVolume.Specification(
                    remoteHost=source["host"],
                    remotePath=source["directory"],
                    localPath=resource.name,
                    accessMode=vim.host.MountInfo.AccessMode.readWrite,
                    type=vim.host.FileSystemVolume.FileSystemType.NFS,
                )
            )
        case "vmfs":
            return system.CreateVmfsDatastore(new_spec(resource, host, system))
    return system.CreateLocalDatastore(resource.name, spec["path"])


def _no_host(resource: Resource) -> Diagnostic:
    return error(
        "PRV5323",
        f"no host can have the datastore {resource.name}",
        detail="The datacenter has no host that is connected.",
        hint="Connect a host, or name hosts in the StoragePool.",
        address=str(resource.address),
    )
