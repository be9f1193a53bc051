"""Makes rough drafts of networks valid: addresses, bridges and switches that fit together."""

from __future__ import annotations

import ipaddress
import itertools

from tests.lifecycle.fitting_world import Document, World, beside, expanded_names, unique

_NOT_WITH_MODE = {
    "user": (
        *("bridge", "forwardDevice", "dhcp", "dns", "vlan", "virtualSwitch", "mtu", "gateway"),
        *("trunk", "uplinks", "security", "teaming", "active"),
    ),
    "bridge": ("cidr", "cidr6", "gateway", "dhcp", "dns", "forwardDevice", "mtu"),
    "isolated": ("forwardDevice",),
    "native": (
        *("cidr", "cidr6", "gateway", "bridge", "forwardDevice", "dhcp", "dns", "vlan", "mtu"),
        *("virtualSwitch", "trunk", "uplinks", "security", "teaming"),
    ),
}
_MAKES_BRIDGE = ("nat", "routed", "isolated")
_CIDRS = {"cidr": "10.99.{}.0/24", "cidr6": "fd00:99:{}::/64"}


def fit_network(document: Document, world: World) -> bool:
    spec = document["spec"]
    if spec["mode"] in _MAKES_BRIDGE and "replicas" in document["metadata"]:
        # Each of them would need addresses and a bridge of its own.
        spec["mode"] = "isolated"
        for name in ("cidr", "cidr6", "gateway", "dhcp", "bridge"):
            spec.pop(name, None)
    for name in _NOT_WITH_MODE.get(spec["mode"], ()):
        spec.pop(name, None)
    if spec["mode"] in ("nat", "routed") and not {"cidr", "cidr6"} & spec.keys():
        spec["cidr"] = _CIDRS["cidr"].format(0)
    if "cidr" not in spec:
        spec.pop("gateway", None)
        spec.pop("dhcp", None)
    if spec["mode"] == "bridge":
        spec.setdefault("bridge", "br0")
    if spec["mode"] == "native":
        spec.setdefault("native", {})
    _fit_own_parts(document, world)
    _fit_switch(spec)
    if "gateway" in spec:
        number = int(spec["gateway"].rpartition(".")[2])
        spec["gateway"] = within(spec["cidr"], spec["gateway"])
        world.addresses.update((name, number) for name in expanded_names(document))
    if isinstance(spec.get("dns"), dict) and "hosts" in spec["dns"]:
        spec["dns"]["hosts"] = unique(spec["dns"]["hosts"], "address", _canonical_ip)
    _fit_dhcp(spec, expanded_names(document), world)
    return True


def _fit_switch(spec: Document) -> None:
    """A kind of switch that can do what is asked of it."""
    if "vlan" in spec:
        spec.pop("trunk", None)
    able = ["standard", "distributed"]
    if not {"uplinks", "security", "teaming"} & spec.keys():
        able.append("openvswitch")
        if not {"vlan", "trunk"} & spec.keys():
            able.append("linux")
    if spec.get("virtualSwitch", able[0]) not in able:
        spec["virtualSwitch"] = able[-1]
    if spec["mode"] in ("nat", "routed") and "linux" not in able:
        spec.setdefault("virtualSwitch", able[-1])
    teaming = spec.get("teaming", {})
    if {"active", "standby"} <= teaming.keys():
        waiting = [name for name in teaming["standby"] if name not in teaming["active"]]
        teaming["standby"] = waiting


def _fit_own_parts(document: Document, world: World) -> None:
    """Addresses and a bridge that no other network of the host has."""
    spec = document["spec"]
    makes = spec["mode"] in _MAKES_BRIDGE
    for name in _CIDRS.keys() & spec.keys() if makes else ():
        spec[name] = own_range(document, name, spec[name], world)
    if any(
        other.get("bridge", "") == spec.get("bridge") and (makes or other["mode"] in _MAKES_BRIDGE)
        for other in beside(document, world)
    ):
        spec["bridge"] = f"br-{document['metadata']['name']}"


def own_range(document: Document, name: str, wanted: str, world: World) -> str:
    """Addresses that no other network of the host has: those that are wanted, if they are free."""
    taken = {ipaddress.ip_network(s[name]) for s in beside(document, world) if name in s}
    others = (_CIDRS[name].format(number) for number in itertools.count())
    return next(
        c for c in (wanted, *itertools.islice(others, 99)) if ipaddress.ip_network(c) not in taken
    )


def _fit_dhcp(spec: Document, names: tuple[str, ...], world: World) -> None:
    dhcp = spec.get("dhcp", {})
    ends = sorted(
        (within(spec["cidr"], dhcp.pop(name)) for name in ("start", "end") if name in dhcp),
        key=ipaddress.ip_address,
    )
    if len(ends) == 2:
        dhcp["start"], dhcp["end"] = ends
    reservations = []
    for number, reservation in enumerate(dhcp.get("reservations", ()), start=100):
        # Numbers and cards of their own, so that no machine contradicts them.
        reservation["address"] = within(spec["cidr"], f"10.0.0.{number}")
        reservation["mac"] = f"02:00:00:00:01:{number:02X}"
        reservations.append(reservation)
        world.addresses.update((name, number) for name in names)
    if "reservations" in dhcp:
        dhcp["reservations"] = reservations


def within(cidr: str, address: str) -> str:
    """The address with the same last byte in another network."""
    return str(ipaddress.ip_network(cidr)[int(address.rpartition(".")[2])])


def _canonical_ip(text: str) -> str:
    return str(ipaddress.ip_address(text))
