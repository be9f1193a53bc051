"""What the objects of an endpoint are called in a stack, and back. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from provisioner.core.address import Address
from provisioner.providers.api import Resource


class References:
    """The resources of a stack by the managed object ids of their objects."""

    def __init__(self, related: Mapping[Address, Resource]) -> None:
        self._related = related

    @cached_property
    def _names(self) -> Mapping[tuple[str, str], str]:
        return {
            (address.kind, resource.external_id): address.name
            for address, resource in self._related.items()
            if resource.external_id is not None
        }

    def name(self, kind: str, moid: str) -> str:
        """The resource of a kind whose object it is; of one that the stack does not know, the
        id itself.
        """
        return self._names.get((kind, moid), moid)

    def moid(self, kind: str, name: str) -> str | None:
        """The object of a resource; None as long as it is not recorded."""
        resource = self._related.get(Address(kind, name))
        return None if resource is None else resource.external_id
