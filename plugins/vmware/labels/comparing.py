"""What labels an object has, by its mark and by what a vCenter shows. Pure.

The mark is what was written last; what is shown may have been changed by hand. A label counts as
far as both say the same, so that a difference is seen, and mended like any other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple


class Shown(NamedTuple):
    """Values by name, as one way of showing labels has them. ``ours`` are names that are used for
    labels alone: what is shown under them is one, whoever set it.
    """

    values: Mapping[str, Collection[str]]
    ours: Collection[str] = ()


def labels_of(marked: Mapping[str, str], shown: Collection[Shown]) -> dict[str, str]:
    """The labels of an object that are to be told."""
    told = dict(marked)
    for way in shown:
        for name, label in marked.items():
            found = way.values.get(name, ())
            if label in found and (len(found) == 1 or name not in way.ours):
                continue
            others = sorted(value for value in found if value != label)
            if others:
                told[name] = others[0]
            else:
                told.pop(name, None)
        for name in way.ours:
            found = way.values.get(name, ())
            if found and name not in marked:
                told[name] = min(found)
    return told
