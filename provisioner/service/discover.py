"""Discovering: everything on an endpoint, written as manifests.

On a host of a stack they become a part of that stack (:func:`discover_host`); of an endpoint that
is named by its URI a new stack is made (:func:`discover_uri`). Nothing on the endpoint is changed,
and nothing is recorded: adopting is a step of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

from provisioner.core.collector import collector_paused
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error, quoted
from provisioner.discovery.check import StackCheck, settle
from provisioner.discovery.drafts import Draft, draft_of
from provisioner.discovery.files import (
    Place,
    check_free,
    check_inside,
    check_new,
    write_files,
)
from provisioner.discovery.known import Identified, Identifier, Key, key_of
from provisioner.discovery.names import plain_name
from provisioner.discovery.texts import manifest, modeline, text_of
from provisioner.discovery.values import Choices, Discovery, NotExpressed, Written
from provisioner.engine.subjects import endpoints_of
from provisioner.manifest.fields import Field
from provisioner.manifest.model import Stack
from provisioner.manifest.printer import authored
from provisioner.manifest.yamlstrict import write_documents
from provisioner.providers.api import ConnectionUris, Discovered, Session
from provisioner.service.init import stack_name
from provisioner.service.layout import SCHEMAS
from provisioner.service.model import EventSink, Noticed, PhaseStarted
from provisioner.service.schema import write_schemas
from provisioner.service.workspace import Workspace
from provisioner.state.model import EndpointRecord, State

__all__ = [
    "Choices",
    "Discovery",
    "NotExpressed",
    "Written",
    "discover_host",
    "discover_uri",
]

_TELL_EVERY = 2.0
"""Seconds between two words about how far reading has come."""


def discover_host(
    workspace: Workspace, host: str, folder: Path, choices: Choices, sink: EventSink
) -> Discovery:
    """Write manifests of what is on a host of the workspace's stack into ``folder``, which lies in
    the stack's. What the stack has already is passed over.

    Raises ProvisionerError: what is wrong with the stack, PRV6050 for an unknown host, PRV6052 and
    PRV6053 if the manifests cannot go there, PRV6055 and PRV6056 for a choice that leaves nothing,
    and what the endpoint says. Then nothing was written.
    """
    name, state = workspace.applied()
    stack = workspace.load(sink, state)
    if name != stack.name:
        state = workspace.read_state(stack.name)
    if host not in stack.hosts:
        raise ProvisionerError(_no_host(host, sorted(stack.hosts)))
    below = check_inside(folder, workspace.root)
    check = StackCheck(
        workspace.root,
        workspace.catalog,
        workspace.registry,
        environment=workspace.environment,
        variables=workspace.variables,
        state=state,
    )
    schemas = SCHEMAS if (workspace.root / SCHEMAS).is_dir() else None
    place = Place(workspace.root, below, schemas, choices, new=False)
    return _Discovering(workspace, check, place, choices, sink).run(stack, host, state, {})


def discover_uri(
    workspace: Workspace, uri: str, folder: Path, choices: Choices, sink: EventSink
) -> Discovery:
    """Make a new stack in ``folder`` of what is at a connection URI. Of the workspace only its
    providers and schemas count.

    Raises ProvisionerError as :func:`discover_host`, and PRV6051 if no provider knows such a URI,
    PRV6013 for a name that no stack can have.
    """
    folder = folder.resolve()
    check_new(folder)
    texts = _new_stack(workspace, uri, stack_name(choices.name, folder))
    check = StackCheck(folder, workspace.catalog, workspace.registry)
    stack = check(texts)
    (host,) = stack.hosts
    nothing = State(lineage=UUID(int=0), serial=0, entries={})
    place = Place(folder, Path(), SCHEMAS, choices, new=True)
    return _Discovering(workspace, check, place, choices, sink).run(stack, host, nothing, texts)


def _new_stack(workspace: Workspace, uri: str, name: str) -> dict[Path, str]:
    """The manifests of the stack and of its host."""
    catalog, registry = workspace.catalog, workspace.registry
    for provider in registry.names():
        try:
            found = registry.get(provider)
        except ProvisionerError:
            continue  # one that cannot be loaded knows no URI
        connection = found.connection_of(uri) if isinstance(found, ConnectionUris) else None
        if connection is None:
            continue
        host = plain_name(urlsplit(uri).hostname or "", "local")
        spec = {"provider": provider, "connection": authored(connection, None)}
        documents = {
            "stack": manifest(catalog.stack_kind, name, {}),
            "host": manifest(catalog.endpoint_kind, host, spec),
        }
        return {
            Path(f"{file}.yaml"): modeline(f"{SCHEMAS}/{document['kind'].lower()}.v1.json")
            + write_documents([document])
            for file, document in documents.items()
        }
    raise ProvisionerError(
        error(
            "PRV6051",
            f"no provider knows the URI {quoted(uri)}",
            detail=f"Installed providers: {', '.join(registry.names()) or 'none'}.",
            hint="Write one such as qemu:///system or qemu+ssh://root@kvm1.example/system, or name "
            "a Host of a stack.",
        )
    )


class _Discovering:
    """One run."""

    def __init__(
        self,
        workspace: Workspace,
        check: StackCheck,
        place: Place,
        choices: Choices,
        sink: EventSink,
    ) -> None:
        self._workspace, self._check, self._place = workspace, check, place
        self._choices, self._sink = choices, sink
        self._catalog = workspace.catalog

    def run(self, stack: Stack, host: str, state: State, others: Mapping[Path, str]) -> Discovery:
        """Read, write, and tell. ``others`` are texts of files that are written, too."""
        endpoint = endpoints_of(stack, state)[host]
        naming = self._workspace.registry.get(endpoint.provider).describe().naming
        served = [kind for kind in self._catalog.kinds if kind in naming]
        for kind in self._choices.kinds:
            if kind not in served:
                raise ProvisionerError(_no_kind(kind, served, endpoint.provider))
        found = self._read(endpoint, served)
        identifier = Identifier(stack, state, host, self._catalog, naming)
        with collector_paused():
            identified = identifier.identify(found)
            selected = self._selected(found, identified, endpoint)
            drafts = self._drafts(found, selected, identified, identifier, stack)
            self._place_on(host, drafts, stack)
            return self._write(
                drafts,
                others,
                Discovery(
                    stack=stack.name,
                    host=host,
                    provider=endpoint.provider,
                    root=self._place.root,
                    new=self._place.new,
                    declared=tuple(
                        sorted(
                            identified.addresses[key]
                            for key in map(key_of, found)
                            if key in identified.known and key in identified.addresses
                        )
                    ),
                    unselected=len(found) - len({*selected, *identified.known}),
                ),
            )

    def _read(self, endpoint: EndpointRecord, kinds: Sequence[str]) -> list[Discovered]:
        """All objects, in the order of kinds, names and ids."""
        self._sink(PhaseStarted("discover"))
        clock = self._workspace.clock

        def read(session: Session) -> list[Discovered]:
            found: list[Discovered] = []
            told = clock.monotonic()
            for item in session.discover(kinds):
                found.append(item)
                if clock.monotonic() - told >= _TELL_EVERY:
                    told = clock.monotonic()
                    self._sink(Noticed(f"{len(found):,} objects read so far"))
            return found

        with self._workspace.sessions(self._sink) as sessions:
            found = sessions.ask(endpoint, read, doing=f"discovering what is on {endpoint.name}")
        order = {kind: number for number, kind in enumerate(kinds)}
        return sorted(
            (item for item in found if item.kind in order),
            key=lambda item: (order[item.kind], item.name, item.observed.external_id),
        )

    def _selected(
        self, found: Sequence[Discovered], identified: Identified, endpoint: EndpointRecord
    ) -> set[Key]:
        """The objects to write: what is wanted and not in the stack, and what that refers to."""
        by_key = {key_of(item): item for item in found}
        wanted = [key for key, item in by_key.items() if self._choices.wants(item)]
        unmatched = self._choices.unmatched(found)
        if unmatched:
            raise ProvisionerError(_no_match(self._choices, unmatched, endpoint.name, found))
        selected: set[Key] = set()
        while wanted:
            key = wanted.pop()
            if key in selected or key in identified.known:
                continue
            selected.add(key)
            if self._choices.dependencies:
                item = by_key[key]
                for reference in self._catalog.kind(item.kind).references:
                    for kind, external_id in reference.targets(item.observed.spec):
                        wanted += [(kind, external_id)] if (kind, external_id) in by_key else []
        return selected

    def _drafts(
        self,
        found: Sequence[Discovered],
        selected: Set[Key],
        identified: Identified,
        identifier: Identifier,
        stack: Stack,
    ) -> list[Draft]:
        addresses = identified.addresses
        usable = {*stack.declarations, *(addresses[key] for key in selected)}

        def name_of(reference: Field, external_id: str) -> str:
            known = [
                addresses[kind, external_id]
                for kind in reference.references
                if (kind, external_id) in addresses
            ]
            for address in known:
                if address in usable:
                    return address.name
            if known:
                raise LookupError(f"it refers to {known[0]}, which is not written")
            kinds = " or ".join(reference.references)
            raise LookupError(f"{quoted(external_id)} is no {kinds} that was found on the host")

        drafts = []
        for item in found:
            key = key_of(item)
            if key not in selected:
                continue
            address, owner = addresses[key], item.observed.owner
            info, full = self._catalog.kind(item.kind), self._choices.full
            draft = draft_of(item, address, info, name_of, full=full)
            # Where names are free, an object is looked for by its name only if that is said.
            if item.name != address.name or identifier.is_free(item.kind):
                draft.external_name = item.name
            draft.is_others = owner is not None and not identifier.owns(owner)
            draft.observe_only = self._choices.observe or draft.is_others
            drafts.append(draft)
        return drafts

    def _place_on(self, host: str, drafts: Iterable[Draft], stack: Stack) -> None:
        """Say on which host the objects are, where the stack has several."""
        if len(stack.hosts) == 1:
            return
        for draft in drafts:
            field = draft.info.host_field
            if field is not None:
                draft.put(field, host)

    def _write(
        self, drafts: Sequence[Draft], others: Mapping[Path, str], result: Discovery
    ) -> Discovery:
        place, host = self._place, result.host
        self._sink(PhaseStarted("check", len(drafts)))

        def written(draft: Draft) -> str:
            return text_of(draft, place.folder(draft.address.kind), host)

        settle(drafts, others, place.draft, written, self._check)
        told = [draft for draft in drafts if draft.problem is not None and place.was_told(draft)]
        drafts = [draft for draft in drafts if draft not in told]
        texts = {**others, **self._texts(drafts, written)}
        check_free(place.root, texts)
        write_files(place.root, texts)
        if place.new:
            write_schemas(place.root / SCHEMAS)
        expressed = [draft for draft in drafts if draft.problem is None]
        return replace(
            result,
            files=tuple(path.as_posix() for path in texts),
            written=tuple(
                Written(
                    draft.address,
                    draft.found.name,
                    place.file(draft).as_posix(),
                    draft.observe_only,
                    tuple(draft.remarks),
                )
                for draft in expressed
            ),
            not_expressed=tuple(
                NotExpressed(
                    draft.address.kind,
                    draft.found.name,
                    place.file(draft).as_posix(),
                    draft.reason,
                )
                for draft in drafts
                if draft.problem is not None
            ),
            told=len(told),
        )

    def _texts(self, drafts: Iterable[Draft], written: Callable[[Draft], str]) -> dict[Path, str]:
        """The files: of each the documents first, and after them what is a comment only."""
        parts: dict[Path, tuple[str, list[str], list[str]]] = {}
        for draft in drafts:
            first = self._place.modeline(draft.address.kind)
            file = parts.setdefault(self._place.file(draft), (first, [], []))
            (file[1] if draft.problem is None else file[2]).append(written(draft))
        return {
            path: first + "---\n".join(documents) + "".join(comments)
            for path, (first, documents, comments) in parts.items()
        }


def _no_host(host: str, known: list[str]) -> Diagnostic:
    near = get_close_matches(host, known, n=1)
    return error(
        "PRV6050",
        f"the stack has no Host {quoted(host)}",
        detail=f"It has {', '.join(known) or 'none'}.",
        hint=f"Did you mean {near[0]!r}?"
        if near
        else "Name a Host of the stack, or a connection URI such as qemu:///system.",
    )


def _no_kind(kind: str, served: list[str], provider: str) -> Diagnostic:
    same = [name for name in served if name.lower() == kind.lower()]
    near = same or get_close_matches(kind, served, n=1)
    return error(
        "PRV6055",
        f"the provider {provider} has no kind {quoted(kind)}",
        detail=f"It has {', '.join(served)}.",
        hint=f"Did you mean {near[0]!r}?" if near else "Name one of these with --kind.",
    )


def _no_match(
    choices: Choices, unmatched: Sequence[str], host: str, found: Sequence[Discovered]
) -> Diagnostic:
    of_kinds = f" of kind {', '.join(choices.kinds)}" if choices.kinds else ""
    names = {item.name.lower(): item.name for item in found}
    glob = unmatched[0]
    same = [name for lower, name in names.items() if fnmatchcase(lower, glob.lower())]
    near = same or [names[name] for name in get_close_matches(glob.lower(), names, n=1)]
    mean = f"Did you mean {near[0]!r}? " if near else ""
    return error(
        "PRV6056",
        f"nothing{of_kinds} on Host/{host} is called {', '.join(map(quoted, unmatched))}",
        detail=f"{len(found)} objects were found on it. Nothing was written.",
        hint=f"{mean}--match takes the names of the objects as they are there, in the same case, "
        "with * as wildcard; quote it for the shell.",
    )
