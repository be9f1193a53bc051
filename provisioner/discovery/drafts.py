"""What was found, as a manifest in the making: only what an author would write, with references by
name, and with a remark for everything that is left out.

:mod:`provisioner.discovery.discovering` makes the drafts, and
:mod:`provisioner.discovery.check` takes out of them what the loader does not take.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from provisioner.core.address import Address
from provisioner.core.values import Json, Path, get_path, path_text
from provisioner.manifest.annotations import KindInfo
from provisioner.manifest.canonical import canonical_default
from provisioner.manifest.fields import Field
from provisioner.manifest.printer import authored
from provisioner.manifest.yamlstrict import write_documents
from provisioner.providers.api import Discovered


class Named(NamedTuple):
    """What a reference to an object is in manifests. ``problem``: why it cannot stand there now."""

    name: str
    problem: str | None = None


NameOf: TypeAlias = Callable[[Field, str], Named]
"""Gives the name for an external id that stands in a reference."""


@dataclass(slots=True)
class Draft:
    """The manifest of one object. ``spec`` is canonical, ``defaults`` are those of the provider for
    the kind. ``remarks`` say what is left out and why, ``problem`` why there cannot be a manifest.
    """

    address: Address
    found: Discovered
    info: KindInfo
    spec: dict[str, Any]
    external_name: str | None = None
    observe_only: bool = False
    others: str | None = None
    """The address in the stamp that tells that it is another stack's: on it, or on what uses it."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    problem: str | None = None
    _gone: list[Path] = field(default_factory=list)

    @property
    def reason(self) -> str:
        """Why there is no manifest. What the provider says of the object comes first: what a
        manifest lacks mostly follows from that.
        """
        said = [*self.found.notes, self.problem or ""]
        return "; ".join(" ".join(text.split()) for text in said)

    def leave_out(self, path: Path, why: str) -> bool:
        """Leave out the smallest part around the field at ``path`` without which the rest means the
        same; False if it is out already. Without any such part there can be no manifest.
        """
        if self.problem is not None or any(part == path[: len(part)] for part in self._gone):
            return False
        part = _part_around(self.info, self.spec, path)
        if part is None:
            where = path_text(path)
            self.problem = f"{where}: {why}" if where else why
            return True
        self.remarks.append(self._remark(part, path, why))
        self._gone.append(part)
        self._remove(part)
        return True

    def _remove(self, part: Path) -> None:
        """Remove a part, and what holds nothing without it."""
        above = part[:-1]
        place = get_path(self.spec, above) if above else self.spec
        assert isinstance(place, dict)
        del place[part[-1]]
        if above and not place and above == _part_around(self.info, self.spec, above):
            self._remove(above)

    def put(self, path: Path, value: Json) -> None:
        """Set a field."""
        place = self.spec
        for key in path[:-1]:
            place = place.setdefault(key, {})
        place[path[-1]] = value

    def _remark(self, part: Path, path: Path, why: str) -> str:
        inner = f"{path_text(path)}: " if path != part else ""
        if self.info.is_sensitive(part):
            return f"{path_text(part)}: {inner}{why}"
        field = self.info.field(part)
        value = get_path(self.spec, part)
        if field is not None:
            defaults = _below(self.defaults, part)
            value = _shorter(_without(value, defaults), field) or value
        text = write_documents([{path_text(part): authored(value, field)}]).rstrip("\n")
        text = text.removesuffix("\n...")
        if "\n" not in text:
            return f"{text}\n{inner}{why}"
        # What stands below can be taken out of its comment as it is.
        return f"{inner or f'{path_text(part)}: '}{why}\n{text}"


def draft_of(
    found: Discovered,
    address: Address,
    info: KindInfo,
    name_of: NameOf,
    *,
    defaults: Mapping[str, Any],
    full: bool = False,
) -> Draft:
    """The draft of an object; with ``full`` also of its fields that are as they would be without a
    word. ``defaults`` are those of the provider.
    """
    spec = copy.deepcopy(dict(found.observed.spec))
    draft = Draft(address, found, info, spec, defaults=defaults, remarks=list(found.notes))
    unnamed = list(_name_references(draft.spec, info.canonical, name_of, ()))
    _leave_out_secrets(draft)
    _leave_out_pending(draft, name_of)
    for path, why in unnamed:
        draft.leave_out(path, why)
    if not draft.spec.get("labels", True):
        del draft.spec["labels"]
    if not full:
        draft.spec = _without_defaults(
            _without(draft.spec, defaults), info.canonical, _required(info, ())
        )
    return draft


def _part_around(info: KindInfo, spec: Mapping[str, Any], path: Path) -> Path | None:
    """What has to go with a field: a list whole, a set or free mapping whole (a part of it would
    say that there is no more), and whatever cannot be without it.
    """
    while path and not _is_there(spec, path):
        path = path[:-1]
    while path:
        above = path[:-1]
        parent = get_path(spec, above) if above else spec
        whole = not isinstance(parent, Mapping) or (bool(above) and info.owned_whole(above))
        if not whole and path[-1] not in _required(info, above):
            return path
        path = above
    return None


def _is_there(spec: Any, path: Path) -> bool:
    for part in path:
        if isinstance(spec, list):
            return True  # the list goes whole, whatever in it is meant
        if not isinstance(spec, Mapping) or part not in spec:
            return False
        spec = spec[part]
    return True


def _required(info: KindInfo, path: Path) -> frozenset[str]:
    known = info.field(path) if path else info.spec
    return frozenset() if known is None else frozenset(known.schema.get("required", ()))


def _leave_out_secrets(draft: Draft) -> None:
    for path in list(_sensitive(draft.spec, draft.info.canonical, ())):
        draft.leave_out(path, "it may be a secret; write a secretRef if it is to be kept")


def _sensitive(value: Any, known: Field | None, path: Path) -> Iterator[Path]:
    if known is None:
        return
    if known.sensitive:
        yield path
    elif isinstance(value, Mapping):
        for key, child in value.items():
            yield from _sensitive(child, known.child(key), (*path, key))


def _leave_out_pending(draft: Draft, name_of: NameOf) -> None:
    """What is configured and not in force is nothing that a manifest could say without having it
    put into force.
    """
    for running in sorted(draft.found.observed.running):
        path = _named_path(running, draft.info.canonical, name_of)
        if _part_around(draft.info, draft.spec, path) is not None:
            draft.leave_out(path, "it is configured and not in force: a restart is waited for")
        elif _is_there(draft.spec, path):
            draft.remarks.append(f"{path_text(path)}: another value is in force now")


def _named_path(path: Path, field: Field, name_of: NameOf) -> Path:
    """The path with the names of elements that are known by what they refer to."""
    named: list[str] = []
    known: Field | None = field
    for part in path:
        key_field = _referring_key(known)
        name = part
        if key_field is not None:
            name = name_of(key_field, part).name
        named.append(name)
        known = None if known is None else known.child(part)
    return tuple(named)


def _referring_key(known: Field | None) -> Field | None:
    """The key of a list by which its elements are told apart, if that refers to something."""
    if known is None or known.set_key is None or known.rest is None:
        return None
    key_field = known.rest.children.get(known.set_key)
    return key_field if key_field is not None and key_field.references else None


def _name_references(
    value: Any, known: Field | None, name_of: NameOf, path: Path
) -> Iterator[tuple[Path, str]]:
    """Put names into references; yields those for which there is none, and why."""
    if known is None or not isinstance(value, dict):
        return
    key_field = _referring_key(known)
    if key_field is not None:
        yield from _name_keys(value, key_field, name_of, path)
    for key, child in list(value.items()):
        below = known.child(key)
        if below is None:
            continue
        if below.references and isinstance(child, str):
            value[key], problem = name_of(below, child)
            if problem is not None:
                yield (*path, key), problem
        else:
            yield from _name_references(child, below, name_of, (*path, key))


def _name_keys(
    elements: dict[str, Any], key_field: Field, name_of: NameOf, path: Path
) -> Iterator[tuple[Path, str]]:
    before = dict(elements)
    elements.clear()
    for key, element in before.items():
        name, problem = name_of(key_field, key)
        elements[name] = element
        if problem is not None:
            yield (*path, name), problem


def _below(defaults: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    """The provider's defaults for what is below a field."""
    for part in path:
        inner = defaults.get(part, defaults.get("*"))
        defaults = inner if isinstance(inner, Mapping) else {}
    return defaults


def _without(value: Any, defaults: Mapping[str, Any]) -> Any:
    """A section without the fields that are as the provider would have them."""
    if not isinstance(value, Mapping):
        return value
    result = dict(value)
    for key, default in defaults.items():
        for name in value if key == "*" else {key} & value.keys():
            if isinstance(default, Mapping):
                result[name] = _without(value[name], default)
            elif value[name] == default:
                del result[name]
    return result


def _without_defaults(
    value: Mapping[str, Any], known: Field, required: frozenset[str]
) -> dict[str, Any]:
    """The fields that say something, in the schema's order."""
    result: dict[str, Any] = {}
    order = {name: number for number, name in enumerate(known.children)}
    for name in sorted(value, key=lambda name: order.get(name, len(order))):
        child, below = value[name], known.children.get(name)
        if below is None or name in required:
            result[name] = child if below is None else _shorter(child, below)
        elif not _is_default(child, below, value, known):
            shorter = _shorter(child, below)
            if shorter not in ({}, []):
                result[name] = shorter
    return result


def _shorter(value: Any, known: Field) -> Any:
    if not isinstance(value, Mapping):
        return value
    if known.set_key is not None and known.rest is not None:
        inner = known.rest
        return {
            key: _without_defaults(element, inner, _required_of(inner))
            if isinstance(element, Mapping)
            else element
            for key, element in value.items()
        }
    if not known.children:
        # A free mapping; of a provider's own section, what is empty says nothing.
        if known.provider_part is None:
            return value
        return {key: child for key, child in value.items() if child not in ({}, [])}
    # What the absence of the whole section means is said in full where it is there.
    said = known.default if isinstance(known.default, Mapping) else {}
    return _without_defaults(value, known, _required_of(known) | said.keys())


def _required_of(known: Field) -> frozenset[str]:
    return frozenset(known.schema.get("required", ()))


def _is_default(value: Json, known: Field, beside: Mapping[str, Any], above: Field) -> bool:
    if known.default_from is not None:
        other = above.children[known.default_from]
        return bool(value == beside.get(known.default_from, canonical_default(other)))
    default = canonical_default(known)
    return default is not None and value == default
