"""What port groups are told: what is asked for is set, what is no longer asked for is inherited
again, and everything else stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from provisioner.providers.api import Change
from provisioner_plugins.vmware.specs import touches

sdk = pytest.importorskip("pyVmomi")
standard = pytest.importorskip("provisioner_plugins.vmware.network.standard")
distributed = pytest.importorskip("provisioner_plugins.vmware.network.distributed")
sweep = pytest.importorskip("provisioner_plugins.vmware.wire.sweep")
vim = sdk.vim

_Policy = vim.host.NetworkPolicy
IN_FORCE = _Policy(
    security=_Policy.SecurityPolicy(allowPromiscuous=False, macChanges=True, forgedTransmits=True),
    nicTeaming=_Policy.NicTeamingPolicy(
        policy="loadbalance_srcid",
        nicOrder=_Policy.NicOrderPolicy(activeNic=["vmnic0", "vmnic1"], standbyNic=["vmnic2"]),
    ),
)


def standard_group(**policy: Any) -> Any:
    return vim.host.PortGroup.Specification(
        name="lan", vlanId=5, vswitchName="vSwitch0", policy=_Policy(**policy)
    )


def edited(now: Any, spec: Mapping[str, Any], *changes: Change) -> Any:
    return standard.edited_group(now, spec, IN_FORCE, touches(changes))


def test_a_change_leaves_the_rest_of_a_standard_group() -> None:
    shaping = _Policy.TrafficShapingPolicy(enabled=True)
    now = standard_group(security=_Policy.SecurityPolicy(macChanges=False), shapingPolicy=shaping)
    spec = {"security": {"promiscuous": True}}
    found = edited(now, spec, Change(("security", "promiscuous"), before=False, after=True))
    assert (5, True, False, None, True) == (
        found.vlanId,
        found.policy.security.allowPromiscuous,
        found.policy.security.macChanges,
        found.policy.security.forgedTransmits,
        found.policy.shapingPolicy.enabled,
    )


def test_what_is_not_asked_for_any_more_is_inherited() -> None:
    now = standard_group(
        security=_Policy.SecurityPolicy(macChanges=False),
        nicTeaming=_Policy.NicTeamingPolicy(
            policy="failover_explicit", rollingOrder=True, nicOrder=_Policy.NicOrderPolicy()
        ),
    )
    found = edited(now, {}, Change(("security",), {}, None), Change(("teaming",), {}, None))
    teaming = found.policy.nicTeaming
    assert [None] * 4 == [
        found.policy.security.macChanges,
        teaming.policy,
        teaming.rollingOrder,
        teaming.nicOrder,
    ]


@pytest.mark.parametrize(
    ("wanted", "active", "standby"),
    [
        ({"active": ["vmnic2"]}, ["vmnic2"], []),
        ({"standby": ["vmnic1"]}, ["vmnic0"], ["vmnic1"]),
        ({"active": ["vmnic1"], "standby": ["vmnic0"]}, ["vmnic1"], ["vmnic0"]),
    ],
)
def test_uplinks_that_are_not_named_stay_where_they_are(
    wanted: Mapping[str, Any], active: list[str], standby: list[str]
) -> None:
    order = standard.order_of(wanted, ["vmnic0", "vmnic1"], ["vmnic2"])
    assert (active, standby) == order


def test_a_standard_switch_is_told_all_that_it_has() -> None:
    bond = vim.host.VirtualSwitch.BondBridge(nicDevice=["vmnic1"])
    now = vim.host.VirtualSwitch.Specification(numPorts=64, bridge=bond, policy=IN_FORCE)
    switch = vim.host.VirtualSwitch(name="vSwitch1", mtu=1500, spec=now)
    found = standard.edited_switch(switch, {"mtu": 9000}, touches([Change(("mtu",), 1500, 9000)]))
    assert (64, 9000, bond, IN_FORCE) == (found.numPorts, found.mtu, found.bridge, found.policy)


def distributed_group(ports: Any) -> Any:
    config = vim.dvs.DistributedVirtualPortgroup.ConfigInfo(
        name="lan", configVersion="7", description="for people", numPorts=16, type="earlyBinding"
    )
    config.defaultPortConfig = ports
    return sweep.Row("dvportgroup-1", vim.dvs.DistributedVirtualPortgroup, {"config": config})


def test_a_distributed_group_is_told_all_that_it_has() -> None:
    ports = vim.dvs.VmwareDistributedVirtualSwitch.VmwarePortConfigPolicy()
    ports.vlan = vim.dvs.VmwareDistributedVirtualSwitch.VlanIdSpec(inherited=False, vlanId=5)
    row = distributed_group(ports)
    spec = {"vlan": 5, "security": {"promiscuous": True}}
    change = Change(("security", "promiscuous"), before=None, after=True)
    found = distributed.edited(row, spec, touches([change]))
    assert ("lan", "7", "for people", 16, 5, True) == (
        found.name,
        found.configVersion,
        found.description,
        found.numPorts,
        found.defaultPortConfig.vlan.vlanId,
        found.defaultPortConfig.securityPolicy.allowPromiscuous.value,
    )


def test_a_new_distributed_group_is_read_as_it_was_asked_for() -> None:
    spec = {
        "trunk": ["10", "100-200"],
        "security": {"promiscuous": True, "macChanges": False, "forgedTransmits": False},
        "teaming": {
            "policy": "load",
            "active": ["Uplink 1"],
            "standby": ["Uplink 2"],
            "notifySwitches": True,
            "failback": False,
        },
    }
    row = distributed_group(distributed.new("lan", spec).defaultPortConfig)
    assert spec == distributed.fields(row, None, effective=False)


def test_uplink_groups_are_told_from_others() -> None:
    ports = distributed_group(None)
    config = ports.values["config"]
    named = [
        sweep.Row("1", ports.kind, {"config": config, "name": name})
        for name in ("DVS0-DVUplinks-8", "lan")
    ]
    tagged = sweep.Row(
        "2", ports.kind, {"config": config, "tag": [vim.Tag(key="SYSTEM/DVS.UPLINKPG")]}
    )
    assert [True, False, True] == [distributed.is_uplinks(row) for row in (*named, tagged)]
