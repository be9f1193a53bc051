"""The pure half of the plugin: what it serves, canonical forms, impacts. Imports no libvirt."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error
from provisioner.providers.api import (
    API_VERSION,
    Assessment,
    Change,
    Context,
    Description,
    Endpoint,
    Naming,
    Present,
    Resource,
    Session,
    Terminal,
)
from provisioner.providers.capabilities import (
    CONSOLE,
    GUEST_AGENT,
    LEASES,
    POWER,
    PREFLIGHT,
    REPLICATION,
    SNAPSHOT_REVERT,
    STANDBY,
    USAGE,
)
from provisioner_plugins._libvirt.disk import DEFAULT_FORMAT
from provisioner_plugins._libvirt.handler import KindRules
from provisioner_plugins._libvirt.rules import shared_rules
from provisioner_plugins._libvirt.uri import target_of
from provisioner_plugins.kvm.machine.rules import MachineRules
from provisioner_plugins.kvm.snapshot.rules import SnapshotRules

VERSION = "1.0.0"
DRIVER = "qemu"
"""libvirt's name of the driver, in URIs."""
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "Disk": {"format": DEFAULT_FORMAT},
    "Network": {"virtualSwitch": "linux"},
    "VirtualMachine": {
        "disks": {"*": {"bus": "virtio"}},
        "nics": {"*": {"model": "virtio"}},
    },
}


class KvmProvider:
    """See :class:`provisioner.providers.api.Provider`."""

    def describe(self) -> Description:
        """Name, versions, kinds, schemas and capabilities."""
        return _description()

    def normalise(self, resource: Resource) -> Mapping[str, Any]:
        """The canonical form of the resource's spec."""
        return _rules_of(resource.kind).normalise(resource)

    def impact(
        self, resource: Resource, observed: Present, changes: Sequence[Change]
    ) -> Sequence[Assessment]:
        """One assessment for each change."""
        return _rules_of(resource.kind).impact(resource, observed, changes)

    def check_endpoint(self, endpoint: Endpoint) -> Sequence[Diagnostic]:
        """See :class:`provisioner.providers.api.EndpointRules`."""
        try:
            target_of(endpoint.name, DRIVER, endpoint.connection, Path())
        except Terminal as problem:
            return [problem.diagnostic]
        return []

    def connection_of(self, uri: str) -> Mapping[str, Any] | None:
        """See :class:`provisioner.providers.api.ConnectionUris`: every URI of libvirt's driver."""
        return {"uri": uri} if re.match(rf"{DRIVER}(\+[a-z0-9]+)?://", uri) else None

    def open(self, endpoint: Endpoint, context: Context) -> Session:
        """Connect to the libvirt daemon of a Host."""
        try:
            # libvirt-python is an extra, and its import is not for those who only plan.
            from provisioner_plugins.kvm.session import KvmSession  # noqa: PLC0415
        except ImportError as problem:
            raise Terminal(
                error(
                    "PRV5201",
                    "the provider kvm needs libvirt-python and pycdlib",
                    detail=str(problem),
                    hint="Install them into the same Python environment: pip install"
                    " libvirt-python pycdlib. Building libvirt-python takes libvirt's headers,"
                    " pkg-config and a C compiler (on Debian: libvirt-dev pkg-config gcc"
                    " python3-dev).",
                )
            ) from problem
        return KvmSession(endpoint, context)


@cache
def _rules() -> Mapping[str, KindRules]:
    own: tuple[KindRules, ...] = (MachineRules(), SnapshotRules())
    return {**shared_rules(), **{rules.kind: rules for rules in own}}


def _rules_of(kind: str) -> KindRules:
    rules = _rules().get(kind)
    if rules is None:
        raise ProvisionerError(
            error(
                "PRV2503",
                f"the provider kvm has no {kind}",
                detail=f"It serves {', '.join(sorted(_rules()))}.",
                hint="Put the resource on a host of another provider.",
            )
        )
    return rules


@cache
def _description() -> Description:
    return Description(
        name="kvm",
        version=VERSION,
        api_version=API_VERSION,
        # The name of a volume carries the identity of its resource; other names can be had once.
        naming={
            kind: Naming.FREE if kind in ("Disk", "Image") else Naming.UNIQUE for kind in _rules()
        },
        connection_schema=_schema("connection.v1.json"),
        native_schema=_schema("native.v1.json"),
        defaults=_DEFAULTS,
        capabilities=frozenset(
            {
                CONSOLE,
                GUEST_AGENT,
                LEASES,
                POWER,
                PREFLIGHT,
                REPLICATION,
                SNAPSHOT_REVERT,
                STANDBY,
                USAGE,
            }
        ),
        unmarked=frozenset({"StoragePool", "Disk", "Image"}),
    )


def _schema(name: str) -> Mapping[str, Any]:
    text = files("provisioner_plugins.kvm").joinpath(name).read_text(encoding="utf-8")
    schema: Mapping[str, Any] = json.loads(text)
    return schema
