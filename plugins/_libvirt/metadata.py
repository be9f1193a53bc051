"""Our elements in an object's ``<metadata>`` as the calls that write nothing but metadata take
them, and what others have there. Called by the adoption and the discovery of machines and networks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from provisioner_plugins._libvirt import fragment_record, stamp
from provisioner_plugins._libvirt.xml import Element, copied, serialize

_OURS = "urn:provisioner:"


class Part(NamedTuple):
    """One element: the prefix and the namespace under which libvirt files it, and its text without
    either; None: there is to be none.
    """

    key: str
    uri: str
    text: str | None


def parts(document: Element) -> Iterator[Part]:
    """Stamp and record of fragments, as they stand in a definition. The stamp is the last: an
    object that has one has its record, too.
    """
    for key, uri, tag in (
        (fragment_record.PREFIX, fragment_record.NAMESPACE, fragment_record.TAG),
        (stamp.PREFIX, stamp.NAMESPACE, stamp.TAG),
    ):
        node = document.find(f"metadata/{tag}")
        yield Part(key, uri, None if node is None else _bare(node, uri))


def notes_on_others(document: Element) -> tuple[str, ...]:
    """What discovery notes of the metadata that others wrote: by whom each is."""
    metadata = document.find("metadata")
    found = {
        node.tag.rpartition("}")[0].lstrip("{") for node in ([] if metadata is None else metadata)
    }
    return tuple(
        f"kept as it is: the metadata that others wrote ({namespace})"
        for namespace in sorted(found)
        if not namespace.startswith(_OURS)
    )


def _bare(node: Element, uri: str) -> str:
    """libvirt itself puts the namespace into every element."""
    result = copied(node)
    for below in result.iter():
        below.tag = below.tag.removeprefix(f"{{{uri}}}")
        below.tail = None
    return serialize(result)
