"""What a change of a VirtualMachine does to the guest as it is now, and why. Pure.

vSphere keeps no second definition for the next start: what a running machine cannot take is refused
until it is switched off. So nothing waits for a restart; it is done with one, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from provisioner.core.actions import Impact
from provisioner.core.values import Path
from provisioner.providers.api import Assessment, Change, Present, Resource
from provisioner_plugins.vmware.machine.limits import hardware_version
from provisioner_plugins.vmware.machine.power_cycle import ANY, is_fixed, why_off

BOOKKEEPING = frozenset({"shutdownTimeout"})
"""Fields of which an endpoint hears nothing."""
LIVE: Mapping[Path, str] = {
    ("cpu", "count"): "processors can be added while it runs (cpu.hotAdd)",
    ("cpu", "reservationMhz"): "",
    ("cpu", "limitMhz"): "",
    ("cpu", "shares"): "",
    ("memory", "size"): "memory can be added while it runs (memory.hotAdd)",
    ("memory", "reservation"): "",
    ("memory", "limit"): "",
    ("memory", "shares"): "",
    ("disks", ANY): "",
    ("nics", ANY): "",
    ("nics", ANY, "network"): "",
    ("nics", ANY, "link"): "",
    ("cdroms", ANY, "image"): "",
}
"""What a running machine takes where no row of the table says otherwise, and why."""
ANYHOW: Mapping[Path, str] = {
    ("description",): "",
    ("labels",): "",
    ("tenant",): "",
    ("placement",): "",
    ("cpu", "max"): "it only says how far one may go",
    ("memory", "max"): "it only says how far one may go",
    ("native",): "a guest reads guestinfo keys whenever it asks for them",
    ("cloudInit",): "the data are exchanged; a guest reads them when it starts for the first time",
}
"""What a suspended machine takes, too: notes, the extra configuration, another place."""

_HARDWARE = frozenset({"cpu", "memory", "disks", "nics", "cdroms"})
_SUSPENDED = (
    "neither devices nor processors, memory and shares of a suspended machine can be changed"
)
_LOST = "what its suspended memory holds is lost"
_UNKNOWN = "it is not known that a running machine takes it"


def assess(
    resource: Resource, observed: Present, changes: Sequence[Change]
) -> Sequence[Assessment]:
    """One assessment for each change, in order."""
    del resource
    return [_assess(observed, change) for change in changes]


def _assess(observed: Present, change: Change) -> Assessment:
    field = change.path[0]
    if field in BOOKKEEPING:
        return Assessment(Impact.NONE)
    if change.differs_running:
        return Assessment(
            Impact.LIVE, "it was switched off for a change, and was not brought back yet"
        )
    power = str(observed.facts.get("power"))
    if field == "power":
        return _power(power, change)
    if change.impact is Impact.REPLACE:
        return Assessment(Impact.REPLACE, change.reason)
    judge = JUDGES.get(field)
    found = judge(power, change) if judge is not None else None
    if found is not None:
        return found
    reason = why_off(observed, change)
    anyhow = _told(ANYHOW, change.path)
    if reason is None and anyhow is not None:
        return Assessment(Impact.LIVE, anyhow)
    if power == "stopped":
        return Assessment(Impact.LIVE, "the machine is stopped" if is_fixed(change.path) else "")
    if power == "suspended":
        why = _SUSPENDED if field in _HARDWARE else reason or _UNKNOWN
        return _off(why, f", and {_LOST}")
    live = _told(LIVE, change.path)
    if reason is None and live is not None:
        return Assessment(Impact.LIVE, live)
    return _off(reason or _UNKNOWN)


def _told(reasons: Mapping[Path, str], path: Path) -> str | None:
    """Why a change is live; None where that is not said. A path without the name of a device is
    about all that is below it.
    """
    for known, reason in reasons.items():
        here = path if ANY in known else path[: len(known)]
        if len(known) == len(here) and all(
            part in (ANY, name) for part, name in zip(known, here, strict=True)
        ):
            return reason
    return None


def _off(reason: str, besides: str = "") -> Assessment:
    return Assessment(
        Impact.RESTART, f"{reason}: the machine is switched off for it{besides}", deferrable=False
    )


def _power(now: str, change: Change) -> Assessment:
    match now, change.after or "running":
        case "stopped", "running":
            return Assessment(Impact.LIVE, "the machine is started")
        case "stopped", _:
            return Assessment(Impact.LIVE, "the machine is started and halted at once")
        case "suspended", "running":
            return Assessment(Impact.LIVE, "the guest goes on")
        case "suspended", "stopped":
            return Assessment(
                Impact.RESTART, f"the machine is switched off, and {_LOST}", deferrable=False
            )
        case _, "suspended":
            return Assessment(
                Impact.RESTART, "the guest is halted until it is resumed", deferrable=False
            )
    return Assessment(Impact.RESTART, "the guest is shut down", deferrable=False)


def _machine_type(power: str, change: Change) -> Assessment | None:
    del power
    if change.after is None:
        return Assessment(Impact.NONE, "the hardware version stays as it is")
    if hardware_version(change.after) < hardware_version(change.before):
        return Assessment(Impact.REPLACE, "a hardware version cannot go back")
    return None


def _customization(power: str, change: Change) -> Assessment | None:
    """Handed over while the machine is off, and carried out by VMware Tools when it starts."""
    if change.path == ("customization",) and change.after is None:
        return Assessment(Impact.NONE, "the guest stays as it was configured")
    if power == "stopped":
        return Assessment(Impact.LIVE, "the guest is configured anew when the machine starts next")
    return None


JUDGES: Mapping[str, Callable[[str, Change], Assessment | None]] = {
    "machineType": _machine_type,
    "customization": _customization,
}
"""What is decided by the change itself; None leaves it to the tables."""
