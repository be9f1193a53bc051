"""Pools of processors and memory.

Source: vSphere Web Services API, ResourceConfigSpec and ResourceAllocationInfo.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from pyVmomi import vim

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic
from provisioner.providers.api import Resource
from provisioner.providers.capabilities import Undertaking
from provisioner_plugins.vmware.building import MIB, escaped
from provisioner_plugins.vmware.hierarchy.entity import EntityHandler
from provisioner_plugins.vmware.hierarchy.rules import without_drs
from provisioner_plugins.vmware.inventory import Inventory
from provisioner_plugins.vmware.references import References
from provisioner_plugins.vmware.wire.sweep import Row, Wanted

_UNLIMITED = -1
_CUSTOM = "custom"


class ResourcePoolHandler(EntityHandler):
    """Handler of the kind ResourcePool."""

    kind = "ResourcePool"
    title = "resource pool"
    sort = vim.ResourcePool
    reads: Wanted = MappingProxyType(
        {vim.ResourcePool: ("config.cpuAllocation", "config.memoryAllocation")}
    )
    places = ("parent",)

    def above(self, inventory: Inventory, target: Resource) -> str | None:
        """See the base."""
        names = References(target.related)
        if "parent" in target.spec:
            return names.moid("ResourcePool", target.spec["parent"])
        if "cluster" in target.spec:
            row = inventory.row(names.moid("Cluster", target.spec["cluster"]))
            return None if row is None else str(row.get("resourcePool")._GetMoId())
        compute = self._site.default(
            target,
            "cluster",
            (vim.ComputeResource,),
            "Cluster",
            within=self._site.datacenter(target),
            field_of_resource="cluster",
        )
        return str(compute.get("resourcePool")._GetMoId())

    def is_meant(self, row: Row) -> bool:
        """Neither the pool that a cluster has by itself nor a vApp."""
        if issubclass(row.kind, vim.VirtualApp):
            return False
        return not isinstance(row.get("parent"), vim.ComputeResource)

    def spec_of(self, inventory: Inventory, row: Row, names: References) -> dict[str, Any]:
        """See the base."""
        cpu, memory = row.get("config.cpuAllocation"), row.get("config.memoryAllocation")
        spec: dict[str, Any] = {
            "cpu": _read(cpu, "reservationMhz", "limitMhz", 1),
            "memory": _read(memory, "reservation", "limit", MIB),
        }
        parent, owner = inventory.parent(row), inventory.above(row, vim.ComputeResource)
        if parent is not None and self.is_meant(parent):
            spec["parent"] = names.name("ResourcePool", parent.moid)
        if owner is not None and issubclass(owner.kind, vim.ClusterComputeResource):
            spec["cluster"] = names.name("Cluster", owner.moid)
        return spec

    def preflight(
        self, inventory: Inventory, undertaking: Undertaking, deadline: Deadline, *, thorough: bool
    ) -> Iterator[Diagnostic]:
        """See :class:`~provisioner_plugins.vmware.handler.LooksAhead`: what the manifest of its
        cluster leaves open is as the cluster is, and off in a new one.
        """
        del deadline, thorough
        resource = undertaking.resource
        cluster = resource.related.get(Address("Cluster", resource.spec.get("cluster", "")))
        if not undertaking.creates or cluster is None or "enabled" in cluster.spec.get("drs", {}):
            return
        row = inventory.row(cluster.external_id)
        known = row is not None or (cluster.external_id is None and not cluster.exact)
        drs = None if row is None else row.get("configurationEx.drsConfig")
        if known and not getattr(drs, "enabled", False):
            yield without_drs(cluster.address)

    def make(self, resource: Resource, above: str, deadline: Deadline) -> Any:
        """See the base."""
        del deadline
        parent = self._site.client.managed(vim.ResourcePool, above)
        config = _config(resource.spec)
        return self._site.client.call(
            f"create resource pool {resource.name}",
            lambda _: parent.CreateResourcePool(escaped(resource.name), config),
        )

    def edit(
        self, resource: Resource, row: Row, spec: Mapping[str, Any], deadline: Deadline
    ) -> None:
        """See the base."""
        del deadline
        config, entity = _config(spec), self.entity(row)
        self._site.client.call(
            f"change resource pool {resource.name}", lambda _: entity.UpdateConfig(None, config)
        )

    def move(
        self, inventory: Inventory, resource: Resource, row: Row, above: str, deadline: Deadline
    ) -> None:
        """See the base."""
        del inventory, deadline
        entity, target = self.entity(row), self._site.client.managed(vim.ResourcePool, above)
        self._site.client.call(
            f"move resource pool {resource.name}", lambda _: target.MoveIntoResourcePool([entity])
        )

    def remove(
        self, inventory: Inventory, resource: Resource, row: Row, deadline: Deadline
    ) -> None:
        """Refused while machines are in it: they would move up without being asked."""
        self.require_empty(resource, [self.entity(row)], {vim.ResourcePool: ("vm", "resourcePool")})
        super().remove(inventory, resource, row, deadline)


def _config(spec: Mapping[str, Any]) -> Any:
    cpu, memory = spec.get("cpu", {}), spec.get("memory", {})
    return vim.ResourceConfigSpec(
        cpuAllocation=_allocation(
            cpu, int(cpu.get("reservationMhz", 0)), int(cpu.get("limitMhz", _UNLIMITED))
        ),
        memoryAllocation=_allocation(
            memory,
            int(memory.get("reservation", 0)) // MIB,
            int(memory["limit"]) // MIB if "limit" in memory else _UNLIMITED,
        ),
    )


def _allocation(section: Mapping[str, Any], reservation: int, limit: int) -> Any:
    shares = section.get("shares", "normal")
    is_number = isinstance(shares, int)
    return vim.ResourceAllocationInfo(
        reservation=reservation,
        limit=limit,
        expandableReservation=bool(section.get("expandable", True)),
        shares=vim.SharesInfo(
            level=_CUSTOM if is_number else shares, shares=shares if is_number else 0
        ),
    )


def _read(found: Any, reservation: str, limit: str, unit: int) -> dict[str, Any]:
    shares = getattr(found, "shares", None)
    level = str(getattr(shares, "level", None) or "normal")
    section: dict[str, Any] = {
        reservation: int(getattr(found, "reservation", None) or 0) * unit,
        "shares": int(shares.shares) if shares is not None and level == _CUSTOM else level,
        "expandable": getattr(found, "expandableReservation", None) is not False,
    }
    most = getattr(found, "limit", None)
    if most is not None and int(most) != _UNLIMITED:
        section[limit] = int(most) * unit
    return section
