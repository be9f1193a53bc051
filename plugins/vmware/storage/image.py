"""What can be said of an Image without an endpoint: its canonical form and the impact of changes.
Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from provisioner.core.actions import Impact
from provisioner.core.diagnostics import Diagnostic, ProvisionerError
from provisioner.providers.api import Assessment, Change, Present, Resource
from provisioner_plugins.vmware.flavour import ESXI, VCENTER, Flavour
from provisioner_plugins.vmware.refusal import unusable
from provisioner_plugins.vmware.storage.rules import without_marks

TEMPLATE, OVA, ISO = "template", "ova", "iso"
_LIBRARY_ITEM = "libraryItem"
_TEMPLATES_ARE_OF_VCENTER = "only a vCenter has templates, and clones them"
_LATER: Mapping[str, tuple[str, str]] = {
    "qcow2": (
        "vSphere reads no qcow2",
        "Convert it and write format: vmdk: qemu-img convert -O vmdk -o "
        "subformat=streamOptimized IN OUT",
    ),
}


class ImageRules:
    """Rules of the kind Image. vSphere keeps no metadata of files: labels and tenant have no
    place.
    """

    kind = "Image"
    flavours = (VCENTER, ESXI)
    unmarked = (VCENTER, ESXI)

    def normalise(self, resource: Resource, flavour: Flavour) -> Mapping[str, Any]:
        """See :class:`~provisioner_plugins.vmware.handler.KindRules`."""
        spec = without_marks(resource.spec)
        problems = [*_problems(spec, flavour)]
        if problems:
            raise ProvisionerError(problems)
        return spec

    def impact(
        self, resource: Resource, observed: Present, changes: Sequence[Change]
    ) -> Sequence[Assessment]:
        """See :class:`~provisioner_plugins.vmware.handler.KindRules`."""
        del resource, observed
        return [_assess(change) for change in changes]


def is_template(resource: Resource) -> bool:
    """Whether an Image is a machine of the inventory from which others are cloned."""
    return resource.spec.get("format") in (TEMPLATE, OVA)


def is_made_template(resource: Resource) -> bool:
    """Whether it is one that is made for the Image."""
    form = resource.spec.get("format")
    return form == OVA or (form == TEMPLATE and is_library_item(resource))


def is_library_item(resource: Resource) -> bool:
    """Whether an Image is an item of a content library, or made of one."""
    return _LIBRARY_ITEM in resource.spec.get("source", {})


def _problems(spec: Mapping[str, Any], flavour: Flavour) -> Iterator[Diagnostic]:
    form, source = spec["format"], spec["source"]
    if form in _LATER:
        yield unusable(("format",), *_LATER[form])
    if _LIBRARY_ITEM in source:
        yield from _problems_of_item(spec, flavour)
        return
    if form == TEMPLATE and flavour is ESXI:
        yield unusable(
            ("format",),
            _TEMPLATES_ARE_OF_VCENTER,
            "Upload a disk image with source.file, in the format vmdk or raw.",
        )
    elif form == OVA and flavour is ESXI:
        yield unusable(
            ("format",),
            f"an appliance becomes a template, and {_TEMPLATES_ARE_OF_VCENTER}",
            "Unpack it (tar -xf FILE.ova), and upload its disk with source.file, in the format "
            "vmdk.",
        )
    elif form == OVA and "volume" in source:
        yield unusable(
            ("source", "volume"),
            "an appliance is imported from a file on this machine",
            "Write source.file.",
        )
    if form == TEMPLATE and "checksum" in spec:
        yield unusable(("checksum",), "a template is no file", "Leave it out.")
    if form == "vmdk" and "volume" in source and "checksum" in spec:
        yield unusable(
            ("checksum",),
            "a VMDK on a datastore is no longer the file that it was made of",
            "Leave it out, or compare the data of the disk: format: raw.",
        )


def _problems_of_item(spec: Mapping[str, Any], flavour: Flavour) -> Iterator[Diagnostic]:
    if flavour is ESXI:
        yield unusable(
            ("source", _LIBRARY_ITEM),
            "an ESXi host has no content libraries",
            "Upload a CD or disk image with source.file, or name one on the datastore with "
            "source.volume.",
        )
    elif spec["format"] not in (TEMPLATE, ISO):
        yield unusable(
            ("format",),
            "an item of a content library becomes a template, or is a CD image",
            "Write template or iso.",
        )
    elif "checksum" in spec:
        yield unusable(
            ("checksum",),
            "the library has the checksums of its items, and looks after them",
            "Leave it out.",
        )


def _assess(change: Change) -> Assessment:
    if change.path == ("retention",):
        return Assessment(Impact.NONE)
    if change.path == ("checksum",) and change.after is None:
        return Assessment(Impact.NONE, "the image stays and its checksum is no longer asked for")
    return Assessment(Impact.REPLACE, "another image is uploaded")
