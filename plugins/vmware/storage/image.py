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

TEMPLATE, OVA = "template", "ova"
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
    return resource.spec.get("format") == OVA


def _problems(spec: Mapping[str, Any], flavour: Flavour) -> Iterator[Diagnostic]:
    form, source = spec["format"], spec["source"]
    if form in _LATER:
        yield unusable(("format",), *_LATER[form])
    if "libraryItem" in source:
        yield unusable(
            ("source", "libraryItem"),
            "items of content libraries are not used",
            "Deploy it once as a template, and use source.template.",
        )
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
    if form == "vmdk" and "volume" in source and "checksum" in spec:
        yield unusable(
            ("checksum",),
            "a VMDK on a datastore is no longer the file that it was made of",
            "Leave it out, or compare the data of the disk: format: raw.",
        )


def _assess(change: Change) -> Assessment:
    if change.path == ("retention",):
        return Assessment(Impact.NONE)
    if change.path == ("checksum",) and change.after is None:
        return Assessment(Impact.NONE, "the image stays and its checksum is no longer asked for")
    return Assessment(Impact.REPLACE, "another image is uploaded")
