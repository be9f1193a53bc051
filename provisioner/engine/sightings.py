"""What a difference is known by from one run of ``drift`` to the next, so that it can be told since
when it is there. Pure; :mod:`provisioner.state.sightings` keeps it.

A mark says which field, of which record, and has a digest of what was found there: another value is
another sighting, and so is the same one after an apply has put it right in between. Of a sensitive
value not even a digest is kept, for a short one could be guessed from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from provisioner.core.values import Path, digest, path_text
from provisioner.engine.drift import Difference, ResourceDrift
from provisioner.engine.rules import KindRules

_DIGITS = 16


def mark(drift: ResourceDrift, item: Difference, rules: KindRules) -> str:
    """The mark of one difference of a resource."""
    where = path_text(item.path) or f"({drift.found.value})"
    found = [item.observed, item.running]
    hidden = any(_is_sensitive(value, item.path, rules) for value in found)
    what = "" if hidden else digest(found)[:_DIGITS]
    return f"{where} {drift.serial or 0} {what}".rstrip()


def with_first_seen(
    drift: ResourceDrift, seen: Mapping[str, str], rules: KindRules
) -> ResourceDrift:
    """The resource with the times at which its differences were seen first, by their marks."""
    return replace(
        drift,
        differences=tuple(
            replace(item, first_seen=seen[mark(drift, item, rules)]) for item in drift.differences
        ),
    )


def _is_sensitive(value: Any, path: Path, rules: KindRules) -> bool:
    if path and rules.is_sensitive(path):
        return True
    inner = value.items() if isinstance(value, Mapping) else ()
    return any(_is_sensitive(item, (*path, key), rules) for key, item in inner)
