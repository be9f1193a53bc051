"""The documents of a random stack that are valid already, and what they use up; called by
:mod:`tests.lifecycle.fitting` and what it consists of.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Document = dict[str, Any]

INDEX = "${replica.index}"


def expanded_names(document: Document) -> tuple[str, ...]:
    """The names of the resources that a document makes."""
    metadata = document["metadata"]
    if "replicas" not in metadata:
        return (metadata["name"],)
    return tuple(metadata["name"].replace(INDEX, str(number)) for number in numbers(metadata))


def numbers(metadata: Document) -> range:
    replicas = metadata["replicas"]
    start = replicas.get("start", 1)
    return range(start, start + replicas["count"])


def host_of(document: Document, documents: list[Document]) -> str:
    """The host that a document names itself or through what it lives in."""
    spec = document["spec"]
    own = spec.get("host") or spec.get("placement", {}).get("host")
    if own is not None:
        return str(own)
    for kind, name in (("StoragePool", "pool"), ("VirtualMachine", "machine")):
        for other in documents:
            names = (other["metadata"]["name"], *expanded_names(other))
            if other["kind"] == kind and spec.get(name) in names:
                return host_of(other, documents)
    return "here"


@dataclass
class World:
    """The documents that are valid already, and what they use up."""

    documents: list[Document] = field(default_factory=list)
    names: set[tuple[str, str]] = field(default_factory=set)
    renamed: dict[tuple[str, str], str] = field(default_factory=dict)
    plugged: set[str] = field(default_factory=set)
    macs: set[str] = field(default_factory=set)
    addresses: set[tuple[str, int]] = field(default_factory=set)

    def find(self, kind: str, name: str) -> Document | None:
        for document in self.documents:
            if document["kind"] == kind and name in expanded_names(document):
                return document
        return None

    def targets(self, user: Document, kind: str, name: str) -> str | None:
        """What a reference may say: the name as it is, the new name of what was renamed, or None
        where nothing fits.
        """
        host = host_of(user, self.documents)
        name = self.renamed.get((kind, name), name)
        for document in self.documents:
            if document["kind"] != kind or host_of(document, self.documents) != host:
                continue
            if name in expanded_names(document):
                return name
            theirs, mine = document["metadata"], user["metadata"]
            both = {"replicas"} <= theirs.keys() & mine.keys()
            if name == theirs["name"] and both and set(numbers(mine)) <= set(numbers(theirs)):
                return name
        return None


def beside(document: Document, world: World) -> list[Document]:
    """The specs of the same kind on the same host that are valid already."""
    host = host_of(document, world.documents)
    return [
        other["spec"]
        for other in world.documents
        if other["kind"] == document["kind"] and host_of(other, world.documents) == host
    ]


def unique(
    elements: list[Document], key: str, canonical: Callable[[str], str] = str
) -> list[Document]:
    found: dict[str, Document] = {}
    for element in elements:
        found.setdefault(canonical(element[key]), element)
    return list(found.values())
