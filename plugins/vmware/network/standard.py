"""Port groups of standard switches, as hosts have them: read, and written with what differs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyVmomi import vim

from provisioner.core.values import Json, Path
from provisioner_plugins.vmware.network import vlans
from provisioner_plugins.vmware.network.rules import DEFAULT_MTU

_Policy = vim.host.NetworkPolicy
_Group = vim.host.PortGroup.Specification
_Switch = vim.host.VirtualSwitch.Specification
_PORTS = 128
"""Has to be said, and means nothing since ESXi 5.5: switches grow."""

SECURITY: Mapping[str, str] = {
    "promiscuous": "allowPromiscuous",
    "macChanges": "macChanges",
    "forgedTransmits": "forgedTransmits",
}
POLICIES: Mapping[str, str] = {
    "port": "loadbalance_srcid",
    "mac": "loadbalance_srcmac",
    "ip": "loadbalance_ip",
    "explicit": "failover_explicit",
    "load": "loadbalance_loadbased",
}
"""HostNicTeamingPolicy.policy; the last one of distributed switches alone."""

Touched = Callable[[Path], bool]
"""Whether the field at a path is to be brought to what the spec says; the others stay."""


@dataclass(frozen=True, slots=True)
class HostGroup:
    """A port group on one host: ``host`` is its managed object id."""

    host: str
    group: Any
    switch: Any

    @property
    def uplinks(self) -> list[str]:
        """Devices of the host that the switch has."""
        return uplinks_of(self.switch)

    def fields(self, *, effective: bool) -> dict[str, Json]:
        """The part of a spec that it is; ``effective``: with what it inherits of its switch."""
        spec = self.group.spec
        policy = self.group.computedPolicy if effective else spec.policy
        found: dict[str, Json] = {
            "bridge": str(self.switch.name),
            **vlans.described(int(spec.vlanId)),
            **_policy_fields(policy),
        }
        if self.switch.mtu:
            found["mtu"] = int(self.switch.mtu)
        if self.uplinks:
            found["uplinks"] = list(self.uplinks)
        return found

    @property
    def shapes_traffic(self) -> bool:
        """Whether it limits bandwidth, which no field says."""
        shaping = getattr(self.group.computedPolicy, "shapingPolicy", None)
        return bool(getattr(shaping, "enabled", False))


def groups_of(host: str, switches: Sequence[Any], groups: Sequence[Any]) -> list[HostGroup]:
    """The port groups of a host, by ``config.network`` of it."""
    by_key = {switch.key: switch for switch in switches}
    by_name = {switch.name: switch for switch in switches}
    found = []
    for group in groups:
        switch = by_key.get(group.vswitch) or by_name.get(group.spec.vswitchName)
        if switch is not None:
            found.append(HostGroup(host, group, switch))
    return found


def uplinks_of(switch: Any) -> list[str]:
    """Devices of the host that a switch has, sorted."""
    bridge = switch.spec.bridge if switch.spec is not None else None
    devices = getattr(bridge, "nicDevice", None) or ()
    return sorted([devices] if isinstance(devices, str) else map(str, devices))


def switch_spec(spec: Mapping[str, Any]) -> Any:
    """A new switch."""
    return _Switch(numPorts=_PORTS, mtu=spec.get("mtu"), bridge=_bond(spec.get("uplinks", ())))


def edited_switch(switch: Any, spec: Mapping[str, Any], touched: Touched) -> Any:
    """What to tell a switch; what is left out of it would be reset."""
    now = switch.spec
    result = _Switch(
        numPorts=now.numPorts, mtu=switch.mtu or now.mtu, bridge=now.bridge, policy=now.policy
    )
    if touched(("mtu",)):
        result.mtu = spec.get("mtu", DEFAULT_MTU)
    if touched(("uplinks",)) and "uplinks" in spec:
        result.bridge = _bond(spec["uplinks"])
    return result


def group_spec(name: str, switch: str, spec: Mapping[str, Any]) -> Any:
    """A new port group."""
    empty = _Group(name=name, vlanId=0, vswitchName=switch, policy=_Policy())
    return edited_group(empty, spec, _Policy(), lambda _: True)


def edited_group(now: Any, spec: Mapping[str, Any], computed: Any, touched: Touched) -> Any:
    """What to tell a port group: ``now`` with what is touched as ``spec`` says, and inherited from
    the switch where it says nothing. ``computed`` is the policy that is in force.
    """
    policy = _Policy(
        security=now.policy.security or _Policy.SecurityPolicy(),
        nicTeaming=now.policy.nicTeaming or _Policy.NicTeamingPolicy(),
        offloadPolicy=now.policy.offloadPolicy,
        shapingPolicy=now.policy.shapingPolicy,
    )
    for field, name in SECURITY.items():
        if touched(("security", field)):
            setattr(policy.security, name, spec.get("security", {}).get(field))
    _edit_teaming(policy.nicTeaming, spec.get("teaming", {}), computed.nicTeaming, touched)
    vlan = int(now.vlanId)
    if touched(("vlan",)) or touched(("trunk",)):
        vlan = vlans.number_of(spec)
    return _Group(name=now.name, vlanId=vlan, vswitchName=now.vswitchName, policy=policy)


def order_of(
    wanted: Mapping[str, Any], active: Sequence[str], standby: Sequence[str]
) -> tuple[list[str], list[str]] | None:
    """Active and standby uplinks, of which the one in force is given; None: as the switch has it.

    Whoever says one of the two only leaves the other as it is, but for the uplinks that he named.
    """
    if "active" not in wanted and "standby" not in wanted:
        return None
    first = wanted.get("active", [item for item in active if item not in wanted.get("standby", ())])
    second = wanted.get("standby", [item for item in standby if item not in first])
    return list(first), list(second)


def _edit_teaming(teaming: Any, wanted: Mapping[str, Any], above: Any, touched: Touched) -> None:
    if touched(("teaming", "policy")):
        policy = wanted.get("policy")
        teaming.policy = None if policy is None else POLICIES[policy]
    if touched(("teaming", "notifySwitches")):
        teaming.notifySwitches = wanted.get("notifySwitches")
    if touched(("teaming", "failback")):
        failback = wanted.get("failback")
        teaming.rollingOrder = None if failback is None else not failback
    if touched(("teaming", "active")) or touched(("teaming", "standby")):
        now = getattr(above, "nicOrder", None)
        order = order_of(wanted, getattr(now, "activeNic", ()), getattr(now, "standbyNic", ()))
        teaming.nicOrder = None
        if order is not None:
            teaming.nicOrder = _Policy.NicOrderPolicy(activeNic=order[0], standbyNic=order[1])


def _policy_fields(policy: Any) -> dict[str, Json]:
    found: dict[str, Json] = {}
    security = {
        field: value
        for field, name in SECURITY.items()
        if (value := getattr(policy.security, name, None)) is not None
    }
    if security:
        found["security"] = security
    teaming = _teaming_fields(policy.nicTeaming)
    if teaming:
        found["teaming"] = teaming
    return found


def _teaming_fields(teaming: Any) -> dict[str, Json]:
    found: dict[str, Json] = {}
    if teaming is None:
        return found
    names = {value: name for name, value in POLICIES.items()}
    if teaming.policy:
        found["policy"] = names.get(teaming.policy, str(teaming.policy))
    if teaming.nicOrder is not None:
        found["active"] = list(teaming.nicOrder.activeNic or ())
        found["standby"] = list(teaming.nicOrder.standbyNic or ())
    if teaming.notifySwitches is not None:
        found["notifySwitches"] = bool(teaming.notifySwitches)
    if teaming.rollingOrder is not None:
        found["failback"] = not teaming.rollingOrder
    return found


def _bond(uplinks: Sequence[str]) -> Any:
    return vim.host.VirtualSwitch.BondBridge(nicDevice=list(uplinks)) if uplinks else None
