"""What can be said of a VirtualMachine without an endpoint: its canonical form, what no vSphere
takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from provisioner.core.diagnostics import Diagnostic, ProvisionerError
from provisioner.core.values import Path, get_path
from provisioner.providers.api import Assessment, Change, Present, Resource
from provisioner_plugins.vmware.flavour import ESXI, VCENTER, Flavour
from provisioner_plugins.vmware.machine import customization
from provisioner_plugins.vmware.machine.extra import contradictions
from provisioner_plugins.vmware.machine.impact import assess
from provisioner_plugins.vmware.machine.limits import beyond
from provisioner_plugins.vmware.machine.rooms import PARAVIRTUAL_BUS
from provisioner_plugins.vmware.refusal import unusable

PARAVIRTUAL_CARD = "vmxnet3"
_PORTABLE = "virtio"
"""The word of portable manifests for whatever the hypervisor's own paravirtual devices are."""

WITHOUT: Sequence[tuple[Path, object, str, str]] = (
    (
        ("cpu", "model"),
        None,
        "a machine sees the processor of its host; a cluster decides how far down",
        "Set evcMode of the Cluster.",
    ),
    (("boot",), None, "a machine starts from its firmware", "Put the kernel on a disk or a CD."),
    (
        ("console", "serial"),
        True,
        "a serial port needs a file or a service that it leads to",
        "Leave it out, or write serial0.* keys into native.vcenter.extraConfig.",
    ),
    (
        ("console", "graphics"),
        "vnc",
        "ESXi 7 and later have no VNC server",
        "Leave it out: vSphere's own console is always there.",
    ),
    (
        ("console", "graphics"),
        "spice",
        "ESXi has no SPICE",
        "Leave it out: vSphere's own console is always there.",
    ),
    (("console", "listen"), None, "its console is that of vCenter", "Leave it out."),
    (
        ("placement", "clusterHost"),
        None,
        "a cluster moves its machines between its hosts as it needs",
        "Write a PlacementRule of the type run-on.",
    ),
    (
        ("guestAgent",),
        False,
        "the channel to VMware Tools is part of every machine",
        "Leave it out.",
    ),
    (
        ("autostart",),
        True,
        "the order in which an ESXi host starts machines is not managed here",
        "Use high availability of the cluster (ha.enabled).",
    ),
)
"""Fields, the value that is refused (None: any), why, and what to do."""
_BOOTABLE = ("disks", "nics", "cdroms")
OF_DISKS = (
    ("cache", None, "ESXi does not cache disks", "Leave it out."),
    ("serial", None, "a disk's serial number is vSphere's", "Set disk.EnableUUID in native."),
    ("readOnly", True, "vSphere's disks can be written", "Leave it out."),
)


class MachineRules:
    """Rules of the kind VirtualMachine."""

    kind = "VirtualMachine"
    flavours = (VCENTER, ESXI)
    unmarked: Sequence[Flavour] = ()

    def normalise(self, resource: Resource, flavour: Flavour) -> Mapping[str, Any]:
        """See :class:`~provisioner_plugins.vmware.handler.KindRules`."""
        spec = dict(resource.spec)
        if "disks" in spec:
            spec["disks"] = _renamed(spec["disks"], "bus", PARAVIRTUAL_BUS)
        if "nics" in spec:
            spec["nics"] = _renamed(spec["nics"], "model", PARAVIRTUAL_CARD)
        if isinstance(spec.get("description"), str) and not spec["description"]:
            del spec["description"]
        if "pool" in spec.get("cloudInit", {}):
            # The data lie in the machine's own configuration, not on a disk.
            section = spec["cloudInit"]
            spec["cloudInit"] = {key: section[key] for key in section if key != "pool"}
        spec = _with_ranks(spec)
        if "native" in spec:
            own = {key: part for key, part in spec["native"].items() if key == flavour.name}
            spec["native"] = own
        problems = [
            *_problems(spec, flavour),
            *customization.problems(spec, flavour),
            *beyond(spec),
            *contradictions(spec, flavour.name),
        ]
        if problems:
            raise ProvisionerError(problems)
        return spec

    def impact(
        self, resource: Resource, observed: Present, changes: Sequence[Change]
    ) -> Sequence[Assessment]:
        """See :class:`~provisioner_plugins.vmware.handler.KindRules`."""
        return assess(resource, observed, changes)


def _renamed(devices: Mapping[str, Any], field: str, word: str) -> dict[str, Any]:
    """Devices with the portable word for a paravirtual one as vSphere's own."""
    return {
        name: {**device, field: word} if device.get(field) == _PORTABLE else device
        for name, device in devices.items()
    }


def _with_ranks(spec: dict[str, Any]) -> dict[str, Any]:
    """Places in the order of booting as 1, 2, 3: an endpoint keeps the order, not the numbers."""
    devices = [
        (section, name, device["bootOrder"])
        for section in _BOOTABLE
        for name, device in spec.get(section, {}).items()
        if isinstance(device.get("bootOrder"), int)
    ]
    ranks = {
        place: number
        for number, place in enumerate(sorted({place for _, _, place in devices}), start=1)
    }
    for section, name, place in devices:
        ranked = {**spec[section][name], "bootOrder": ranks[place]}
        spec[section] = {**spec[section], name: ranked}
    return spec


def _problems(spec: Mapping[str, Any], flavour: Flavour) -> Iterator[Diagnostic]:
    for path, refused, why, hint in WITHOUT:
        found = get_path(spec, path)
        if found is not None and (refused is None or found == refused):
            yield unusable(path, why, hint)
    for name, disk in spec.get("disks", {}).items():
        for field, refused, why, hint in OF_DISKS:
            if field in disk and (refused is None or disk[field] == refused):
                yield unusable(("disks", name, field), why, hint)
    for name, card in spec.get("nics", {}).items():
        if "address" in card:
            yield unusable(
                ("nics", name, "address"),
                "vSphere's networks have no DHCP service",
                "Give the address through customization or cloudInit.networkConfig.",
            )
        if card.get("model") == "rtl8139":
            yield unusable(
                ("nics", name, "model"), "vSphere has no such card", "Use vmxnet3 or e1000e."
            )
    if "clone" in spec and flavour is ESXI:
        yield unusable(
            ("clone",),
            "only a vCenter clones machines",
            "Copy an Image (Disk.image), or manage the host through its vCenter.",
        )
    yield from _cpu_problems(spec.get("cpu", {}))
    yield from _tpm_problems(spec.get("firmware", {}), flavour)
    drives = [name for name, box in spec.get("cdroms", {}).items() if "bootOrder" in box]
    if len(drives) > 1:
        yield unusable(
            ("cdroms", drives[1], "bootOrder"),
            "vSphere has one place in the order for all CD drives together",
            "Write bootOrder for one of them.",
        )


def _tpm_problems(firmware: Mapping[str, Any], flavour: Flavour) -> Iterator[Diagnostic]:
    if firmware.get("tpm") is not True:
        return
    if flavour is ESXI:
        yield unusable(
            ("firmware", "tpm"),
            "a virtual TPM needs a key provider, which only a vCenter has",
            "Leave it out, or manage the host through its vCenter.",
        )
    elif firmware.get("type", "bios") == "bios":
        yield unusable(
            ("firmware", "tpm"), "a virtual TPM needs UEFI", "Write firmware.type: uefi."
        )


def _cpu_problems(cpu: Mapping[str, Any]) -> Iterator[Diagnostic]:
    topology = cpu.get("topology")
    if isinstance(topology, Mapping) and topology.get("threads", 1) != 1:
        yield unusable(
            ("cpu", "topology", "threads"),
            "a virtual processor of vSphere has one thread",
            "Write threads: 1, and more cores.",
        )
    count, cores = cpu.get("count", 1), (topology or {}).get("cores", 1)
    if isinstance(count, int) and isinstance(cores, int) and count % cores:
        yield unusable(
            ("cpu", "topology", "cores"),
            f"a machine has whole sockets, and {count} processors are no multiple of {cores} cores",
            "Choose cpu.count as a multiple of the cores.",
        )
