"""A machine as a spec in canonical form, with outputs and facts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from provisioner.core.values import Json, digest
from provisioner.providers.api import Present
from provisioner_plugins.vmware.allocation import CPU, MEMORY
from provisioner_plugins.vmware.building import MIB
from provisioner_plugins.vmware.inventory import name_of
from provisioner_plugins.vmware.machine import cards, properties, standby
from provisioner_plugins.vmware.machine.conditions import MEMORY_STEP, MOST_MEMORY
from provisioner_plugins.vmware.machine.naming import named
from provisioner_plugins.vmware.machine.record import (
    ANY_DRIVE,
    CARD,
    DISK,
    DRIVE,
    TPM,
    Device,
    Record,
)
from provisioner_plugins.vmware.site import listed
from provisioner_plugins.vmware.snapshot.tree import snapshots_of
from provisioner_plugins.vmware.stamp import Mark
from provisioner_plugins.vmware.storage.file import FileId
from provisioner_plugins.vmware.wire.sweep import Row

POWER = {"poweredOn": "running", "poweredOff": "stopped", "suspended": "suspended"}
OWED = "power"
"""The detail of a mark that says what a machine is brought back to, from before it is switched off
for a change until it is.
"""
OWN = "own"
"""The detail of a mark that has the places of the disks that came with a machine from its template:
places, for files get their names from vSphere, and other ones when the machine moves.
"""
NOT_IN_FORCE = ("memory", "size")
"""The field that is told to be without a value in force of a machine that is still to be brought
back: one that every manifest sets, or nobody would plan it.
"""


@dataclass(frozen=True, slots=True)
class Names:
    """What things on the endpoint are called in a stack; in a discovery, their external ids."""

    network: Callable[[str | None], str]
    disk: Callable[[FileId], str]
    image: Callable[[FileId], str]


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine as it was read: ``row`` is what moves by itself, ``record`` its configuration.
    ``cards`` and ``drives`` are its devices by their names; ``raw`` vSphere's own devices by key,
    where the configuration was read just now.
    """

    row: Row
    record: Record
    mark: Mark | None
    cards: Mapping[str, Device]
    drives: Mapping[str, Device]
    raw: Mapping[int, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, row: Row, record: Record, wanted: Mapping[str, Any]) -> Machine:
        """Make sense of what was read. ``wanted`` is the spec of the resource that asks: where
        nothing else tells, it says what cards and drives are called.
        """
        mark = Mark.parse(record.mark)
        if mark is not None and POWER[str(row.get("runtime.powerState"))] != "stopped":
            mark = mark.with_details({k: v for k, v in mark.details.items() if k != OWED})
        known = mark.details if mark is not None else {}
        macs = {name: str(card.get("mac", "")) for name, card in wanted.get("nics", {}).items()}
        places = dict.fromkeys(wanted.get("cdroms", {}), "")
        found_cards = [(card.mac, card) for card in record.of_sort(CARD)]
        found_drives = [(record.place(drive), drive) for drive in record.of_sort(DRIVE)]
        return cls(
            row,
            record,
            mark,
            named(found_cards, known.get("nics", {}), macs, otherwise="nic"),
            named(found_drives, known.get("cdroms", {}), places, otherwise="cdrom"),
            {device.key: device for device in row.get("config.hardware.device", ())},
        )

    @classmethod
    def fresh(cls, row: Row, wanted: Mapping[str, Any]) -> Machine:
        """Of a row with everything in it."""
        return cls.of(row, Record.read(row), wanted)

    @property
    def external_id(self) -> str:
        """Its instance UUID: unique on a vCenter, and kept wherever it moves there."""
        return str(self.row.get(properties.UUID))

    @property
    def disks(self) -> list[Device]:
        """Its disks."""
        return self.record.of_sort(DISK)

    @property
    def own(self) -> frozenset[int]:
        """The keys of the disks that came with it from a template."""
        places = () if self.mark is None else self.mark.details.get(OWN, ())
        if not places:
            return frozenset()
        return frozenset(disk.key for disk in self.disks if self.record.place(disk) in places)

    def disk_names(self, name: Callable[[FileId], str]) -> dict[int, str]:
        """What its disks are called by key; ``name`` tells it of a file, and the file itself where
        the stack has no such disk. Of those that came with it only what the stack has is told.
        """
        found: dict[int, str] = {}
        own = self.own
        for disk in self.disks:
            called = f"device {disk.key}" if disk.file is None else name(disk.file)
            is_known = disk.file is not None and called != str(disk.file)
            if is_known or disk.key not in own:
                found[disk.key] = called
        return found

    def opened(self) -> Machine:
        """The same with nothing that came with it left out."""
        if self.mark is None:
            return self
        details = {key: value for key, value in self.mark.details.items() if key != OWN}
        return replace(self, mark=self.mark.with_details(details))

    @property
    def stands_by(self) -> standby.StandbyMark | None:
        """The mark that it is not to be started; None if it may be."""
        return standby.parse(self.record.standby)

    @property
    def power(self) -> str:
        """``running``, ``stopped`` or ``suspended``."""
        return POWER[str(self.row.get("runtime.powerState"))]

    @property
    def owed(self) -> str | None:
        """The power that it is to be brought back to: it was switched off for a change."""
        return None if self.mark is None else self.mark.details.get(OWED)

    def owing(self, power: str | None) -> Machine:
        """The same with another such promise; None: with none."""
        assert self.mark is not None
        details = {key: value for key, value in self.mark.details.items() if key != OWED}
        if power is not None:
            details[OWED] = power
        return replace(self, mark=self.mark.with_details(details))

    @property
    def details(self) -> dict[str, Any]:
        """What its mark has to say of it: what cards and drives are called."""
        kept = dict(self.mark.details) if self.mark is not None else {}
        return {
            **kept,
            "nics": {name: card.mac for name, card in self.cards.items()},
            "cdroms": {name: self.record.place(drive) for name, drive in self.drives.items()},
        }

    def bootable(self, names: Names) -> Mapping[str, Mapping[str, int]]:
        """The keys of what it could start from, by section of a spec and by name."""
        return {
            "disks": {name: key for key, name in self.disk_names(names.disk).items()},
            "nics": {name: card.key for name, card in self.cards.items()},
            "cdroms": dict.fromkeys(self.drives, ANY_DRIVE),
        }


def spec_of(machine: Machine, names: Names) -> dict[str, Any]:
    """The machine in canonical form."""
    record, called = machine.record, machine.disk_names(names.disk)
    spec: dict[str, Any] = {
        "cpu": _cpu(machine),
        "memory": _memory(machine),
        "firmware": firmware_of(record),
        "machineType": record.version,
        "guestOs": record.guest,
        "disks": {
            called[disk.key]: {"bus": record.bus(disk)}
            for disk in machine.disks
            if disk.key in called
        },
        "nics": {
            name: cards.describe(card, names.network(card.network))
            for name, card in machine.cards.items()
        },
        "cdroms": {name: _drive(machine, drive, names) for name, drive in machine.drives.items()},
        "guestAgent": True,
        "power": machine.power,
        "console": {"serial": False, "graphics": "none"},
    }
    if record.annotation:
        spec["description"] = record.annotation
    spec.update(machine.mark.fields() if machine.mark is not None else {"labels": {}})
    _add_places_in_order(machine, spec, names)
    return spec


def _cpu(machine: Machine) -> dict[str, Json]:
    record = machine.record
    most = record.processors
    if record.more_processors:
        most = _most(machine, "cpu", most)
    return {
        "count": record.processors,
        "max": most,
        "hotAdd": record.more_processors,
        "topology": {"sockets": most // record.cores, "cores": record.cores, "threads": 1},
        "nested": record.nested,
        **record.cpu.section(CPU),
    }


def _memory(machine: Machine) -> dict[str, Json]:
    size, more = machine.record.memory * MIB, machine.record.more_memory
    return {
        "size": size,
        "max": _most(machine, "memory", size) if more else size,
        "hotAdd": more,
        **machine.record.ram.section(MEMORY),
    }


def _most(machine: Machine, what: str, now: int) -> int:
    """The most that an author has asked for; vSphere knows only whether more can be added."""
    details = machine.mark.details if machine.mark is not None else {}
    asked = details.get("max", {}).get(what)
    return max(now, asked) if isinstance(asked, int) else now


def firmware_of(record: Record) -> dict[str, Json]:
    """The section ``firmware``."""
    kind = "bios" if not record.uefi else "uefi-secure" if record.secure else "uefi"
    return {"type": kind, "tpm": bool(record.of_sort(TPM))}


def _drive(machine: Machine, drive: Device, names: Names) -> dict[str, Json]:
    found: dict[str, Json] = {"bus": machine.record.bus(drive)}
    if drive.file is not None:
        found["image"] = names.image(drive.file)
    return found


def _add_places_in_order(machine: Machine, spec: dict[str, Any], names: Names) -> None:
    places = {key: number for number, key in enumerate(machine.record.order, start=1)}
    if not places:
        return
    for section, known in machine.bootable(names).items():
        for name, key in known.items():
            if key in places:
                # All CD drives are one place in the order: it is told of the first.
                spec[section][name]["bootOrder"] = places.pop(key)


def present(machine: Machine, spec: Mapping[str, Any]) -> Present:
    """The observation of a machine."""
    owner = machine.mark.stamp if machine.mark is not None else None
    tools = str(machine.row.get("guest.toolsRunningStatus", "")) == "guestToolsRunning"
    name = name_of(machine.row)
    alone = len(machine.disks) - len(spec["disks"]) if machine.own else 0
    lineage = None if owner is None else owner.lineage
    foreign = [snapshot for snapshot in snapshots_of(machine.row) if not snapshot.is_of(lineage)]
    along = [f"what is on its own disks ({alone})"] if alone else []
    if foreign:
        names = listed([snapshot.name for snapshot in foreign])
        along.append(f"snapshots that are not of the stack ({names})")
    return Present(
        external_id=machine.external_id,
        owner=owner,
        spec=spec,
        running={} if machine.owed is None else {NOT_IN_FORCE: None},
        # Not the spec: names of devices come from the manifest of whoever asks.
        fingerprint=digest(
            [
                *(machine.external_id, name, machine.power, machine.record.plain()),
                *(snapshot.moid for snapshot in foreign),
            ]
        ),
        outputs=outputs_of(machine),
        facts={"power": machine.power, "tools": tools, **_room(machine.record)},
        withheld=standby.withheld(machine.stands_by, runs=machine.power == "running"),
        name=name,
        goes_along=tuple(along),
        holds_data=bool(along),
    )


def _room(record: Record) -> dict[str, Json]:
    """How memory can be added while it runs, as far as the endpoint tells."""
    room = {MOST_MEMORY: record.most_memory, MEMORY_STEP: record.memory_step}
    return {name: value * MIB for name, value in room.items() if value}


def outputs_of(machine: Machine) -> dict[str, Json]:
    """What other resources may refer to, as far as it is known without asking the guest."""
    outputs: dict[str, Json] = {
        "id": machine.row.moid,
        "uuid": machine.record.uuid,
        "mac": {name: card.mac for name, card in machine.cards.items()},
    }
    address = machine.row.get("guest.ipAddress")
    if address:
        outputs["address"] = str(address)
        outputs["addresses"] = [str(address)]
    return outputs
