"""What documents that cannot be used may have been meant to declare.

A name that nothing declares is a mistake, unless it may be that of a document that was reported
already: then it is only a consequence. :mod:`provisioner.manifest.documents` and
:mod:`provisioner.manifest.loader` collect here what is known of such documents;
:mod:`provisioner.manifest.references` asks.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from provisioner.core.address import NAME_PATTERN
from provisioner.manifest.catalog import API_VERSION
from provisioner.manifest.placeholders import PLACEHOLDER, UNREADABLE
from provisioner.manifest.violations import nearest

_MOST_ODD = 50
"""Names of one kind that are compared letter by letter; with more, any name may be meant."""


class Meant(NamedTuple):
    """Kind and name of a document as far as they can be read, None where they cannot. The name may
    contain placeholders, or be none.
    """

    kind: str | None = None
    name: str | None = None


def meant(value: Any, kinds: Collection[str], *, whole: bool) -> Meant | None:
    """What a document was meant to declare that has no usable kind; None if nobody can mean it.

    ``whole``: it was read to its end, so that what is missing is not there.
    """
    fields: Mapping[str, Any] = value if isinstance(value, dict) else {}
    metadata = fields.get("metadata")
    named: Mapping[str, Any] = metadata if isinstance(metadata, dict) else {}
    kind, name = _readable(fields.get("kind")), _readable(named.get("name"))
    near = kind if kind in kinds else nearest(kind, kinds)
    if whole and near is None and (foreign(fields) or "name" not in named):
        return None
    return Meant(near, name)


def foreign(fields: Mapping[str, Any]) -> bool:
    """Whether a document says that it is a manifest of another tool, or of another version."""
    version = fields.get("apiVersion")
    known = version is UNREADABLE or version == API_VERSION
    return isinstance(version, str) and not known


def _readable(value: Any) -> str | None:
    return value if isinstance(value, str) and value is not UNREADABLE else None


@dataclass(slots=True)
class Unread:
    """What may be declared beside that which was read. Kind None stands for every kind."""

    _open: set[str | None] = field(default_factory=set)
    """Kinds of which there is a document whose name is not known."""
    _names: dict[str | None, set[str]] = field(default_factory=dict)
    _odd: dict[str | None, list[re.Pattern[str] | str]] = field(default_factory=dict)
    """Names in which something is left open, and such that are none and may be misspelt."""

    def add(self, items: Iterable[Meant]) -> None:
        """Take note of documents."""
        for kind, name in items:
            names = self._names.setdefault(kind, set())
            if name is None:
                self._open.add(kind)
            elif name not in names:
                names.add(name)
                self._add_odd(kind, name)

    def _add_odd(self, kind: str | None, name: str) -> None:
        if NAME_PATTERN.fullmatch(name):
            return
        odd = self._odd.setdefault(kind, [])
        odd.append(_pattern(name) if "${" in name else name)
        if len(odd) > _MOST_ODD:
            self._open.add(kind)

    def may_be(self, kind: str, name: str) -> bool:
        """Whether one of the documents may declare a resource of that kind and name, as it is
        referred to or as manifests write it.
        """
        return any(
            of in self._open
            or name in self._names.get(of, ())
            or any(_could_be(name, odd) for odd in self._odd.get(of, ()))
            for of in (kind, None)
        )

    def may_be_a(self, kind: str) -> bool:
        """Whether one of the documents may be of that kind."""
        return self.names_a(kind) or None in self._names

    def names_a(self, kind: str) -> bool:
        """Whether one of the documents says that it is of that kind, or nearly so."""
        return kind in self._names


def _pattern(name: str) -> re.Pattern[str]:
    fixed = PLACEHOLDER.split(name)[::2]  # between them stands what is within the brackets
    return re.compile(".*".join(re.escape(part) for part in fixed), re.DOTALL)


def _could_be(name: str, odd: re.Pattern[str] | str) -> bool:
    if isinstance(odd, str):
        return nearest(name, [odd]) is not None
    return odd.fullmatch(name) is not None
