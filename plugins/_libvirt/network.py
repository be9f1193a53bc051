"""What can be said of a Network without an endpoint: its canonical form and the impact of
changes. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Network
from typing import Any

from provisioner.core.actions import Impact
from provisioner.core.diagnostics import Diagnostic, ProvisionerError
from provisioner.core.values import Path
from provisioner.providers.api import Assessment, Change, Present, Resource
from provisioner_plugins._libvirt.edits import is_known, with_changes
from provisioner_plugins._libvirt.native import fragments, merge_all
from provisioner_plugins._libvirt.network_xml import (
    IDENTIFY,
    NATIVE,
    block_end,
    build,
    default_ranges,
    gateway_of,
    in_one_block,
)
from provisioner_plugins._libvirt.refusal import Cannot, inventory_fields, not_carried, unusable

_DEVICE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}")
"""Names that Linux takes for devices (IFNAMSIZ), without the odd ones."""
REFUSED = (
    *inventory_fields("datacenter", "folder", "hosts"),
    Cannot(
        ("virtualSwitch",),
        "libvirt knows bridges of the Linux kernel and Open vSwitch",
        "Use linux or openvswitch, or leave virtualSwitch out.",
        ("standard", "distributed"),
    ),
    Cannot(
        ("uplinks",),
        "libvirt plugs no devices of the host into bridges",
        "Plug them into a bridge on the host, and use mode bridge with it.",
    ),
    Cannot(
        ("trunk",),
        "the common fields say one tag of a libvirt network",
        "Use mode bridge with virtualSwitch: openvswitch, and write the tags into "
        "native.kvm.network: <vlan trunk='yes'><tag id='10'/><tag id='11'/></vlan>",
    ),
    Cannot(
        ("security",),
        "libvirt filters at the cards of machines, not in networks",
        "Name a filter for the card in native.kvm.domain of the machine: an <interface> with its "
        "<mac> and <filterref filter='clean-traffic'/>.",
    ),
    Cannot(
        ("teaming",),
        "libvirt does not bundle devices of the host",
        "Bundle them on the host, plug the bond into a bridge, and use mode bridge with it.",
    ),
)
USER = "user"
_USER_PREFIXES = range(4, 28)
"""Network bits that libvirt takes for the user-mode stack (virDomainNetDefValidate)."""
STOPPED = "stopped"
"""In place of a mode: what is in force in a network that does not run."""
SHORTEST_LEASE = 120_000
"""dnsmasq takes no shorter one (dnsmasq(8), --dhcp-range)."""

_STAMPED = frozenset({"labels", "tenant"})
# What an object of this mode has no place for; fields that others imply go with them.
_WITHOUT = {
    "bridge": ("cidr", "cidr6", "gateway", "forwardDevice", "dhcp", "dns", "mtu"),
    "isolated": ("forwardDevice", "vlan"),
    "nat": ("vlan",),
    "routed": ("vlan",),
}


class NetworkRules:
    """Rules of the kind Network."""

    kind = "Network"

    def normalise(self, resource: Resource) -> Mapping[str, Any]:
        """See :class:`~provisioner_plugins._libvirt.handler.KindRules`."""
        spec = dict(resource.spec)
        if "dhcp" in spec:
            dhcp = {"enabled": True, **spec["dhcp"]}
            # A service that does not run has no settings that anything could show.
            spec["dhcp"] = dhcp if dhcp["enabled"] else {"enabled": False}
        if not spec.get("dns", {}).get("enabled", True):
            spec["dns"] = {k: v for k, v in spec["dns"].items() if k in ("enabled", "domain")}
        problems = [*_problems(spec)]
        if problems:
            raise ProvisionerError(problems)
        if spec["mode"] != USER and is_known(spec):
            merge_all(build(resource.name, resource.uid, spec), spec, "network", IDENTIFY)
        return spec

    def impact(
        self, resource: Resource, observed: Present, changes: Sequence[Change]
    ) -> Sequence[Assessment]:
        """See :class:`~provisioner_plugins._libvirt.handler.KindRules`."""
        del resource
        return [_assess(change, observed, changes) for change in changes]


def _problems(spec: Mapping[str, Any]) -> Iterator[Diagnostic]:
    yield from not_carried(spec, REFUSED)
    mode = spec["mode"]
    switch = spec.get("virtualSwitch", "linux")
    if mode == USER:
        refused = ("bridge", "forwardDevice", "gateway", "dhcp", "dns", "mtu", "virtualSwitch")
        for key in (*refused, "vlan", "native", "active"):
            if key in spec:
                yield unusable(
                    (key,), "a network of mode user has no object on the host", "Use mode nat."
                )
        yield from _user_problems(spec)
        return
    if mode == NATIVE and not fragments(spec, "network"):
        yield unusable(
            ("native",),
            "a network of mode native is what its fragments say, and it has none",
            "Write them into native.kvm.network, or use another mode.",
        )
    bridge = spec.get("bridge")
    if isinstance(bridge, str) and _DEVICE.fullmatch(bridge) is None:
        yield unusable(
            ("bridge",),
            f"{bridge} is no name that a network device of Linux can have",
            "Use at most 15 letters, digits, '_', '.' and '-', and begin with a letter, a digit or "
            "'_'.",
        )
    if switch == "openvswitch" and mode != "bridge":
        yield unusable(
            ("virtualSwitch",),
            f"libvirt makes bridges of the Linux kernel for mode {mode}",
            "Use mode bridge with an existing Open vSwitch bridge.",
        )
    if "vlan" in spec and switch != "openvswitch":
        yield unusable(
            ("vlan",),
            "libvirt cannot tag frames on a bridge of the Linux kernel",
            "Use mode bridge with virtualSwitch: openvswitch, or on a bridge over a VLAN device "
            "(bridge: br42 on eth0.42).",
        )
    if mode == "bridge":
        for key in _WITHOUT["bridge"]:
            if key in spec:
                yield unusable(
                    (key,),
                    "a network of mode bridge uses a bridge that the host configures",
                    "Configure it on the host, or use mode nat, routed or isolated.",
                )
    yield from _dhcp_problems(spec)


def _user_problems(spec: Mapping[str, Any]) -> Iterator[Diagnostic]:
    if "cidr6" in spec:
        yield unusable(
            ("cidr6",),
            "guests of a network of mode user have the IPv6 addresses that QEMU chooses",
            "Remove it, or use mode nat.",
        )
    cidr = spec.get("cidr")
    if isinstance(cidr, str) and IPv4Network(cidr).prefixlen not in _USER_PREFIXES:
        yield unusable(
            ("cidr",),
            f"a network of mode user has {_USER_PREFIXES[0]} to {_USER_PREFIXES[-1]} network bits, "
            f"and {cidr} has {IPv4Network(cidr).prefixlen}",
            "Use one such as 10.20.0.0/24.",
        )


def _dhcp_problems(spec: Mapping[str, Any]) -> Iterator[Diagnostic]:
    dhcp = spec.get("dhcp", {"enabled": False})
    if not dhcp["enabled"] or "cidr" not in spec or not is_known(spec):
        return
    network = IPv4Network(spec["cidr"])
    if not default_ranges(network, gateway_of(spec)):
        yield unusable(
            ("dhcp",), f"{network} has no address left to hand out", "Use a larger network."
        )
    if "start" in dhcp and not in_one_block(dhcp["start"], dhcp["end"]):
        yield unusable(
            ("dhcp", "end"),
            f"the range goes from {dhcp['start']} to {dhcp['end']}, and libvirt takes none beyond "
            "the 65536 addresses with the same first two numbers",
            f"Let it end at {block_end(dhcp['start'])}.",
        )


def final_spec(
    desired: Mapping[str, Any], observed: Mapping[str, Any], changes: Iterable[Change]
) -> dict[str, Any]:
    """What the definition shall say: the observed with the changes, less what no longer fits.

    Fields that the author never set and that follow from others (the gateway from ``cidr``, the
    DHCP range from both, what only the old mode had) are dropped, so that they are derived anew.
    """
    changes = list(changes)
    final = with_changes(observed, changes)
    paths = {change.path for change in changes}
    for key in _WITHOUT.get(final["mode"], ()):
        final.pop(key, None)
    if ("cidr",) in paths and "gateway" not in desired:
        final.pop("gateway", None)
    if paths & {("cidr",), ("gateway",)} and "start" not in desired.get("dhcp", {}):
        for key in ("start", "end"):
            final.get("dhcp", {}).pop(key, None)
    if "cidr" not in final:
        for key in ("gateway", "dhcp"):
            final.pop(key, None)
    return final


def is_live(path: Path) -> bool:
    """Whether libvirt can change this field of a running network (virNetworkUpdate), or nobody
    sees it.
    """
    match path:
        case (key, *_) if key in _STAMPED or key == "autostart":
            return True
        case ("dhcp", "start" | "end" | "leaseTime" | "reservations", *_) | ("dns", "hosts", *_):
            return True
    return False


def _is_live_now(change: Change, observed: Present, changes: Sequence[Change]) -> bool:
    """Whether it is live in this network: a service is changed while it runs, where it runs and
    serves the same addresses afterwards.
    """
    service = change.path[0]
    if not is_live(change.path) or service not in ("dhcp", "dns"):
        return is_live(change.path)
    fixed = {(service, "enabled"), *({("cidr",), ("gateway",)} if service == "dhcp" else ())}
    return bool(observed.facts.get(service)) and fixed.isdisjoint(
        {*(other.path for other in changes), *observed.running}
    )


def _assess(change: Change, observed: Present, changes: Sequence[Change]) -> Assessment:
    if change.path == ("active",) and change.after is not False:
        return Assessment(Impact.LIVE, "the network is started")
    if change.path == ("mode",):
        if change.differs_running and change.running == STOPPED:
            return Assessment(Impact.LIVE, "the network is stopped and will be started")
        if change.before is None and change.running == change.after:
            return Assessment(
                Impact.LIVE, "its definition is gone; it is defined again and runs on"
            )
        if USER in (change.before, change.after):
            return Assessment(
                Impact.REPLACE, "a network of mode user is no object on the host, others are"
            )
    if _is_live_now(change, observed, changes):
        return Assessment(Impact.LIVE)
    if not observed.facts.get("active"):
        return Assessment(Impact.LIVE, "the network is stopped")
    guests = observed.facts.get("guests")
    if not isinstance(guests, list) or not guests:
        verb = "stopped" if change.path == ("active",) else "restarted"
        return Assessment(
            Impact.LIVE, f"the network is {verb}; no running machine is attached to it"
        )
    if change.path == ("active",):
        return Assessment(
            Impact.RESTART,
            f"the network is stopped, which cuts off {_some(guests)}",
            deferrable=False,
        )
    return Assessment(
        Impact.RESTART,
        f"the network is restarted, which cuts off {_some(guests)} until it is plugged in again",
    )


def _some(names: list[Any]) -> str:
    shown = ", ".join(str(name) for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
