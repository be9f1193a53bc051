"""Rules for networks and storage pools that a schema cannot express, or not in clear words.

Called through :mod:`provisioner.manifest.checks`: which fields go with which mode or type, and how
the figures of a network fit together.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator

from provisioner.core.units import format_duration
from provisioner.manifest.problems import Problem
from provisioner.manifest.references import Draft

Check = Callable[[Draft], Iterator[Problem]]

_SECOND = 1000
_SHORTEST_LEASE = 120 * _SECOND
"""dnsmasq raises shorter leases to two minutes (dnsmasq(8), --dhcp-range)."""

_NOT_WITH_MODE: dict[str, tuple[str, ...]] = {
    "user": (
        "bridge",
        "forwardDevice",
        "dhcp",
        "dns",
        "vlan",
        "virtualSwitch",
        "mtu",
        "gateway",
    ),
    "bridge": ("cidr", "cidr6", "gateway", "dhcp", "dns", "forwardDevice", "mtu"),
    "isolated": ("forwardDevice",),
}
_SOURCE_FIELDS: dict[str, tuple[str, ...]] = {
    "netfs": ("host", "directory", "format"),
    "logical": ("volumeGroup", "devices"),
    "iscsi": ("host", "target", "initiator"),
}


def _mode(draft: Draft) -> Iterator[Problem]:
    spec = draft.spec
    mode = spec.get("mode")
    for name in _NOT_WITH_MODE.get(mode, ()) if isinstance(mode, str) else ():
        if name in spec:
            yield _no_place(("spec", name), f"a network of mode {mode}")
    if mode in {"nat", "routed"} and not {"cidr", "cidr6"} & spec.keys() and not draft.failed:
        yield Problem(
            ("spec", "mode"),
            "PRV1419",
            f"a network of mode {mode} needs addresses",
            "Add cidr, such as 10.20.0.0/24, or cidr6.",
        )
    if "vlan" in spec and spec.get("virtualSwitch") == "linux":
        yield Problem(
            ("spec", "vlan"),
            "PRV1418",
            "a Linux bridge cannot tag the traffic of guests",
            "Use virtualSwitch: openvswitch, or a VLAN device as the bridge's port.",
            at_key=True,
        )


def _figures(draft: Draft) -> Iterator[Problem]:
    spec = draft.spec
    cidr = spec.get("cidr")
    if not isinstance(cidr, str) or "${" in cidr:
        return
    network = ipaddress.ip_network(cidr)
    gateway = spec.get("gateway")
    if isinstance(gateway, str) and ipaddress.ip_address(gateway) not in network:
        yield _outside(("spec", "gateway"), "the gateway", gateway, cidr)
    dhcp = spec.get("dhcp")
    if not isinstance(dhcp, dict):
        return
    ends = {
        name: ipaddress.ip_address(dhcp[name])
        for name in ("start", "end")
        if isinstance(dhcp.get(name), str)
    }
    for name, value in ends.items():
        if value not in network:
            yield _outside(
                ("spec", "dhcp", name), f"the {name} of the DHCP range", str(value), cidr
            )
    if len(ends) == 2 and int(ends["start"]) > int(ends["end"]):
        yield Problem(
            ("spec", "dhcp", "start"),
            "PRV1415",
            f"the DHCP range begins with {ends['start']}, behind its end {ends['end']}",
            "Exchange start and end.",
        )


def _outside(path: tuple[str, ...], what: str, address: str, cidr: str) -> Problem:
    return Problem(
        path, "PRV1414", f"{what}, {address}, lies outside of {cidr}", "Choose an address inside."
    )


def _lease(draft: Draft) -> Iterator[Problem]:
    dhcp = draft.spec.get("dhcp")
    lease = dhcp.get("leaseTime") if isinstance(dhcp, dict) else None
    if isinstance(lease, int) and (lease < _SHORTEST_LEASE or lease % _SECOND):
        yield Problem(
            ("spec", "dhcp", "leaseTime"),
            "PRV1417",
            f"a lease of {format_duration(lease)} is not possible",
            "Leases last whole seconds, at least 2m.",
        )


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


NETWORK_CHECKS: tuple[Check, ...] = (_mode, _figures, _lease)
POOL_CHECKS: tuple[Check, ...] = (_pool_source,)
