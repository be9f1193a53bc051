"""The fields that a running machine does not take: data, with where that is written. Pure.

Source: vSphere Web Services API 8.0, VirtualMachineConfigSpec and the types that it holds; where
the reference says nothing, what ESXi 7 and 8 answer with InvalidPowerState (ReconfigVM_Task).
Processors and memory depend on the machine besides (hot-add) and are judged in :mod:`impact`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from provisioner.core.values import Path

ANY = "*"
"""Stands for the name of a device."""


class PowerCycle(NamedTuple):
    """One field: its path in the spec, vSphere's property, why it has to be off."""

    path: Path
    prop: str
    reason: str


_CUSTOMISED = "the guest is configured anew at a start"
_FIXED = "it is fixed while a machine runs"

POWER_CYCLE: Sequence[PowerCycle] = (
    PowerCycle(("cpu", "count"), "numCPUs", "processors are fixed without hot-add"),
    PowerCycle(("cpu", "topology"), "numCoresPerSocket", _FIXED),
    PowerCycle(("cpu", "nested"), "nestedHVEnabled", _FIXED),
    PowerCycle(("cpu", "hotAdd"), "cpuHotAddEnabled", _FIXED),
    PowerCycle(("cpu", "max"), "cpuHotAddEnabled", _FIXED),
    PowerCycle(("memory", "size"), "memoryMB", "memory is fixed without hot-add"),
    PowerCycle(("memory", "max"), "memoryHotAddEnabled", _FIXED),
    PowerCycle(("memory", "hotAdd"), "memoryHotAddEnabled", _FIXED),
    PowerCycle(("firmware", "type"), "firmware", "the firmware is read at start"),
    PowerCycle(("firmware", "tpm"), "deviceChange (VirtualTPM)", "a TPM cannot be plugged in"),
    PowerCycle(("machineType",), "UpgradeVM_Task", "the hardware version is that of the start"),
    PowerCycle(("guestOs",), "guestId", _FIXED),
    PowerCycle(("disks", ANY, "bus"), "deviceChange (controllerKey)", "a disk keeps its place"),
    PowerCycle(("disks", ANY, "bootOrder"), "bootOptions.bootOrder", "it is read at start"),
    PowerCycle(("nics", ANY, "bootOrder"), "bootOptions.bootOrder", "it is read at start"),
    PowerCycle(("cdroms", ANY, "bootOrder"), "bootOptions.bootOrder", "it is read at start"),
    PowerCycle(("nics", ANY, "model"), "deviceChange (its type)", "a card keeps its model"),
    PowerCycle(("nics", ANY, "mac"), "macAddress", "a card keeps its address"),
    PowerCycle(("cdroms", ANY, "bus"), "deviceChange (controllerKey)", "a drive keeps its place"),
    PowerCycle(("cdroms", ANY), "deviceChange (VirtualCdrom)", "drives cannot be plugged in"),
    PowerCycle(("customization",), "CustomizeVM_Task", _CUSTOMISED),
)


def why_off(path: Path) -> str | None:
    """Why a machine has to be off for a change at this path; None if it need not be."""
    for row in POWER_CYCLE:
        if len(row.path) != len(path) and ANY in row.path:
            continue
        if len(path) >= len(row.path) and all(
            part in (ANY, here) for part, here in zip(row.path, path, strict=False)
        ):
            return row.reason
    return None
