"""What a plugin gives to be taken through the conformance suite: :class:`ProviderUnderTest`.

A plugin joins by a class that implements it and by a line in
tests/conformance/provider/providers.py. docs/provider-contract.md says how.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from provisioner.core.address import Address
from provisioner.core.values import Json
from provisioner.core.values import Path as FieldPath
from provisioner.providers.api import Provider
from provisioner.providers.capabilities import LEASES, REPLICATION, STANDBY


class Outside(Protocol):
    """Somebody else at the same endpoint, who does not go through the plugin."""

    def add(self, kind: str, name: str) -> str:
        """Make an object without any stamp, of the simplest sort; returns its external id."""
        ...

    def change(self, kind: str, name: str) -> FieldPath:
        """Change one field of the object in a way that the plugin can observe and mend; returns the
        path of the field, below ``spec``. The manifest of the object sets that field."""
        ...

    def remove(self, kind: str, name: str) -> None:
        """Remove the object, whoever owns it."""
        ...

    def picture(self, kind: str, name: str) -> object:
        """Everything that can be seen of the objects of this name, for comparison; None if there
        is none."""
        ...


class ProviderUnderTest(Protocol):
    """One provider with an endpoint that tests may do anything to."""

    @property
    def provider(self) -> Provider:
        """The plugin; the same one each time."""
        ...

    @property
    def host(self) -> Mapping[str, Any]:
        """``spec`` of the Host manifest, without ``provider``."""
        ...

    @property
    def values(self) -> Mapping[str, Json]:
        """What stands for ``$word`` in the case tables: folders, devices, parts of ``native``."""
        ...

    @property
    def surroundings(self) -> Mapping[Address, Mapping[str, Any] | None]:
        """Specs to use instead of those in tables/surroundings.yaml; None leaves one out."""
        ...

    @property
    def drift(self) -> Mapping[str, Mapping[str, Any]]:
        """By kind, fields (laid over the case table's base) that :meth:`Outside.change` changes."""
        ...

    @property
    def unstamped(self) -> frozenset[str]:
        """Kinds whose objects have no room for a stamp: what proves that one is ours is its
        identity, or that it is recorded.
        """
        ...

    @property
    def journaled(self) -> frozenset[str]:
        """Those of them whose objects have no room for an identity either: before one is recorded,
        nothing proves that it is ours but the journal (``Resource.begun``).
        """
        ...

    @property
    def outside(self) -> Outside:
        """Somebody else at the same endpoint."""
        ...

    @property
    def defers(self) -> bool:
        """Whether a running machine can keep a change for its next restart; if not, what needs one
        is done with one or not at all."""
        ...

    def refuses(self, kind: str, field: str) -> str | None:
        """Why this endpoint cannot have a field (dotted, as in the case tables); None if it can."""
        ...

    def lose_answer(self, call: str) -> None:
        """Have the next ``create``, ``update`` or ``delete`` carried out, but its answer lost."""
        ...

    def cut_off(self) -> AbstractContextManager[None]:
        """Keep every connection, old or new, from reaching the endpoint meanwhile."""
        ...

    def calls(self) -> int:
        """How many calls were made to the endpoint so far, in the terms of its own protocol."""
        ...

    def close(self) -> None:
        """Remove the endpoint."""
        ...


APART = frozenset({LEASES, REPLICATION, STANDBY})
"""Capabilities with a module of tests each (its ``CAPABILITY``), for which no endpoint is started
that lacks them.
"""


@runtime_checkable
class ReplicatingUnderTest(Protocol):
    """What a provider under test has beside, if it promises replication."""

    def elsewhere(self) -> ProviderUnderTest:
        """Another endpoint of the provider, which has this as well; the same one each time. It is
        closed with this one.
        """
        ...

    def write(self, machine: str, disk: str, number: int) -> None:
        """Have the guest of a running machine write to a disk (the name of its resource) what only
        this number makes it write, within the disk's first MiB; returns once it is written, and
        wherever writes have to go by then.
        """
        ...

    def content(self, external_id: str) -> object:
        """All that can be read from the object of a Disk, for comparison; a guest may have it."""
        ...


@runtime_checkable
class BreakableUnderTest(ReplicatingUnderTest, Protocol):
    """What it has beside, if it copies by itself."""

    def broken_off(self) -> AbstractContextManager[None]:
        """A block in which calls at this endpoint end in their midst with a ProviderError: a
        promotion when a Disk has been made and the replica is still there, a synchronisation when
        data are to be moved.
        """
        ...


@runtime_checkable
class DeliveringUnderTest(ReplicatingUnderTest, Protocol):
    """What it has beside, if it has no way of its own, and leaves copying to another tool
    (:attr:`~provisioner.providers.capabilities.Way.EXTERNAL` alone).
    """

    def deliver(self, external_id: str) -> None:
        """Have the tool copy the object of a Disk to the endpoint :meth:`elsewhere`, over what it
        has copied before.
        """
        ...


class Candidate(NamedTuple):
    """A provider that can be put under test. ``start`` is given an empty folder; it may skip.
    ``kinds``: the only ones it is tried with; None: all. ``live``: a real hypervisor is behind it.
    ``capabilities``: those of :data:`APART` that it promises. ``like``: the candidate whose code
    for fields it shares, so that each field is tried with both only at length (``--slow``).
    """

    name: str
    start: Callable[[Path], ProviderUnderTest]
    kinds: frozenset[str] | None = None
    live: bool = False
    capabilities: frozenset[str] = frozenset()
    like: str | None = None

    def serves(self, kind: str) -> bool:
        """Whether tests about this kind are to try it."""
        return self.kinds is None or kind in self.kinds
