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
    "trunk",
    "virtualSwitch",
    "uplinks",
    "security",
    "teaming",
    "mtu",
    "gateway",
)
"""What only a network has that is an object of the host, and that the common fields describe."""
_NOT_WITH_MODE: dict[str, tuple[str, ...]] = {
    "user": (*_OF_AN_OBJECT, "active"),
    "bridge": ("cidr", "cidr6", "gateway", "dhcp", "dns", "forwardDevice"),
    "isolated": ("forwardDevice",),
    "native": (*_OF_AN_OBJECT, "cidr", "cidr6"),
}
_OF_VSPHERE = ("uplinks", "security", "teaming")
"""What only its switches have."""
_LAST_TAG = 4094
"""VLAN tags are 12 bits, of which 4095 is reserved (IEEE 802.1Q, 9.6)."""
_SOURCE_FIELDS: dict[str, tuple[str, ...]] = {
    "netfs": ("host", "directory", "format"),
    "logical": ("volumeGroup", "devices"),
    "iscsi": ("host", "target", "initiator"),
    "vmfs": ("devices",),
}
_OF_A_CLUSTER = ("members", "drs")
_WITHOUT_PATH = frozenset({"vmfs", "cluster"})


def _mode(draft: Draft) -> Iterator[Problem]:
    spec = draft.spec
    # Of an output, which is no text yet, nothing is known.
    mode = spec["mode"] if isinstance(spec.get("mode"), str) else ""
    for name in _NOT_WITH_MODE.get(mode, ()):
        if name in spec:
            yield _no_place(("spec", name), f"a network of mode {mode}")
    if mode == "bridge" and "mtu" in spec and "uplinks" not in spec:
        yield Problem(
            ("spec", "mtu"),
            "PRV1418",
            "a network of mode bridge uses a switch of others, and has no 'mtu'",
            "Remove 'mtu', and set it where the switch is configured; on vSphere, uplinks make the "
            "switch the network's own.",
            at_key=True,
        )
    if mode in {"nat", "routed"} and not {"cidr", "cidr6"} & spec.keys() and not draft.failed:
        yield Problem(
            ("spec", "mode"),
            "PRV1419",
            f"a network of mode {mode} needs addresses",
            "Add cidr, such as 10.20.0.0/24, or cidr6.",
        )


def _switch(draft: Draft) -> Iterator[Problem]:
    """What the kind of switch can do. Which one it is where nothing is said, the provider knows."""
    spec = draft.spec
    mode = spec.get("mode")
    switch = spec.get("virtualSwitch", "linux" if mode in ("nat", "routed") else None)
    if mode in ("user", "native"):
        return  # these take none of it
    for name in ("vlan", "trunk") if switch == "linux" else ():
        if name in spec:
            yield Problem(
                ("spec", name),
                "PRV1418",
                "a bridge of the Linux kernel cannot tag the traffic of guests",
                "Use mode bridge, with virtualSwitch: openvswitch or with a bridge over a VLAN "
                "device.",
                at_key=True,
            )
    for name in _OF_VSPHERE if switch in ("linux", "openvswitch") else ():
        if name in spec:
            yield _no_place(("spec", name), f"a switch of the kind {switch}")
    if "vlan" in spec and "trunk" in spec:
        yield _no_place(("spec", "trunk"), "a network with a vlan")
    yield from _trunk(spec.get("trunk"))
    yield from _teaming(spec.get("teaming"))


def _trunk(trunk: object) -> Iterator[Problem]:
    for number, text in enumerate(trunk if isinstance(trunk, list) else ()):
        if not isinstance(text, str):
            continue
        first, _, last = text.partition("-")
        if not int(first) <= int(last or first) <= _LAST_TAG:
            yield Problem(
                ("spec", "trunk", str(number)),
                "PRV1427",
                f"found {text}, expected a tag from 0 to {_LAST_TAG}, or two with the lower one "
                "first",
                "Write it like '100-200'.",
            )


def _teaming(teaming: object) -> Iterator[Problem]:
    if not isinstance(teaming, dict):
        return
    active, standby = teaming.get("active"), teaming.get("standby")
    if not isinstance(active, list) or not isinstance(standby, list):
        return
    for number, name in enumerate(standby):
        if name in active:
            yield Problem(
                ("spec", "teaming", "standby", str(number)),
                "PRV1409",
                f"the uplink {name} is in active already",
                "An uplink is either in use or waits.",
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
        yield from no_host(network, ("spec", "gateway"), "the gateway", gateway)
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
        yield from no_host(network, ("spec", "dhcp", name), what, str(value))
    if len(ends) == 2 and int(ends["start"]) > int(ends["end"]):
        yield Problem(
            ("spec", "dhcp", "start"),
            "PRV1415",
            f"the DHCP range begins with {ends['start']}, behind its end {ends['end']}",
            "Exchange start and end.",
        )


def no_host(
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
    if not isinstance(kind, str):
        return
    unfit = () if kind == "cluster" else _OF_A_CLUSTER
    for name in (*unfit, "path") if kind in _WITHOUT_PATH else unfit:
        if name in draft.spec:
            yield _no_place(("spec", name), f"a pool of type {kind}")
    if not isinstance(source, dict):
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


NETWORK_CHECKS: tuple[Check, ...] = (_mode, _switch, _ranges, _figures)
POOL_CHECKS: tuple[Check, ...] = (_pool_source,)
