"""Deterministic identity: the same resource of the same stack always gets the same UUID.

A creation whose answer was lost can be repeated safely, because the object that may already exist
carries the identity that the repetition would ask for.
"""

from __future__ import annotations

import uuid
from typing import Any, NamedTuple

from provisioner.core.address import Address


def identity(lineage: uuid.UUID, address: Address, generation: int = 0) -> uuid.UUID:
    """UUID (version 5, RFC 9562) of a resource.

    ``lineage`` is drawn once, when a stack's state is made. ``generation`` counts replacements, so
    that an object made before its predecessor is deleted has an identity of its own.
    """
    name = str(address) if generation == 0 else f"{address}#{generation}"
    return uuid.uuid5(lineage, name)


class Stamp(NamedTuple):
    """The mark of ownership that a plugin writes on an object in the same call that creates it."""

    lineage: str
    address: str
    generation: int = 0

    def as_json(self) -> dict[str, Any]:
        """Plain data, for state and plan files."""
        return {"lineage": self.lineage, "address": self.address, "generation": self.generation}
