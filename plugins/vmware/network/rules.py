"""What can be said of a Network without an endpoint: its canonical form, what vSphere has no place
for, what changes do. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from provisioner.core.actions import Impact
from provisioner.core.diagnostics import Diagnostic, ProvisionerError
from provisioner.core.values import Path, get_path
from provisioner.providers.api import Assessment, Change, Present, Resource
from provisioner_plugins.vmware.flavour import ESXI, VCENTER, Flavour
from provisioner_plugins.vmware.network import vlans
from provisioner_plugins.vmware.refusal import out_of_range, unusable
from provisioner_plugins.vmware.specs import is_known

STANDARD, DISTRIBUTED = "standard", "distributed"
BRIDGE, ISOLATED = "bridge", "isolated"
MTUS = range(1280, 9001)
"""vSphere Networking, "Change the Size of the MTU"."""
DEFAULT_MTU = 1500

_MODES = {
    "nat": (
        "vSphere translates no addresses",
        "Use mode bridge with the switch (and the vlan) that leads out, or put a machine that "
        "routes, or NSX, before an isolated network.",
    ),
    "routed": (
        "vSphere's switches do not route",
        "Use mode bridge with the switch (and the vlan) of a router, or a machine that routes.",
    ),
    "user": (
        "only QEMU has a network in the hypervisor's process",
        "Use mode bridge, or mode isolated.",
    ),
    "native": (
        "a port group has no settings but those that fields cover",
        "Use mode bridge or isolated with vlan, trunk, security and teaming.",
    ),
}
_SERVICES: Sequence[tuple[str, str, str]] = (
    (
        "gateway",
        "the host has no address in a port group",
        "Give the gateway's address to the machine or device that routes.",
    ),
    ("forwardDevice", "a port group does not forward", "Name the switch in bridge."),
    (
        "dhcp",
        "vSphere has no DHCP service",
        "Give addresses through customization or cloudInit.networkConfig, or from a server in the "
        "network.",
    ),
    ("dns", "vSphere has no DNS service", "Name a server's address in customization."),
)
_MERELY_DESCRIBES = ("cidr", "cidr6")
"""Which addresses guests use is theirs to know: on vSphere nothing comes of these fields, and they
do no harm, so that a portable manifest may have them."""
_OF_A_VCENTER = ("datacenter", "folder", "hosts")


class NetworkRules:
    """Rules of the kind Network."""

    kind = "Network"
    flavours = (VCENTER, ESXI)
    unmarked = (ESXI,)

    def normalise(self, resource: Resource, flavour: Flavour) -> Mapping[str, Any]:
        """See :class:`~provisioner_plugins.vmware.handler.KindRules`."""
        spec = dict(resource.spec)
        for field in _MERELY_DESCRIBES:
            spec.pop(field, None)
        for service in ("dhcp", "dns"):
            if spec.get(service, {}).get("enabled", True) is False:
                del spec[service]
        if flavour is ESXI:
            for field in ("labels", "tenant"):
                spec.pop(field, None)
        if "native" in spec:
            own = {key: part for key, part in spec.pop("native").items() if key == flavour.name}
            spec |= {"native": own} if any(own.values()) else {}
        problems = [*_problems(spec, flavour)]
        if problems:
            raise ProvisionerError(problems)
        if "trunk" in spec and is_known(spec["trunk"]):
            every = vlans.has_every(spec["trunk"]) and not _is_distributed(spec)
            spec["trunk"] = list(vlans.ALL) if every else vlans.canonical(spec["trunk"])
        if "uplinks" in spec and is_known(spec["uplinks"]):
            spec["uplinks"] = sorted(spec["uplinks"])
        return spec

    def impact(
        self, resource: Resource, observed: Present, changes: Sequence[Change]
    ) -> Sequence[Assessment]:
        """See :class:`~provisioner_plugins.vmware.handler.KindRules`."""
        del resource
        return [_assess(observed, change) for change in changes]


def makes_switch(spec: Mapping[str, Any]) -> bool:
    """Whether a network makes its switch where there is none."""
    return spec.get("mode") == ISOLATED or bool(spec.get("uplinks"))


def _is_distributed(spec: Mapping[str, Any]) -> bool:
    return bool(spec.get("virtualSwitch") == DISTRIBUTED)


def _problems(spec: Mapping[str, Any], flavour: Flavour) -> Iterator[Diagnostic]:
    mode = str(spec["mode"])
    if mode in _MODES:
        yield unusable(("mode",), *_MODES[mode])
        return
    for field, why, hint in _SERVICES:
        if field in spec:
            yield unusable((field,), why, hint)
    for field in ("active", "autostart"):
        if spec.get(field, True) is False:
            yield unusable((field,), "a port group is always there", "Leave it out.")
    if "native" in spec:
        yield unusable(("native",), *_MODES["native"])
    yield from _of_switch(spec, flavour, mode)
    yield from _of_ports(spec, mode)


def _of_switch(spec: Mapping[str, Any], flavour: Flavour, mode: str) -> Iterator[Diagnostic]:
    switch = spec.get("virtualSwitch", STANDARD)
    if switch not in (STANDARD, DISTRIBUTED):
        yield unusable(
            ("virtualSwitch",),
            f"{switch} is a switch of Linux hosts",
            "Leave it out, or use standard or distributed.",
        )
        return
    if flavour is ESXI:
        if switch == DISTRIBUTED:
            yield unusable(
                ("virtualSwitch",),
                "a distributed switch is one of a vCenter",
                "Use standard, or the vCenter that the host belongs to.",
            )
        for field in _OF_A_VCENTER:
            if field in spec:
                yield unusable((field,), "an ESXi host is by itself", "Leave it out.")
    on_existing = switch == DISTRIBUTED and mode == BRIDGE
    for field, why in (
        ("hosts", "which hosts have it is a matter of the distributed switch"),
        ("folder", "it lies where its distributed switch does"),
    ):
        if on_existing and field in spec:
            yield unusable((field,), why, "Leave it out.")
    if "uplinks" in spec and (mode == ISOLATED or switch == DISTRIBUTED):
        why = "an isolated network has none" if mode == ISOLATED else "the switch has its own"
        yield unusable(("uplinks",), why, "Leave it out, or use mode bridge on a standard switch.")
    yield from _of_mtu(spec)


def _of_mtu(spec: Mapping[str, Any]) -> Iterator[Diagnostic]:
    mtu = spec.get("mtu")
    if mtu is not None and not makes_switch(spec):
        yield unusable(
            ("mtu",),
            "it is the switch's, and this one is used by others",
            "Set it where the switch is configured, or write its uplinks here.",
        )
    elif isinstance(mtu, int) and mtu not in MTUS:
        yield out_of_range(
            ("mtu",),
            str(mtu),
            f"A switch takes {MTUS[0]} to {MTUS[-1]} bytes",
            "vSphere Networking",
        )


def _of_ports(spec: Mapping[str, Any], mode: str) -> Iterator[Diagnostic]:
    distributed = _is_distributed(spec)
    trunk = spec.get("trunk")
    is_told = isinstance(trunk, list) and is_known(trunk)
    if is_told and not distributed and not vlans.has_every(trunk or ()):
        yield unusable(
            ("trunk",),
            "a standard port group passes one tag, or all of them",
            "Write trunk: ['0-4094'], or use virtualSwitch: distributed.",
        )
    if get_path(spec, ("teaming", "policy")) == "load" and not distributed:
        yield unusable(
            ("teaming", "policy"),
            "only a distributed switch looks at the load of uplinks",
            "Use port, or virtualSwitch: distributed.",
        )
    for field in ("active", "standby"):
        path: Path = ("teaming", field)
        if mode == ISOLATED and get_path(spec, path):
            yield unusable(path, "an isolated network has no uplinks", "Leave it out.")


def _assess(observed: Present, change: Change) -> Assessment:
    field, after = change.path[0], change.after
    if field == "virtualSwitch":
        if (after or STANDARD) == get_path(observed.spec, ("virtualSwitch",)):
            return Assessment(Impact.NONE)
        return Assessment(Impact.REPLACE, "a port group is of one sort of switch or the other")
    if field == "mode":
        return Assessment(Impact.REPLACE, "its switch is another one")
    if field in ("bridge", "datacenter"):
        if after is None:
            return Assessment(Impact.NONE, "it stays where it is")
        what = "switch" if field == "bridge" else "datacenter"
        return Assessment(Impact.REPLACE, f"a port group cannot go to another {what}")
    return Assessment(Impact.LIVE, _reason(observed, field, after))


def _reason(observed: Present, field: str, after: object) -> str:
    switch = observed.outputs.get("bridge")
    match field:
        case "vlan" | "trunk":
            return "its machines are in the other VLAN at once"
        case "uplinks" if after is not None:
            return f"everything on switch {switch} uses the other uplinks at once"
        case "mtu":
            return f"traffic on switch {switch} may stop for a moment"
        case "hosts":
            return "its machines on other hosts go on"
    return ""
