"""Controllers of a machine and the places on them; where a new disk or drive is plugged in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyVmomi import vim

from provisioner.core.diagnostics import error
from provisioner.providers.api import Terminal

_Device = vim.vm.device


@dataclass(frozen=True, slots=True)
class Bus:
    """One sort of controllers: how many a machine can have, and the units on each."""

    name: str
    controller: type
    controllers: int
    units: tuple[int, ...]


# Unit 7 of a SCSI bus is the controller's own. Source: "Configuration Maximums" of VMware vSphere.
BUSES: Mapping[str, Bus] = {
    bus.name: bus
    for bus in (
        Bus("pvscsi", _Device.ParaVirtualSCSIController, 4, (*range(7), *range(8, 16))),
        Bus("scsi", _Device.VirtualLsiLogicController, 4, (*range(7), *range(8, 16))),
        Bus("sata", _Device.VirtualAHCIController, 4, tuple(range(30))),
        Bus("ide", _Device.VirtualIDEController, 2, (0, 1)),
        Bus("nvme", _Device.VirtualNVMEController, 4, tuple(range(15))),
    )
}


def bus_name(controller: Any) -> str:
    """The bus of a controller; for one that no field can name, vSphere's name of its type."""
    for name, bus in BUSES.items():
        if isinstance(controller, bus.controller):
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

    def plug(self, device: Any, bus_of_device: str) -> Any:
        """Give ``device`` a place on a bus, on a new controller where the others are full."""
        bus = BUSES[bus_of_device]
        for controller in self._of(bus):
            for unit in bus.units:
                if (controller.key, unit) not in self._used:
                    return self._put(device, controller, unit)
        numbers = {item.busNumber for item in self._of(bus)}
        free = next((number for number in range(bus.controllers) if number not in numbers), None)
        if free is None:
            raise Terminal(
                error(
                    "PRV5326",
                    f"the machine has no free place on the bus {bus.name}",
                    detail=f"It can have {bus.controllers} controllers with {len(bus.units)} "
                    "devices each.",
                    hint="Use another bus for some of its disks.",
                )
            )
        made = bus.controller(key=self.key(), busNumber=free)
        if isinstance(made, _Device.VirtualSCSIController):
            made.sharedBus = _Device.VirtualSCSIController.Sharing.noSharing
        self.controllers.append(made)
        self.made.append(made)
        return self._put(device, made, bus.units[0])

    def _of(self, bus: Bus) -> Iterator[Any]:
        return (item for item in self.controllers if isinstance(item, bus.controller))

    def _put(self, device: Any, controller: Any, unit: int) -> Any:
        device.controllerKey, device.unitNumber = controller.key, unit
        self._used.add((controller.key, unit))
        return device
