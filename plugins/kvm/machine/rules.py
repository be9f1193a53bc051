"""What can be said of a VirtualMachine without a host: its canonical form, what contradicts it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from provisioner.core.diagnostics import Diagnostic, ProvisionerError
from provisioner.providers.api import Assessment, Change, Present, Resource
from provisioner_plugins._libvirt.edits import is_known, with_text
from provisioner_plugins._libvirt.native import PROVIDER, merge_all
from provisioner_plugins._libvirt.refusal import not_carried, unusable
from provisioner_plugins._libvirt.xml import copied
from provisioner_plugins.kvm.bindings import Bindings
from provisioner_plugins.kvm.domain import document, native
from provisioner_plugins.kvm.domain.choices import asked_for
from provisioner_plugins.kvm.domain.document import Surroundings
from provisioner_plugins.kvm.domain.firmware import default_machine, family
from provisioner_plugins.kvm.machine.fragments import cards_missing, sums_differing
from provisioner_plugins.kvm.machine.impact import assess
from provisioner_plugins.kvm.machine.refused import REFUSED
from provisioner_plugins.kvm.machine.seed_pool import seed_pool

_WITHOUT_PCI = frozenset({"microvm", "isapc", "none"})


class MachineRules:
    """Rules of the kind VirtualMachine."""

    kind = "VirtualMachine"

    def normalise(self, resource: Resource) -> Mapping[str, Any]:
        """See :class:`~provisioner_plugins._libvirt.handler.KindRules`."""
        spec = dict(resource.spec)
        console = spec.get("console", {})
        if console.get("graphics", "none") == "none" and "listen" in console:
            # Without a graphical console there is nothing that listens.
            spec["console"] = {key: console[key] for key in console if key != "listen"}
        if "description" in spec:
            spec = with_text(spec, "description", str.strip)
        if "cmdline" in spec.get("boot", {}):
            spec["boot"] = with_text(spec["boot"], "cmdline", _one_line)
        if "native" in spec:
            own = {key: value for key, value in spec["native"].items() if key == PROVIDER}
            spec["native"] = own
        problems = [*_problems(spec, resource)]
        if problems:
            raise ProvisionerError(problems)
        if spec.get("native"):
            _check_native(resource, spec)
        return spec

    def impact(
        self, resource: Resource, observed: Present, changes: Sequence[Change]
    ) -> Sequence[Assessment]:
        """See :class:`~provisioner_plugins._libvirt.handler.KindRules`."""
        return assess(resource, observed, changes)


def _one_line(text: str) -> str:
    """A kernel command line as one line, in which it means the same."""
    return " ".join(text.split("\n")).strip()


def _check_native(resource: Resource, spec: Mapping[str, Any]) -> None:
    """Raise ProvisionerError (PRV2501) for a fragment that contradicts what the spec makes."""
    hardware = {key: value for key, value in spec.items() if key != "cloudInit"}
    if not is_known(hardware):
        return
    around = Surroundings(Bindings(resource.related))
    made = asked_for(resource.name, resource.uid, hardware, around)
    merge_all(copied(made), spec, native.SECTION, native.IDENTIFY)
    texts = document.fragments(spec)
    problems = [*cards_missing(made, texts), *sums_differing(spec, texts)]
    if problems:
        raise ProvisionerError(problems)


def _problems(spec: Mapping[str, Any], resource: Resource) -> Iterator[Diagnostic]:
    yield from not_carried(spec, REFUSED)
    yield from _board_problems(spec)
    section = spec.get("cloudInit", {})
    if "cloudInit" in spec and is_known(section.get("pool")) and seed_pool(resource) is None:
        yield unusable(
            ("cloudInit",),
            "its medium needs a storage pool that can hold a file, and "
            + (
                f"{section['pool']} is no such pool of this host"
                if "pool" in section
                else "no disk of the machine is in one"
            ),
            "Write the name of a StoragePool on this host into cloudInit.pool.",
        )


def _board_problems(spec: Mapping[str, Any]) -> Iterator[Diagnostic]:
    machine = spec.get("machineType", default_machine(spec))
    if not isinstance(machine, str):
        return
    board = family(machine)
    if board in _WITHOUT_PCI:
        yield unusable(
            ("machineType",),
            f"{machine} has no PCI bus, into which disks, network cards and the memory balloon of "
            "a machine are plugged",
            "Use q35 or pc, or leave machineType out.",
        )
        return
    firmware = spec.get("firmware", {}).get("type", "bios")
    if firmware == "uefi-secure" and board == "pc":
        yield unusable(
            ("firmware", "type"),
            "Secure Boot needs the machine type q35; this machine is a pc"
            + ("" if "machineType" in spec else " because it has IDE devices"),
            "Use machineType q35, and no devices on the bus ide.",
        )
    for name, disk in spec.get("disks", {}).items():
        if disk.get("readOnly") is True and disk.get("bus") in ("sata", "ide"):
            yield unusable(
                ("disks", name, "readOnly"),
                f"QEMU has no read-only disks on the bus {disk['bus']}",
                "Use the bus virtio or scsi.",
            )
    if board == "pc":
        return
    for kind in ("disks", "cdroms"):
        for name, device in spec.get(kind, {}).items():
            if device.get("bus") == "ide":
                yield unusable(
                    (kind, name, "bus"),
                    f"the machine type {machine} has no IDE",
                    "Use the bus sata, or machineType pc.",
                )
