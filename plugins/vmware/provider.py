"""The pure half of the plugin: what it serves, canonical forms, impacts. Imports no pyvmomi."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from provisioner.core.address import Address
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
    POWER,
    PREFLIGHT,
    REPLICATION,
    SNAPSHOT_REVERT,
    STANDBY,
)
from provisioner_plugins.vmware.flavour import VCENTER, Flavour
from provisioner_plugins.vmware.handler import KindRules
from provisioner_plugins.vmware.kinds import RULES
from provisioner_plugins.vmware.machine.rooms import PARAVIRTUAL_BUS
from provisioner_plugins.vmware.machine.rules import PARAVIRTUAL_CARD
from provisioner_plugins.vmware.refusal import too_long
from provisioner_plugins.vmware.storage.disk import FORMAT
from provisioner_plugins.vmware.unwritten import unwritten_needs

VERSION = "1.0.0"
_TLS = frozenset({"fingerprint", "caFile"})
"""Fields of ``connection.tls`` that a URI can say."""
_FREE = frozenset({"Disk", "Image"})
"""Kinds whose objects carry the identity of their resource in their names."""

_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "Disk": {"format": FORMAT},
    "Network": {"virtualSwitch": "standard"},
    "VirtualMachine": {
        "disks": {"*": {"bus": PARAVIRTUAL_BUS}},
        "nics": {"*": {"model": PARAVIRTUAL_CARD}},
    },
}


class VmwareProvider:
    """See :class:`provisioner.providers.api.Provider`."""

    def __init__(self, flavour: Flavour) -> None:
        self._flavour = flavour
        self._rules = {rules.kind: rules for rules in RULES if flavour in rules.flavours}

    def describe(self) -> Description:
        """Name, versions, kinds, schemas and capabilities."""
        return Description(
            name=self._flavour.name,
            version=VERSION,
            api_version=API_VERSION,
            naming={kind: Naming.FREE if kind in _FREE else Naming.UNIQUE for kind in self._rules},
            connection_schema=_connection_schema(self._flavour),
            native_schema=_schema("native.v1.json"),
            defaults={kind: found for kind, found in _DEFAULTS.items() if kind in self._rules},
            capabilities=frozenset({POWER, PREFLIGHT, REPLICATION, SNAPSHOT_REVERT, STANDBY}),
            unmarked=frozenset(
                kind for kind, rules in self._rules.items() if self._flavour in rules.unmarked
            ),
            guarded=frozenset({"Permission", "VirtualMachine"}),
        )

    def normalise(self, resource: Resource) -> Mapping[str, Any]:
        """The canonical form of the resource's spec."""
        rules = self._rules_of(resource.kind)
        long = None if resource.kind in _FREE else too_long(resource)
        if long is not None:
            raise ProvisionerError(long)
        return rules.normalise(resource, self._flavour)

    def impact(
        self, resource: Resource, observed: Present, changes: Sequence[Change]
    ) -> Sequence[Assessment]:
        """One assessment for each change."""
        return self._rules_of(resource.kind).impact(resource, observed, changes)

    def check_endpoint(self, endpoint: Endpoint) -> Sequence[Diagnostic]:
        """See :class:`provisioner.providers.api.EndpointRules`."""
        connection = endpoint.connection
        if self._flavour is not VCENTER and connection.get("labels"):
            return [
                error(
                    "PRV5310",
                    f"Host/{endpoint.name}: the connection cannot be used",
                    detail="Tags and custom attributes are a vCenter's: an ESXi host has neither.",
                    hint="Remove labels.",
                    path=("connection", "labels"),
                )
            ]
        if "tls" in connection and connection.get("insecure", False):
            return [
                error(
                    "PRV5310",
                    f"Host/{endpoint.name}: the connection cannot be used",
                    detail="It says how the certificate is verified, and that it is not.",
                    hint="Remove insecure, or the section tls.",
                    path=("connection", "insecure"),
                )
            ]
        return []

    def needs_of(
        self, endpoint: Endpoint, resources: Mapping[Address, Resource]
    ) -> Mapping[Address, frozenset[Address]]:
        """See :class:`provisioner.providers.api.UnwrittenNeeds`."""
        return unwritten_needs(endpoint, resources)

    def connection_of(self, uri: str) -> Mapping[str, Any] | None:
        """See :class:`provisioner.providers.api.ConnectionUris`:
        ``vcenter://USER@HOST[:PORT]/[DATACENTER][?fingerprint=SHA256|?caFile=PATH]``, the password
        from the environment variable ``VSPHERE_PASSWORD``. A path counts from the working folder.

        Raises ProvisionerError (PRV5310) for a URI that has a password or anything else in it.
        """
        parts = urlsplit(uri)
        if parts.scheme != self._flavour.name or not parts.hostname:
            return None
        said = dict(parse_qsl(parts.query, keep_blank_values=True))
        if parts.password is not None or not said.keys() <= _TLS:
            raise ProvisionerError(_unusable_uri(said.keys() - _TLS))
        connection: dict[str, Any] = {
            "server": parts.hostname,
            "username": unquote(parts.username or "root"),
            "password": {"secretRef": "env://VSPHERE_PASSWORD"},
        }
        if parts.port is not None:
            connection["port"] = parts.port
        if parts.path.strip("/"):
            connection["datacenter"] = unquote(parts.path.strip("/"))
        if "caFile" in said:
            said["caFile"] = str(Path(said["caFile"]).absolute())
        if said:
            connection["tls"] = said
        return connection

    def open(self, endpoint: Endpoint, context: Context) -> Session:
        """Log in to the endpoint of a Host."""
        try:
            # pyvmomi is an extra, and its import is not for those who only plan.
            from provisioner_plugins.vmware.session import VmwareSession  # noqa: PLC0415
        except ImportError as problem:
            raise Terminal(
                error(
                    "PRV5300",
                    f"the provider {self._flavour.name} needs pyvmomi",
                    detail=str(problem),
                    hint="Install it into the same Python environment: pip install pyvmomi",
                )
            ) from problem
        return VmwareSession(endpoint, context, self._flavour)

    def _rules_of(self, kind: str) -> KindRules:
        rules = self._rules.get(kind)
        if rules is None:
            is_of_vcenter = any(item.kind == kind and VCENTER in item.flavours for item in RULES)
            raise ProvisionerError(
                error(
                    "PRV2550",
                    f"the provider {self._flavour.name} has no {kind}",
                    detail=f"It serves {', '.join(sorted(self._rules))}.",
                    hint="Only a vCenter has it: put the resource on the vCenter that manages the "
                    "host (provider: vcenter)."
                    if is_of_vcenter
                    else "Put the resource on a host of another provider.",
                )
            )
        return rules


def _connection_schema(flavour: Flavour) -> Mapping[str, Any]:
    """One schema for both sorts of endpoints; what differs on an ESXi host is a patch of it."""
    schema = _schema("connection.v1.json")
    return schema if flavour is VCENTER else _patched(schema, _schema("connection-esxi.v1.json"))


def _patched(schema: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(schema)
    for key, value in patch.items():
        result[key] = _patched(result[key], value) if isinstance(value, Mapping) else value
    return result


def _unusable_uri(unknown: Collection[str]) -> Diagnostic:
    found = f"It knows no {', '.join(sorted(unknown))}." if unknown else "It has a password in it."
    return error(
        "PRV5310",
        "the URI of the endpoint cannot be used",
        detail=f"{found} Expected vcenter://USER@HOST[:PORT][/DATACENTER], and behind it "
        "?fingerprint=SHA256 or ?caFile=PATH if need be.",
        hint="Put the password into the environment variable VSPHERE_PASSWORD. Everything else "
        "can stand in a Host.",
    )


@cache
def _schema(name: str) -> Mapping[str, Any]:
    text = files("provisioner_plugins.vmware").joinpath(name).read_text(encoding="utf-8")
    schema: Mapping[str, Any] = json.loads(text)
    return schema
