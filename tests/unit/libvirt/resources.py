"""Resources for tests of the pure parts, as the engine hands them over."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from provisioner.core.address import Address
from provisioner.core.identity import Stamp, identity
from provisioner.providers.api import Present, Resource

LINEAGE = UUID("0b2c1f4e-0000-4000-8000-000000000001")


def resource(
    kind: str,
    name: str,
    spec: Mapping[str, Any],
    related: Mapping[Address, Resource] | None = None,
    external_id: str | None = None,
) -> Resource:
    """A resource of one stack; ``spec`` is canonical."""
    address = Address(kind, name)
    return Resource(
        address=address,
        name=name,
        uid=identity(LINEAGE, address),
        stamp=Stamp(str(LINEAGE), str(address), 0),
        spec=spec,
        external_id=external_id,
        related=related or {},
    )


def in_pool(kind: str, spec: Mapping[str, Any], pool: Mapping[str, Any]) -> Resource:
    """A resource called ``data`` in a pool called ``images``."""
    images = resource("StoragePool", "images", pool)
    return resource(kind, "data", {"pool": "images", **spec}, {images.address: images})


def present(spec: Mapping[str, Any], **facts: Any) -> Present:
    """An object as observed."""
    return Present("id", None, spec, "fingerprint", facts=facts)
