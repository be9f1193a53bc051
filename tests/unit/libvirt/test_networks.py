"""Networks without a daemon: canonical form, XML there and back, impact of changes."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.core.diagnostics import ProvisionerError
from provisioner.providers.api import Change
from provisioner_plugins._libvirt.network import NetworkRules, final_spec
from provisioner_plugins._libvirt.network_xml import build, default_ranges, read, write
from provisioner_plugins._libvirt.xml import parse, remove_all, same, serialize
from tests.unit.libvirt.resources import present, resource

RULES = NetworkRules()
UID = UUID(int=7)
NAT = {"mode": "nat", "cidr": "10.77.0.0/24"}
MAC = "52:54:00:00:00:01"


def normalised(**spec: Any) -> Any:
    return RULES.normalise(resource("Network", "lan", spec))


def refused(**spec: Any) -> list[tuple[str, str]]:
    with pytest.raises(ProvisionerError) as caught:
        normalised(**spec)
    return [(item.code, item.summary.partition(" ")[0]) for item in caught.value.diagnostics]


# --- canonical form ------------------------------------------------------------------------------


def test_a_dhcp_section_means_that_the_service_runs() -> None:
    spec = normalised(**NAT, dhcp={"leaseTime": 7_200_000})
    assert {"enabled": True, "leaseTime": 7_200_000} == spec["dhcp"]


def test_a_service_that_does_not_run_has_no_settings() -> None:
    spec = normalised(
        **NAT,
        dhcp={"enabled": False, "start": "10.77.0.5", "end": "10.77.0.9"},
        dns={"enabled": False, "domain": "lab", "forwarders": ["9.9.9.9"], "hosts": {}},
    )
    assert {"enabled": False} == spec["dhcp"]
    assert {"enabled": False, "domain": "lab"} == spec["dns"]


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ({"mode": "bridge", "bridge": "br0", "vlan": 42, "virtualSwitch": "linux"}, ["vlan"]),
        ({**NAT, "virtualSwitch": "openvswitch"}, ["virtualSwitch"]),
        ({**NAT, "vlan": 42, "virtualSwitch": "openvswitch"}, ["virtualSwitch"]),
        ({"mode": "bridge", "bridge": "br0", "mtu": 9000, "dns": {}}, ["dns", "mtu"]),
        ({"mode": "user", "bridge": "br0", "dhcp": {}, "native": {}}, ["bridge", "dhcp", "native"]),
        ({"mode": "nat", "cidr": "10.77.0.0/31", "dhcp": {}}, ["dhcp"]),
        (
            {
                "mode": "nat",
                "cidr": "10.0.0.0/8",
                "dhcp": {"start": "10.0.0.9", "end": "10.1.0.0"},
            },
            ["dhcp.end"],
        ),
        ({**NAT, "bridge": ".."}, ["bridge"]),
        ({**NAT, "bridge": "a/b"}, ["bridge"]),
        ({**NAT, "bridge": "a234567890123456"}, ["bridge"]),
        ({"mode": "bridge", "bridge": "Switch 1", "virtualSwitch": "openvswitch"}, ["bridge"]),
        ({"mode": "isolated", "virtualSwitch": "standard"}, ["virtualSwitch"]),
        ({"mode": "isolated", "virtualSwitch": "distributed"}, ["virtualSwitch"]),
        ({"mode": "isolated", "vlan": 42}, ["vlan"]),
        ({"mode": "isolated", "trunk": ["10"]}, ["trunk"]),
        ({"mode": "isolated", "uplinks": ["eth0"]}, ["uplinks"]),
        ({"mode": "isolated", "security": {}, "teaming": {}}, ["security", "teaming"]),
        ({"mode": "user", "cidr": "10.77.0.0/28"}, ["cidr"]),
        ({"mode": "user", "cidr": "32.0.0.0/3"}, ["cidr"]),
        ({"mode": "user", "cidr6": "fd00::/64"}, ["cidr6"]),
    ],
)
def test_what_libvirt_cannot_carry_is_told_when_the_plan_is_made(
    spec: dict[str, Any], fields: list[str]
) -> None:
    assert [("PRV2502", field) for field in fields] == refused(**spec)


def test_a_value_that_is_not_known_yet_is_no_error() -> None:
    unknown = {"$unknown": "Network/other.bridge"}
    spec = {"mode": "bridge", "bridge": unknown}
    assert spec == normalised(**spec)
    spec = normalised(mode="nat", cidr=unknown, dhcp={})
    assert {"mode": "nat", "cidr": unknown, "dhcp": {"enabled": True}} == spec


@pytest.mark.parametrize(
    ("fragment", "words"),
    [
        ("<mtu size='9000'/>", "/network/mtu@size is '9000', but other fields make it '1400'"),
        ("<name>other</name>", "not for fragments"),
        ("<a", "well-formed"),
        ("<!DOCTYPE a><a/>", "DOCTYPE"),
    ],
)
def test_a_fragment_that_cannot_be_used(fragment: str, words: str) -> None:
    native = {"kvm": {"network": ["<portgroup name='ok'/>", fragment]}}
    with pytest.raises(ProvisionerError) as caught:
        normalised(**NAT, mtu=1400, native=native)
    (problem,) = caught.value.diagnostics
    assert ("PRV2501", "fragment 2 of native.kvm.network cannot be used") == (
        problem.code,
        problem.summary,
    )
    assert words in problem.detail


# --- XML -----------------------------------------------------------------------------------------


def addresses(network: str) -> st.SearchStrategy[str]:
    return st.integers(2, 250).map(lambda number: f"{network}.{number}")


def specs() -> st.SearchStrategy[dict[str, Any]]:
    """Canonical specs of networks that libvirt makes a bridge for."""
    macs = st.integers(0, 255).map(lambda number: f"52:54:00:00:00:{number:02x}")
    names = st.sampled_from(["db", "web.lab.example"])
    reservations = st.dictionaries(
        macs,
        st.fixed_dictionaries({"address": addresses("10.77.0")}, optional={"name": names}),
        max_size=3,
    )
    hosts = st.dictionaries(
        addresses("10.77.0"),
        st.fixed_dictionaries({"names": st.lists(names, min_size=1, max_size=2, unique=True)}),
        max_size=2,
    )
    dhcp = st.fixed_dictionaries(
        {
            "enabled": st.just(value=True),
            "start": st.just("10.77.0.100"),
            "end": addresses("10.77.0").filter(
                lambda a: IPv4Address(a) >= IPv4Address("10.77.0.100")
            ),
            "leaseTime": st.integers(120, 10**6).map(lambda seconds: seconds * 1000),
            "reservations": reservations,
        }
    )
    dns = st.fixed_dictionaries(
        {
            "enabled": st.just(value=True),
            "forwarders": st.lists(st.sampled_from(["9.9.9.9", "2620:fe::fe"]), unique=True),
            "hosts": hosts,
        },
        optional={"domain": names},
    )
    return st.fixed_dictionaries(
        {
            "mode": st.sampled_from(["nat", "isolated", "routed"]),
            "virtualSwitch": st.just("linux"),
            "cidr": st.just("10.77.0.0/24"),
            "gateway": addresses("10.77.0"),
            "dhcp": dhcp | st.just({"enabled": False}),
            "dns": dns | st.just({"enabled": False}),
        },
        optional={
            "cidr6": st.just("fd00:77::/64"),
            "bridge": st.just("br7"),
            "mtu": st.integers(68, 65535),
        },
    )


@given(specs())
def test_a_definition_says_what_the_spec_says(spec: dict[str, Any]) -> None:
    document = parse(serialize(build("lan", UID, spec)))
    assert spec == read(document)


@given(specs(), specs())
def test_a_definition_can_be_edited_into_any_other(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    document = build("lan", UID, before)
    write(document, after)
    assert after == read(document)
    write(document, before)
    assert before == read(document)


@given(specs())
def test_writing_twice_changes_nothing(spec: dict[str, Any]) -> None:
    document = build("lan", UID, spec)
    again = parse(serialize(document))
    write(again, spec)
    assert same(document, again)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            {"mode": "bridge", "bridge": "br0"},
            {"mode": "bridge", "bridge": "br0", "virtualSwitch": "linux"},
        ),
        (
            {"mode": "bridge", "bridge": "ovs0", "virtualSwitch": "openvswitch", "vlan": 42},
            {"mode": "bridge", "bridge": "ovs0", "virtualSwitch": "openvswitch", "vlan": 42},
        ),
        (
            {"mode": "nat", "cidr6": "fd00:77::/64", "forwardDevice": "eth0"},
            {
                "mode": "nat",
                "cidr6": "fd00:77::/64",
                "forwardDevice": "eth0",
                "virtualSwitch": "linux",
                "dhcp": {"enabled": False},
                "dns": {"enabled": True, "forwarders": [], "hosts": {}},
            },
        ),
    ],
)
def test_specs_of_other_shapes(spec: dict[str, Any], expected: dict[str, Any]) -> None:
    assert expected == read(build("lan", UID, spec))


def test_what_the_model_does_not_know_stays() -> None:
    document = parse(
        "<network><name>lan</name><forward mode='nat'><nat><port start='2000' end='3000'/></nat>"
        "</forward><bridge name='virbr0' stp='on' delay='0'/><portgroup name='fast'/>"
        "<domain name='lab' localOnly='yes'/>"
        "<dns><forwarder domain='corp' addr='10.0.0.53'/><txt name='a' value='b'/></dns>"
        "<ip address='10.77.0.1' netmask='255.255.255.0'><tftp root='/srv'/>"
        "<dhcp><range start='10.77.0.9' end='10.77.0.20'/><host name='by-name' ip='10.77.0.3'/>"
        "<bootp file='pxelinux.0'/></dhcp></ip></network>"
    )
    spec = read(document)
    assert ("10.77.0.0/24", "10.77.0.1") == (spec["cidr"], spec["gateway"])
    write(document, {**spec, "mtu": 1400})
    text = serialize(document)
    for part in ("port", "portgroup", "forwarder", "txt", "tftp", "bootp"):
        assert f"<{part} " in text
    for part in ('stp="on"', 'localOnly="yes"', 'name="by-name"'):
        assert part in text


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("<forward mode='nat'/>", "nat"),
        ("<forward/>", "nat"),
        ("<forward mode='route'/>", "routed"),
        ("", "isolated"),
        ("<forward mode='bridge'/><bridge name='br0'/>", "bridge"),
        ("<forward mode='bridge'><interface dev='eth0'/></forward>", None),
        ("<forward mode='open'/>", None),
        ("<forward mode='hostdev'/>", None),
    ],
)
def test_modes_are_read(mode: str, expected: str | None) -> None:
    assert expected == read(parse(f"<network><name>lan</name>{mode}</network>")).get("mode")


@pytest.mark.parametrize(
    ("network", "gateway", "expected"),
    [
        ("10.0.0.0/24", "10.0.0.1", [("10.0.0.2", "10.0.0.254")]),
        ("10.0.0.0/24", "10.0.0.254", [("10.0.0.1", "10.0.0.253")]),
        ("10.0.0.0/29", "10.0.0.4", [("10.0.0.1", "10.0.0.3"), ("10.0.0.5", "10.0.0.6")]),
        ("10.0.0.0/30", "10.0.0.1", [("10.0.0.2", "10.0.0.2")]),
        ("10.0.0.0/31", "10.0.0.1", []),
        ("10.0.0.0/8", "10.0.0.1", [("10.0.0.2", "10.0.255.255")]),
        ("10.0.0.0/15", "10.1.0.9", [("10.0.0.1", "10.0.255.255"), ("10.1.0.10", "10.1.255.254")]),
    ],
)
def test_the_range_where_none_is_set(network: str, gateway: str, expected: list[Any]) -> None:
    assert expected == default_ranges(IPv4Network(network), IPv4Address(gateway))


def test_ranges_made_by_hand_stay_where_the_author_set_none() -> None:
    by_hand = (
        "<network><name>lan</name><ip address='10.77.0.1' prefix='24'><dhcp>"
        "<range start='10.77.0.10' end='10.77.0.20'/><range start='10.77.0.40' end='10.77.0.50'/>"
        "</dhcp></ip></network>"
    )
    document = parse(by_hand)
    spec = read(document)
    assert "start" not in spec["dhcp"]
    write(document, {**spec, "mtu": 1400})
    assert 2 == len(document.findall("ip/dhcp/range"))
    write(document, {**spec, "cidr": "10.78.0.0/24", "gateway": "10.78.0.1"})
    assert [("10.78.0.2", "10.78.0.254")] == [
        (node.get("start"), node.get("end")) for node in document.findall("ip/dhcp/range")
    ]


# --- what follows from a change ------------------------------------------------------------------


def test_what_follows_from_other_fields_is_derived_anew() -> None:
    observed = read(build("lan", UID, {**NAT, "dhcp": {"enabled": True}}))
    moved = [Change(("cidr",), "10.77.0.0/24", "10.78.0.0/24")]
    final = final_spec({"mode": "nat", "cidr": "10.78.0.0/24"}, observed, moved)
    document = build("lan", UID, final)
    assert "10.78.0.1" == read(document)["gateway"]
    assert "10.78.0.2" == read(document)["dhcp"]["start"]
    kept = {"mode": "nat", "cidr": "10.78.0.0/24", "gateway": "10.78.0.9"}
    final = final_spec(kept, {**observed, "gateway": "10.78.0.9"}, moved)
    assert "10.78.0.9" == final["gateway"]


def test_another_mode_leaves_what_it_has_no_place_for() -> None:
    observed = read(build("lan", UID, {**NAT, "dhcp": {"enabled": True}, "mtu": 1400}))
    changes = [Change(("mode",), "nat", "bridge"), Change(("bridge",), None, "br0")]
    final = final_spec({"mode": "bridge", "bridge": "br0"}, observed, changes)
    assert {"mode": "bridge", "bridge": "br0", "virtualSwitch": "linux"} == final


# --- impact --------------------------------------------------------------------------------------


RUNNING: dict[str, Any] = {"active": True, "guests": ["web"], "dhcp": True, "dns": True}


def impact(change: Change, **facts: Any) -> tuple[str, str]:
    observed = present(NAT, **facts)
    (found,) = RULES.impact(resource("Network", "lan", NAT), observed, [change])
    return found.impact.value, found.reason


@pytest.mark.parametrize(
    "path",
    [
        ("dhcp", "reservations", MAC),
        ("dhcp", "reservations", MAC, "address"),
        ("dhcp", "start"),
        ("dhcp", "leaseTime"),
        ("dns", "hosts", "10.77.0.1", "names"),
        ("autostart",),
        ("labels", "tier"),
        ("tenant",),
    ],
)
def test_what_libvirt_changes_while_the_network_runs(path: Any) -> None:
    assert ("live", "") == impact(Change(path, 1, 2), **RUNNING)


@pytest.mark.parametrize(
    "path", [("dhcp", "reservations", MAC), ("dhcp", "start"), ("dns", "hosts", "10.77.0.1")]
)
def test_a_service_that_does_not_run_is_not_changed_live(path: Any) -> None:
    assert "restart" == impact(Change(path, 1, 2), **{**RUNNING, path[0]: False})[0]


@pytest.mark.parametrize("moving", [("cidr",), ("gateway",), ("dhcp", "enabled")])
def test_a_service_that_moves_is_not_changed_live(moving: Any) -> None:
    start = Change(("dhcp", "start"), "10.77.0.2", "10.77.0.9")
    observed = present(NAT, **RUNNING)
    found = RULES.impact(resource("Network", "lan", NAT), observed, [Change(moving, 1, 2), start])
    assert ["restart", "restart"] == [item.impact.value for item in found]
    waiting = replace(observed, running={moving: 1})
    (found_alone,) = RULES.impact(resource("Network", "lan", NAT), waiting, [start])
    assert "restart" == found_alone.impact.value


@pytest.mark.parametrize(
    "path", [("mtu",), ("cidr",), ("dhcp", "enabled"), ("dns", "domain"), ("native",), ("bridge",)]
)
def test_the_rest_needs_a_restart_where_guests_are_attached(path: Any) -> None:
    change = Change(path, 1, 2)
    names = ["a", "b", "c", "d", "e"]
    assert "restart" == impact(change, active=True, guests=["web"])[0]
    assert "a, b, c and 2 more" in impact(change, active=True, guests=names)[1]
    assert ("live", True) == (
        impact(change, active=True, guests=[])[0],
        "no running machine" in impact(change, active=True, guests=[])[1],
    )
    assert ("live", "the network is stopped") == impact(change, active=False)


def test_impacts_of_the_mode() -> None:
    stopped = Change(("mode",), "nat", "nat", running="stopped", differs_running=True)
    assert ("live", "the network is stopped and will be started") == impact(stopped, active=False)
    undefined = Change(("mode",), None, "nat", running="nat", differs_running=True)
    assert ("live", "its definition is gone; it is defined again and runs on") == (
        impact(undefined, **RUNNING)
    )
    for before, after in (("nat", "user"), ("user", "nat")):
        change = Change(("mode",), before, after)
        assert "replace" == impact(change, active=True, guests=[])[0]
    change = Change(("mode",), "nat", "routed")
    assert "restart" == impact(change, active=True, guests=["web"])[0]


@pytest.mark.parametrize(
    "inner",
    [
        "<dhcp><host name='only' mac='52:54:00:00:00:01' ip='10.77.0.4'/></dhcp>",
        "<dhcp><range start='10.77.0.9' end='10.77.0.9'><lease expiry='3' unit='hours'/></range>"
        "</dhcp>",
    ],
)
def test_an_edit_keeps_what_somebody_else_made_of_dhcp(inner: str) -> None:
    document = parse(
        "<network><name>lan</name><forward mode='nat'/><ip address='10.77.0.1' prefix='24'>"
        f"{inner}</ip><ip family='ipv6' address='fd00::1' prefix='64'/></network>"
    )
    before = parse(serialize(document))
    write(document, {**read(document), "mtu": 1400})
    remove_all(document, "mtu")
    # Not even the translation of IPv6 addresses is added to what had none.
    assert same(before, document)
