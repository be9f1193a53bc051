"""What a change of a VirtualMachine does to the guest as it is now, and why. Pure.

Judged by what was observed: whether the machine runs, what it was started with (``facts``, see
:mod:`~provisioner_plugins.kvm.machine.observation`), and what differs between the configured and
the running machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from provisioner.core.actions import Impact
from provisioner.core.units import format_size
from provisioner.core.values import Json
from provisioner.providers.api import Assessment, Change, Present, Resource
from provisioner_plugins.kvm.bindings import Bindings

_UNSEEN = {
    "description": Impact.NONE,
    "shutdownTimeout": Impact.NONE,
    "labels": Impact.LIVE,
    "tenant": Impact.LIVE,
    "autostart": Impact.LIVE,
}
"""Fields that no guest sees."""

_FIXED = "the running machine keeps what it was started with until it is restarted"
_SAVED = (
    "it has a saved state, which keeps the old definition: in force once that is resumed or dropped"
)
_OWED = "it was switched off for a change, and was not brought back yet"
_HOTPLUG_BUSES = ("virtio", "scsi")
_CONVENTIONAL_MODELS = ("e1000", "rtl8139")


@dataclass(slots=True)
class Judged:
    """The machine that changes are judged on. ``slots`` counts down as devices are plugged in."""

    power: str
    facts: Mapping[str, Json]
    bindings: Bindings
    slots: int | None

    def number(self, fact: str) -> int:
        """A fact that is a number; 0 where it is not known."""
        value = self.facts.get(fact)
        return value if isinstance(value, int) else 0


def assess(
    resource: Resource, observed: Present, changes: Sequence[Change]
) -> Sequence[Assessment]:
    """One assessment for each change, in order."""
    slots = observed.facts.get("freeSlots")
    judged = Judged(
        power=str(observed.spec.get("power", "stopped")),
        facts=observed.facts,
        bindings=Bindings(resource.related),
        slots=slots if isinstance(slots, int) else None,
    )
    return [_assess(judged, change) for change in changes]


def _assess(judged: Judged, change: Change) -> Assessment:
    field = change.path[0]
    if field == "description" and judged.facts.get("saved"):
        # No guest sees it, but the definition of the saved state has one, too.
        return Assessment(Impact.RESTART, _SAVED)
    if field in _UNSEEN:
        return Assessment(_UNSEEN[field])
    if field == "power":
        return _power(judged, change)
    if field == "machineType" and change.after is None:
        return Assessment(Impact.NONE, "the board stays as it is")
    if field == "cloudInit" and judged.facts.get("seedIsGone"):
        return Assessment(Impact.LIVE, "its medium is gone and is made again")
    if judged.facts.get("saved"):
        return Assessment(Impact.RESTART, _SAVED)
    if judged.facts.get("owed") and change.differs_running:
        return Assessment(Impact.LIVE, _OWED)
    if judged.power == "stopped":
        return Assessment(Impact.LIVE, "the machine is stopped")
    judge = _JUDGES.get(field)
    return judge(judged, change) if judge is not None else Assessment(Impact.RESTART, _FIXED)


def _power(judged: Judged, change: Change) -> Assessment:
    match judged.power, change.after or "running":
        case "stopped", "running" if judged.facts.get("saved"):
            return Assessment(Impact.LIVE, "the machine goes on from its saved state")
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


def _cpu(judged: Judged, change: Change) -> Assessment:
    if change.path != ("cpu", "count"):
        return Assessment(Impact.RESTART, _FIXED)
    wanted = _int(change.after, 1)
    most = judged.number("maxVcpus")
    if wanted > most:
        return Assessment(
            Impact.RESTART,
            f"{wanted} vCPUs exceed the maximum of {most} that the running machine was started "
            "with",
        )
    if wanted < _int(change.running if change.differs_running else change.before, 1):
        fixed = judged.number("fixedVcpus")
        if wanted < fixed:
            return Assessment(
                Impact.RESTART,
                f"{fixed} of its vCPUs were there when it was started, and those cannot be "
                "unplugged",
            )
        if judged.facts.get("accelerator") == "tcg":
            # Seen with QEMU 7.2: the next device that is unplugged then ends the guest.
            return Assessment(
                Impact.RESTART, "software emulation does not survive that a vCPU is unplugged"
            )
        if change.pending:
            return Assessment(Impact.RESTART, "the guest has not let go of its vCPUs")
    return Assessment(Impact.LIVE)


def _memory(judged: Judged, change: Change) -> Assessment:
    if change.path != ("memory", "size"):
        return Assessment(Impact.RESTART, _FIXED)
    wanted, most = _int(change.after, 0), judged.number("maxMemory")
    if wanted > most:
        return Assessment(
            Impact.RESTART,
            f"{format_size(wanted)} exceed the maximum of {format_size(most)} that the running "
            "machine was started with",
        )
    if change.before is None and judged.facts.get("withoutDefinition") == wanted:
        return Assessment(
            Impact.LIVE,
            "it has no definition, and would be gone when it stops: it is defined, and runs on",
        )
    if not judged.facts.get("balloon"):
        return Assessment(Impact.RESTART, "the machine has no memory balloon")
    if change.pending:
        return Assessment(Impact.RESTART, "the guest has not moved its memory balloon")
    return Assessment(Impact.LIVE, "the guest's balloon driver moves to it")


def _disks(judged: Judged, change: Change) -> Assessment:
    if len(change.path) != 2:
        return Assessment(Impact.RESTART, f"the disk is plugged in; {_FIXED}")
    return _device(judged, change, "disk", _bus_of(change))


def _bus_of(change: Change) -> str:
    for value in (change.after, change.before, change.running):
        if isinstance(value, Mapping):
            return str(value.get("bus", "virtio"))
    return "virtio"


def _nics(judged: Judged, change: Change) -> Assessment:
    if len(change.path) == 1:
        return Assessment(Impact.RESTART, _FIXED)
    if len(change.path) == 2:
        if change.after is not None and _model_of(change) in _CONVENTIONAL_MODELS:
            return _conventional(judged, change)
        return _device(judged, change, "network card", "virtio")
    match change.path[2]:
        case "address":
            return Assessment(Impact.LIVE, "the network's DHCP service gives it")
        case "link":
            return Assessment(Impact.LIVE)
        case "mac" if change.after is None:
            return Assessment(Impact.NONE, "the address stays as it is")
        case "network":
            return _network(judged, change)
    return Assessment(Impact.RESTART, f"the card is plugged in; {_FIXED}")


def _model_of(change: Change) -> str:
    return str(change.after.get("model", "virtio")) if isinstance(change.after, Mapping) else ""


def _conventional(judged: Judged, change: Change) -> Assessment:
    """Plugging in a card of conventional PCI, for which q35 keeps no slots free."""
    if judged.slots is None:
        return _device(judged, change, "network card", "virtio")
    return Assessment(
        Impact.RESTART,
        f"a card of the model {_model_of(change)} fits no slot that is free for plugging in",
    )


def _network(judged: Judged, change: Change) -> Assessment:
    before = change.running if change.differs_running else change.before
    names = [str(name) for name in (before, change.after)]
    if any(name == "user" or judged.bindings.network(name) is None for name in names):
        return Assessment(
            Impact.RESTART,
            "a card in a network of mode user cannot be moved while the machine runs",
        )
    return Assessment(Impact.LIVE)


def _device(judged: Judged, change: Change, what: str, bus: str) -> Assessment:
    """Plugging a device in, or out."""
    if change.after is None:
        if change.pending:
            return Assessment(
                Impact.RESTART,
                f"the guest has not let go of the {what}; it loses it when restarted",
            )
        if bus not in _HOTPLUG_BUSES:
            return Assessment(Impact.RESTART, f"a {what} on the bus {bus} cannot be unplugged")
        if judged.power == "suspended":
            return Assessment(Impact.RESTART, f"a halted guest cannot let go of the {what}")
        return Assessment(Impact.LIVE, f"the {what} is unplugged{_snapshots(judged, what)}")
    if bus not in _HOTPLUG_BUSES:
        return Assessment(Impact.RESTART, f"a {what} on the bus {bus} cannot be plugged in")
    if not (bus == "scsi" and judged.facts.get("scsi")):
        if judged.slots is not None and judged.slots < 1:
            return Assessment(
                Impact.RESTART, "the running machine has no free slot to plug it into"
            )
        if judged.slots is not None:
            judged.slots -= 1
    return Assessment(Impact.LIVE, f"the {what} is plugged in")


def _snapshots(judged: Judged, what: str) -> str:
    if what != "disk" or not judged.facts.get("snapshots"):
        return ""
    return "; going back to one of its snapshots plugs it in again"


def _cdroms(_judged: Judged, change: Change) -> Assessment:
    if len(change.path) == 3 and change.path[2] == "image":
        if change.pending:
            return Assessment(Impact.RESTART, "the guest holds the drive locked")
        return Assessment(Impact.LIVE)
    return Assessment(
        Impact.RESTART, "a CD drive cannot be plugged in or out while the machine runs"
    )


def _cloud_init(judged: Judged, change: Change) -> Assessment:
    if change.pending and judged.facts.get("seed"):
        held = "drive stays" if change.after is None else "medium stays out"
        return Assessment(Impact.RESTART, f"its {held} until the machine is restarted")
    if change.after is None and len(change.path) == 1:
        return Assessment(
            Impact.LIVE, "its medium is taken out; the drive goes at the next restart"
        )
    if judged.facts.get("seed") and change.differs_running and change.before == change.after:
        return Assessment(Impact.LIVE, "the medium is put in again")
    if judged.facts.get("seed"):
        return Assessment(
            Impact.LIVE,
            "the medium is exchanged; a guest reads it when it starts for the first time",
        )
    return Assessment(Impact.RESTART, "the running machine has no drive for it")


def _int(value: Json, default: int) -> int:
    return value if isinstance(value, int) else default


_JUDGES: dict[str, Callable[[Judged, Change], Assessment]] = {
    "cpu": _cpu,
    "memory": _memory,
    "disks": _disks,
    "nics": _nics,
    "cdroms": _cdroms,
    "cloudInit": _cloud_init,
}
