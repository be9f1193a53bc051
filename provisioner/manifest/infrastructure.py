"""Rules for networks and storage pools that a schema cannot express, or not in clear words.

Called through :mod:`provisioner.manifest.checks`: which fields go with which mode or type, and how
the figures of a network fit together.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from typing import TypeAlias

from provisioner.manifest.problems import Problem
from provisioner.manifest.references import Draft

Check = Callable[[Draft], Iterator[Problem]]
IPNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_POINT_TO_POINT = 31
"""Networks of one and two addresses have none for themselves (RFC 3021)."""
_NOT_FOR_GUESTS = {
    "0.0.0.0/8": "this network",
    "127.0.0.0/8": "loopback",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved",
    "::/8": "reserved",
    "ff00::/8": "multicast",
}
"""Addresses that are no host's (RFC 6890, RFC 4291)."""

_OF_AN_OBJECT = (
    "bridge",
    "forwardDevice",
    "dhcp",
    "dns",
    "vlan",
    "virtualSwitch",
    "mtu",
    "gateway",
)
"""What only a network has that is an object of the host, and that the common fields describe."""
_NOT_WITH_MODE: dict[str, tuple[str, ...]] = {
    "user": (*_OF_AN_OBJECT, "active"),
    "bridge": ("cidr", "cidr6", "gateway", "dhcp", "dns", "forwardDevice", "mtu"),
    "isolated": ("forwardDevice",),
    "native": (*_OF_AN_OBJECT, "cidr", "cidr6"),
}
_SOURCE_FIELDS: dict[str, tuple[str, ...]] = {
    "netfs": ("host", "directory", "format"),
    "logical": ("volumeGroup", "devices"),
    "iscsi": ("host", "target", "initiator"),
}


def _mode(draft: Draft) -> Iterator[Problem]:
    spec = draft.spec
    # Of an output, which is no text yet, nothing is known.
    mode = spec["mode"] if isinstance(spec.get("mode"), str) else ""
    for name in _NOT_WITH_MODE.get(mode, ()):
        if name in spec:
            yield _no_place(("spec", name), f"a network of mode {mode}")
    if mode in {"nat", "routed"} and not {"cidr", "cidr6"} & spec.keys() and not draft.failed:
        yield Problem(
            ("spec", "mode"),
            "PRV1419",
            f"a network of mode {mode} needs addresses",
            "Add cidr, such as 10.20.0.0/24, or cidr6.",
        )
    if "vlan" in spec and mode != "user" and spec.get("virtualSwitch", "linux") == "linux":
        yield Problem(
            ("spec", "vlan"),
            "PRV1418",
            "a bridge of the Linux kernel cannot tag the traffic of guests",
            "Use mode bridge, with virtualSwitch: openvswitch or with a bridge over a VLAN device.",
            at_key=True,
        )


def _ranges(draft: Draft) -> Iterator[Problem]:
    for name in ("cidr", "cidr6"):
        cidr = draft.spec.get(name)
        if not isinstance(cidr, str):
            continue
        network = ipaddress.ip_network(cidr)
        reserved = next(
            (text for text in _NOT_FOR_GUESTS if _overlap(ipaddress.ip_network(text), network)),
            None,
        )
        if reserved is not None:
            found = f"{cidr} holds addresses of {reserved} ({_NOT_FOR_GUESTS[reserved]})"
        elif network.num_addresses == 1:
            found = f"{cidr} is a single address"
        else:
            continue
        example = "10.20.0.0/24" if name == "cidr" else "fd00:20::/64"
        yield Problem(
            ("spec", name),
            "PRV1423",
            f"{found}, which cannot be a network of guests",
            f"Choose a private network, such as {example}.",
        )


def _overlap(one: IPNetwork, other: IPNetwork) -> bool:
    return one.version == other.version and one.overlaps(other)


def _figures(draft: Draft) -> Iterator[Problem]:
    spec = draft.spec
    cidr = spec.get("cidr")
    if not isinstance(cidr, str):
        return
    network = ipaddress.IPv4Network(cidr)
    gateway = spec.get("gateway")
    if isinstance(gateway, str):
        yield from _no_host(network, ("spec", "gateway"), "the gateway", gateway)
    dhcp = spec.get("dhcp")
    if not isinstance(dhcp, dict):
        return
    ends = {
        name: ipaddress.IPv4Address(dhcp[name])
        for name in ("start", "end")
        if isinstance(dhcp.get(name), str)
    }
    for name, value in ends.items():
        what = f"the {name} of the DHCP range"
        yield from _no_host(network, ("spec", "dhcp", name), what, str(value))
    if len(ends) == 2 and int(ends["start"]) > int(ends["end"]):
        yield Problem(
            ("spec", "dhcp", "start"),
            "PRV1415",
            f"the DHCP range begins with {ends['start']}, behind its end {ends['end']}",
            "Exchange start and end.",
        )


def _no_host(
    network: ipaddress.IPv4Network, path: tuple[str, ...], what: str, address: str
) -> Iterator[Problem]:
    """The address has to be one that a host of the network can have."""
    found = ipaddress.IPv4Address(address)
    where = network_role(network, found)
    if where is not None:
        first, last = host_addresses(network)
        hint = f"Choose one of {first} to {last}."
        yield Problem(path, "PRV1414", f"{what}, {address}, {where}", hint)


def network_role(network: ipaddress.IPv4Network, address: ipaddress.IPv4Address) -> str | None:
    """Why no host of the network can have the address; None if one can."""
    if address not in network:
        return f"lies outside of {network}"
    if network.prefixlen >= _POINT_TO_POINT:
        return None
    if address == network.network_address:
        return f"is the address of the network {network} itself"
    return (
        f"is the broadcast address of {network}" if address == network.broadcast_address else None
    )


def host_addresses(
    network: ipaddress.IPv4Network,
) -> tuple[ipaddress.IPv4Address, ipaddress.IPv4Address]:
    """The first and the last address that a host of the network can have."""
    inner = 0 if network.prefixlen >= _POINT_TO_POINT else 1
    return network[inner], network[-1 - inner]


def _pool_source(draft: Draft) -> Iterator[Problem]:
    kind, source = draft.spec.get("type"), draft.spec.get("source")
    if not isinstance(kind, str) or not isinstance(source, dict):
        return
    if kind not in _SOURCE_FIELDS:
        yield _no_place(("spec", "source"), f"a pool of type {kind}")
        return
    for name in source:
        if name not in _SOURCE_FIELDS[kind]:
            yield _no_place(("spec", "source", name), f"a pool of type {kind}")


def _no_place(path: tuple[str, ...], what: str) -> Problem:
    return Problem(
        path, "PRV1418", f"{what} has no {path[-1]!r}", f"Remove {path[-1]!r}.", at_key=True
    )


NETWORK_CHECKS: tuple[Check, ...] = (_mode, _ranges, _figures)
POOL_CHECKS: tuple[Check, ...] = (_pool_source,)
