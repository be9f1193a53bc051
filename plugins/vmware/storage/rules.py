"""What storage kinds have in common without an endpoint. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic
from provisioner.providers.api import Resource
from provisioner_plugins.vmware.flavour import Flavour
from provisioner_plugins.vmware.refusal import unusable


def without_marks(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The spec of what has no room for labels and tenant."""
    return {key: value for key, value in spec.items() if key not in ("labels", "tenant")}


def own_native(spec: Mapping[str, Any], flavour: Flavour) -> Iterator[Diagnostic]:
    """The diagnostic for settings of vSphere's own, which only machines have; those of other
    providers are taken out of ``spec``'s meaning by :func:`without_native`.
    """
    if spec.get("native", {}).get(flavour.name):
        yield unusable(
            ("native", flavour.name),
            "only machines have settings of vSphere's own",
            "Remove it.",
        )


def without_native(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The spec without the settings of other providers."""
    return {key: value for key, value in spec.items() if key != "native"}


def pool_type(resource: Resource) -> str | None:
    """Type of the pool that a Disk or Image is in, as the stack has it; None if that is not
    known.
    """
    pool = resource.related.get(Address("StoragePool", str(resource.spec.get("pool"))))
    kind = None if pool is None else pool.spec.get("type")
    return kind if isinstance(kind, str) else None
