"""The provider contract: what a plugin implements, and the plain data that crosses the boundary.

A plugin consists of a :class:`Provider`, which is pure (it describes itself, brings desired specs
into canonical form and judges the impact of changes, without touching an endpoint or importing an
SDK), and of a :class:`Session`, which it opens to one endpoint and which does all input and output.
The laws that every plugin keeps are written in docs/provider-contract.md and proven by
tests/conformance.

Nothing but the errors below leaves a plugin::

    ProviderError
    ├── Retryable   the same call may succeed after a while
    └── Terminal    it will not; carries the diagnostic to show
        ├── HalfMade  from create: what was made stays and is ours
        └── InUse     from delete: it will once others have let go of the object
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path as FilePath
from typing import Any, Protocol, TypeAlias, runtime_checkable
from uuid import UUID

from provisioner.core.actions import Impact
from provisioner.core.address import Address
from provisioner.core.clock import Clock, Deadline
from provisioner.core.diagnostics import Diagnostic
from provisioner.core.identity import Stamp
from provisioner.core.values import Json, Path, Secret

API_VERSION = (1, 2)
"""Major, minor. A plugin of another major version is refused; a plugin of a newer minor version,
too.
"""


class ProviderError(Exception):
    """Base of what a plugin may raise."""


class Retryable(ProviderError):
    """The endpoint could not do it now (busy, lost connection, locked); the same call may succeed
    later.
    """

    def __init__(self, diagnostic: Diagnostic, after: float = 1.0) -> None:
        super().__init__(diagnostic.summary)
        self.diagnostic = diagnostic
        self.after = after
        """Seconds to wait before the next attempt."""


class Terminal(ProviderError):
    """Repeating the call will not help; the diagnostic says what was found, what was expected and
    what to do.
    """

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.summary)
        self.diagnostic = diagnostic


class HalfMade(Terminal):
    """A creation was refused when the object was there already, made by this very call or by an
    earlier one of this resource: whatever has the name is ours (since 1.1). Raised by ``create``
    alone.
    """


class InUse(Terminal):
    """A deletion was refused because something else on the endpoint needs the object.

    For the predecessor in a replacement this is no failure: it stays until nothing needs it.
    """


class Naming(StrEnum):
    """Whether two objects of a kind may have the same name on an endpoint."""

    UNIQUE = "unique"
    FREE = "free"


@dataclass(frozen=True, slots=True)
class Description:
    """What a provider says of itself.

    ``connection_schema`` and ``native_schema`` are JSON Schemas (2020-12) of
    ``Host.spec.connection`` and of the provider's part of a resource's ``native`` section.
    ``naming`` holds the kinds it serves, ``unmarked`` those of them on whose objects there is no
    room for a stamp, ``guarded`` those whose removal may be refused when it is planned (see
    :class:`~provisioner.providers.capabilities.Undertaking`). ``capabilities`` are names from
    :mod:`provisioner.providers.capabilities`.
    ``defaults`` holds, by kind and laid out like a spec, the canonical values of unset fields whose
    schema leaves that to the provider; ``*`` stands for every element of a set. No value is a
    mapping.
    """

    name: str
    version: str
    api_version: tuple[int, int]
    naming: Mapping[str, Naming]
    connection_schema: Mapping[str, Any]
    native_schema: Mapping[str, Any]
    capabilities: frozenset[str] = frozenset()
    defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    unmarked: frozenset[str] = frozenset()
    guarded: frozenset[str] = frozenset()

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds it serves."""
        return frozenset(self.naming)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One thing to connect to: a ``Host`` manifest, with its spec in canonical form."""

    name: str
    provider: str
    connection: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The rest of the Host's spec: ``accelerator``, ``limits``, ``site``, ``maintenance``."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource as the engine hands it to a plugin.

    ``spec`` is canonical: the desired one for observe, create and update, the recorded one for
    delete. ``labels`` and ``tenant`` are keys of it like every other field. ``name`` is what the
    object is or shall be called on the endpoint. ``uid`` is its deterministic identity, ``stamp``
    the mark to write. ``external_id`` is what an earlier call returned; in create it is that of the
    object that was lost, given only where names are free. ``related`` finds, by
    address, every resource of the same endpoint that the stack knows (one mapping, shared by all).
    ``exact``: the author gave the name of the object itself (``metadata.externalName``), so one of
    just this name is meant even where the endpoint's objects are called otherwise when they are
    made. ``begun`` (since 1.1): a creation of this very generation was begun by this stack and has
    no outcome (its intent is in the journal, or an earlier attempt in this apply gave no answer),
    after the endpoint had said that there is no object of the name. It is the proof of ownership of
    kinds that have room for no other: an unstamped object of the name is ours then.
    """

    address: Address
    name: str
    uid: UUID
    stamp: Stamp
    spec: Mapping[str, Any]
    external_id: str | None = None
    outputs: Mapping[str, Json] = field(default_factory=dict)
    exact: bool = False
    begun: bool = False
    related: Mapping[Address, Resource] = field(default_factory=dict, repr=False, compare=False)

    @property
    def kind(self) -> str:
        """The kind, as in the address."""
        return self.address.kind


@dataclass(frozen=True, slots=True)
class Present:
    """The endpoint has it.

    ``spec`` is the configured state in the same canonical form as :meth:`Provider.normalise` gives,
    defaults included. ``running`` holds, by path, the values in force now where they differ from
    the configured ones (a restart is pending); None stands for a field that is not in force at all.
    ``owner`` is the stamp found on the object; None: nobody's stamp. ``facts`` is what
    :meth:`Provider.impact` needs to know and is never compared. ``name`` is what the object is
    called now, where that may change while it stays the same object; drift compares it.
    ``fingerprint`` changes when, and only when, something changes that a plan relies on.
    ``goes_along`` names, in words, what goes with the object when it is deleted, where that is more
    than what its spec says; ``holds_data``: there is data among it that is nowhere else, so that
    deleting it is ``data-loss``. ``withheld`` (since 1.2) holds, by path, fields that are not to be
    changed for now, and why: changes at or below them are planned as held, and the object is not
    replaced.
    """

    external_id: str
    owner: Stamp | None
    spec: Mapping[str, Any]
    fingerprint: str
    running: Mapping[Path, Json] = field(default_factory=dict)
    outputs: Mapping[str, Json] = field(default_factory=dict)
    facts: Mapping[str, Json] = field(default_factory=dict)
    name: str | None = None
    goes_along: tuple[str, ...] = ()
    holds_data: bool = False
    withheld: Mapping[Path, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Absent:
    """The endpoint was asked, answered in full, and does not have it. ``near`` (since 1.1): names
    of objects of its kind that are nearly the one that the author gave (``exact``), for a message.
    """

    near: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Undetermined:
    """It could not be found out whether it is there; never planned as a creation or a deletion."""

    diagnostic: Diagnostic


Observation: TypeAlias = Present | Absent | Undetermined


@dataclass(frozen=True, slots=True)
class Change:
    """One field that differs. None on either side means that the field (or list element) is not
    there.

    ``before`` is the configured value and ``running`` the one in force, where that is another one
    (``differs_running``). ``pending``: the configured value is right, and an earlier update left it
    waiting for a restart. ``impact`` is the schema's default until the provider has judged it.
    ``deferrable``: see :class:`Assessment`.
    """

    path: Path
    before: Json
    after: Json
    impact: Impact = Impact.LIVE
    reason: str = ""
    running: Json = None
    differs_running: bool = False
    deferrable: bool = True
    pending: bool = False


@dataclass(frozen=True, slots=True)
class Assessment:
    """The impact of one change on the object as it is now, and why, in words for a person.

    A change with the impact ``restart`` is ``deferrable`` if it can be written now and comes into
    force with the next restart, whoever makes it. Shutting a machine down is not: it has to be
    allowed, or nothing of it is done.
    """

    impact: Impact
    reason: str = ""
    deferrable: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a create, update or adopt did. ``pending`` are the paths that were written but wait for
    a restart.
    """

    external_id: str
    outputs: Mapping[str, Json] = field(default_factory=dict)
    pending: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Discovered:
    """An object found on an endpoint, ours or not."""

    kind: str
    name: str
    observed: Present
    notes: tuple[str, ...] = ()
    """What the common model could not express."""


class SecretResolver(Protocol):
    """Turns a reference (``env://NAME``, ``file://PATH``) into a :class:`Secret`."""

    def resolve(self, reference: str) -> Secret:
        """Raises ProvisionerError (PRV1501) if there is no such secret."""
        ...


class ProgressSink(Protocol):
    """Where a session reports that something slow goes on."""

    def __call__(self, address: Address, text: str, done: int = 0, total: int = 0) -> None:
        """``done`` of ``total`` bytes or parts; both 0 where that is not known."""
        ...


class WarningSink(Protocol):
    """Where a session warns of what the person who runs the program has to know."""

    def __call__(self, warning: Diagnostic, /) -> None:
        """Shown at once, beside every output, and once a run however often it is said."""
        ...


def unheard(warning: Diagnostic) -> None:
    """The :class:`WarningSink` of those who listen to no warnings."""


class Memory(Protocol):
    """Where a session remembers things for later sessions of the same stack to the same endpoint
    (same connection, same version of the provider). Never fails; safe to use from several threads.

    What is remembered may be lost, or old, at any time, each subject by itself. Nothing may follow
    from it but that less is asked: a session proves from the endpoint that it is still so. It holds
    no secrets, and nothing that may be one.
    """

    def recall(self, subject: str) -> bytes | None:
        """What was kept last about a subject, by this session or an earlier one; None if that is
        not known.
        """
        ...

    def keep(self, subject: str, content: bytes) -> None:
        """Remember this about a subject, in the place of what was; nothing any more if it is empty.
        Written down when the operation ends, and not if a known secret is found in it. Where there
        is no room for all, what was neither recalled nor kept for longest goes.
        """
        ...


class NoMemory:
    """The :class:`Memory` that remembers nothing."""

    def recall(self, subject: str) -> bytes | None:
        """None."""

    def keep(self, subject: str, content: bytes) -> None:
        """Nothing happens."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a session may use of the world around it. Paths in specs are relative to ``root``, the
    stack's folder, unless they are absolute. ``memory`` (since 1.1) is this endpoint's own;
    ``warn`` (since 1.1) is heard by whoever runs the program, whatever output is asked for.
    """

    root: FilePath
    clock: Clock
    secrets: SecretResolver
    progress: ProgressSink
    memory: Memory = field(default_factory=NoMemory)
    warn: WarningSink = unheard


class Session(Protocol):
    """A connection to one endpoint. Its methods are called from several threads at once."""

    def observe(self, targets: Sequence[Resource]) -> Mapping[Address, Observation]:
        """Read all targets in a bounded number of calls, however many there are; one answer for
        each target.

        A target is found by its identity, else by its ``external_id``, else by its name: an object
        of that name which is not ours is ``Present`` with its owner as found; of a kind without
        stamps it is ours if the target is ``begun``. Never waits for a guest. An endpoint that
        cannot be reached raises :class:`Retryable` or :class:`Terminal`.
        """
        ...

    def discover(self, kinds: Collection[str]) -> Iterator[Discovered]:
        """Everything of these kinds on the endpoint, ours or not, in a stable order."""
        ...

    def create(self, resource: Resource, deadline: Deadline) -> Outcome:
        """Make the object with its identity and stamp. If it exists already with our identity,
        complete it; likewise one of a kind without stamps that was ``begun``.

        Raises :class:`Terminal` if the name is taken by an object that is not ours.
        """
        ...

    def update(
        self,
        resource: Resource,
        observed: Present,
        changes: Sequence[Change],
        restart: bool,
        deadline: Deadline,
    ) -> Outcome:
        """Carry the changes out, in place and live where that can be.

        Changes that need a restart are written to the configuration; the object is restarted only
        if ``restart`` is true, otherwise they are returned as pending. The stamp is written anew.
        An object that is not ours is refused.
        """
        ...

    def adopt(self, resource: Resource, observed: Present, deadline: Deadline) -> Outcome:
        """Write our stamp on an existing object that has none, and touch nothing else."""
        ...

    def delete(self, resource: Resource, deadline: Deadline) -> None:
        """Remove the object; done already if it is not there. An object that is not ours is
        refused.
        """
        ...

    def close(self) -> None:
        """Log out and free the connection; may be called twice."""
        ...


class Provider(Protocol):
    """What the entry point in the group ``provisioner.providers`` returns when called. Pure: no
    endpoint, no SDK.
    """

    def describe(self) -> Description:
        """Name, versions, kinds, schemas and capabilities."""
        ...

    def normalise(self, resource: Resource) -> Mapping[str, Any]:
        """The canonical form of the resource's spec on this kind of endpoint: only fields that the
        author set, in the form in which :meth:`Session.observe` reports them (references stay
        names). Fields that this kind of endpoint cannot carry raise ProvisionerError (PRV2xxx) with
        the nearest way to get the same effect.
        """
        ...

    def impact(
        self, resource: Resource, observed: Present, changes: Sequence[Change]
    ) -> Sequence[Assessment]:
        """One assessment for each change, in order, for the object as observed."""
        ...

    def open(self, endpoint: Endpoint, context: Context) -> Session:
        """Connect. Raises :class:`Terminal` for a wrong address or credentials, :class:`Retryable`
        if it may work later.
        """
        ...


@runtime_checkable
class EndpointRules(Protocol):
    """What a provider may have beside the contract, for connections of which more can be said than
    a schema says.
    """

    def check_endpoint(self, endpoint: Endpoint) -> Sequence[Diagnostic]:
        """What makes a connection impossible, or refused, whatever the endpoint would answer; each
        with the ``path`` of the field below the Host's spec. Asked before anything is connected to.
        """
        ...


@runtime_checkable
class UnwrittenNeeds(Protocol):
    """What a provider may have beside the contract (since 1.1), if a resource may need others to
    which it does not refer: a machine the hosts of its cluster.
    """

    def needs_of(
        self, endpoint: Endpoint, resources: Mapping[Address, Resource]
    ) -> Mapping[Address, Collection[Address]]:
        """What each of all ``resources`` of an endpoint needs there without referring to it, by
        address; what needs nothing may be left out. Pure.

        It is about order within one plan alone: what is made waits for what it needs, and what is
        removed for what needed it. What already waits for the other stays so.
        """
        ...


@runtime_checkable
class ConnectionUris(Protocol):
    """What a provider may have beside the contract, if its endpoints can be named by a URI."""

    def connection_of(self, uri: str) -> Mapping[str, Any] | None:
        """The ``Host.spec.connection`` that connects to what a URI names, as an author would write
        it; None if it is no URI of this provider. Whether it can be used, the connection's schema
        says, and :class:`EndpointRules`.
        """
        ...
