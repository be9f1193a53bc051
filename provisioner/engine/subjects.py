"""Subjects: every resource that an operation may be about, as one value for observation and
planning.

A subject joins the declaration (what is desired), the entry (what was recorded) and, after a crash,
the open intent (what may have happened) of one address, and holds the :class:`Resource` that the
provider is asked about.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any
from uuid import UUID

from provisioner.core.actions import EVERYTHING, Permission
from provisioner.core.address import Address
from provisioner.core.identity import Stamp, identity
from provisioner.engine.plan import Known, begun_in
from provisioner.engine.renames import Renamed, followed, followed_addresses, followed_spec
from provisioner.engine.rules import KindRules, Rules
from provisioner.manifest.model import Declaration, Stack
from provisioner.providers.api import Absent, Endpoint, Observation, Resource
from provisioner.state.model import EndpointRecord, Entry, JournalRecord, State

SPEC_OF_CONNECTION = "connection"


@dataclass(frozen=True, slots=True)
class Subject:
    """One address with all that is known about it before anything is observed."""

    address: Address
    endpoint: str
    resource: Resource
    declaration: Declaration | None
    entry: Entry | None
    generation: int
    dependencies: tuple[Address, ...]
    recorded_dependencies: tuple[Address, ...]
    interrupted: tuple[JournalRecord, ...] = ()
    """What an earlier run intended to do with this object, without an outcome."""
    retired: bool = False
    """Another object has its address: to be deleted whatever is declared."""

    @property
    def manage(self) -> frozenset[Permission]:
        """What may be done to the object: as declared, else as recorded."""
        if self.declaration is not None:
            return self.declaration.manage
        return self.entry.manage if self.entry is not None else EVERYTHING

    @property
    def is_watched(self) -> bool:
        """Whether an object that exists is only looked at: it needs no stamp, and gets none."""
        return self.manage.isdisjoint((Permission.UPDATE, Permission.DELETE))

    @property
    def object_name(self) -> str:
        """What a new object is called on the endpoint."""
        return self.declaration.object_name if self.declaration is not None else self.resource.name


def endpoints_of(stack: Stack | None, state: State) -> dict[str, EndpointRecord]:
    """All endpoints that can be meant: recorded ones, overruled by the stack's Host manifests."""
    endpoints = dict(state.endpoints)
    if stack is not None:
        for name, host in stack.hosts.items():
            endpoints[name] = EndpointRecord(name, host.provider, host.spec)
    return endpoints


def endpoint_value(record: EndpointRecord) -> Endpoint:
    """What a provider opens."""
    settings = {
        key: value
        for key, value in record.spec.items()
        if key not in (SPEC_OF_CONNECTION, "provider")
    }
    return Endpoint(record.name, record.provider, record.spec.get(SPEC_OF_CONNECTION, {}), settings)


def collect(
    stack: Stack | None, state: State, rules: Rules, *, destroy: bool = False
) -> dict[Address, Subject]:
    """Every subject by address. To destroy, nothing counts as declared: all that is recorded is to
    go.

    A resource's ``related`` is left empty here; it is filled when specs are normalised.
    """
    subjects: dict[Address, Subject] = {}
    declarations: Mapping[Address, Declaration] = stack.declarations if stack is not None else {}
    if destroy:
        state = _with_treatment(state, declarations)
        declarations = {}
    taken = identities(state)
    renamed: dict[Address, Address] = {}
    for address, declaration in declarations.items():
        entry = state.entries.get(address)
        if entry is None and declaration.renamed_from is not None:
            old = Address(address.kind, declaration.renamed_from)
            entry = state.entries.get(old)
            if entry is not None:
                renamed[old] = address
        subjects[address] = _declared(state.lineage, declaration, entry, taken)
    for address, entry in state.entries.items():
        if address not in subjects and address not in renamed:
            subjects[address] = _recorded(state.lineage, entry)
    _add_interrupted(subjects, state, renamed)
    return _follow_renames(subjects, renamed, rules)


def under_former_names(
    state: State,
    subjects: Mapping[Address, Subject],
    everything: Mapping[Address, Subject],
    observations: Mapping[Address, Observation],
) -> dict[Address, Subject]:
    """What is declared with a former name and is neither recorded nor there, to be looked for as
    what it was then: a disk that was renamed, kept and forgotten has the identity of its first name
    still.
    """
    taken = identities(state)
    found: dict[Address, Subject] = {}
    for address, subject in subjects.items():
        declaration = subject.declaration
        if declaration is None or declaration.renamed_from is None or subject.entry is not None:
            continue
        old = Address(address.kind, declaration.renamed_from)
        uid = identity(state.lineage, old)
        absent = isinstance(observations[address], Absent) and not subject.interrupted
        if absent and old not in everything and uid not in taken:
            stamp = subject.resource.stamp._replace(generation=0)
            resource = replace(subject.resource, name=old.name, uid=uid, stamp=stamp)
            found[address] = replace(subject, resource=resource, generation=0)
    return found


def with_others(
    subjects: Mapping[Address, Subject], others: Mapping[Address, Subject]
) -> dict[Address, Subject]:
    """The subjects with others in the place of some; the shared ``related`` mappings follow."""
    related: dict[str, dict[Address, Resource]] = {}
    for address, subject in others.items():
        shared = related.setdefault(subject.endpoint, dict(subject.resource.related))
        shared[address] = subject.resource
    return {
        address: replace(
            subject, resource=replace(subject.resource, related=related[subject.endpoint])
        )
        if subject.endpoint in related
        else subject
        for address, subject in {**subjects, **others}.items()
    }


def _with_treatment(state: State, declarations: Mapping[Address, Declaration]) -> State:
    """The state with the protection and the permissions that the manifests ask for now, applied
    already or not.
    """
    entries = {
        address: replace(
            entry,
            protect=entry.protect or declarations[address].protect,
            manage=declarations[address].manage,
        )
        if address in declarations
        else entry
        for address, entry in state.entries.items()
    }
    return replace(state, entries=entries)


def identities(state: State) -> frozenset[UUID]:
    """Those of all recorded objects."""
    return frozenset(entry.uid for entry in state.entries.values())


def free_identity(
    lineage: UUID, address: Address, taken: Collection[UUID], first: int = 0
) -> tuple[int, UUID]:
    """The first generation from ``first`` on whose identity is free, and that: what had the address
    before and was renamed has taken its identity along.
    """
    found = ((number, identity(lineage, address, number)) for number in count(first))
    return next((number, uid) for number, uid in found if uid not in taken)


def _declared(
    lineage: UUID, declaration: Declaration, entry: Entry | None, taken: Collection[UUID]
) -> Subject:
    address = declaration.address
    if entry is not None:
        generation, uid = entry.generation, entry.uid
    else:
        generation, uid = free_identity(lineage, address, taken)
    dependencies = tuple(sorted({reference.target for reference in declaration.references}))
    resource = Resource(
        address=address,
        name=entry.name if entry is not None else declaration.object_name,
        uid=uid,
        stamp=Stamp(str(lineage), str(address), generation),
        spec=declaration.spec,
        external_id=entry.external_id if entry is not None else None,
        outputs=entry.outputs if entry is not None else {},
        exact=declaration.external_name is not None,
    )
    # A declaration without a host is of a stack that did not load; the loader has reported it.
    endpoint = declaration.host or ""
    if entry is not None and entry.endpoint != endpoint:
        # It still lives where it was recorded; moving it is a change of placement that the planner
        # decides on.
        endpoint = entry.endpoint
    recorded = entry.dependencies if entry is not None else ()
    return Subject(
        address, endpoint, resource, declaration, entry, generation, dependencies, recorded
    )


def _recorded(lineage: UUID, entry: Entry) -> Subject:
    resource = Resource(
        address=entry.address,
        name=entry.name,
        uid=entry.uid,
        stamp=Stamp(str(lineage), str(entry.address), entry.generation),
        spec=entry.spec,
        external_id=entry.external_id,
        outputs=entry.outputs,
    )
    return Subject(
        entry.address,
        entry.endpoint,
        resource,
        None,
        entry,
        entry.generation,
        (),
        entry.dependencies,
    )


def _add_interrupted(subjects: dict[Address, Subject], state: State, renamed: Renamed) -> None:
    """Take open intents into account: add each to the subject that it is about, or make one for an
    object that nothing else names any more.
    """
    if not state.open_intents:
        return
    owners = {_object(subject): address for address, subject in subjects.items()}
    for record in state.open_intents:
        if not record.detail:  # a refresh of entries is about no object
            continue
        successor = record.detail.get("successor")
        resource = Address.of(successor) if successor else record.address
        left = _left_behind(state.lineage, renamed.get(resource, resource), record)
        address = owners.get(_object(left))
        if address is not None:
            subject = subjects[address]
            subjects[address] = replace(subject, interrupted=(*subject.interrupted, record))
            continue
        found = subjects.get(left.address)
        if successor or (found is not None and not _is_being_made(found, left)):
            left = _retired(subjects, left)
        elif found is not None:
            # What is desired was being made: it is to be looked for as what it was being made as.
            made = replace(left.resource, spec=found.resource.spec)
            left = replace(found, resource=made, generation=left.generation, interrupted=(record,))
        subjects[left.address] = left
        owners[_object(left)] = left.address
    begun = begun_in(state.open_intents)
    for address, subject in subjects.items():
        made = subject.resource
        if (subject.endpoint, str(made.uid), made.name) in begun:
            subjects[address] = replace(subject, resource=replace(made, begun=True))


def _object(subject: Subject) -> tuple[str, UUID]:
    """What tells the objects of all subjects apart, whatever they are called."""
    return (subject.endpoint, subject.resource.uid)


def _is_being_made(subject: Subject, left: Subject) -> bool:
    return subject.entry is None and not subject.interrupted and subject.endpoint == left.endpoint


def _left_behind(lineage: UUID, address: Address, record: JournalRecord) -> Subject:
    """The object that an intent is about, as a subject of its own."""
    detail: Mapping[str, Any] = record.detail
    generation = int(detail["generation"])
    resource = Resource(
        address=address,
        name=str(detail["name"]),
        uid=UUID(str(detail["uid"])),
        stamp=Stamp(str(lineage), str(record.address), generation),
        spec=detail["spec"],
        external_id=detail.get("external_id"),
    )
    dependencies = tuple(Address.of(text) for text in detail.get("dependencies", ()))
    return Subject(
        address,
        str(detail["endpoint"]),
        resource,
        None,
        None,
        generation,
        (),
        dependencies,
        interrupted=(record,),
    )


def _retired(subjects: Mapping[Address, Subject], left: Subject) -> Subject:
    """An object whose address another one has, under an address of its own."""
    address = retired_address(left.address, left.generation)
    for mark in (f"@{left.endpoint}", f"@{left.resource.uid}"):
        if address not in subjects:
            break
        address = Address(address.kind, f"{address.name}{mark}")
    return replace(
        left, address=address, resource=replace(left.resource, address=address), retired=True
    )


def retired_address(address: Address, generation: int) -> Address:
    """The internal address of an object whose successor has taken over its address."""
    return Address(address.kind, f"{address.name}#{generation}")


def _follow_renames(
    subjects: dict[Address, Subject], renamed: Renamed, rules: Rules
) -> dict[Address, Subject]:
    """Recorded references under the addresses that their targets have now."""
    if not renamed:
        return subjects
    return {
        address: _followed(subject, renamed, rules.kind(address.kind))
        for address, subject in subjects.items()
    }


def _followed(subject: Subject, renamed: Renamed, rules: KindRules) -> Subject:
    needed = subject.recorded_dependencies
    if renamed.keys().isdisjoint(needed):
        return subject
    resource = subject.resource
    if subject.declaration is None:
        spec = followed_spec(resource.spec, needed, renamed, rules)
        resource = replace(resource, spec=spec)
    entry = subject.entry
    return replace(
        subject,
        resource=resource,
        entry=followed(entry, renamed, rules) if entry is not None else None,
        recorded_dependencies=followed_addresses(needed, renamed),
    )


def known_of(subject: Subject, spec: Mapping[str, Any], endpoint: str | None = None) -> Known:
    """The subject as a plan keeps it, with ``spec`` as its spec."""
    resource = subject.resource
    declaration = subject.declaration
    return Known(
        address=subject.address,
        endpoint=endpoint or subject.endpoint,
        name=resource.name,
        uid=str(resource.uid),
        generation=subject.generation,
        spec=spec,
        external_id=resource.external_id,
        outputs=resource.outputs,
        dependencies=subject.dependencies
        if declaration is not None
        else subject.recorded_dependencies,
        protect=declaration.protect
        if declaration is not None
        else bool(subject.entry and subject.entry.protect),
        manage=subject.manage,
    )
