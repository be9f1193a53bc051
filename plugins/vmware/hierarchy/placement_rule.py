"""Rules of clusters: which machines run together or apart, and on which hosts.

A rule about hosts is about a group of machines and a group of hosts, which are called after the
rule. Rule and groups are written in one call. Source: vSphere Web Services API,
ClusterConfigSpecEx (rulesSpec, groupSpec).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pyVmomi import vim

from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import error
from provisioner.providers.api import Resource, Terminal
from provisioner_plugins.vmware.inventory import Inventory
from provisioner_plugins.vmware.name_only import Item, NameOnlyHandler
from provisioner_plugins.vmware.ownership import gone, taken
from provisioner_plugins.vmware.references import References
from provisioner_plugins.vmware.wire.sweep import Row, Wanted

_RULES, _GROUPS, _UUID = "configurationEx.rule", "configurationEx.group", "config.instanceUuid"
_ABOUT_MACHINES: Mapping[str, Any] = MappingProxyType(
    {
        "keep-together": vim.cluster.AffinityRuleSpec,
        "keep-apart": vim.cluster.AntiAffinityRuleSpec,
    }
)
_ABOUT_HOSTS: Mapping[str, str] = MappingProxyType(
    {"run-on": "affineHostGroupName", "keep-off": "antiAffineHostGroupName"}
)


class PlacementRuleHandler(NameOnlyHandler):
    """Handler of the kind PlacementRule."""

    kind = "PlacementRule"
    reads: Wanted = MappingProxyType(
        {vim.ClusterComputeResource: (_RULES, _GROUPS), vim.VirtualMachine: (_UUID,)}
    )

    def items(self, inventory: Inventory) -> Sequence[Item]:
        """See the base. Key and name of a rule count in its cluster."""
        return [
            Item(f"{row.moid}/{rule.key}", str(rule.name), row.moid, rule)
            for row in inventory.rows(vim.ClusterComputeResource)
            for rule in row.get(_RULES, ())
            if _type_of(rule) is not None
        ]

    def within(self, inventory: Inventory, target: Resource) -> str | None:
        """See the base."""
        del inventory
        return References(target.related).moid("Cluster", target.spec["cluster"])

    def spec_of(self, inventory: Inventory, item: Item, names: References) -> dict[str, Any]:
        """See the base."""
        rule = item.found
        spec: dict[str, Any] = {
            "cluster": names.name("Cluster", item.within),
            "type": _type_of(rule),
            "enabled": rule.enabled is not False,
            "mandatory": bool(rule.mandatory),
        }
        machines = getattr(rule, "vm", None)
        if isinstance(rule, vim.cluster.VmHostRuleInfo):
            groups = _groups(inventory, item.within)
            machines = getattr(groups.get(rule.vmGroupName), "vm", None)
            hosts = getattr(groups.get(_host_group(rule)), "host", None) or ()
            spec["hosts"] = {names.name("ClusterHost", host._GetMoId()): {} for host in hosts}
        rows = (inventory.row(machine._GetMoId()) for machine in machines or ())
        spec["machines"] = {
            names.name("VirtualMachine", str(row.get(_UUID))): {} for row in rows if row is not None
        }
        return spec

    def make(self, inventory: Inventory, resource: Resource, deadline: Deadline) -> None:
        """See the base."""
        within = self.within(inventory, resource)
        if within is None:
            raise Terminal(gone(resource))
        self._write(inventory, resource, deadline, within=within, item=None, spec=resource.spec)

    def edit(
        self,
        inventory: Inventory,
        resource: Resource,
        item: Item,
        spec: Mapping[str, Any],
        deadline: Deadline,
    ) -> None:
        """See the base."""
        now = self.spec_of(inventory, item, References(resource.related))
        if any(now.get(field) != value for field, value in spec.items()):
            self._write(inventory, resource, deadline, within=item.within, item=item, spec=spec)

    def remove(
        self, inventory: Inventory, resource: Resource, item: Item, deadline: Deadline
    ) -> None:
        """See the base; its groups go with it."""
        config = vim.cluster.ConfigSpecEx(
            rulesSpec=[vim.cluster.RuleSpec(operation="remove", removeKey=item.found.key)]
        )
        there = _groups(inventory, item.within)
        config.groupSpec = [
            vim.cluster.GroupSpec(operation="remove", removeKey=name)
            for name in _group_names(item.name)
            if name in there and not self._others(inventory, item.within, item, name)
        ]
        self._configure(f"remove rule {resource.name}", item.within, config, deadline)

    # --- parts ---

    def _write(
        self,
        inventory: Inventory,
        resource: Resource,
        deadline: Deadline,
        *,
        within: str,
        item: Item | None,
        spec: Mapping[str, Any],
    ) -> None:
        name = resource.name if item is None else item.name
        names, kind = References(resource.related), spec["type"]
        machines = [
            self._site.client.managed(vim.VirtualMachine, moid)
            for moid in _machines(inventory, names, resource, spec)
        ]
        config = vim.cluster.ConfigSpecEx()
        common = {
            "name": name,
            "enabled": spec.get("enabled", True),
            "mandatory": spec.get("mandatory", False),
            "userCreated": True,
        }
        if kind in _ABOUT_MACHINES:
            rule = _ABOUT_MACHINES[kind](vm=machines, **common)
        else:
            hosts = [
                self._site.client.managed(vim.HostSystem, names.moid("ClusterHost", host) or host)
                for host in spec.get("hosts", {})
            ]
            of_machines, of_hosts = _group_names(name)
            groups = (
                vim.cluster.VmGroup(name=of_machines, vm=machines, userCreated=True),
                vim.cluster.HostGroup(name=of_hosts, host=hosts, userCreated=True),
            )
            there = _groups(inventory, within)
            for group in groups:
                if self._others(inventory, within, item, group.name):
                    raise Terminal(taken(resource, f"is a group, {group.name!r}, of another rule"))
            config.groupSpec = [
                vim.cluster.GroupSpec(
                    operation="edit" if group.name in there else "add", info=group
                )
                for group in groups
            ]
            rule = vim.cluster.VmHostRuleInfo(vmGroupName=of_machines, **common)
            setattr(rule, _ABOUT_HOSTS[kind], of_hosts)
        if item is not None:
            rule.key, rule.ruleUuid = item.found.key, item.found.ruleUuid
        operation = "add" if item is None else "edit"
        config.rulesSpec = [vim.cluster.RuleSpec(operation=operation, info=rule)]
        self._configure(f"write rule {name}", within, config, deadline)

    def _others(self, inventory: Inventory, within: str, item: Item | None, group: str) -> bool:
        """Whether another rule is about a group."""
        return any(
            group in (other.found.vmGroupName, _host_group(other.found))
            for other in self.items(inventory)
            if other.within == within
            and (item is None or other.id != item.id)
            and isinstance(other.found, vim.cluster.VmHostRuleInfo)
        )

    def _configure(self, what: str, within: str, config: Any, deadline: Deadline) -> None:
        cluster = self._site.client.managed(vim.ClusterComputeResource, within)
        self._site.run(
            what,
            lambda _: cluster.ReconfigureComputeResource_Task(spec=config, modify=True),
            deadline,
        )


def _type_of(rule: Any) -> str | None:
    """None: a rule of another sort, such as one about the order of starts."""
    if isinstance(rule, vim.cluster.VmHostRuleInfo):
        return "run-on" if rule.affineHostGroupName else "keep-off"
    return next((kind for kind, sort in _ABOUT_MACHINES.items() if isinstance(rule, sort)), None)


def _host_group(rule: Any) -> str | None:
    name: str | None = rule.affineHostGroupName or rule.antiAffineHostGroupName
    return name


def _group_names(rule: str) -> tuple[str, str]:
    return f"{rule} machines", f"{rule} hosts"


def _groups(inventory: Inventory, cluster: str) -> Mapping[str | None, Any]:
    row = inventory.row(cluster)
    return {} if row is None else {group.name: group for group in row.get(_GROUPS, ())}


def _machines(
    inventory: Inventory, names: References, resource: Resource, spec: Mapping[str, Any]
) -> Iterator[str]:
    rows: Mapping[str, Row] = {
        str(row.get(_UUID)): row for row in inventory.rows(vim.VirtualMachine)
    }
    for name in spec["machines"]:
        row = rows.get(names.moid("VirtualMachine", name) or name)
        if row is None:
            raise Terminal(
                error(
                    "PRV5323",
                    f"VirtualMachine/{name} is not on the endpoint",
                    detail=f"{resource.address} needs it.",
                    hint="Plan again: it was removed since it was read.",
                    path=("machines", name),
                    address=str(resource.address),
                )
            )
        yield row.moid
