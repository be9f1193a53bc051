"""Rules of networks of vSphere: canonical forms, what is refused, impacts; numbers of VLANs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest

from provisioner.core.actions import Impact
from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError
from provisioner.core.identity import Stamp
from provisioner.core.values import Path
from provisioner.providers.api import Change, Present, Resource
from provisioner_plugins.vmware.flavour import ESXI, VCENTER, Flavour
from provisioner_plugins.vmware.network import vlans
from provisioner_plugins.vmware.network.rules import NetworkRules

RULES = NetworkRules()
ISOLATED = {"mode": "isolated"}
BRIDGE = {"mode": "bridge", "bridge": "vSwitch0"}
DISTRIBUTED = {**BRIDGE, "virtualSwitch": "distributed"}


def resource(spec: Mapping[str, Any]) -> Resource:
    address = Address("Network", "lan")
    return Resource(address, "lan", UUID(int=1), Stamp("x", str(address)), spec)


def canonical(spec: Mapping[str, Any], flavour: Flavour = VCENTER) -> Mapping[str, Any]:
    found = RULES.normalise(resource(spec), flavour)
    assert found == RULES.normalise(resource(found), flavour)
    return found


def refused(spec: Mapping[str, Any], flavour: Flavour = VCENTER) -> list[Path | None]:
    with pytest.raises(ProvisionerError) as caught:
        RULES.normalise(resource(spec), flavour)
    return [item.path for item in caught.value.diagnostics]


def test_addresses_that_only_describe_are_left_out() -> None:
    assert ISOLATED == canonical({**ISOLATED, "cidr": "10.0.0.0/24", "cidr6": "fd00::/64"})


def test_services_that_do_not_run_are_left_out() -> None:
    spec = {**ISOLATED, "dhcp": {"enabled": False}, "dns": {"enabled": False}}
    assert ISOLATED == canonical(spec)


def test_native_settings_of_others_are_left_out() -> None:
    assert ISOLATED == canonical({**ISOLATED, "native": {"kvm": {"network": ["<x/>"]}}})


def test_an_esxi_host_has_no_place_for_labels() -> None:
    labelled = {**ISOLATED, "labels": {"a": "b"}, "tenant": "shop"}
    assert ISOLATED == canonical(labelled, ESXI)
    assert labelled == canonical(labelled)


@pytest.mark.parametrize(
    ("written", "meant"),
    [(["1-4094"], ["0-4094"]), (["0-4094"], ["0-4094"]), (["0-99", "100-4094"], ["0-4094"])],
)
def test_a_standard_port_group_passes_all_tags(written: list[str], meant: list[str]) -> None:
    assert {**BRIDGE, "trunk": meant} == canonical({**BRIDGE, "trunk": written})


def test_ranges_of_tags_are_sorted_and_joined() -> None:
    spec = {**DISTRIBUTED, "trunk": ["30-40", "10", "11", "35-50", "7"]}
    assert ["7", "10-11", "30-50"] == canonical(spec)["trunk"]


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"mode": "nat", "cidr": "10.0.0.0/24"}, ("mode",)),
        ({"mode": "routed", "cidr": "10.0.0.0/24"}, ("mode",)),
        ({"mode": "user"}, ("mode",)),
        ({"mode": "native", "native": {"kvm": {}}}, ("mode",)),
        ({**ISOLATED, "native": {"vcenter": {"extraConfig": {"a": "b"}}}}, ("native",)),
        ({**ISOLATED, "gateway": "10.0.0.1"}, ("gateway",)),
        ({**ISOLATED, "forwardDevice": "eth0"}, ("forwardDevice",)),
        ({**ISOLATED, "dhcp": {"start": "10.0.0.5", "end": "10.0.0.9"}}, ("dhcp",)),
        ({**ISOLATED, "dns": {"domain": "lab.example"}}, ("dns",)),
        ({**ISOLATED, "active": False}, ("active",)),
        ({**ISOLATED, "autostart": False}, ("autostart",)),
        ({**ISOLATED, "virtualSwitch": "linux"}, ("virtualSwitch",)),
        ({**BRIDGE, "virtualSwitch": "openvswitch"}, ("virtualSwitch",)),
        ({**ISOLATED, "uplinks": ["vmnic1"]}, ("uplinks",)),
        ({**DISTRIBUTED, "uplinks": ["vmnic1"]}, ("uplinks",)),
        ({**DISTRIBUTED, "hosts": {"esx1": {}}}, ("hosts",)),
        ({**DISTRIBUTED, "folder": "networks"}, ("folder",)),
        ({**BRIDGE, "mtu": 9000}, ("mtu",)),
        ({**ISOLATED, "mtu": 9001}, ("mtu",)),
        ({**ISOLATED, "mtu": 1279}, ("mtu",)),
        ({**BRIDGE, "trunk": ["10-20"]}, ("trunk",)),
        ({**BRIDGE, "teaming": {"policy": "load"}}, ("teaming", "policy")),
        ({**ISOLATED, "teaming": {"active": ["vmnic0"]}}, ("teaming", "active")),
    ],
)
def test_what_vsphere_has_not_is_refused(spec: Mapping[str, Any], field: Path) -> None:
    assert [field] == refused(spec)


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (DISTRIBUTED, "virtualSwitch"),
        ({**ISOLATED, "datacenter": "east"}, "datacenter"),
        ({**ISOLATED, "folder": "networks"}, "folder"),
        ({**ISOLATED, "hosts": {"esx1": {}}}, "hosts"),
    ],
)
def test_what_only_a_vcenter_has_is_refused_on_an_esxi_host(
    spec: Mapping[str, Any], field: str
) -> None:
    assert [(field,)] == refused(spec, ESXI)


@pytest.mark.parametrize(
    ("change", "impact"),
    [
        (Change(("mode",), "bridge", "isolated"), Impact.REPLACE),
        (Change(("virtualSwitch",), "standard", "distributed"), Impact.REPLACE),
        (Change(("virtualSwitch",), "standard", None), Impact.NONE),
        (Change(("bridge",), "vSwitch0", "vSwitch1"), Impact.REPLACE),
        (Change(("bridge",), "vSwitch0", None), Impact.NONE),
        (Change(("datacenter",), "east", "west"), Impact.REPLACE),
        (Change(("vlan",), 5, 6), Impact.LIVE),
        (Change(("mtu",), 1500, 9000), Impact.LIVE),
        (Change(("hosts", "esx1"), None, {}), Impact.LIVE),
        (Change(("security", "promiscuous"), before=False, after=True), Impact.LIVE),
        (Change(("labels", "a"), None, "b"), Impact.LIVE),
    ],
)
def test_only_another_switch_replaces_a_network(change: Change, impact: Impact) -> None:
    found = Present("network-1", None, {**BRIDGE, "virtualSwitch": "standard"}, "")
    assert [impact] == [item.impact for item in RULES.impact(resource(BRIDGE), found, [change])]


@pytest.mark.parametrize(
    ("spec", "number"), [({}, 0), ({"vlan": 42}, 42), ({"trunk": ["0-4094"]}, 4095)]
)
def test_a_vlan_of_a_standard_port_group_is_one_number(
    spec: Mapping[str, Any], number: int
) -> None:
    assert number == vlans.number_of(spec)
    assert spec == vlans.described(number)
