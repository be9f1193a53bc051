"""Port groups of distributed switches: read, and written with what differs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pyVmomi import vim

from provisioner.core.values import Json
from provisioner_plugins.vmware.building import escaped
from provisioner_plugins.vmware.network import vlans
from provisioner_plugins.vmware.network.rules import DEFAULT_MTU
from provisioner_plugins.vmware.network.standard import POLICIES, SECURITY, Touched, order_of
from provisioner_plugins.vmware.wire.sweep import Row

_Vmware = vim.dvs.VmwareDistributedVirtualSwitch
_Group = vim.dvs.DistributedVirtualPortgroup
_STATIC = "earlyBinding"
UPLINK = "config.uplink"
"""Of a whole ``config`` it is a part; who needs no more reads it alone."""
_UPLINK_TAG = "SYSTEM/DVS.UPLINKPG"
_UPLINK_NAME = re.compile(r".*-DVUplinks-?\d+")
"""What vCenter calls the port group of the uplinks, the simulator too, which marks it in no other
way."""
_KEPT = ("description", "type", "policy", "autoExpand", "numPorts", "portNameFormat")


def is_uplinks(row: Row) -> bool:
    """Whether a port group is that of the switch's uplinks, which no machine plugs into."""
    config = row.get("config")
    return (
        bool(getattr(config, "uplink", False) or row.get(UPLINK, False))
        or any(tag.key == _UPLINK_TAG for tag in row.get("tag", ()))
        or _UPLINK_NAME.fullmatch(str(row.get("name"))) is not None
    )


def switch_of(row: Row) -> str | None:
    """The managed object id of a port group's switch."""
    switch = row.get("config").distributedVirtualSwitch
    return None if switch is None else str(switch._GetMoId())


def fields(row: Row, switch: Row | None, *, effective: bool) -> dict[str, Json]:
    """The part of a spec that a port group is; ``effective``: with what it inherits."""
    ports = row.get("config").defaultPortConfig
    found: dict[str, Json] = {}
    if isinstance(ports, _Vmware.VmwarePortConfigPolicy):
        found |= {**_vlan_fields(ports.vlan), **_policy_fields(ports, effective=effective)}
    config = None if switch is None else switch.get("config")
    mtu = getattr(config, "maxMtu", None)
    if mtu:
        found["mtu"] = int(mtu)
    return found


def notes(row: Row) -> list[str]:
    """What no field says."""
    config = row.get("config")
    found = []
    vlan = getattr(config.defaultPortConfig, "vlan", None)
    if isinstance(vlan, _Vmware.PvlanSpec):
        found.append(f"it is in the private VLAN {vlan.pvlanId}, which no field can say")
    if config.type and config.type != _STATIC:
        found.append(
            f"its ports are bound as {config.type}; one that is made anew has static ports"
        )
    return found


def new(name: str, spec: Mapping[str, Any]) -> Any:
    """A new port group."""
    ports = _Vmware.VmwarePortConfigPolicy()
    _edit(ports, spec, lambda _: True)
    return _Group.ConfigSpec(
        name=escaped(name), type=_STATIC, autoExpand=True, numPorts=8, defaultPortConfig=ports
    )


def edited(row: Row, spec: Mapping[str, Any], touched: Touched) -> Any:
    """What to tell a port group. All that it has is said again: the simulator takes what is left
    out for gone.
    """
    config = row.get("config")
    result = _Group.ConfigSpec(name=config.name, configVersion=config.configVersion)
    for field in _KEPT:
        setattr(result, field, getattr(config, field, None))
    ports = config.defaultPortConfig
    if not isinstance(ports, _Vmware.VmwarePortConfigPolicy):
        ports = _Vmware.VmwarePortConfigPolicy()
    _edit(ports, spec, touched)
    result.defaultPortConfig = ports
    return result


def new_switch(name: str, spec: Mapping[str, Any]) -> Any:
    """A new switch, still without hosts."""
    config = _Vmware.ConfigSpec(name=escaped(name), maxMtu=spec.get("mtu", DEFAULT_MTU))
    return vim.DistributedVirtualSwitch.CreateSpec(configSpec=config)


def edited_switch(
    switch: Row, add: Sequence[Any], remove: Sequence[Any], mtu: int | None = None
) -> Any:
    """What to tell a switch; hosts are managed objects."""
    member = vim.dvs.HostMember.ConfigSpec
    hosts = [member(operation="add", host=host) for host in add]
    hosts += [member(operation="remove", host=host) for host in remove]
    version = switch.get("config").configVersion
    return _Vmware.ConfigSpec(configVersion=version, maxMtu=mtu, host=hosts)


def _edit(ports: Any, spec: Mapping[str, Any], touched: Touched) -> None:
    if touched(("vlan",)) or touched(("trunk",)):
        ports.vlan = _vlan(spec)
    _edit_security(ports, spec.get("security", {}), touched)
    _edit_teaming(ports, spec.get("teaming", {}), touched)


def _vlan(spec: Mapping[str, Any]) -> Any:
    if "trunk" in spec:
        ranges = [vim.NumericRange(start=a, end=b) for a, b in vlans.ranges_of(spec["trunk"])]
        return _Vmware.TrunkVlanSpec(inherited=False, vlanId=ranges)
    return _Vmware.VlanIdSpec(inherited=False, vlanId=int(spec.get("vlan", 0)))


def _edit_security(ports: Any, wanted: Mapping[str, Any], touched: Touched) -> None:
    policy = ports.securityPolicy or _Vmware.SecurityPolicy(inherited=False)
    for field, name in SECURITY.items():
        if touched(("security", field)):
            setattr(policy, name, _bool(wanted.get(field)))
            policy.inherited = False
            ports.securityPolicy = policy


def _edit_teaming(ports: Any, wanted: Mapping[str, Any], touched: Touched) -> None:
    teaming = ports.uplinkTeamingPolicy or _Vmware.UplinkPortTeamingPolicy(inherited=False)
    if touched(("teaming", "policy")):
        policy = wanted.get("policy")
        value = None if policy is None else POLICIES[policy]
        teaming.policy = vim.StringPolicy(inherited=value is None, value=value)
    if touched(("teaming", "notifySwitches")):
        teaming.notifySwitches = _bool(wanted.get("notifySwitches"))
    if touched(("teaming", "failback")):
        failback = wanted.get("failback")
        teaming.rollingOrder = _bool(None if failback is None else not failback)
    if touched(("teaming", "active")) or touched(("teaming", "standby")):
        now = teaming.uplinkPortOrder
        order = order_of(
            wanted, getattr(now, "activeUplinkPort", ()), getattr(now, "standbyUplinkPort", ())
        )
        active, standby = order or ([], [])
        teaming.uplinkPortOrder = _Vmware.UplinkPortOrderPolicy(
            inherited=order is None, activeUplinkPort=active, standbyUplinkPort=standby
        )
    fields = ("policy", "notifySwitches", "failback", "active", "standby")
    if any(touched(("teaming", field)) for field in fields):
        teaming.inherited = False
        ports.uplinkTeamingPolicy = teaming


def _bool(value: bool | None) -> Any:
    return vim.BoolPolicy(inherited=value is None, value=value)


def _vlan_fields(vlan: Any) -> dict[str, Json]:
    if isinstance(vlan, _Vmware.TrunkVlanSpec):
        ranges = [(int(item.start), int(item.end)) for item in vlan.vlanId]
        return {"trunk": list(vlans.texts_of(sorted(ranges)))}
    if isinstance(vlan, _Vmware.VlanIdSpec) and vlan.vlanId:
        return {"vlan": int(vlan.vlanId)}
    return {}


def _policy_fields(ports: Any, *, effective: bool) -> dict[str, Json]:
    def said(policy: Any) -> Any:
        if policy is None or (policy.inherited and not effective):
            return None
        return policy.value

    found: dict[str, Json] = {}
    security = {
        field: bool(value)
        for field, name in SECURITY.items()
        if (value := said(getattr(ports.securityPolicy, name, None))) is not None
    }
    if security:
        found["security"] = security
    teaming: dict[str, Json] = {}
    policy = ports.uplinkTeamingPolicy
    if policy is not None:
        names = {value: name for name, value in POLICIES.items()}
        if value := said(policy.policy):
            teaming["policy"] = names.get(value, str(value))
        if (value := said(policy.notifySwitches)) is not None:
            teaming["notifySwitches"] = bool(value)
        if (value := said(policy.rollingOrder)) is not None:
            teaming["failback"] = not value
        order = policy.uplinkPortOrder
        if order is not None and (effective or not order.inherited):
            teaming["active"] = list(order.activeUplinkPort or ())
            teaming["standby"] = list(order.standbyUplinkPort or ())
    if teaming:
        found["teaming"] = teaming
    return found
