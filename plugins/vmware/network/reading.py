"""Networks as one sweep has found them, and their observations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pyVmomi import vim

from provisioner.core.identity import Stamp
from provisioner.core.values import Json, canonical_json, digest
from provisioner.providers.api import Present
from provisioner_plugins.vmware.inventory import Inventory, name_of
from provisioner_plugins.vmware.network import distributed
from provisioner_plugins.vmware.network.rules import BRIDGE, DISTRIBUTED, ISOLATED, STANDARD
from provisioner_plugins.vmware.network.standard import HostGroup, groups_of
from provisioner_plugins.vmware.references import References
from provisioner_plugins.vmware.stamp import Mark
from provisioner_plugins.vmware.wire.sweep import Row, Wanted

READS: Wanted = MappingProxyType(
    {
        vim.Network: ("host", "summary"),
        vim.dvs.DistributedVirtualPortgroup: ("config", "tag"),
        vim.DistributedVirtualSwitch: ("config", "summary.hostMember"),
        vim.HostSystem: (
            "configManager.networkSystem",
            "config.network.vswitch",
            "config.network.portgroup",
        ),
    }
)
ENTITIES: Sequence[type] = (
    vim.Network,
    vim.DistributedVirtualSwitch,
    vim.HostSystem,
    vim.ComputeResource,
    vim.Folder,
    vim.Datacenter,
)
"""What handlers read to find their way before they change something."""
OWN_SWITCH = "ownSwitch"
"""Detail of a mark: the switch was made for this network, and goes with it."""


@dataclass(frozen=True, slots=True)
class Network:
    """A port group. ``groups``: what each host has of a standard one, by host; ``switch``: that of
    a distributed one.
    """

    row: Row
    mark: Mark | None
    groups: Sequence[HostGroup]
    switch: Row | None

    @property
    def moid(self) -> str:
        """Its external id."""
        return self.row.moid

    @property
    def name(self) -> str:
        """What it is called now."""
        return name_of(self.row)

    @property
    def is_distributed(self) -> bool:
        """Whether it is one of a distributed switch."""
        return issubclass(self.row.kind, vim.dvs.DistributedVirtualPortgroup)

    @property
    def hosts(self) -> list[str]:
        """Managed object ids of the hosts that have it."""
        if self.groups:
            return [group.host for group in self.groups]
        members = (
            self.row.get("host", ())
            if self.switch is None
            else self.switch.get("summary.hostMember", ())
        )
        return sorted(str(host._GetMoId()) for host in members)

    @property
    def switch_name(self) -> str:
        """What its switch is called (on the first host)."""
        if self.groups:
            return str(self.groups[0].switch.name)
        if self.switch is not None:
            return name_of(self.switch)
        # A segment of NSX: of no switch that vSphere knows.
        return str(getattr(self.row.get("summary"), "opaqueNetworkType", None) or "unknown")

    @property
    def has_own_switch(self) -> bool | None:
        """Whether its switch was made for it; None where no mark tells."""
        return None if self.mark is None else bool(self.mark.details.get(OWN_SWITCH))

    @property
    def is_alone(self) -> bool:
        """Whether no other port group is on its standard switch."""
        return bool(self.groups) and all(len(group.switch.portgroup) <= 1 for group in self.groups)

    @property
    def reaches_out(self) -> bool:
        """Whether a device of a host is plugged into its switch."""
        if self.switch is not None:
            members = getattr(self.switch.get("config"), "host", None) or ()
            return any(_devices(member) for member in members)
        return any(group.uplinks for group in self.groups)


class Networks:
    """The networks of an inventory."""

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory
        self._groups: dict[tuple[str, str], list[HostGroup]] = {}
        self.unread: dict[str, Row] = {}
        """Hosts whose port groups the user may not see, by id."""
        for host in inventory.rows(vim.HostSystem):
            if "config.network.portgroup" in host.denied:
                self.unread[host.moid] = host
            datacenter = inventory.above(host, vim.Datacenter)
            for group in groups_of(
                host.moid,
                host.get("config.network.vswitch", ()),
                host.get("config.network.portgroup", ()),
            ):
                key = ("" if datacenter is None else datacenter.moid, str(group.group.spec.name))
                self._groups.setdefault(key, []).append(group)

    def every(self) -> Iterator[Network]:
        """Every network that machines can plug into, in the order of paths."""
        for row in self.inventory.rows(vim.Network):
            network = self.of(row)
            if network is not None:
                yield network

    def of(self, row: Row) -> Network | None:
        """The network of a row; None for uplinks, and for the name that is left where machines
        still refer to a standard port group that no host has any more.
        """
        inventory = self.inventory
        if issubclass(row.kind, vim.dvs.DistributedVirtualPortgroup):
            if row.get("config") is None or distributed.is_uplinks(row):
                return None
            return Network(row, inventory.mark(row), (), inventory.row(distributed.switch_of(row)))
        if not row.get("host"):
            return None
        datacenter = inventory.above(row, vim.Datacenter)
        key = ("" if datacenter is None else datacenter.moid, name_of(row))
        return Network(row, inventory.mark(row), self._groups.get(key, ()), None)

    def of_id(self, moid: str | None) -> Network | None:
        """The network with this external id; None if it is not there."""
        row = self.inventory.row(moid)
        return None if row is None or not issubclass(row.kind, vim.Network) else self.of(row)

    def switch(self, host: Row, name: str) -> Any:
        """The standard switch of that name on a host; None if there is none."""
        found = host.get("config.network.vswitch", ())
        return next((switch for switch in found if switch.name == name), None)


def spec_of(
    network: Network, inventory: Inventory, wanted: Mapping[str, Any], names: References
) -> dict[str, Json]:
    """A network as a spec, with what it inherits.

    Where hosts differ, what is not ``wanted`` counts: so it is told, and mended. Where no mark
    tells whether a switch without uplinks is the network's own, ``wanted`` does, and where nothing
    is wanted, whether anything else is on it.
    """
    views = _views(network, effective=True)
    found: dict[str, Json] = {}
    for field in {field: None for view in views for field in view}:
        values = [view.get(field) for view in views]
        other = (value for value in values if _differs(value, wanted.get(field)))
        value = next(other, values[0])
        if value is not None:
            found[field] = value
    own = network.has_own_switch
    if own is None:
        own = wanted["mode"] == ISOLATED if "mode" in wanted else network.is_alone
    found |= {
        "mode": ISOLATED if own and not network.reaches_out else BRIDGE,
        "bridge": found.get("bridge", network.switch_name),
        "virtualSwitch": DISTRIBUTED if network.is_distributed else STANDARD,
        "active": True,
        "autostart": True,
        "hosts": {names.name("ClusterHost", host): {} for host in network.hosts},
    }
    for field, kind, above in (
        ("datacenter", "Datacenter", vim.Datacenter),
        ("folder", "Folder", vim.Folder),
    ):
        place = inventory.above(network.switch or network.row, above)
        if place is not None:
            found[field] = names.name(kind, place.moid)
    return found | ({"labels": {}} if network.mark is None else network.mark.fields())


def present(network: Network, owner: Stamp | None, spec: Mapping[str, Json]) -> Present:
    """The observation of a network."""
    mark = None if network.mark is None else network.mark.text()
    views = sorted(canonical_json(view) for view in _views(network, effective=True))
    seen = [network.name, mark, network.switch_name, sorted(network.hosts), views]
    return Present(
        network.moid,
        owner,
        spec,
        # Not the owner: where there is no room for a mark, it is concluded from who asks.
        digest(seen),
        outputs={"bridge": network.switch_name},
        name=network.name,
    )


def discovered_spec(network: Network, inventory: Inventory) -> dict[str, Json]:
    """A network as a manifest may say it: nothing that is inherited, chosen by the endpoint, or a
    matter of a switch that is not the network's own.
    """
    whole = spec_of(network, inventory, {}, References({}))
    found = {**_views(network, effective=False)[0]}
    found |= {field: whole[field] for field in ("mode", "bridge")}
    found |= {field: whole[field] for field in ("labels", "tenant") if field in whole}
    if network.is_distributed:
        found["virtualSwitch"] = DISTRIBUTED
    if found["mode"] == BRIDGE:
        for field in ("mtu", "uplinks"):
            found.pop(field, None)
    several = len([*inventory.rows(vim.Datacenter)]) > 1
    if several and "datacenter" in whole:
        found["datacenter"] = whole["datacenter"]
    return found


def notes_of(network: Network) -> tuple[str, ...]:
    """What no field says."""
    notes: list[str] = []
    if network.is_distributed:
        notes += distributed.notes(network.row)
    elif not network.groups:
        notes.append("it is a network that vSphere does not manage, such as a segment of NSX")
    if any(group.shapes_traffic for group in network.groups):
        notes.append("it limits bandwidth, which no field can say")
    if len({canonical_json(view) for view in _views(network, effective=True)}) > 1:
        notes.append("its hosts configure it differently; this is how one of them does")
    return tuple(notes)


def _views(network: Network, *, effective: bool) -> list[dict[str, Json]]:
    """The port group as each host has it; at least one."""
    if network.is_distributed:
        return [distributed.fields(network.row, network.switch, effective=effective)]
    return [group.fields(effective=effective) for group in network.groups] or [{}]


def _differs(found: Json, wanted: Json) -> bool:
    """Whether it is not what is wanted, of which a section may say a part."""
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        return any(_differs(found.get(field), part) for field, part in wanted.items())
    return wanted is not None and found != wanted


def _devices(member: Any) -> bool:
    backing = getattr(member.config, "backing", None)
    return bool(getattr(backing, "pnicSpec", None))
