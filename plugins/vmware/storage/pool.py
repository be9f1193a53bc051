"""What can be said of a StoragePool without an endpoint: its canonical form and the impact of
changes. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from posixpath import normpath
from typing import Any

from provisioner.core.actions import Impact
from provisioner.core.diagnostics import Diagnostic, ProvisionerError
from provisioner.core.values import get_path
from provisioner.providers.api import Assessment, Change, Present, Resource
from provisioner_plugins.vmware.flavour import ESXI, VCENTER, Flavour
from provisioner_plugins.vmware.refusal import unusable
from provisioner_plugins.vmware.storage.rules import own_native, without_marks, without_native

CLUSTER = "cluster"
_LIVE: Mapping[str, str] = {
    "hosts": "hosts are given the datastore, and it is taken from others",
    "members": "datastores are moved into the cluster and out of it",
    "drs": "",
    "folder": "the datastore is moved",
}
_TYPES: Mapping[str, tuple[str, str]] = {
    "logical": (
        "vSphere knows no volume groups",
        "Use netfs, vmfs, or a datastore that is there already (metadata.externalName).",
    ),
    "iscsi": (
        "vSphere makes no disks of the units of a target themselves",
        "Use vmfs on the unit.",
    ),
}


class PoolRules:
    """Rules of the kind StoragePool."""

    kind = "StoragePool"
    flavours = (VCENTER, ESXI)
    unmarked = (ESXI,)

    def normalise(self, resource: Resource, flavour: Flavour) -> Mapping[str, Any]:
        """See :class:`~provisioner_plugins.vmware.handler.KindRules`."""
        spec = resource.spec if flavour is VCENTER else without_marks(resource.spec)
        problems = [*own_native(spec, flavour), *_problems(spec, flavour)]
        if problems:
            raise ProvisionerError(problems)
        spec = without_native(spec)
        if spec.get("type") != "dir":
            # Where it appears on hosts is for them to say.
            spec.pop("path", None)
        elif isinstance(spec.get("path"), str):
            spec["path"] = clean_path(spec["path"])
        if get_path(spec, ("source", "format")) == "auto":
            spec["source"] = {**spec["source"], "format": "nfs"}
        return spec

    def impact(
        self, resource: Resource, observed: Present, changes: Sequence[Change]
    ) -> Sequence[Assessment]:
        """See :class:`~provisioner_plugins.vmware.handler.KindRules`."""
        del resource, observed
        return [_assess(change) for change in changes]


def clean_path(path: str) -> str:
    """A folder's path as hosts tell it."""
    return path if "${" in path else normpath(path)


def _problems(spec: Mapping[str, Any], flavour: Flavour) -> Iterator[Diagnostic]:
    kind = str(spec.get("type"))
    if kind in _TYPES:
        yield unusable(("type",), *_TYPES[kind])
    if kind == CLUSTER and flavour is ESXI:
        yield unusable(
            ("type",),
            "only a vCenter makes a cluster of datastores",
            "Use its members: name one of them as the pool of each disk.",
        )
    if kind == "vmfs" and "hosts" in spec:
        yield unusable(
            ("hosts",), "every host that sees the device sees the file system", "Leave it out."
        )
    if spec.get("source", {}).get("format", "nfs") not in ("nfs", "auto"):
        yield unusable(
            ("source", "format"), "vSphere mounts NFS alone", "Use nfs, or leave format out."
        )
    for field in ("autostart", "active"):
        if spec.get(field) is False:
            yield unusable(
                (field,),
                "datastores are there as long as their hosts run",
                "Leave it out.",
            )


def _assess(change: Change) -> Assessment:
    field = change.path[0]
    if field in ("labels", "tenant", "autostart", "active"):
        return Assessment(Impact.NONE)
    if field in _LIVE:
        return Assessment(Impact.LIVE, _LIVE[field])
    return Assessment(
        Impact.REPLACE,
        "vSphere cannot change where a datastore is: it is taken from the hosts and given to them "
        "anew; the data stays where it is",
    )
