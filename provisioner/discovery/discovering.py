"""One run of discovery: reads everything on an endpoint, chooses, names, and writes.

Made and used by :mod:`provisioner.service.discover`. Nothing on the endpoint is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from provisioner.core.clock import Clock
from provisioner.core.collector import collector_paused
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error, quoted
from provisioner.discovery.check import StackCheck, settle
from provisioner.discovery.drafts import Draft, Named, draft_of
from provisioner.discovery.files import Place, check_free, write_files
from provisioner.discovery.known import Identified, Identifier, Key, key_of
from provisioner.discovery.texts import text_of
from provisioner.discovery.values import Choices, Discovery, NotExpressed, Written
from provisioner.discovery.whose import of_others
from provisioner.engine.events import EventSink, Noticed, PhaseStarted
from provisioner.engine.sessions import Sessions
from provisioner.engine.subjects import endpoints_of
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.manifest.fields import Field
from provisioner.manifest.model import Stack
from provisioner.providers.api import Discovered, Session
from provisioner.state.model import EndpointRecord, State

_TELL_EVERY = 2.0
"""Seconds between two words about how far reading has come."""


@dataclass(frozen=True, slots=True)
class Discovering:
    """One run: ``check`` loads what would be written, ``place`` says where that goes."""

    catalog: SchemaCatalog
    sessions: Sessions
    clock: Clock
    check: StackCheck
    place: Place
    choices: Choices
    sink: EventSink

    def __call__(
        self, stack: Stack, host: str, state: State, others: Mapping[Path, str] | None = None
    ) -> Discovery:
        """Read, write, and tell. ``others`` are texts of files that are written, too."""
        endpoint = endpoints_of(stack, state)[host]
        description = self.sessions.registry.get(endpoint.provider).describe()
        naming = description.naming
        served = [kind for kind in self.catalog.kinds if kind in naming]
        for kind in self.choices.kinds:
            if kind not in served:
                raise ProvisionerError(_no_kind(kind, served, endpoint.provider))
        found = self._read(endpoint, served)
        identifier = Identifier(stack, state, host, self.catalog, naming)
        with collector_paused():
            identified = identifier.identify(found)
            selected = self._selected(found, identified, endpoint)
            foreign = of_others(
                found, identified.known, description.unmarked, identifier.owns, self.catalog
            )
            drafts = self._drafts(
                found, selected, identified, identifier, stack, defaults=description.defaults
            )
            for draft in drafts:
                draft.others = foreign.get(key_of(draft.found))
                draft.observe_only = self.choices.observe or draft.others is not None
            self._place_on(host, drafts, stack)
            return self._write(
                drafts,
                others or {},
                Discovery(
                    stack=stack.name,
                    host=host,
                    provider=endpoint.provider,
                    root=self.place.root,
                    new=self.place.new,
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
        self.sink(PhaseStarted("discover"))
        clock = self.clock

        def read(session: Session) -> list[Discovered]:
            found: list[Discovered] = []
            told = clock.monotonic()
            for item in session.discover(kinds):
                found.append(item)
                if clock.monotonic() - told >= _TELL_EVERY:
                    told = clock.monotonic()
                    self.sink(Noticed(f"{len(found):,} objects read so far"))
            return found

        doing = f"discovering what is on {endpoint.name}"
        found = self.sessions.ask(endpoint, read, doing=doing)
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
        wanted = [key for key, item in by_key.items() if self.choices.wants(item)]
        unmatched = self.choices.unmatched(found)
        if unmatched:
            raise ProvisionerError(_no_match(self.choices, unmatched, endpoint.name, found))
        selected: set[Key] = set()
        while wanted:
            key = wanted.pop()
            if key in selected or key in identified.known:
                continue
            selected.add(key)
            if self.choices.dependencies:
                item = by_key[key]
                for reference in self.catalog.kind(item.kind).references:
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
        *,
        defaults: Mapping[str, Mapping[str, Any]],
    ) -> list[Draft]:
        addresses = identified.addresses
        usable = {*stack.declarations, *(addresses[key] for key in selected)}

        def name_of(reference: Field, external_id: str) -> Named:
            known = [
                addresses[kind, external_id]
                for kind in reference.references
                if (kind, external_id) in addresses
            ]
            for address in known:
                if address in usable:
                    return Named(address.name)
            if known:
                return Named(known[0].name, f"it refers to {known[0]}, which is not written")
            kinds = " or ".join(reference.references)
            problem = f"{quoted(external_id)} is no {kinds} that was found on the host"
            return Named(external_id, problem)

        drafts = []
        for item in found:
            key = key_of(item)
            if key not in selected:
                continue
            address = addresses[key]
            info, full = self.catalog.kind(item.kind), self.choices.full
            mine = defaults.get(item.kind, {})
            draft = draft_of(item, address, info, name_of, defaults=mine, full=full)
            # Where names are free, an object is looked for by its name only if that is said.
            if item.name != address.name or identifier.is_free(item.kind):
                draft.external_name = item.name
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
        place, host = self.place, result.host
        self.sink(PhaseStarted("check", len(drafts)))

        def written(draft: Draft) -> str:
            return text_of(draft, place.folder(draft.address.kind), host)

        settle(drafts, others, place.draft, written, self.check)
        told = [draft for draft in drafts if draft.problem is not None and place.was_told(draft)]
        drafts = [draft for draft in drafts if draft not in told]
        texts = {**others, **self._texts(drafts, written)}
        check_free(place.root, texts)
        write_files(place.root, texts)
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
            first = self.place.modeline(draft.address.kind)
            file = parts.setdefault(self.place.file(draft), (first, [], []))
            (file[1] if draft.problem is None else file[2]).append(written(draft))
        return {
            path: first + "---\n".join(documents) + "".join(comments)
            for path, (first, documents, comments) in parts.items()
        }


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
