"""How many controllers of each bus a machine can have, and what fits on them. Pure data, for those
that judge a manifest and for :mod:`~provisioner_plugins.vmware.machine.buses`, which plugs.

Source: "Configuration Maximums" of VMware vSphere, virtual machine. Unit 7 of a SCSI bus is the
controller's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

PARAVIRTUAL_BUS = "pvscsi"
CDROM_BUS = "sata"


class Room(NamedTuple):
    """One bus. Buses of one ``family`` share the numbers of their controllers, of which there are
    ``controllers``. Each has ``units``, and since hardware version ``since`` the units ``more``.
    """

    family: str
    controllers: int
    units: tuple[int, ...]
    more: tuple[int, ...] = ()
    since: int = 0

    def most(self, version: int) -> int:
        """Devices on one controller of a machine; ``version`` 0 is not known, and taken for new."""
        is_new = not version or version >= self.since
        return len(self.units) + (len(self.more) if is_new else 0)


_OF_SCSI = (*range(7), *range(8, 16))
ROOMS: Mapping[str, Room] = {
    "pvscsi": Room("scsi", 4, _OF_SCSI, tuple(range(16, 65)), 14),
    "scsi": Room("scsi", 4, _OF_SCSI),
    "sata": Room("sata", 4, tuple(range(30))),
    "ide": Room("ide", 2, (0, 1)),
    "nvme": Room("nvme", 4, tuple(range(15)), tuple(range(15, 64)), 21),
}


def family_of(bus: str) -> str:
    """The family of a bus; empty for one that no field can name."""
    return ROOMS[bus].family if bus in ROOMS else ""
