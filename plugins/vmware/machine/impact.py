"""What a change of a VirtualMachine does to the guest as it is now, and why. Pure.

vSphere keeps no second definition for the next start: what a running machine cannot take is refused
until it is switched off. So nothing waits for a restart; it is done with one, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from provisioner.core.actions import Impact
from provisioner.core.values import get_path
from provisioner.providers.api import Assessment, Change, Present, Resource
from provisioner_plugins.vmware.machine.limits import hardware_version
from provisioner_plugins.vmware.machine.power_cycle import why_off

_BOOKKEEPING = frozenset({"shutdownTimeout"})


def assess(
    resource: Resource, observed: Present, changes: Sequence[Change]
) -> Sequence[Assessment]:
    """One assessment for each change, in order."""
    del resource
    return [_assess(observed, change) for change in changes]


def _assess(observed: Present, change: Change) -> Assessment:
    field = change.path[0]
    if field in _BOOKKEEPING:
        return Assessment(Impact.NONE)
    if change.differs_running:
        return Assessment(
            Impact.LIVE, "it was switched off for a change, and was not brought back yet"
        )
    if field == "power":
        return _power(str(observed.facts.get("power")), change)
    if change.impact is Impact.REPLACE:
        return Assessment(Impact.REPLACE, change.reason)
    special = _JUDGES.get(change.path[:2]) or _JUDGES.get(change.path[:1])
    if special is not None:
        found = special(observed, change)
        if found is not None:
            return found
    reason = why_off(change.path)
    if reason is None:
        return Assessment(Impact.LIVE)
    if observed.facts.get("power") == "stopped":
        return Assessment(Impact.LIVE, "the machine is stopped")
    return _off(reason)


def _off(reason: str) -> Assessment:
    return Assessment(
        Impact.RESTART, f"{reason}: the machine is switched off for it", deferrable=False
    )


def _power(now: str, change: Change) -> Assessment:
    match now, change.after or "running":
        case "stopped", "running":
            return Assessment(Impact.LIVE, "the machine is started")
        case "stopped", _:
            return Assessment(Impact.LIVE, "the machine is started and halted at once")
        case "suspended", "running":
            return Assessment(Impact.LIVE, "the guest goes on")
        case _, "suspended":
            return Assessment(
                Impact.RESTART, "the guest is halted until it is resumed", deferrable=False
            )
    return Assessment(Impact.RESTART, "the guest is shut down", deferrable=False)


def _count(observed: Present, change: Change) -> Assessment | None:
    if observed.facts.get("power") != "running":
        return None
    before, after = _number(change.before, 1), _number(change.after, 1)
    hot = get_path(observed.spec, ("cpu", "hotAdd")) is True
    if after > before and hot:
        return Assessment(Impact.LIVE, "processors can be added while it runs (cpu.hotAdd)")
    if after < before:
        return _off("processors cannot be taken away while it runs")
    return _off("cpu.hotAdd is off")


def _size(observed: Present, change: Change) -> Assessment | None:
    if observed.facts.get("power") != "running":
        return None
    before, after = _number(change.before, 0), _number(change.after, 0)
    hot = get_path(observed.spec, ("memory", "hotAdd")) is True
    if after > before and hot:
        return Assessment(Impact.LIVE, "memory can be added while it runs (memory.hotAdd)")
    if after < before:
        return _off("memory cannot be taken away while it runs")
    return _off("memory.hotAdd is off")


def _most(observed: Present, change: Change) -> Assessment | None:
    """The most of processors or memory: only that there may be more at all is vSphere's."""
    section = change.path[0]
    hot = get_path(observed.spec, (section, "hotAdd")) is True
    field = "count" if section == "cpu" else "size"
    now = _number(get_path(observed.spec, (section, field)), 0)
    if hot == (_number(change.after, now) > now):
        return Assessment(Impact.LIVE, "it only says how far one may go")
    return None


def _machine_type(observed: Present, change: Change) -> Assessment | None:
    del observed
    if change.after is None:
        return Assessment(Impact.NONE, "the hardware version stays as it is")
    if hardware_version(change.after) < hardware_version(change.before):
        return Assessment(Impact.REPLACE, "a hardware version cannot go back")
    return None


def _disk(observed: Present, change: Change) -> Assessment | None:
    """Plugged in and out live on every bus but IDE; what one is plugged into is fixed meanwhile."""
    if observed.facts.get("power") == "stopped":
        return None
    if len(change.path) == 2:
        device = change.after if isinstance(change.after, Mapping) else change.before
        bus = device.get("bus") if isinstance(device, Mapping) else None
        return _off("an IDE disk cannot be changed while it runs") if bus == "ide" else None
    return None


def _customization(observed: Present, change: Change) -> Assessment | None:
    """Handed over while the machine is off, and carried out by VMware Tools when it starts."""
    if change.path == ("customization",) and change.after is None:
        return Assessment(Impact.NONE, "the guest stays as it was configured")
    if observed.facts.get("power") == "stopped":
        return Assessment(Impact.LIVE, "the guest is configured anew when the machine starts next")
    return _off("the guest is configured anew at a start")


def _number(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise


_JUDGES: Mapping[tuple[str, ...], Callable[[Present, Change], Assessment | None]] = {
    ("cpu", "count"): _count,
    ("cpu", "max"): _most,
    ("memory", "size"): _size,
    ("memory", "max"): _most,
    ("machineType",): _machine_type,
    ("disks",): _disk,
    ("customization",): _customization,
}
