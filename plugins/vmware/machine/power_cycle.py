"""What a running machine does not take: data, with where that is written. Pure. Called by
:mod:`~provisioner_plugins.vmware.machine.impact`.

A row is a field, or a field under a condition. The references are to the vSphere Web Services API
8.0 (VirtualMachineConfigSpec, the types that it holds, and the faults of ReconfigVM_Task), to
VMware vSphere Virtual Machine Administration 8.0, and to VMware's knowledge base (KB).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from provisioner.core.values import Path
from provisioner.providers.api import Change, Present
from provisioner_plugins.vmware.machine import conditions as when

ANY = "*"
"""Stands for the name of a device."""
Condition = Callable[[Present, Change], bool]


class PowerCycle(NamedTuple):
    """One row: a field's path in the spec, vSphere's property, why the machine has to be off (with
    the figures of :func:`~provisioner_plugins.vmware.machine.conditions.figures`), where that is
    written, and under which condition; None: always.
    """

    path: Path
    prop: str
    reason: str
    source: str
    condition: Condition | None = None


_SPEC = "VirtualMachineConfigSpec"
_STATE = "ReconfigVM_Task, InvalidPowerState: the change requires the machine to be powered off"
_CPU_FAULT = "ReconfigVM_Task, CpuHotPlugNotSupported"
_MEMORY_FAULT = "ReconfigVM_Task, MemoryHotPlugNotSupported"
_DEVICE_FAULT = "ReconfigVM_Task, DeviceHotPlugNotSupported"
_HOT_ADD = "{}: can only be set when the virtual machine is powered off"
_CPU_HOT_ADD = _HOT_ADD.format(f"{_SPEC}.cpuHotAddEnabled")
_MEMORY_HOT_ADD = _HOT_ADD.format(f"{_SPEC}.memoryHotAddEnabled")
_LIMIT = "VirtualMachineConfigInfo.hotPlugMemoryLimit"
_STEP = "VirtualMachineConfigInfo.hotPlugMemoryIncrementSize"
_BOOT = "VirtualMachineBootOptions.bootOrder: the devices that are used for booting"
_GUIDE = "Virtual Machine Administration"
_TOPOLOGY = "processors are put into sockets when it starts"
_ORDER = "the order of booting is read when it starts"
_FLAG = "hot-add is switched on and off while it is off"

POWER_CYCLE: Sequence[PowerCycle] = (
    PowerCycle(("cpu", "count"), "numCPUs", "cpu.hotAdd is off", _CPU_FAULT, when.lacks_hot_add),
    PowerCycle(
        ("cpu", "count"),
        "numCPUs",
        "processors cannot be taken away while it runs",
        f"{_SPEC}.cpuHotRemoveEnabled, which is left off",
        when.shrinks,
    ),
    PowerCycle(
        ("cpu", "count"),
        "numCPUs",
        "{after} processors are no whole sockets of the {cores} cores that it has in each",
        f"{_SPEC}.numCoresPerSocket; {_GUIDE}, Change CPU Hot Plug Settings",
        when.splits_a_socket,
    ),
    PowerCycle(("cpu", "topology", "sockets"), "numCoresPerSocket", _TOPOLOGY, _STATE),
    PowerCycle(("cpu", "topology", "cores"), "numCoresPerSocket", _TOPOLOGY, _STATE),
    PowerCycle(("cpu", "topology", "threads"), "numCoresPerSocket", _TOPOLOGY, _STATE),
    PowerCycle(
        ("cpu", "nested"),
        "nestedHVEnabled",
        "what its processors offer is fixed while it runs",
        f"{_GUIDE}, Expose VMware Hardware Assisted Virtualization: the machine is powered off",
    ),
    PowerCycle(("cpu", "hotAdd"), "cpuHotAddEnabled", _FLAG, _CPU_HOT_ADD),
    PowerCycle(("cpu", "max"), "cpuHotAddEnabled", _FLAG, _CPU_HOT_ADD, when.switches_hot_add),
    PowerCycle(
        ("memory", "size"), "memoryMB", "memory.hotAdd is off", _MEMORY_FAULT, when.lacks_hot_add
    ),
    PowerCycle(
        ("memory", "size"),
        "memoryMB",
        "memory cannot be taken away while it runs",
        _MEMORY_FAULT,
        when.shrinks,
    ),
    PowerCycle(
        ("memory", "size"),
        "memoryMB",
        "a Linux guest that has less than 3GiB cannot be given more than that while it runs",
        "KB, hot-add of memory: a Linux guest that was started with less than 3 GB",
        when.is_small_linux,
    ),
    PowerCycle(
        ("memory", "size"),
        "memoryMB",
        "since it was started it has room for {most} at most",
        f"{_LIMIT}; KB 2020846: 16 times what it was started with",
        when.exceeds_hot_add,
    ),
    PowerCycle(
        ("memory", "size"),
        "memoryMB",
        "while it runs memory is added in steps of {step}",
        _STEP,
        when.misses_step,
    ),
    PowerCycle(("memory", "hotAdd"), "memoryHotAddEnabled", _FLAG, _MEMORY_HOT_ADD),
    PowerCycle(
        ("memory", "max"), "memoryHotAddEnabled", _FLAG, _MEMORY_HOT_ADD, when.switches_hot_add
    ),
    PowerCycle(
        ("firmware", "type"),
        "bootOptions.efiSecureBootEnabled",
        "Secure Boot is switched on and off while it is off",
        f"{_GUIDE}, Enable or Disable UEFI Secure Boot: the machine is powered off",
        when.is_secure_boot,
    ),
    PowerCycle(
        ("firmware", "type"), "firmware", "it runs on the firmware that it started with", _STATE
    ),
    PowerCycle(
        ("firmware", "tpm"),
        "deviceChange (VirtualTPM)",
        "a TPM is plugged in while it is off",
        f"{_GUIDE}, Add a Virtual Trusted Platform Module: the machine is powered off",
        when.is_added,
    ),
    PowerCycle(
        ("firmware", "tpm"),
        "deviceChange (VirtualTPM)",
        "a TPM is taken away while it is off",
        f"{_GUIDE}, Remove a Virtual Trusted Platform Module: the machine is powered off",
        when.is_removed,
    ),
    PowerCycle(
        ("machineType",),
        "UpgradeVM_Task",
        "a hardware version is raised while it is off",
        "UpgradeVM_Task, InvalidPowerState: the machine is not powered off",
    ),
    PowerCycle(("guestOs",), "guestId", "its system is said while it is off", _STATE),
    PowerCycle(
        ("disks", ANY),
        "deviceChange (VirtualDisk)",
        "an IDE disk cannot be plugged in while it runs",
        _DEVICE_FAULT,
        lambda observed, change: when.is_ide(observed, change) and change.before is None,
    ),
    PowerCycle(
        ("disks", ANY),
        "deviceChange (VirtualDisk)",
        "an IDE disk cannot be taken away while it runs",
        _DEVICE_FAULT,
        lambda observed, change: when.is_ide(observed, change) and change.after is None,
    ),
    PowerCycle(
        ("disks", ANY, "bus"),
        "deviceChange (controllerKey)",
        "a disk stays where it is plugged in while it runs",
        _STATE,
    ),
    PowerCycle(("disks", ANY, "bootOrder"), "bootOptions.bootOrder", _ORDER, _BOOT),
    PowerCycle(
        ("nics", ANY, "model"),
        "deviceChange (its type)",
        "a card keeps its model while it runs",
        "VirtualDeviceConfigSpec.operation: an edit does not change the type of a device",
    ),
    PowerCycle(
        ("nics", ANY, "mac"),
        "deviceChange (macAddress)",
        "a card keeps its address while it runs",
        f"VirtualEthernetCard.macAddress; {_STATE}",
    ),
    PowerCycle(("nics", ANY, "bootOrder"), "bootOptions.bootOrder", _ORDER, _BOOT),
    PowerCycle(
        ("cdroms", ANY),
        "deviceChange (VirtualCdrom)",
        "a CD drive cannot be plugged in while it runs",
        f"{_DEVICE_FAULT}; {_GUIDE}, Add or Modify a Virtual Machine CD or DVD Drive",
        when.is_added,
    ),
    PowerCycle(
        ("cdroms", ANY),
        "deviceChange (VirtualCdrom)",
        "a CD drive cannot be taken away while it runs",
        _DEVICE_FAULT,
        when.is_removed,
    ),
    PowerCycle(
        ("cdroms", ANY, "bus"),
        "deviceChange (controllerKey)",
        "a drive stays where it is plugged in while it runs",
        _STATE,
    ),
    PowerCycle(("cdroms", ANY, "bootOrder"), "bootOptions.bootOrder", _ORDER, _BOOT),
    PowerCycle(
        ("customization",),
        "CustomizeVM_Task",
        "the guest is configured anew at a start",
        "CustomizeVM_Task, InvalidPowerState: the machine is not powered off",
    ),
    PowerCycle(
        ("native",),
        "extraConfig",
        "most keys of the extra configuration count from the next start",
        f"{_SPEC}.extraConfig; {_GUIDE}, Configure Virtual Machine Advanced File Parameters",
        when.has_other_keys,
    ),
)


def is_fixed(path: Path) -> bool:
    """Whether a running machine may refuse a change at this path."""
    return any(_is_about(row, path) for row in POWER_CYCLE)


def why_off(observed: Present, change: Change) -> str | None:
    """Why a machine that runs has to be off for a change; None if it takes it as it is."""
    for row in POWER_CYCLE:
        if _is_about(row, change.path) and (
            row.condition is None or row.condition(observed, change)
        ):
            return row.reason.format_map(when.figures(observed, change))
    return None


def _is_about(row: PowerCycle, path: Path) -> bool:
    """A row about a device is about this field of it alone; any other one about all that is below,
    and about the whole section that a field is in.
    """
    if ANY in row.path and len(row.path) != len(path):
        return False
    return all(part in (ANY, here) for part, here in zip(row.path, path, strict=False))
