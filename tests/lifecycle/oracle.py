"""What an object must look like after an apply, worked out in another way than the engine does.

Called by the property tests with what was desired, recorded and observed before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from provisioner.core.address import Address
from provisioner.core.values import Path, path_text
from provisioner.engine.rules import KindRules
from provisioner.state.model import JournalRecord

Spec = Mapping[str, Any]


class Views(NamedTuple):
    """A spec, or a part of one, seen from four sides."""

    after: Spec
    desired: Spec
    recorded: Spec
    before: Spec

    def below(self, key: str) -> Views:
        """The same four of a section; empty where there is none."""
        return Views(*(_mapping(side.get(key)) for side in self))


def disagreements(views: Views, rules: KindRules, path: Path = ()) -> Iterator[str]:
    """Where an object is not what three-way rules make of it, a line each.

    What is desired is there. What was recorded and is no longer desired is at its default or gone.
    What nobody ever declared is as it was before, unless the mere presence of its section says
    otherwise.
    """
    absence = rules.default_of(path) if path else None
    says = set(absence) if isinstance(absence, Mapping) else set()
    for key in sorted({*views.after, *views.desired, *views.recorded, *views.before}):
        here = (*path, key)
        found, before = views.after.get(key), views.before.get(key)
        if key in views.desired:
            yield from _wanted(views, rules, here)
        elif key in views.recorded:
            yield from _given_up(found, views.recorded[key], before, rules, here)
        elif key in says and key in views.before:
            if found != rules.default_of(here):
                yield _line(here, repr(rules.default_of(here)), found)
        elif found != before:
            yield _line(here, f"{before!r}, as it was found", found)


def _wanted(views: Views, rules: KindRules, path: Path) -> Iterator[str]:
    key = path[-1]
    want, found = views.desired[key], views.after.get(key)
    if not isinstance(want, Mapping):
        if not _holds(want, found, views.recorded, rules, path):
            yield _line(path, repr(want), found)
    elif rules.owned_whole(path):
        yield from _set(found, want, _mapping(views.recorded.get(key)), rules, path)
    else:
        yield from disagreements(views.below(key), rules, path)


def _set(found: Any, want: Spec, recorded: Spec, rules: KindRules, path: Path) -> Iterator[str]:
    """A set is its author's: it has the elements that are desired and no others."""
    there = _mapping(found)
    untold = rules.is_write_only(path)
    missing = {
        name
        for name in want.keys() - there.keys()
        if not (untold and recorded.get(name) == want[name])
    }
    if missing or there.keys() - want.keys():
        yield _line(path, f"the elements {sorted(want)}", found)
        return
    for name, element in want.items():
        here = (*path, name)
        if name not in there:
            continue
        if not isinstance(element, Mapping):
            if there[name] != element:
                yield _line(here, repr(element), there[name])
            continue
        before = _mapping(recorded.get(name))
        for field, value in element.items():
            if not _holds(value, there[name].get(field), before, rules, (*here, field)):
                yield _line((*here, field), repr(value), there[name].get(field))
        for field, value in before.items():
            if field not in element:
                yield from _given_up(there[name].get(field), value, None, rules, (*here, field))


def _holds(want: Any, found: Any, recorded: Spec, rules: KindRules, path: Path) -> bool:
    """Whether a value is in force. One that an endpoint need not tell is where it was recorded, or
    was the default before anybody wrote it down.
    """
    if found is None and rules.is_write_only(path):
        return bool(recorded.get(path[-1], rules.default_of(path)) == want)
    return bool(found == want)


def _given_up(
    found: Any, recorded: Any, before: Any, rules: KindRules, path: Path
) -> Iterator[str]:
    default = rules.default_of(path)
    if found == default:
        return
    if found is None and rules.is_write_only(path) and recorded == default:
        return  # it is not told, and was the default all the time
    if not (isinstance(recorded, Mapping) and isinstance(found, Mapping)):
        if found is not None or not isinstance(recorded, Mapping):
            yield _line(path, "its default" if default is not None else "nothing", found)
    elif isinstance(default, Mapping):
        yield from _absent_section(Views(found, default, recorded, _mapping(before)), path)
    elif not rules.owned_whole(path):
        yield from disagreements(Views(found, {}, recorded, _mapping(before)), rules, path)
    elif found:
        yield _line(path, "no elements any more", found)


def _absent_section(views: Views, path: Path) -> Iterator[str]:
    """A section whose absence has a default of its own: that, and none of what was recorded."""
    for key in sorted({*views.after, *views.desired, *views.recorded}):
        found, before = views.after.get(key), views.before.get(key)
        if key in views.desired or key in views.recorded:
            if found != views.desired.get(key):
                yield _line((*path, key), repr(views.desired.get(key)), found)
        elif found != before:
            yield _line((*path, key), f"{before!r}, as it was found", found)


def _mapping(value: Any) -> Spec:
    return value if isinstance(value, Mapping) else {}


def _line(path: Path, expected: str, found: Any) -> str:
    return f"{path_text(path)}: expected {expected}, found {found!r}"


def resource_of(intent: JournalRecord) -> Address:
    """Whom an intent is about by now: a predecessor is noted under the name that it had."""
    successor = intent.detail.get("successor")
    return Address.of(successor) if successor else intent.address
