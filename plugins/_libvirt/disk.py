"""What can be said of a Disk without an endpoint: its canonical form and the impact of changes.
Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from provisioner.core.actions import Impact
from provisioner.core.diagnostics import Diagnostic, ProvisionerError
from provisioner.core.units import format_size
from provisioner.providers.api import Assessment, Change, Present, Resource
from provisioner_plugins._libvirt.edits import is_known
from provisioner_plugins._libvirt.native import merge_all
from provisioner_plugins._libvirt.refusal import Cannot, not_carried, unusable
from provisioner_plugins._libvirt.volume import SECTOR, build, pool_type

DEFAULT_FORMAT = "qcow2"

_CODE = "PRV2505"
_unusable = partial(unusable, code=_CODE)
REFUSED = (
    Cannot(
        ("format",),
        "disks of kvm are qcow2 or raw",
        "Use qcow2 or raw, or leave format out: each provider then keeps its own.",
        ("vmdk",),
    ),
    Cannot(
        ("preallocation",),
        "libvirt writes what it takes in advance",
        "Use full, or none to take space only as it is written.",
        ("lazy",),
    ),
)


class DiskRules:
    """Rules of the kind Disk. libvirt keeps no metadata of volumes: labels and tenant have no
    place.
    """

    kind = "Disk"

    def normalise(self, resource: Resource) -> Mapping[str, Any]:
        """See :class:`~provisioner_plugins._libvirt.handler.KindRules`."""
        spec = {k: v for k, v in resource.spec.items() if k not in ("labels", "tenant")}
        problems = [*_problems(spec, pool_type(resource))]
        if problems:
            raise ProvisionerError(problems)
        if is_known(spec):
            merge_all(build("disk", spec.get("size", 0), format_of(spec)), spec, "volume")
        return spec

    def impact(
        self, resource: Resource, observed: Present, changes: Sequence[Change]
    ) -> Sequence[Assessment]:
        """See :class:`~provisioner_plugins._libvirt.handler.KindRules`."""
        return [_assess(change, pool_type(resource), observed) for change in changes]


def format_of(spec: Mapping[str, Any]) -> str:
    """The format that is wanted."""
    return str(spec.get("format", DEFAULT_FORMAT))


def is_linked(spec: Mapping[str, Any]) -> bool:
    """Whether the disk holds only what differs from its image."""
    return "image" in spec and spec.get("clone", "linked") == "linked"


def _problems(spec: Mapping[str, Any], kind: str | None) -> Iterator[Diagnostic]:
    yield from not_carried(spec, REFUSED, _CODE)
    if kind == "iscsi":
        yield _unusable(
            ("pool",),
            "the units of an iSCSI target are made on the server, not through libvirt",
            "Use a pool of type dir, netfs or logical.",
        )
    if kind == "logical" and format_of(spec) != "raw":
        yield _unusable(
            ("format",), "a logical volume holds a raw disk", "Write format: raw (and clone: full)."
        )
    if format_of(spec) == "raw" and is_linked(spec):
        yield _unusable(
            ("clone",),
            "a raw disk cannot be a linked clone",
            "Write clone: full, or format: qcow2.",
        )
    if is_linked(spec) and spec.get("preallocation", "none") != "none":
        yield _unusable(
            ("preallocation",),
            "a linked clone takes its unwritten parts from the image",
            "Remove it, or write clone: full.",
        )
    size = spec.get("size")
    if isinstance(size, int) and (size % SECTOR or size == 0):
        yield _unusable(
            ("size",),
            f"{size} bytes are not a whole number of sectors of {SECTOR} bytes",
            f"Use {format_size((size // SECTOR + 1) * SECTOR)}.",
        )


def _assess(change: Change, kind: str | None, observed: Present) -> Assessment:
    match change.path:
        case ("retention" | "preallocation", *_):
            return Assessment(Impact.NONE)
        case ("size",):
            return _assess_size(change, kind, observed)
        case ("pool",):
            return Assessment(
                Impact.DATA_LOSS, "libvirt cannot move a volume to another pool: it is made anew"
            )
        case ("image" | "clone", *_):
            return Assessment(
                Impact.DATA_LOSS, "a disk starts from an image once: it is made anew from it"
            )
    return Assessment(Impact.DATA_LOSS, "the volume is made anew")


def _assess_size(change: Change, kind: str | None, observed: Present) -> Assessment:
    before, after = observed.spec.get("size"), change.after
    if after is None:
        return Assessment(Impact.NONE, "the disk keeps the size it has")
    if not isinstance(before, int) or not isinstance(after, int):
        return Assessment(Impact.LIVE)
    if after < before:
        return Assessment(
            Impact.DATA_LOSS,
            f"write size: {format_size(before)} to keep the disk as it is; it cannot shrink: with "
            f"{format_size(after)} it is made anew and its data is lost",
        )
    if kind == "logical":
        return Assessment(
            Impact.DATA_LOSS, "libvirt cannot enlarge a logical volume: it is made anew"
        )
    return Assessment(Impact.LIVE)
