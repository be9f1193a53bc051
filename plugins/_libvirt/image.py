"""What can be said of an Image without an endpoint: its canonical form and the impact of changes.
Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from provisioner.core.actions import Impact
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error
from provisioner.providers.api import Assessment, Change, Present, Resource
from provisioner_plugins._libvirt.refusal import Cannot, not_carried
from provisioner_plugins._libvirt.volume import pool_type

FILE_POOLS = ("dir", "netfs", None)
"""Pools that take files; None: the stack does not tell."""

_CONVERT = "qemu-img convert -O qcow2 IN OUT"
_NOT_HERE = "libvirt knows volumes, and no whole machines to copy"
_UPLOAD = "Upload a disk image with source.file, in the format qcow2 or raw."
REFUSED = (
    Cannot(
        ("format",),
        "images of kvm are qcow2, raw or iso",
        f"Convert it and write format: qcow2: {_CONVERT}",
        ("vmdk",),
    ),
    Cannot(
        ("format",),
        "an OVA is an archive with a whole machine in it, and libvirt imports none",
        f"Unpack it (tar -xf), convert its disk, and write format: qcow2: {_CONVERT}",
        ("ova",),
    ),
    Cannot(("format",), _NOT_HERE, _UPLOAD, ("template",)),
    Cannot(("source", "template"), _NOT_HERE, _UPLOAD),
    Cannot(("source", "libraryItem"), "libvirt has no content libraries", _UPLOAD),
)


class ImageRules:
    """Rules of the kind Image. libvirt keeps no metadata of volumes: labels and tenant have no
    place.
    """

    kind = "Image"

    def normalise(self, resource: Resource) -> Mapping[str, Any]:
        """See :class:`~provisioner_plugins._libvirt.handler.KindRules`."""
        spec = {k: v for k, v in resource.spec.items() if k not in ("labels", "tenant")}
        problems: list[Diagnostic] = [*not_carried(spec, REFUSED)]
        if problems:
            raise ProvisionerError(problems)
        kind = pool_type(resource)
        if "file" in spec["source"] and kind not in FILE_POOLS:
            raise ProvisionerError(
                error(
                    "PRV2504",
                    f"an image cannot be uploaded into a pool of type {kind}",
                    detail="The proof that an image is whole is a file beside it.",
                    hint="Keep images in a pool of type dir or netfs; a Disk in another pool can "
                    "be a full clone of them (clone: full, format: raw).",
                    path=("pool",),
                )
            )
        return spec

    def impact(
        self, resource: Resource, observed: Present, changes: Sequence[Change]
    ) -> Sequence[Assessment]:
        """See :class:`~provisioner_plugins._libvirt.handler.KindRules`."""
        del resource, observed
        return [_assess(change) for change in changes]


def _assess(change: Change) -> Assessment:
    if change.path == ("retention",):
        return Assessment(Impact.NONE)
    if change.path == ("checksum",) and change.after is None:
        return Assessment(Impact.NONE, "the image stays and its checksum is no longer asked for")
    return Assessment(
        Impact.REPLACE,
        "another image is uploaded; the old one stays as long as linked clones need it",
    )
