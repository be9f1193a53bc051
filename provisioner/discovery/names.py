"""Names for the manifests of objects that were found: valid, unique, and the same whenever and in
whatever order the objects are found. Called by :mod:`provisioner.discovery.discovering`.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

from provisioner.core.address import NAME_PATTERN
from provisioner.core.values import digest

_MOST = 63
_DIGITS = 8


class Wanted(NamedTuple):
    """An object that needs a name among those of its kind. ``name`` is what it is called on its
    endpoint, ``within`` the name of what it lives in.
    """

    external_id: str
    name: str
    within: str | None = None


def names_for(wanted: Sequence[Wanted], taken: Collection[str], otherwise: str) -> dict[str, str]:
    """A name for each object, by its external id. ``taken`` are names that none may get;
    ``otherwise`` is what an object is called whose own name has no letter that a name can have.

    Of objects whose names come down to the same one, that whose name it is keeps it. The others get
    the name of what they live in behind it, or digits that their own names and ids decide.
    """
    plain = {item.external_id: plain_name(item.name, otherwise) for item in wanted}
    exact = Counter(item.name for item in wanted)
    shared = Counter(plain.values())
    names: dict[str, str] = {}
    used = set(taken)
    left: list[Wanted] = []
    for item in wanted:
        name = plain[item.external_id]
        alone = shared[name] == 1 or (name == item.name and exact[name] == 1)
        if alone and name not in taken:
            names[item.external_id] = name
            used.add(name)
        else:
            left.append(item)
    longer = {
        item.external_id: _joined(plain[item.external_id], item.within)
        for item in left
        if item.within is not None
    }
    often = Counter(longer.values())
    for item in sorted(left, key=lambda item: (item.name, item.external_id)):
        name = longer.get(item.external_id, "")
        if not name or often[name] > 1 or name in used:
            name = _told_apart(plain[item.external_id], item, used)
        names[item.external_id] = name
        used.add(name)
    return names


def plain_name(text: str, otherwise: str) -> str:
    """The text as a name (``metadata.name``): lower case, without accents, ``-`` for what no name
    can have.
    """
    if NAME_PATTERN.fullmatch(text):
        return text
    letters = unicodedata.normalize("NFKD", text)
    bare = "".join(char for char in letters if not unicodedata.combining(char))
    name = re.sub(r"[^a-z0-9.-]+", "-", bare.lower()).strip("-.")
    return name[:_MOST].strip("-.") or otherwise


def _joined(name: str, end: str) -> str:
    return f"{name[: _MOST - len(end) - 1].rstrip('-.')}-{end}".lstrip("-")[:_MOST].rstrip("-.")


def _told_apart(name: str, item: Wanted, used: Collection[str]) -> str:
    for number in range(len(used) + 1):
        mark = digest([item.name, item.external_id, *([number] if number else [])])
        found = _joined(name, re.sub(r"[^0-9a-f]", "", mark)[-_DIGITS:])
        if found not in used:
            return found
    raise AssertionError("there are more marks than names")
