"""A Network's canonical spec as libvirt's network XML, and back. Pure.

Source: libvirt, "Network XML format" (https://libvirt.org/formatnetwork.html). :func:`write` edits
a definition in place, so that what the common model does not know (port groups, bandwidth, routes,
...) stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from typing import Any
from uuid import UUID
from xml.etree import ElementTree

from provisioner_plugins._libvirt.xml import (
    RESERVED_TAGS,
    Element,
    attribute,
    child,
    covers,
    element,
    remove_all,
)

NATIVE = "native"
"""The mode of which fragments say everything."""
_CHOSEN_BY_LIBVIRT = frozenset({"bridge", "mac"})
FORWARD_MODES = {"nat": "nat", "routed": "route", "bridge": "bridge"}
"""Mode of the common model to that of ``<forward>``; ``isolated`` has no ``<forward>``."""
DEFAULT_LEASE = 3_600_000
_LEASE_UNITS = {"seconds": 1000, "minutes": 60_000, "hours": 3_600_000}

IDENTIFY = {
    "ip": lambda node: (node.get("family", "ipv4"), node.get("address")),
    "host": lambda node: (node.get("mac"), node.get("ip")),
    "hostname": lambda node: node.text,
    "range": lambda node: (node.get("start"), node.get("end")),
    "route": lambda node: (node.get("family", "ipv4"), node.get("address")),
    "portgroup": lambda node: node.get("name"),
    "forwarder": lambda node: (node.get("domain"), node.get("addr")),
    "interface": lambda node: node.get("dev"),
    "tag": lambda node: node.get("id"),
    "txt": lambda node: node.get("name"),
    "srv": lambda node: (node.get("service"), node.get("protocol"), node.get("target")),
    "{http://libvirt.org/schemas/network/dnsmasq/1.0}option": lambda node: node.get("value"),
}
"""Which elements of a network may stand several times, and what tells them apart."""


def build(name: str, uid: UUID, spec: Mapping[str, Any]) -> Element:
    """A definition from nothing but a spec."""
    document = element("network", element("name", name), element("uuid", str(uid)))
    write(document, spec)
    return document


def write(document: Element, spec: Mapping[str, Any]) -> None:
    """Make a definition say what ``spec`` says. A field that is not set is left to libvirt."""
    if spec["mode"] == NATIVE:
        return
    _write_forward(document, spec)
    _write_bridge(document, spec)
    if "mtu" in spec:
        child(document, "mtu").set("size", str(spec["mtu"]))
    else:
        remove_all(document, "mtu")
    _write_dns(document, spec)
    _write_ipv4(document, spec)
    _write_ipv6(document, spec)


def keep_only(document: Element, fragments: Iterable[Element]) -> None:
    """Take out what fragments do not say, of a network that is what they say (mode ``native``): but
    for what identifies it, and what libvirt chooses where nobody does.
    """
    wanted = list(fragments)
    spoken_of = {fragment.tag for fragment in wanted}
    for node in list(document):
        if node.tag in RESERVED_TAGS or node.tag in _CHOSEN_BY_LIBVIRT - spoken_of:
            continue
        if not any(covers(node, fragment) for fragment in wanted):
            document.remove(node)


def read(document: Element) -> dict[str, Any]:
    """The spec of a definition, without labels, tenant and autostart.

    ``mode`` is missing where the common model has none for it.
    """
    spec: dict[str, Any] = {"virtualSwitch": "linux"}
    mode = mode_of(document)
    if mode is not None:
        spec["mode"] = mode
    bridge = attribute(document, "bridge", "name")
    if bridge is not None:
        spec["bridge"] = bridge
    device = attribute(document, "forward", "dev")
    if device is not None:
        spec["forwardDevice"] = device
    if attribute(document, "virtualport", "type") == "openvswitch":
        spec["virtualSwitch"] = "openvswitch"
    tags = document.findall("vlan/tag")
    if len(tags) == 1:
        spec["vlan"] = int(tags[0].get("id", "0"))
    mtu = attribute(document, "mtu", "size")
    if mtu is not None:
        spec["mtu"] = int(mtu)
    if mode == "bridge":
        return spec
    spec["dns"] = _read_dns(document)
    spec["dhcp"] = {"enabled": False}
    for node in addresses(document, 4):
        interface = interface_of(node)
        spec["cidr"], spec["gateway"] = str(interface.network), str(interface.ip)
        dhcp = node.find("dhcp")
        if dhcp is not None:
            spec["dhcp"] = _read_dhcp(dhcp)
        break
    for node in addresses(document, 6):
        spec["cidr6"] = str(interface_of(node).network)
        break
    return spec


# --- forwarding and bridge -----------------------------------------------------------------------


def mode_of(document: Element) -> str | None:
    """The mode of the common model that a network has; None if that has none for it."""
    forward = document.find("forward")
    if forward is None:
        return "isolated"
    libvirt_mode = forward.get("mode", "nat")
    if libvirt_mode == "bridge" and attribute(document, "bridge", "name") is None:
        return None  # macvtap: guests on a device of the host, without a bridge
    return next((ours for ours, theirs in FORWARD_MODES.items() if theirs == libvirt_mode), None)


def _write_forward(document: Element, spec: Mapping[str, Any]) -> None:
    mode = FORWARD_MODES.get(spec["mode"])
    if mode is None:
        remove_all(document, "forward")
        return
    forward = child(document, "forward")
    was_nat = forward.get("mode") == mode == "nat"
    forward.set("mode", mode)
    device = spec.get("forwardDevice")
    if forward.get("dev") != device:
        # libvirt repeats the device as an element; the old one must not stay.
        remove_all(forward, "interface")
        forward.attrib.pop("dev", None)
        if device is not None:
            forward.set("dev", device)
    if mode != "nat":
        remove_all(forward, "nat")
    elif "cidr6" in spec:
        if next(addresses(document, 6), None) is None or not was_nat:
            # Without it libvirt would route IPv6 where it translates IPv4.
            child(forward, "nat").set("ipv6", "yes")
    else:
        for node in forward.findall("nat"):
            node.attrib.pop("ipv6", None)
            if not node.attrib and not len(node):
                forward.remove(node)


def _write_bridge(document: Element, spec: Mapping[str, Any]) -> None:
    bridge = document.find("bridge")
    if spec["mode"] == "bridge" or "bridge" not in spec:
        remove_all(document, "bridge")
        if spec["mode"] == "bridge":
            # The host's own bridge: libvirt sets neither its MAC nor its spanning tree.
            remove_all(document, "mac")
    elif bridge is not None:
        bridge.set("name", spec["bridge"])
    if "bridge" in spec and document.find("bridge") is None:
        document.append(element("bridge", {"name": spec["bridge"]}))
    if spec.get("virtualSwitch", "linux") == "openvswitch":
        child(document, "virtualport").set("type", "openvswitch")
    else:
        remove_all(document, "virtualport")
    if "vlan" in spec:
        if len(document.findall("vlan/tag")) > 1:
            remove_all(document, "vlan")
        child(document, "vlan/tag").set("id", str(spec["vlan"]))
    elif len(document.findall("vlan/tag")) == 1:
        remove_all(document, "vlan")


# --- DNS -----------------------------------------------------------------------------------------


def _read_dns(document: Element) -> dict[str, Any]:
    dns: dict[str, Any] = {"enabled": attribute(document, "dns", "enable") != "no"}
    domain = attribute(document, "domain", "name")
    if domain is not None:
        dns["domain"] = domain
    if dns["enabled"]:
        dns["forwarders"] = [
            str(ip_address(node.get("addr", ""))) for node in _forwarders(document)
        ]
        dns["hosts"] = {
            str(ip_address(node.get("ip", ""))): {
                "names": [name.text or "" for name in node.findall("hostname")]
            }
            for node in document.findall("dns/host")
        }
    return dns


def _forwarders(document: Element) -> Iterator[Element]:
    """Those that are asked for every name; libvirt also knows forwarders for one domain."""
    for node in document.findall("dns/forwarder"):
        if node.get("addr") is not None and node.get("domain") is None:
            yield node


def _write_dns(document: Element, spec: Mapping[str, Any]) -> None:
    dns = spec.get("dns", {})
    if "domain" in dns:
        child(document, "domain").set("name", dns["domain"])
    else:
        remove_all(document, "domain")
    if spec["mode"] == "bridge" or not dns:
        remove_all(document, "dns")
        return
    node = child(document, "dns")
    if not dns.get("enabled", True):
        # libvirt refuses a disabled service with anything in it.
        node.clear()
        node.set("enable", "no")
        return
    node.attrib.pop("enable", None)
    for old in [*_forwarders(document), *node.findall("host")]:
        node.remove(old)
    for address in dns.get("forwarders", ()):
        node.append(element("forwarder", {"addr": address}))
    for address, host in sorted(dns.get("hosts", {}).items()):
        node.append(dns_host(address, host))
    if not node.attrib and not len(node):
        document.remove(node)


def dns_host(address: str, host: Mapping[str, Any]) -> Element:
    """``<host>`` of the DNS service."""
    return element(
        "host", {"ip": address}, *(element("hostname", str(name)) for name in host["names"])
    )


# --- addresses and DHCP --------------------------------------------------------------------------


def addresses(document: Element, version: int) -> Iterator[Element]:
    """The ``<ip>`` elements of a family that have an address."""
    for node in document.findall("ip"):
        if (node.get("family") == "ipv6") == (version == 6) and node.get("address"):
            yield node


def ranges(document: Element) -> list[IPv4Network | IPv6Network]:
    """All addresses that a network has, also those of second ``<ip>`` elements."""
    return [interface_of(node).network for node in document.findall("ip") if node.get("address")]


def interface_of(node: Element) -> IPv4Interface | IPv6Interface:
    """The host's own address in the network, and the network, of an ``<ip>``."""
    bits = node.get("prefix") or node.get("netmask")
    return ip_interface(f"{node.get('address')}/{bits}" if bits else str(node.get("address")))


def _write_ipv4(document: Element, spec: Mapping[str, Any]) -> None:
    node = next(addresses(document, 4), None)
    if "cidr" not in spec:
        if node is not None:
            document.remove(node)
        return
    if node is None:
        node = ElementTree.SubElement(document, "ip")
    network = IPv4Network(spec["cidr"])
    gateway = gateway_of(spec)
    node.set("address", str(gateway))
    node.attrib.pop("netmask", None)
    node.set("prefix", str(network.prefixlen))
    dhcp = spec.get("dhcp", {"enabled": False})
    if not dhcp.get("enabled", True):
        remove_all(node, "dhcp")
        return
    _write_dhcp(child(node, "dhcp"), dhcp, network, gateway)


def gateway_of(spec: Mapping[str, Any]) -> IPv4Address:
    """The host's own address: the one given, else the first of the network."""
    if "gateway" in spec:
        return IPv4Address(spec["gateway"])
    return IPv4Network(spec["cidr"]).network_address + 1


def _write_ipv6(document: Element, spec: Mapping[str, Any]) -> None:
    node = next(addresses(document, 6), None)
    if "cidr6" not in spec:
        if node is not None:
            document.remove(node)
        return
    network = ip_network(spec["cidr6"])
    if node is not None and interface_of(node).network == network:
        return
    if node is not None:
        document.remove(node)
    document.append(
        element(
            "ip",
            {"family": "ipv6", "address": network.network_address + 1, "prefix": network.prefixlen},
        )
    )


def _read_dhcp(node: Element) -> dict[str, Any]:
    dhcp: dict[str, Any] = {"enabled": True, "leaseTime": DEFAULT_LEASE, "reservations": {}}
    ranges = node.findall("range")
    if len(ranges) == 1:
        dhcp["start"] = str(ip_address(ranges[0].get("start", "")))
        dhcp["end"] = str(ip_address(ranges[0].get("end", "")))
    for lease in node.findall("range/lease")[:1]:
        dhcp["leaseTime"] = (
            int(lease.get("expiry", "0")) * _LEASE_UNITS[lease.get("unit", "minutes")]
        )
    for host in _reservations(node):
        entry = {"address": str(ip_address(host.get("ip", "")))}
        if host.get("name") is not None:
            entry["name"] = str(host.get("name"))
        dhcp["reservations"][str(host.get("mac")).lower()] = entry
    return dhcp


def _reservations(dhcp: Element) -> Iterator[Element]:
    for host in dhcp.findall("host"):
        if host.get("mac") is not None and host.get("ip") is not None:
            yield host


def _write_dhcp(
    node: Element, dhcp: Mapping[str, Any], network: IPv4Network, gateway: IPv4Address
) -> None:
    lease = dhcp.get("leaseTime", DEFAULT_LEASE)
    ranges = _ranges(node, dhcp, network, gateway)
    present = [(str(r.get("start")), str(r.get("end"))) for r in node.findall("range")]
    if ranges != present or lease != _read_dhcp(node)["leaseTime"]:
        remove_all(node, "range")
        for position, (start, end) in enumerate(ranges):
            node.insert(position, dhcp_range(start, end, lease))
    for host in list(_reservations(node)):
        node.remove(host)
    for mac, entry in sorted(dhcp.get("reservations", {}).items()):
        node.append(reservation(mac, entry))


def _ranges(
    node: Element, dhcp: Mapping[str, Any], network: IPv4Network, gateway: IPv4Address
) -> list[tuple[str, str]]:
    if "start" in dhcp:
        return [(dhcp["start"], dhcp["end"])]
    found = [(str(r.get("start")), str(r.get("end"))) for r in node.findall("range")]
    inside = all(IPv4Address(one) in network for both in found for one in both)
    by_hand = len(found) > 1 or (not found and len(node))
    if by_hand and inside and not any(_holds(both, gateway) for both in found):
        return found  # several ranges, or hosts alone, of somebody else's; the model has one range
    return default_ranges(network, gateway)


def _holds(both: tuple[str, str], address: IPv4Address) -> bool:
    return IPv4Address(both[0]) <= address <= IPv4Address(both[1])


def default_ranges(network: IPv4Network, gateway: IPv4Address) -> list[tuple[str, str]]:
    """All host addresses of a network but the gateway, as one range or two; of a network larger
    than libvirt's ranges can be, as many as one can hold.
    """
    first, last = network.network_address + 1, network.broadcast_address - 1
    parts = [(first, gateway - 1), (gateway + 1, last)]
    return [(str(start), str(min(end, block_end(start)))) for start, end in parts if start <= end]


def block_end(start: IPv4Address | str) -> IPv4Address:
    """The last address that a range which begins with ``start`` can have: libvirt refuses one whose
    ends differ in their first 16 bits as too large (virSocketAddrGetRange).
    """
    return IPv4Address(int(IPv4Address(start)) | 0xFFFF)


def in_one_block(start: str, end: str) -> bool:
    """Whether libvirt takes a range with these ends."""
    return IPv4Address(end) <= block_end(start)


def dhcp_range(start: str, end: str, lease: int) -> Element:
    """``<range>``; ``lease`` in milliseconds, whole seconds."""
    node = element("range", {"start": start, "end": end})
    if lease != DEFAULT_LEASE:
        node.append(element("lease", {"expiry": lease // 1000, "unit": "seconds"}))
    return node


def reservation(mac: str, entry: Mapping[str, Any]) -> Element:
    """``<host>`` of the DHCP service."""
    return element("host", {"mac": mac, "name": entry.get("name"), "ip": entry["address"]})
