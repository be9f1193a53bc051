"""What resources need on an endpoint beyond what their manifests refer to: the hosts of the cluster
that they go into, and what the connection names or leaves open. Pure; called by :mod:`provider`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from provisioner.core.address import Address
from provisioner.providers.api import Endpoint, Resource

_COMPUTE = frozenset({"cluster", "clusterHost", "resourcePool"})
_OF_TEMPLATES = frozenset({"ova", "template"})
"""Formats of images that become templates, which are machines and lie where machines do."""


def unwritten_needs(
    endpoint: Endpoint, resources: Mapping[Address, Resource]
) -> dict[Address, frozenset[Address]]:
    """See :class:`provisioner.providers.api.UnwrittenNeeds`."""
    stack = _Stack(endpoint.connection, resources)
    if not stack.has_places:
        return {}
    found: dict[Address, frozenset[Address]] = {}
    for address, resource in resources.items():
        rule = _RULES.get(address.kind)
        needed = frozenset(() if rule is None else rule(stack, resource.spec)) - {address}
        if needed:
            found[address] = needed
    return found


class _Stack:
    """The resources of one endpoint, by what they are to others."""

    def __init__(
        self, connection: Mapping[str, Any], resources: Mapping[Address, Resource]
    ) -> None:
        self._connection = connection
        self._resources = resources
        self._kinds: dict[str, list[Resource]] = {}
        self._hosts: dict[str | None, list[Address]] = {}
        for address, resource in resources.items():
            self._kinds.setdefault(address.kind, []).append(resource)
            if address.kind == "ClusterHost":
                self._hosts.setdefault(resource.spec.get("cluster"), []).append(address)

    @property
    def has_places(self) -> bool:
        """Whether anything is made here that others may need without a word."""
        return not self._kinds.keys().isdisjoint(
            ("Datacenter", "Folder", "Cluster", "ClusterHost", "ResourcePool", "StoragePool")
        )

    def names(self, field: str) -> bool:
        """Whether the connection says which object is meant."""
        return field in self._connection

    def meant(self, kind: str, field: str) -> Iterator[Address]:
        """What the connection may mean: that of its name, or any where it names none."""
        name = str(self._connection.get(field, "")).rpartition("/")[2]
        for resource in self._kinds.get(kind, ()):
            if not name or resource.name == name:
                yield resource.address

    def compute(self, where: Mapping[str, Any]) -> Iterator[Address]:
        """The cluster, with its hosts, into which a placement leads."""
        if "clusterHost" in where:
            return
        pools: list[Address] = []
        if "resourcePool" in where:
            pools = [Address("ResourcePool", where["resourcePool"])]
        elif "cluster" in where:
            yield from self._with_hosts(Address("Cluster", where["cluster"]))
            return
        elif self.names("resourcePool"):
            pools = [*self.meant("ResourcePool", "resourcePool")]
        if not pools:
            yield from self._default_compute()
        for pool in pools:
            yield pool
            cluster = self._cluster_of(pool)
            yield from self._default_compute() if cluster is None else self._with_hosts(cluster)

    def hosts(self, where: Mapping[str, Any]) -> Iterator[Address]:
        """The hosts that get what names none: of a datacenter, else of the connection's cluster,
        else all.
        """
        if "datacenter" not in where and self.names("cluster"):
            for cluster in self.meant("Cluster", "cluster"):
                yield from self._with_hosts(cluster)
            return
        for host in self._kinds.get("ClusterHost", ()):
            owner = self._resources.get(Address("Cluster", host.spec.get("cluster", "")), host)
            within = owner.spec.get("datacenter")
            if within is None or where.get("datacenter", within) == within:
                yield host.address

    def _default_compute(self) -> Iterator[Address]:
        clusters = [*self.meant("Cluster", "cluster")]
        for cluster in clusters:
            yield from self._with_hosts(cluster)
        if not (clusters and self.names("cluster")):
            # Those that are in no cluster are called so by the connection, too.
            yield from self._hosts.get(None, ())

    def _with_hosts(self, cluster: Address) -> Iterator[Address]:
        yield cluster
        yield from self._hosts.get(cluster.name, ())

    def _cluster_of(self, pool: Address) -> Address | None:
        seen: set[Address] = set()
        found: Resource | None = self._resources.get(pool)
        while found is not None and "parent" in found.spec and found.address not in seen:
            seen.add(found.address)
            found = self._resources.get(Address("ResourcePool", found.spec["parent"]))
        named = None if found is None else found.spec.get("cluster")
        return None if named is None else Address("Cluster", named)


_Spec: TypeAlias = Mapping[str, Any]


def _of_place(stack: _Stack, spec: _Spec) -> Iterator[Address]:
    """A thing that is in a datacenter, or in something that is."""
    if spec.keys().isdisjoint(("datacenter", "folder", "parent", "cluster")):
        yield from stack.meant("Datacenter", "datacenter")


def _of_folder(stack: _Stack, spec: _Spec) -> Iterator[Address]:
    if spec.get("type") != "datacenter":
        yield from _of_place(stack, spec)


def _of_pool(stack: _Stack, spec: _Spec) -> Iterator[Address]:
    yield from _of_place(stack, spec)
    if "parent" not in spec:
        yield from stack.compute({key: spec[key] for key in ("cluster",) if key in spec})


def _on_hosts(stack: _Stack, spec: _Spec) -> Iterator[Address]:
    """A network or a datastore, which goes to hosts."""
    yield from _of_place(stack, spec)
    if "hosts" not in spec and spec.get("type") != "cluster":
        yield from stack.hosts(spec)


def _of_machine(stack: _Stack, spec: _Spec) -> Iterator[Address]:
    where = spec.get("placement", {})
    yield from stack.meant("Datacenter", "datacenter")
    yield from stack.compute({key: where[key] for key in _COMPUTE if key in where})
    if "folder" not in where and stack.names("folder"):
        yield from stack.meant("Folder", "folder")
    decided = "storagePool" in where or not {"disks", "clone"}.isdisjoint(spec)
    if "storagePool" not in where and (stack.names("storagePool") or not decided):
        yield from stack.meant("StoragePool", "storagePool")


def _of_image(stack: _Stack, spec: _Spec) -> Iterator[Address]:
    if spec.get("format") in _OF_TEMPLATES:
        yield from _of_machine(stack, {"placement": {"storagePool": spec.get("pool")}})


_RULES: Mapping[str, Callable[[_Stack, _Spec], Iterator[Address]]] = {
    "Cluster": _of_place,
    "ClusterHost": _of_place,
    "Folder": _of_folder,
    "ResourcePool": _of_pool,
    "Network": _on_hosts,
    "StoragePool": _on_hosts,
    "VirtualMachine": _of_machine,
    "Image": _of_image,
}
