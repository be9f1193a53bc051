"""A snapshot's definition, and the mark of ownership in it. Pure.

libvirt keeps no metadata of snapshots, but their description. The mark is its last line: a word and
JSON, which people can tell from what they wrote themselves::

    Before the upgrade

    provisioner: {"address":"Snapshot/before-upgrade","generation":0,"lineage":"...","memory":false}

Source: libvirt, "Snapshot XML format" (https://libvirt.org/formatsnapshot.html).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from provisioner.core.identity import Stamp
from provisioner.core.values import canonical_json
from provisioner.providers.api import Resource
from provisioner_plugins._libvirt.xml import Element, child, element, text_of

_WORD = "provisioner: "


@dataclass(frozen=True, slots=True)
class SnapshotMark:
    """What the last line of a description says.

    ``memory`` is what was asked for: libvirt can leave the memory of a running machine out of the
    use of a snapshot, but not out of the snapshot.
    """

    stamp: Stamp
    memory: bool
    labels: Mapping[str, str] = field(default_factory=dict)
    tenant: str | None = None

    @classmethod
    def of(cls, resource: Resource) -> SnapshotMark:
        """The mark that a resource's snapshot shall carry."""
        return cls(
            resource.stamp,
            bool(resource.spec.get("memory", False)),
            dict(resource.spec.get("labels", {})),
            resource.spec.get("tenant"),
        )

    def line(self) -> str:
        """The mark as a line."""
        data: dict[str, Any] = {**self.stamp.as_json(), "memory": self.memory}
        if self.labels:
            data["labels"] = dict(self.labels)
        if self.tenant is not None:
            data["tenant"] = self.tenant
        return _WORD + canonical_json(data)

    @classmethod
    def parse(cls, line: str) -> SnapshotMark | None:
        """Read a line; None if it is no mark."""
        if not line.startswith(_WORD):
            return None
        try:
            data = json.loads(line.removeprefix(_WORD))
            stamp = Stamp(str(data["lineage"]), str(data["address"]), int(data["generation"]))
            labels = {str(name): str(value) for name, value in data.get("labels", {}).items()}
            return cls(stamp, bool(data["memory"]), labels, data.get("tenant"))
        except (ValueError, KeyError, TypeError, AttributeError):
            return None


def build(resource: Resource) -> Element:
    """The definition of a snapshot that is to be taken."""
    document = element("domainsnapshot", element("name", resource.name))
    write_words(document, resource)
    return document


def write_words(document: Element, resource: Resource) -> None:
    """Write description and mark into a definition."""
    text = str(resource.spec.get("description", ""))
    mark = SnapshotMark.of(resource).line()
    child(document, "description").text = f"{text}\n\n{mark}" if text else mark


def read(document: Element) -> tuple[dict[str, Any], SnapshotMark | None]:
    """``memory``, ``description``, ``labels`` and ``tenant`` of a snapshot, and its mark."""
    text = text_of(document, "description") or ""
    words, _, last = text.rpartition("\n")
    mark = SnapshotMark.parse(last)
    if mark is None:
        words = text
    spec: dict[str, Any] = {
        "memory": holds_memory(document) if mark is None else mark.memory,
        "labels": {} if mark is None else dict(mark.labels),
    }
    if words.strip():
        spec["description"] = words.strip()
    if mark is not None and mark.tenant is not None:
        spec["tenant"] = mark.tenant
    return spec, mark


def holds_memory(document: Element) -> bool:
    """Whether there is memory in the snapshot, asked for or not."""
    memory = document.find("memory")
    return memory is not None and memory.get("snapshot") in ("internal", "external")


def created(document: Element) -> str | None:
    """When it was taken (RFC 3339, UTC)."""
    seconds = text_of(document, "creationTime")
    if seconds is None:
        return None
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")
