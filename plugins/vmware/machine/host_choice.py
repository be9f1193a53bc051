"""The host of a machine in a cluster without DRS: such a cluster chooses none, and the endpoint
wants one named (vSphere Web Services API, CreateVM_Task, ImportVApp,
VirtualMachineRelocateSpec.host). Called where a machine is made or moved.

Many machines at once are spread over all hosts by their UUIDs.
"""

from __future__ import annotations

from typing import Any

from pyVmomi import vim

from provisioner.core.diagnostics import Diagnostic, error
from provisioner.providers.api import Resource, Terminal
from provisioner_plugins.vmware.inventory import name_of
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.wire.sweep import Row, look

_HOST = {
    vim.HostSystem: ("runtime.connectionState", "runtime.inMaintenanceMode", "datastore"),
}
_RUNS = {vim.VirtualMachine: ("runtime.host",)}


def host_without_drs(
    site: Site, resource: Resource, pool: str, store: Row | None, machine: Any = None
) -> str | None:
    """The id of a host of the cluster that a pool of resources is in; None where the cluster has
    DRS, or there is none. ``store``: where the machine's files are to be. ``machine``: a managed
    object that is there already, and stays on its host where it can.

    Raises Terminal (PRV5330) where no host can run it.
    """
    places = site.places()
    row = places.row(pool)
    cluster = None if row is None else places.above(row, vim.ClusterComputeResource)
    if cluster is None or getattr(cluster.get("configurationEx.drsConfig"), "enabled", False):
        return None
    objects = [
        site.client.managed(vim.HostSystem, host.moid)
        for host in places.children(cluster, vim.HostSystem)
    ]
    what = f"choose a host for {resource.address}"
    able = [host for host in look(site.client, what, objects, _HOST) if _can_run(host, store)]
    if not able:
        raise Terminal(_no_host(resource, cluster, store))
    for row in look(site.client, what, [] if machine is None else [machine], _RUNS):
        moid = str(row.get("runtime.host")._GetMoId())
        if moid in {host.moid for host in able}:
            return moid
    return sorted(able, key=lambda host: host.moid)[resource.uid.int % len(able)].moid


def _can_run(host: Row, store: Row | None) -> bool:
    stores = {item._GetMoId() for item in host.get("datastore", ())}
    connected = vim.HostSystem.ConnectionState.connected
    return (
        host.get("runtime.connectionState") == connected
        and not host.get("runtime.inMaintenanceMode", False)
        # A cluster of datastores is none of a host's.
        and (store is None or not issubclass(store.kind, vim.Datastore) or store.moid in stores)
    )


def _no_host(resource: Resource, cluster: Row, store: Row | None) -> Diagnostic:
    having = "" if store is None else f" and has the datastore {name_of(store)}"
    return error(
        "PRV5330",
        f"no host of the cluster {name_of(cluster)} can run {resource.address}",
        detail=f"The cluster has no DRS, and none of its hosts is connected{having}.",
        hint="Connect a host, end its maintenance, or choose another datastore or cluster.",
        address=str(resource.address),
        path=("placement",),
    )
