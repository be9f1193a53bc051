"""What can be said of a StoragePool without an endpoint: its canonical form and the impact of
changes. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from provisioner.core.actions import Impact
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error
from provisioner.providers.api import Assessment, Change, Present, Resource
from provisioner_plugins._libvirt.edits import is_known
from provisioner_plugins._libvirt.native import merge_all
from provisioner_plugins._libvirt.pool_xml import IDENTIFY, build, clean_path, target_path
from provisioner_plugins._libvirt.refusal import Cannot, inventory_fields, not_carried

REFUSED = (
    *inventory_fields("datacenter", "folder", "hosts"),
    Cannot(
        ("type",),
        "VMFS is a file system of vSphere",
        "Use a pool of type dir, netfs, logical or iscsi.",
        ("vmfs",),
    ),
    Cannot(
        ("type",),
        "libvirt does not put pools together",
        "Use its members: name one of them as the pool of each disk.",
        ("cluster",),
    ),
)


class PoolRules:
    """Rules of the kind StoragePool. libvirt keeps no metadata of pools: labels and tenant have
    no place.
    """

    kind = "StoragePool"

    def normalise(self, resource: Resource) -> Mapping[str, Any]:
        """See :class:`~provisioner_plugins._libvirt.handler.KindRules`."""
        spec = {k: v for k, v in resource.spec.items() if k not in ("labels", "tenant")}
        if isinstance(spec.get("path"), str):
            spec["path"] = clean_path(spec["path"])
        problems = [*_problems(spec)]
        if problems:
            raise ProvisionerError(problems)
        if not is_known(spec):
            return spec
        merge_all(build(resource.name, resource.uid, spec), spec, "pool", IDENTIFY)
        return spec

    def impact(
        self, resource: Resource, observed: Present, changes: Sequence[Change]
    ) -> Sequence[Assessment]:
        """See :class:`~provisioner_plugins._libvirt.handler.KindRules`."""
        del resource, observed
        return [_assess(change) for change in changes]


def _problems(spec: Mapping[str, Any]) -> Iterator[Diagnostic]:
    yield from not_carried(spec, REFUSED)
    if "type" not in spec:
        yield error(
            "PRV2506",
            "a storage pool of libvirt needs its type, also where it is only observed",
            detail="What volumes can be in it depends on that.",
            hint="Add type and path or source as the pool has them: provisioner discover writes "
            "them out.",
            path=(),
        )
        return
    if spec["type"] == "netfs" and "path" not in spec:
        yield error(
            "PRV2506",
            "a network file system needs a path, the folder of the host where it is mounted",
            hint="Add path, such as /var/lib/provisioner/images.",
            path=("type",),
        )
    if spec["type"] != "logical" or not is_known(spec):
        return
    if spec.get("path", target_path(spec)) != target_path(spec):
        yield error(
            "PRV2506",
            "the path of a volume group cannot be chosen",
            detail=f"Found {spec['path']}; libvirt uses {target_path(spec)}.",
            hint="Remove path.",
            path=("path",),
        )


STOPPED = "stopped"
"""In place of a type: what is in force in a pool that is not active."""


def _assess(change: Change) -> Assessment:
    if change.before is None and change.running == change.after:
        return Assessment(Impact.LIVE, "its definition is gone; it is defined again")
    if change.differs_running:
        return Assessment(Impact.LIVE, "the pool is stopped and will be started")
    if change.path in (("autostart",), ("active",)):
        return Assessment(Impact.LIVE)
    return Assessment(
        Impact.REPLACE,
        "libvirt cannot change where a pool is: it is removed and defined anew; the data stays "
        "where it is",
    )
