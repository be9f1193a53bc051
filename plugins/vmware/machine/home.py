"""Where a new machine goes: its folder, the pool of resources or the host that runs it, the
datastore of its own files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from pyVmomi import vim

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.providers.api import Resource, Terminal
from provisioner_plugins.vmware.inventory import name_of
from provisioner_plugins.vmware.machine.host_choice import host_without_drs
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.storage.file import FileId, Files
from provisioner_plugins.vmware.wire.sweep import Row


@dataclass(frozen=True, slots=True)
class Home:
    """Managed objects. ``host`` None: whichever the cluster chooses; ``datastore`` None: that of
    the template which the machine is cloned from, and ``datastore_name`` is "" then.
    """

    folder: Any
    pool: Any
    host: Any
    datastore: Any
    datastore_name: str


def name_folder(site: Site, resource: Resource) -> str | None:
    """The id of the folder in which the machine's name counts; None while that is still to be
    made.
    """
    placement = resource.spec.get("placement", {})
    if "folder" in placement:
        folder = resource.related.get(Address("Folder", placement["folder"]))
        return None if folder is None else folder.external_id
    return folder_of(site, resource)


def folder_of(site: Site, resource: Resource) -> str:
    """The id of its folder."""
    placement = resource.spec.get("placement", {})
    if "folder" in placement:
        path = ("placement", "folder")
        return site.referred(resource, "Folder", path, placement["folder"]).moid
    places = site.places()
    datacenter = site.datacenter(resource)
    own = datacenter.get("vmFolder")._GetMoId()
    if "folder" not in site.client.endpoint.connection:
        return str(own)
    among = [
        row
        for row in places.rows(vim.Folder)
        if "VirtualMachine" in (row.get("childType") or ())
        and (above := places.above(row, vim.Datacenter)) is not None
        and above.moid == datacenter.moid
    ]
    name = str(site.client.endpoint.connection["folder"])
    return site.named(name, among, "folder of machines", "folder").moid


def home_of(site: Site, resource: Resource) -> Home:
    """Raises Terminal (PRV5323, PRV5324) where it is open, or not there, PRV5330 where nothing can
    run it.
    """
    folder = folder_of(site, resource)
    pool, host = pool_of(site, resource)
    _require_hosts(site, resource, pool)
    managed = site.client.managed
    store = datastore_of(site, resource)
    _require_store(site, resource, pool, host, store)
    if host is None:
        host = host_without_drs(site, resource, pool, store)
    return Home(
        managed(vim.Folder, folder),
        managed(vim.ResourcePool, pool),
        None if host is None else managed(vim.HostSystem, host),
        None if store is None else managed(vim.Datastore, store.moid),
        "" if store is None else name_of(store),
    )


def obstacles(site: Site, resource: Resource) -> Iterator[Diagnostic]:
    """What of a new machine's home is open or not there, and nothing in the stack will make."""
    placement = resource.spec.get("placement", {})
    awaited = {
        address.kind for address, other in resource.related.items() if other.external_id is None
    }
    is_known = awaited.isdisjoint(_PLACES)
    for part in _PARTS:
        # Until all is made, nobody knows which is the only one, or the one of that name.
        if awaited.isdisjoint(part.kinds) and placement.keys().isdisjoint(part.fields):
            try:
                part.find(site, resource)
            except Terminal as problem:
                is_known = False
                yield problem.diagnostic
    if is_known:
        yield from _out_of_reach(site, resource)


def _out_of_reach(site: Site, resource: Resource) -> Iterator[Diagnostic]:
    """Why no host can reach the datastore, unless the stack says which hosts have it: those may be
    about to get it.
    """
    try:
        store = datastore_of(site, resource)
        given = {
            other.external_id
            for address, other in resource.related.items()
            if address.kind == "StoragePool" and "hosts" in other.spec
        }
        if store is not None and store.moid not in given:
            _require_store(site, resource, *pool_of(site, resource), store)
    except Terminal as problem:
        yield problem.diagnostic


def _require_store(
    site: Site, resource: Resource, pool: str, host: str | None, store: Row | None
) -> None:
    """Raise Terminal (PRV5330) for a datastore that none of the hosts has which could run it. Which
    hosts have a cluster of datastores, its members say.
    """
    places = site.places()
    row = places.row(pool)
    owner = None if row is None else places.above(row, vim.ComputeResource)
    if store is None or owner is None or not issubclass(store.kind, vim.Datastore):
        return
    hosts = [item for item in places.children(owner, vim.HostSystem) if host in (None, item.moid)]
    if not hosts or any(
        store.moid == item._GetMoId() for each in hosts for item in each.get("datastore", ())
    ):
        return
    raise Terminal(
        error(
            "PRV5330",
            f"no host of {name_of(owner)} has the datastore {name_of(store)}",
            detail=f"{resource.address} is to run there, with its files on that datastore.",
            hint="Choose another datastore or cluster, or give the datastore to its hosts.",
            address=str(resource.address),
            path=("placement",),
        )
    )


def _require_hosts(site: Site, resource: Resource, pool: str) -> None:
    """Raise Terminal (PRV5330) for a cluster in which no host could run a machine."""
    places = site.places()
    row = places.row(pool)
    owner = None if row is None else places.above(row, vim.ComputeResource)
    if owner is not None and not places.children(owner, vim.HostSystem):
        raise Terminal(
            error(
                "PRV5330",
                f"the cluster {name_of(owner)} has no host",
                detail=f"{resource.address} is to run there.",
                hint="Add a ClusterHost to it, or choose another cluster.",
                address=str(resource.address),
                path=("placement",),
            )
        )


def pool_of(site: Site, resource: Resource) -> tuple[str, str | None]:
    """The id of its pool of resources, and that of the host if one was named."""
    placement = resource.spec.get("placement", {})
    places = site.places()
    if "resourcePool" in placement:
        path = ("placement", "resourcePool")
        row = site.referred(resource, "ResourcePool", path, placement["resourcePool"])
        return row.moid, None
    if "clusterHost" in placement:
        path = ("placement", "clusterHost")
        host = site.referred(resource, "ClusterHost", path, placement["clusterHost"])
        above = places.above(host, vim.ComputeResource)
        assert above is not None
        return str(above.get("resourcePool")._GetMoId()), host.moid
    if "cluster" in placement:
        path = ("placement", "cluster")
        cluster = site.referred(resource, "Cluster", path, placement["cluster"])
        return str(cluster.get("resourcePool")._GetMoId()), None
    within = site.datacenter(resource)
    if "resourcePool" in site.client.endpoint.connection:
        row = site.default(
            resource, "resourcePool", (vim.ResourcePool,), "Resource pool", within=within
        )
        return row.moid, None
    compute = site.default(
        resource,
        "cluster",
        (vim.ComputeResource,),
        "Cluster",
        within=within,
        field_of_resource="placement.cluster",
    )
    return str(compute.get("resourcePool")._GetMoId()), None


def datastore_of(site: Site, resource: Resource) -> Row | None:
    """The datastore of its own files; None: that of the template which it is cloned from."""
    places = site.places()
    chosen = resource.spec.get("placement", {}).get("storagePool")
    if chosen is not None:
        path = ("placement", "storagePool")
        return site.referred(resource, "StoragePool", path, chosen)
    if "storagePool" not in site.client.endpoint.connection:
        if "clone" in resource.spec:
            return None
        first = _of_first_disk(resource)
        row = None if first is None else places.row(first.datastore)
        if row is not None:
            return row
    within = site.datacenter(resource)
    return site.default(
        resource,
        "storagePool",
        (vim.Datastore,),
        "Datastore",
        within=within,
        field_of_resource="placement.storagePool",
    )


def _of_first_disk(resource: Resource) -> FileId | None:
    files = Files(resource.related)
    for name in resource.spec.get("disks", {}):
        file = files.of("Disk", name)
        if file is not None:
            return file
    return None


class _Part(NamedTuple):
    """A part of a home: where the placement may say it, which kinds decide about it otherwise, and
    what finds it.
    """

    fields: frozenset[str]
    kinds: frozenset[str]
    find: Callable[[Site, Resource], Any]


_PLACES = frozenset(
    {"Datacenter", "Folder", "Cluster", "ClusterHost", "ResourcePool", "StoragePool", "Disk"}
)
_PARTS = (
    _Part(frozenset({"folder"}), frozenset({"Datacenter", "Folder"}), folder_of),
    _Part(
        frozenset({"resourcePool", "clusterHost", "cluster"}),
        frozenset({"Datacenter", "Cluster", "ClusterHost", "ResourcePool"}),
        pool_of,
    ),
    _Part(
        frozenset({"storagePool"}), frozenset({"Datacenter", "StoragePool", "Disk"}), datastore_of
    ),
)
