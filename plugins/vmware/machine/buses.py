"""Controllers of a machine and the places on them; where a new disk or drive is plugged in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from pyVmomi import vim

from provisioner.core.diagnostics import error
from provisioner.providers.api import Terminal
from provisioner_plugins.vmware.machine.rooms import ROOMS, Room

_Device = vim.vm.device


CONTROLLERS: Mapping[str, type] = {
    "pvscsi": _Device.ParaVirtualSCSIController,
    "scsi": _Device.VirtualLsiLogicController,
    "sata": _Device.VirtualAHCIController,
    "ide": _Device.VirtualIDEController,
    "nvme": _Device.VirtualNVMEController,
}
_FAMILIES: Mapping[str, type] = {
    "scsi": _Device.VirtualSCSIController,
    "sata": _Device.VirtualSATAController,
    "ide": _Device.VirtualIDEController,
    "nvme": _Device.VirtualNVMEController,
}
"""What the controllers are that share their numbers: those of other SCSI models do, too."""


def bus_name(controller: Any) -> str:
    """The bus of a controller; for one that no field can name, vSphere's name of its type."""
    for name, kind in CONTROLLERS.items():
        if isinstance(controller, kind):
            return name
    return type(controller).__name__.rsplit(".", 1)[-1]


def place_text(device: Any, controllers: Sequence[Any]) -> str:
    """What a CD drive is known by: see
    :meth:`~provisioner_plugins.vmware.machine.record.Record.place`.
    """
    controller = next(item for item in controllers if item.key == device.controllerKey)
    return f"{bus_name(controller)}{controller.busNumber}:{device.unitNumber}"


class Plugs:
    """The places of a machine with these devices, given out one after the other."""

    def __init__(self, devices: Sequence[Any]) -> None:
        self.controllers = [item for item in devices if isinstance(item, _Device.VirtualController)]
        """All there are, with those that are made."""
        self._used = {
            (item.controllerKey, item.unitNumber)
            for item in devices
            if item.controllerKey is not None and item.unitNumber is not None
        }
        self._next = -1
        self.made: list[Any] = []
        """Controllers that have to be added, too."""

    def key(self) -> int:
        """A key for a new device: negative, until the endpoint gives it one."""
        self._next -= 1
        return self._next

    def plug(self, device: Any, bus: str) -> Any:
        """Give ``device`` a place on a bus, on a new controller where the others are full; where
        there can be no more of these, on the units that only later hardware versions have.
        """
        room = ROOMS[bus]
        there = [item for item in self.controllers if isinstance(item, CONTROLLERS[bus])]
        for controller, unit in product(there, room.units):
            if (controller.key, unit) not in self._used:
                return self._put(device, controller, unit)
        free = self._free_number(room)
        if free is not None:
            made = CONTROLLERS[bus](key=self.key(), busNumber=free)
            if isinstance(made, _Device.VirtualSCSIController):
                made.sharedBus = _Device.VirtualSCSIController.Sharing.noSharing
            self.controllers.append(made)
            self.made.append(made)
            return self._put(device, made, room.units[0])
        for controller, unit in product(there, room.more):
            if (controller.key, unit) not in self._used:
                return self._put(device, controller, unit)
        raise Terminal(
            error(
                "PRV5326",
                f"the machine has no free place on the bus {bus}",
                detail=f"It can have {room.controllers} controllers with {room.most(0)} "
                "devices each.",
                hint="Use another bus for some of its disks.",
            )
        )

    def _free_number(self, room: Room) -> int | None:
        family = _FAMILIES[room.family]
        taken = {item.busNumber for item in self.controllers if isinstance(item, family)}
        return next((number for number in range(room.controllers) if number not in taken), None)

    def _put(self, device: Any, controller: Any, unit: int) -> Any:
        device.controllerKey, device.unitNumber = controller.key, unit
        self._used.add((controller.key, unit))
        return device
