"""A provider under test whose objects bear nothing but a name, as a port group of a standard switch
does: no stamp, and no identity of our choosing. What proves that one is ours is its record, and
before that the journal (:attr:`Resource.begun`).
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from provisioner.core.actions import Impact
from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import error
from provisioner.core.values import Json, digest
from provisioner.core.values import Path as FieldPath
from provisioner.providers.api import (
    API_VERSION,
    Absent,
    Assessment,
    Change,
    Context,
    Description,
    Discovered,
    Endpoint,
    Naming,
    Observation,
    Outcome,
    Present,
    Resource,
    Retryable,
    Session,
    Terminal,
)
from provisioner_plugins.memory.documents import changed
from tests.conformance.provider.cases import surroundings
from tests.conformance.provider.example_under_test import KIND
from tests.conformance.provider.interference import Lossy


@dataclass(frozen=True)
class Thing:
    """One object. The endpoint chooses its id."""

    id: str
    name: str
    spec: Mapping[str, Any]


class Place:
    """The endpoint: things by name, for as long as it can be reached."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._things: dict[str, Thing] = {}
        self.away = False
        self.calls = 0

    @contextmanager
    def things(self) -> Iterator[dict[str, Thing]]:
        """One call to the endpoint; raises Retryable."""
        with self._mutex:
            self.calls += 1
            if self.away:
                raise Retryable(error("PRV5999", "the endpoint cannot be reached"))
            yield self._things


class NameOnlyProvider:
    """Serves networks."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def describe(self) -> Description:
        return Description(
            name="name-only",
            version="1.0",
            api_version=API_VERSION,
            naming={KIND: Naming.UNIQUE},
            connection_schema={"type": "object", "description": "Nothing."},
            native_schema={"type": "object"},
            unmarked=frozenset({KIND}),
        )

    def normalise(self, resource: Resource) -> Mapping[str, Any]:
        return resource.spec

    def impact(
        self,
        resource: Resource,  # noqa: ARG002 - of any object
        observed: Present,  # noqa: ARG002
        changes: Sequence[Change],
    ) -> Sequence[Assessment]:
        return [Assessment(Impact.LIVE) for _ in changes]

    def open(self, endpoint: Endpoint, context: Context) -> Session:  # noqa: ARG002 - the only one
        return NameOnlySession(self._place)


class NameOnlySession:
    """Implements Session."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._closed = False

    def observe(self, targets: Sequence[Resource]) -> Mapping[Address, Observation]:
        with self._things() as things:
            return {target.address: _told(_find(things, target), target) for target in targets}

    def discover(self, kinds: Collection[str]) -> Iterator[Discovered]:
        with self._things() as things:
            found = sorted(things.values(), key=lambda thing: thing.name) if KIND in kinds else []
        return iter([Discovered(KIND, thing.name, _present(thing)) for thing in found])

    def create(self, resource: Resource, deadline: Deadline) -> Outcome:
        with self._things(deadline) as things:
            found = things.get(resource.name)
            if found is not None and not _is_ours(found, resource):
                raise _refusal(resource)
            external_id = found.id if found is not None else str(uuid4())
            things[resource.name] = Thing(external_id, resource.name, resource.spec)
        return Outcome(external_id)

    def update(
        self,
        resource: Resource,
        observed: Present,  # noqa: ARG002 - found again
        changes: Sequence[Change],
        restart: bool,  # noqa: ARG002 - nothing waits for one
        deadline: Deadline,
    ) -> Outcome:
        with self._things(deadline) as things:
            found = _find(things, resource)
            if found is None or not _is_ours(found, resource):
                raise _refusal(resource)
            values = [(change.path, change.after) for change in changes]
            things[found.name] = replace(found, spec=changed(found.spec, values, resource.spec))
        return Outcome(found.id)

    def adopt(self, resource: Resource, observed: Present, deadline: Deadline) -> Outcome:
        with self._things(deadline) as things:
            found = _find(things, replace(resource, external_id=observed.external_id))
        if found is None:
            raise _refusal(resource)
        return Outcome(found.id)  # there is nothing to write on it: that it is recorded is all

    def delete(self, resource: Resource, deadline: Deadline) -> None:
        with self._things(deadline) as things:
            found = _find(things, resource)
            if found is not None and _is_ours(found, resource):
                del things[found.name]

    def close(self) -> None:
        self._closed = True

    @contextmanager
    def _things(self, deadline: Deadline | None = None) -> Iterator[dict[str, Thing]]:
        if self._closed:
            raise Terminal(error("PRV5999", "the session is closed"))
        if deadline is not None and deadline.passed:
            raise Retryable(error("PRV5999", "no time was left"))
        with self._place.things() as things:
            yield things


def _find(things: Mapping[str, Thing], resource: Resource) -> Thing | None:
    recorded = (thing for thing in things.values() if thing.id == resource.external_id)
    return next(recorded, None) or things.get(resource.name)


def _is_ours(found: Thing, resource: Resource) -> bool:
    return found.id == resource.external_id or resource.begun


def _told(found: Thing | None, target: Resource) -> Observation:
    if found is None:
        return Absent()
    return replace(_present(found), owner=target.stamp if _is_ours(found, target) else None)


def _present(thing: Thing) -> Present:
    content = [thing.id, thing.name, thing.spec]
    return Present(thing.id, None, thing.spec, digest(content), name=thing.name)


def _refusal(resource: Resource) -> Terminal:
    return Terminal(error("PRV5999", f"{resource.address} is left alone: it is not ours"))


class NameOnlyUnderTest:
    """Implements ProviderUnderTest for one kind, and Outside for itself."""

    unstamped = frozenset({KIND})
    journaled = frozenset({KIND})
    defers = True
    drift: Mapping[str, Mapping[str, Any]] = {KIND: {"mtu": 1400}}
    surroundings: Mapping[Address, Mapping[str, Any] | None] = dict.fromkeys(surroundings())
    host: Mapping[str, Any] = {"connection": {}}

    def __init__(self, folder: Path) -> None:  # noqa: ARG002 - it lives in the process
        self._place = Place()
        self.provider = Lossy(NameOnlyProvider(self._place))
        self.outside = self
        self.values: Mapping[str, Json] = {
            **{name: name for name in ("bridge", "otherBridge", "device", "otherDevice")},
            "openvswitchBridge": "ovs0",
            "networkNative": {"name-only": {"note": "one"}},
            "otherNetworkNative": {"name-only": {"note": "two"}},
        }

    def refuses(self, kind: str, field: str) -> str | None:  # noqa: ARG002 - it can have all
        return None

    def lose_answer(self, call: str) -> None:
        self.provider.lose(call)

    @contextmanager
    def cut_off(self) -> Iterator[None]:
        self._place.away = True
        try:
            yield
        finally:
            self._place.away = False

    def calls(self) -> int:
        return self._place.calls

    def close(self) -> None:
        """It goes with the process."""

    # Outside

    def add(self, kind: str, name: str) -> str:
        assert KIND == kind
        made = Thing(str(uuid4()), name, {"mode": "isolated"})
        with self._place.things() as things:
            things[name] = made
        return made.id

    def change(self, kind: str, name: str) -> FieldPath:
        assert KIND == kind
        with self._place.things() as things:
            found = things[name]
            things[name] = replace(found, spec={**found.spec, "mtu": 9000})
        return ("mtu",)

    def remove(self, kind: str, name: str) -> None:
        assert KIND == kind
        with self._place.things() as things:
            del things[name]

    def picture(self, kind: str, name: str) -> object:
        assert KIND == kind
        with self._place.things() as things:
            return things.get(name)
