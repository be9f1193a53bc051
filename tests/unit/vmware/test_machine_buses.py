"""Where devices are plugged in: numbers of controllers, and units on them."""

from __future__ import annotations

from typing import Any

import pytest

from provisioner.providers.api import Terminal

pytest.importorskip("pyVmomi")

from pyVmomi import vim

from provisioner_plugins.vmware.machine.buses import Plugs

device = vim.vm.device


def disk() -> Any:
    return device.VirtualDisk()


def test_controllers_of_scsi_share_their_numbers() -> None:
    """The endpoint has four of them, of whichever models."""
    plugs = Plugs([device.VirtualBusLogicController(key=1000, busNumber=0)])
    for bus in ("pvscsi", "scsi", "sata", "nvme"):
        plugs.plug(disk(), bus)
    assert [1, 2, 0, 0] == [item.busNumber for item in plugs.made]


def test_a_bus_is_full_first_where_it_always_can_be() -> None:
    """Unit 7 is the controller's own; those from 16 on came with hardware version 14."""
    plugs = Plugs([])
    placed = [plugs.plug(disk(), "pvscsi") for _ in range(61)]
    assert 4 == len(plugs.made)
    units = [item.unitNumber for item in placed]
    assert [*range(7), *range(8, 16)] * 4 == units[:60]
    assert 16 == units[60]


def test_a_bus_that_is_full() -> None:
    plugs = Plugs([])
    for _ in range(4):
        plugs.plug(disk(), "ide")
    with pytest.raises(Terminal) as caught:
        plugs.plug(disk(), "ide")
    assert "PRV5326" == caught.value.diagnostic.code
