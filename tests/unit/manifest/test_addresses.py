"""Fixed addresses of machines: derived MAC addresses, reservations, and what cannot be."""

import pytest

from provisioner.core.address import Address
from provisioner.manifest.addressing import derived_mac
from tests.unit.manifest.stacks import check, load_stack, one

NETWORK = """\
apiVersion: provisioner/v1
kind: Network
metadata: {name: lan}
spec:
  mode: nat
  cidr: 10.20.0.0/24
  gateway: 10.20.0.254
  dhcp:
    reservations:
      - {mac: 52:54:00:00:00:01, address: 10.20.0.5}
---
"""
LAN = Address("Network", "lan")


def machine(name: str, *nics: str) -> str:
    return (
        f"apiVersion: provisioner/v1\nkind: VirtualMachine\nmetadata: {{name: {name}}}\n"
        f"spec:\n  memory: {{size: 1GiB}}\n  nics: [{', '.join(nics)}]\n---\n"
    )


def test_a_fixed_address_becomes_a_reservation(tmp_path):
    text = NETWORK + machine(
        "a", "{name: x, network: lan, address: 10.20.0.10, mac: 52-54-00-00-00-0A}"
    )
    stack = load_stack(tmp_path, {"a.yaml": text})
    assert {
        "52:54:00:00:00:01": {"address": "10.20.0.5"},
        "52:54:00:00:00:0a": {"address": "10.20.0.10"},
    } == stack.declarations[LAN].spec["dhcp"]["reservations"]


def test_a_missing_mac_is_derived_where_it_is_needed(tmp_path):
    text = NETWORK + machine(
        "a", "{name: x, network: lan, address: 10.20.0.10}", "{name: y, network: lan}"
    )
    stack = load_stack(tmp_path, {"a.yaml": text})
    nics = stack.declarations[Address("VirtualMachine", "a")].spec["nics"]
    mac = derived_mac("shop", "a", "x")
    assert mac == nics["x"]["mac"]
    assert "mac" not in nics["y"]
    assert {"address": "10.20.0.10"} == stack.declarations[LAN].spec["dhcp"]["reservations"][mac]


def test_a_derived_mac_depends_on_the_names_only():
    assert "52:54:" == derived_mac("s", "m", "n")[:6]
    assert 4 == len({derived_mac(*names) for names in ("smn", "smx", "sxn", "xmn")})
    assert derived_mac("s", "m", "n") == derived_mac("s", "m", "n")


def test_a_rename_keeps_the_derived_mac(tmp_path):
    text = NETWORK + machine("new", "{name: x, network: lan, address: 10.20.0.10}")
    stack = load_stack(
        tmp_path, {"a.yaml": text.replace("{name: new}", "{name: new, renamedFrom: old}")}
    )
    nics = stack.declarations[Address("VirtualMachine", "new")].spec["nics"]
    assert derived_mac("shop", "old", "x") == nics["x"]["mac"]


def test_an_address_that_is_reserved_for_the_card_already(tmp_path):
    text = NETWORK + machine(
        "a", "{name: x, network: lan, address: 10.20.0.5, mac: 52:54:00:00:00:01}"
    )
    spec = load_stack(tmp_path, {"a.yaml": text}).declarations[LAN].spec
    assert {"52:54:00:00:00:01": {"address": "10.20.0.5"}} == spec["dhcp"]["reservations"]


@pytest.mark.parametrize(
    ("nics", "code", "summary"),
    [
        (
            ["{name: x, network: lan, address: §10.20.0.5}"],
            "PRV1403",
            "belongs to the reservation for 52:54:00:00:00:01",
        ),
        (
            [
                "{name: x, network: lan, address: 10.20.0.9}",
                "{name: y, network: lan, address: §10.20.0.9}",
            ],
            "PRV1403",
            "network card 'x' of VirtualMachine/a",
        ),
        (
            ["{name: x, network: lan, address: §10.20.0.6, mac: 52:54:00:00:00:01}"],
            "PRV1403",
            "reserves 10.20.0.5 for this card",
        ),
        (
            [
                "{name: x, network: lan, mac: 52:54:00:00:00:09}",
                "{name: y, network: lan, mac: §52:54:00:00:00:09}",
            ],
            "PRV1402",
            "the MAC address 52:54:00:00:00:09",
        ),
        (
            ["{name: x, network: lan, address: §10.21.0.5}"],
            "PRV1404",
            "lies outside of 10.20.0.0/24",
        ),
        (["{name: x, network: lan, address: §10.20.0.0}"], "PRV1404", "the address of the network"),
        (["{name: x, network: lan, address: §10.20.0.255}"], "PRV1404", "broadcast address"),
        (
            ["{name: x, network: lan, address: §10.20.0.254}"],
            "PRV1404",
            "the gateway of Network/lan",
        ),
        (["{name: x, network: lan, mac: §01:00:5e:00:00:01}"], "PRV1405", "a group address"),
        (["{name: x, network: lan, mac: §'00:00:00:00:00:00'}"], "PRV1405", "no address"),
    ],
)
def test_what_cannot_be(tmp_path, nics, code, summary):
    assert summary in one(tmp_path, NETWORK + machine("a", *nics), code).summary


def test_two_machines_with_one_address_or_mac(tmp_path):
    text = NETWORK + machine(
        "a", "{name: x, network: lan, address: 10.20.0.9, mac: 52:54:00:00:00:09}"
    )
    check(tmp_path, text + machine("b", "{name: x, network: lan, address: §10.20.0.9}"), "PRV1403")
    check(
        tmp_path, text + machine("b", "{name: x, network: lan, mac: §52:54:00:00:00:09}"), "PRV1402"
    )


def test_a_mac_and_an_address_that_are_both_taken(tmp_path):
    card = "{name: x, network: lan, address: §10.20.0.9, mac: §52:54:00:00:00:09}"
    text = NETWORK + machine("a", card.replace("§", ""))
    check(tmp_path, text + machine("b", card), "PRV1403", "PRV1402")


def test_the_first_address_is_the_gateway_where_none_is_named(tmp_path):
    text = NETWORK.replace("  gateway: 10.20.0.254\n", "")
    check(tmp_path, text + machine("a", "{name: x, network: lan, address: §10.20.0.1}"), "PRV1404")
    check(tmp_path, text + machine("a", "{name: x, network: lan, address: 10.20.0.254}"))


@pytest.mark.parametrize("dhcp", ["", "  dhcp: {enabled: false}\n"])
def test_a_fixed_address_needs_dhcp(tmp_path, dhcp):
    text = NETWORK[: NETWORK.index("  dhcp:")] + dhcp + "---\n"
    check(tmp_path, text + machine("a", "{name: x, network: lan, address: §10.20.0.9}"), "PRV1406")


def test_reservations_have_to_fit_too(tmp_path):
    more = """\
      - {mac: 52:54:00:00:00:02, address: §10.20.0.5}
      - {mac: 52:54:00:00:00:03, address: §10.99.0.5}
---
"""
    check(tmp_path, NETWORK.replace("---\n", more), "PRV1403", "PRV1404")
    more = "      - {mac: §'01:00:5e:00:00:01', address: 10.20.0.6}\n"
    more += "      - {mac: §'00:00:00:00:00:00', address: 10.20.0.7}\n---\n"
    check(tmp_path, NETWORK.replace("---\n", more), "PRV1405", "PRV1405")


@pytest.mark.parametrize(
    ("gateway", "hint"),
    [
        ("10.20.0.1", "Choose one of 10.20.0.2 to 10.20.0.254."),
        ("10.20.0.254", "Choose one of 10.20.0.1 to 10.20.0.253."),
        ("10.20.0.9", "Choose one of 10.20.0.1 to 10.20.0.254 other than the gateway, 10.20.0.9."),
    ],
)
def test_the_hint_names_only_addresses_that_are_possible(tmp_path, gateway, hint):
    text = NETWORK.replace("10.20.0.254", gateway)
    for address in (gateway, "10.20.0.255"):
        nic = f"{{name: x, network: lan, address: §{address}}}"
        assert hint == one(tmp_path, text + machine("a", nic), "PRV1404").hint


def test_a_network_with_mistakes_of_its_own_is_not_blamed_for_them(tmp_path):
    text = NETWORK.replace("  dhcp:\n", "  §dhpc:\n")
    check(tmp_path, text + machine("a", "{name: x, network: lan, address: 10.20.0.9}"), "PRV1103")


def test_environments_do_not_share_derived_macs(tmp_path):
    stack = (
        "apiVersion: provisioner/v1\nkind: Stack\nmetadata: {name: shop}\n"
        "spec: {environments: {dev: {}}}\n---\n"
    )
    text = stack + NETWORK + machine("a", "{name: x, network: lan, address: 10.20.0.10}")
    spec = load_stack(tmp_path, {"a.yaml": text}, "dev").declarations[LAN].spec
    assert derived_mac("shop/dev", "a", "x") in spec["dhcp"]["reservations"]
