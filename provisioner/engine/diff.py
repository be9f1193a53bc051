"""Three-way comparison of what is desired, what was recorded and what is observed; the only module
that imports deepdiff.

Equality of canonical forms decides first; deepdiff is loaded only for a pair that differs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from provisioner.core.values import Json, Path, get_path, is_marker, path_text
from provisioner.engine.rules import KindRules
from provisioner.providers.api import Change, Present


def with_resets(
    desired: Mapping[str, Any], recorded: Mapping[str, Any] | None, rules: KindRules
) -> tuple[Mapping[str, Any], frozenset[Path]]:
    """``desired`` with the fields that were recorded and are no longer set put back to their
    defaults.

    Returns the completed spec and the paths of fields that have no default, which are to be
    removed.
    """
    if recorded is None or desired == recorded:
        return desired, frozenset()
    removed: set[Path] = set()
    completed = _reset(desired, recorded, rules, (), removed)
    return completed, frozenset(removed)


def _reset(
    desired: Mapping[str, Any],
    recorded: Mapping[str, Any],
    rules: KindRules,
    path: Path,
    removed: set[Path],
) -> dict[str, Any]:
    result = dict(desired)
    for key, old in recorded.items():
        here = (*path, key)
        if key in desired:
            new = desired[key]
            if (
                isinstance(new, Mapping)
                and isinstance(old, Mapping)
                and not rules.owned_whole(here)
            ):
                result[key] = _reset(new, old, rules, here, removed)
            elif isinstance(new, Mapping) and isinstance(old, Mapping):
                result[key] = {
                    name: _reset(element, old[name], rules, (*here, name), removed)
                    if isinstance(element, Mapping) and isinstance(old.get(name), Mapping)
                    else element
                    for name, element in new.items()
                }
            continue
        default = rules.default_of(here)
        if default is not None:
            result[key] = default
            if isinstance(default, Mapping) and isinstance(old, Mapping):
                removed |= {(*here, name) for name in old if name not in default}
        elif isinstance(old, Mapping) and not rules.owned_whole(here):
            inner: set[Path] = set()
            nested = _reset({}, old, rules, here, inner)
            if _says_something(nested):
                result[key] = nested
                removed |= inner
            else:
                removed.add(here)
        elif rules.owned_whole(here):
            result[key] = {}
        else:
            removed.add(here)
    return result


def with_sections(
    desired: Mapping[str, Any], observed: Mapping[str, Any], rules: KindRules
) -> Mapping[str, Any]:
    """``desired`` with what the mere presence of a section says: where its absence has a default of
    its own (no DHCP service), its fields have theirs (``enabled: true``) unless the author sets
    them.
    """
    result: dict[str, Any] | None = None
    for key, section in desired.items():
        found = observed.get(key)
        if section == found or not (isinstance(section, Mapping) and isinstance(found, Mapping)):
            continue
        here = (key,)
        absence = None if rules.owned_whole(here) else rules.default_of(here)
        if not isinstance(absence, Mapping):
            continue
        said = {
            name: rules.default_of((*here, name))
            for name in absence
            if name in found and name not in section
        }
        if said:
            result = result or dict(desired)
            result[key] = {**said, **section}
    return desired if result is None else result


def _says_something(spec: Mapping[str, Any]) -> bool:
    """Whether any value stands in a spec, and not only empty mappings."""
    return any(
        _says_something(value) if isinstance(value, Mapping) else True for value in spec.values()
    )


def with_defaults(
    desired: Mapping[str, Any], recorded: Mapping[str, Any], defaults: Mapping[str, Any]
) -> Mapping[str, Any]:
    """``desired`` with the fields that were recorded, are no longer set, and have a default of the
    provider's (:attr:`provisioner.providers.api.Description.defaults`) put back to that.
    """
    result = dict(desired)
    for key, default in defaults.items():
        for name in recorded if key == "*" else {key} & recorded.keys():
            old, new = recorded[name], desired.get(name)
            if not isinstance(default, Mapping):
                if new is None:
                    result[name] = default
            elif isinstance(old, Mapping) and isinstance(new, Mapping):
                result[name] = with_defaults(new, old, default)
            elif isinstance(old, Mapping) and new is None and key != "*":
                result[name] = with_defaults({}, old, default)
    return {key: value for key, value in result.items() if value != {} or key in desired}


class _Missing:
    """Stands for what a record, which there is, does not have."""


_MISSING = _Missing()


def project(
    desired: Mapping[str, Any],
    recorded: Mapping[str, Any] | None,
    observed: Mapping[str, Any],
    rules: KindRules,
    path: Path = (),
) -> dict[str, Any]:
    """The part of ``observed`` that ``desired`` speaks about: the same fields, and sets that are
    owned as a whole in full. What an endpoint cannot tell is taken to be as it was recorded.
    """
    result: dict[str, Any] = {}
    for key, wanted in desired.items():
        found = observed.get(key, _MISSING)
        if wanted == found:
            result[key] = found
            continue
        here, before = (*path, key), _part(recorded, key)
        if found is not _MISSING:
            result[key] = _project_value(wanted, _section(before), found, rules, here)
            continue
        untold = _untold(wanted, before, rules, here)
        if untold is not None:
            result[key] = untold
    return result


def _project_value(wanted: Any, recorded: Any, found: Any, rules: KindRules, path: Path) -> Any:
    if not (isinstance(wanted, Mapping) and isinstance(found, Mapping)) or wanted == found:
        return found
    if not rules.owned_whole(path):
        return project(wanted, recorded, found, rules, path)
    return {
        name: _project_value(
            wanted.get(name), _section(_part(recorded, name)), element, rules, (*path, name)
        )
        for name, element in found.items()
    }


def _part(document: Any, key: str) -> Any:
    """A part of a record; None if there is no record at all."""
    if document is None:
        return None
    return document.get(key, _MISSING) if isinstance(document, Mapping) else _MISSING


def _section(recorded: Any) -> Any:
    return {} if isinstance(recorded, _Missing) else recorded


def _untold(wanted: Any, recorded: Any, rules: KindRules, path: Path) -> Any:
    """What stands in for a value that was not observed: the recorded one where the field is
    write-only (its default if the record lacks it, the wanted one if there is no record), else
    nothing.
    """
    if rules.is_write_only(path):
        if isinstance(recorded, _Missing):
            return rules.default_of(path)
        return wanted if recorded is None else recorded
    if isinstance(wanted, Mapping) and not rules.owned_whole(path):
        parts = {
            key: _untold(value, _part(recorded, key), rules, (*path, key))
            for key, value in wanted.items()
        }
        return {key: value for key, value in parts.items() if value is not None} or None
    return None


def differences(
    desired: Mapping[str, Any],
    recorded: Mapping[str, Any] | None,
    observed: Present,
    rules: KindRules,
    pending: Collection[str] = (),
) -> list[Change]:
    """All changes that bring ``observed`` to ``desired``, sorted by path; empty if there is nothing
    to do.

    A field whose configured value is right but whose running value is not is a change, too, with
    ``differs_running``. ``pending`` are fields (as :func:`path_text` writes them) that earlier
    applies left waiting for a restart: they count until they are in force, also where the author
    does not speak of them any more, and their changes say so.
    """
    if _is_as_desired(desired, recorded, observed):
        return []
    wanted, removed = with_resets(desired, recorded, rules)
    wanted = with_sections(wanted, observed.spec, rules)
    found = project(wanted, recorded, observed.spec, rules)
    changes: dict[Path, tuple[Json, Json]] = {}
    if found != wanted:
        changes = {path: (before, after) for path, before, after in _walk(found, wanted)}
    for path in removed:
        before = get_path(observed.spec, path)
        if before is None and recorded is not None and rules.is_write_only(path):
            before = get_path(recorded, path)
        if before is not None and path not in changes and not _covered(path, wanted):
            changes[path] = (before, None)
    result = [
        Change(path, before, after, rules.impact_of(path))
        for path, (before, after) in changes.items()
    ]
    if observed.running:
        result = _with_running(result, wanted, found, observed, rules=rules, pending=pending)
    return sorted(result, key=lambda change: change.path)


def _is_as_desired(
    desired: Mapping[str, Any], recorded: Mapping[str, Any] | None, observed: Present
) -> bool:
    """Whether equality alone tells that there is nothing to do."""
    found = observed.spec
    return (
        not observed.running
        and (recorded is None or desired == recorded)
        and all(key in found and found[key] == value for key, value in desired.items())
    )


def _covered(path: Path, wanted: Mapping[str, Any]) -> bool:
    return get_path(wanted, path) is not None


def _with_running(
    changes: list[Change],
    wanted: Mapping[str, Any],
    found: Mapping[str, Any],
    observed: Present,
    *,
    rules: KindRules,
    pending: Collection[str],
) -> list[Change]:
    """The changes with what is in force instead of what is configured, and those that only that
    makes; ``found`` is the part of the configuration that ``wanted`` speaks about.
    """
    by_path = {change.path: change for change in changes}
    for path, running in observed.running.items():
        change = by_path.get(path)
        if change is not None:
            by_path[path] = Change(
                path,
                change.before,
                change.after,
                change.impact,
                change.reason,
                running,
                differs_running=True,
            )
            continue
        before, after = get_path(found, path), get_path(wanted, path)
        awaited = _awaited(path, pending)
        if after is None and not _owned(wanted, path, rules):
            if not awaited:
                continue
            before = after = get_path(observed.spec, path)
        if after == running:
            continue
        if any(path[: len(other)] == other for other in by_path):
            continue
        by_path[path] = Change(
            path,
            before,
            after,
            rules.impact_of(path),
            "",
            running,
            differs_running=True,
            pending=awaited and before == after,
        )
    return list(by_path.values())


def _awaited(path: Path, pending: Collection[str]) -> bool:
    """Whether the field, or one above it, waits for a restart since an earlier apply."""
    return any(path_text(path[:length]) in pending for length in range(1, len(path) + 1))


def _owned(wanted: Mapping[str, Any], path: Path, rules: KindRules) -> bool:
    """Whether the author owns the place of a path that is absent from the desired spec: it would be
    an element of a set that stands there.
    """
    above = path[:-1]
    return rules.owned_whole(above) and isinstance(get_path(wanted, above), Mapping)


def _walk(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[Path, Json, Json]]:
    """The leaves in which two documents differ; a list or an unknown value differs as a whole."""
    from deepdiff import DeepDiff  # noqa: PLC0415 - its import costs 0.3 s, paid only for a change

    tree = DeepDiff(
        *_without_common(before, after),
        view="tree",
        threshold_to_diff_deeper=0,
        ignore_order=False,
        ignore_private_variables=False,  # by default it skips keys that begin with __
    )
    seen: set[Path] = set()
    for levels in tree.values():
        for level in levels:
            path = _mapping_prefix(after, before, level.path(output_format="list"))
            if path not in seen:
                seen.add(path)
                yield path, get_path(before, path), get_path(after, path)


def _without_common(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both documents without what they agree in: deepdiff takes half a millisecond to find out what
    equality tells at once.
    """
    one: dict[str, Any] = {}
    other: dict[str, Any] = {}
    for key in {**before, **after}:
        if key not in after:
            one[key] = before[key]
        elif key not in before:
            other[key] = after[key]
        elif before[key] != after[key]:
            one[key], other[key] = before[key], after[key]
            if isinstance(one[key], Mapping) and isinstance(other[key], Mapping):
                one[key], other[key] = _without_common(one[key], other[key])
    return one, other


def _mapping_prefix(after: Mapping[str, Any], before: Mapping[str, Any], keys: list[Any]) -> Path:
    """``keys`` up to the first thing that is not a plain mapping on both sides."""
    path: tuple[str, ...] = ()
    for key in keys:
        sides = (get_path(before, path), get_path(after, path))
        if path and any(
            side is not None and (not isinstance(side, Mapping) or is_marker(side))
            for side in sides
        ):
            break
        path = (*path, str(key))
    return path
