"""What can be said of a Disk without an endpoint: its canonical form and the impact of changes.
Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from provisioner.core.actions import Impact
from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, ProvisionerError
from provisioner.core.units import format_size
from provisioner.providers.api import Assessment, Change, Present, Resource
from provisioner_plugins.vmware.flavour import ESXI, VCENTER, Flavour
from provisioner_plugins.vmware.refusal import out_of_range, unusable
from provisioner_plugins.vmware.storage.rules import own_native, without_marks, without_native

FORMAT = "vmdk"
IMAGE_FORMATS = ("vmdk", "raw")
"""Formats of images that a disk can start from."""
_KIB = 1024
_LARGEST = 62 * 2**40
_MAXIMUMS = "VMware vSphere 8 Configuration Maximums, virtual disk"
_API = "vSphere Web Services API, FileBackedVirtualDiskSpec.capacityKb"
_GROWS = "vSphere Web Services API, ExtendVirtualDisk_Task"
_TAKEN_AT_ONCE = ("lazy", "full")


class DiskRules:
    """Rules of the kind Disk. vSphere keeps no metadata of files: labels and tenant have no
    place.
    """

    kind = "Disk"
    flavours = (VCENTER, ESXI)
    unmarked = (VCENTER, ESXI)

    def normalise(self, resource: Resource, flavour: Flavour) -> Mapping[str, Any]:
        """See :class:`~provisioner_plugins.vmware.handler.KindRules`."""
        spec = without_marks(resource.spec)
        problems = [*own_native(spec, flavour), *_problems(resource, spec, flavour)]
        if problems:
            raise ProvisionerError(problems)
        return without_native(spec)

    def impact(
        self, resource: Resource, observed: Present, changes: Sequence[Change]
    ) -> Sequence[Assessment]:
        """See :class:`~provisioner_plugins.vmware.handler.KindRules`."""
        del resource
        return [_assess(change, observed) for change in changes]


def _problems(
    resource: Resource, spec: Mapping[str, Any], flavour: Flavour
) -> Iterator[Diagnostic]:
    if spec.get("format", FORMAT) != FORMAT:
        yield unusable(
            ("format",),
            "the disks of vSphere are VMDK files",
            "Leave format out: each provider then keeps its own.",
        )
    if spec.get("clone") == "linked":
        yield unusable(
            ("clone",),
            "vSphere has no disk by itself that holds only the differences to another",
            "Write clone: full, or have the machine be a linked clone of a template "
            "(clone.image and clone.mode of the VirtualMachine).",
        )
    if flavour is VCENTER and "image" in spec and spec.get("preallocation") in _TAKEN_AT_ONCE:
        yield unusable(
            ("preallocation",),
            "a vCenter copies an image as its hosts have it, and takes no wish for the copy "
            "(vSphere Web Services API, CopyVirtualDisk_Task, destSpec)",
            "Leave it out; only an empty disk is made like that.",
        )
    image = resource.related.get(Address("Image", str(spec.get("image"))))
    kind = None if image is None else image.spec.get("format")
    if kind is not None and kind not in IMAGE_FORMATS:
        yield unusable(
            ("image",),
            f"an image of the format {kind} is no disk",
            "Use an image of the format vmdk or raw; a template is cloned with its machine "
            "(clone.image of the VirtualMachine).",
        )
    size = spec.get("size")
    if isinstance(size, int) and (size % _KIB or size <= 0):
        limit = "It takes whole kibibytes, and at least one"
        yield out_of_range(("size",), format_size(size), limit, _API)
    if isinstance(size, int) and size > _LARGEST:
        limit = f"It takes {format_size(_LARGEST)} at most"
        yield out_of_range(("size",), format_size(size), limit, _MAXIMUMS)


def _assess(change: Change, observed: Present) -> Assessment:
    match change.path:
        case ("retention" | "preallocation" | "clone", *_):
            return Assessment(Impact.NONE)
        case ("size",):
            return _assess_size(change, observed)
        case ("pool",):
            return Assessment(
                Impact.DATA_LOSS, "a disk is not moved to another datastore: it is made anew there"
            )
        case ("image", *_):
            return Assessment(
                Impact.DATA_LOSS, "a disk starts from an image once: it is made anew from it"
            )
    return Assessment(Impact.DATA_LOSS, "the file is made anew")


def _assess_size(change: Change, observed: Present) -> Assessment:
    before, after = observed.spec.get("size"), change.after
    if after is None:
        return Assessment(Impact.NONE, "the disk keeps the size it has")
    if not isinstance(before, int) or not isinstance(after, int):
        return Assessment(Impact.LIVE)
    if after < before:
        return Assessment(
            Impact.DATA_LOSS,
            f"write size: {format_size(before)} to keep the disk as it is; it cannot shrink "
            f"({_GROWS}): with {format_size(after)} it is made anew and its data is lost",
        )
    return Assessment(Impact.LIVE)
