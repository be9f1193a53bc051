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
from provisioner_plugins._libvirt.xml import (
    Element,
    attribute,
    child,
    copied,
    element,
    remove_all,
    text_of,
)

_WORD = "provisioner: "
_SOURCE = ("pool", "volume", "file", "dev", "name")


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


def is_internal(document: Element) -> bool:
    """Whether all that it holds is in the disks themselves."""
    memory = document.find("memory")
    parts = [disk.get("snapshot") for disk in document.findall("disks/disk")]
    return "external" not in parts and (memory is None or memory.get("snapshot") != "external")


def fits(document: Element, live: Element) -> bool:
    """Whether the running machine has every disk and drive of the snapshot's time, with the medium
    that was in it. libvirt 9.0 compares them when it deletes a snapshot: it refuses where one is
    another now, and ends with a memory error where one is missing.
    """
    had, has = _sources(document.find("domain")), _sources(live)
    return all(name in has and has[name] == had.get(name) for name in _disk_names(document))


def left_disks(document: Element, live: Element) -> list[str]:
    """The volumes that hold a part of the snapshot and that the machine has no more."""
    had = _sources(document.find("domain"))
    kept = set(_sources(live).values())
    parts = {disk.get("name", "") for disk in document.findall("disks/disk") if _is_part(disk)}
    return sorted(
        "/".join(source) for name, source in had.items() if name in parts and source not in kept
    )


def fitted(document: Element, live: Element) -> Element:
    """The snapshot's definition as if it had been taken of the machine as it runs: with its disks
    and media.
    """
    result = copied(document)
    remove_all(result, "inactiveDomain")
    has = _sources(live)
    listed = child(result, "disks")
    for disk in listed.findall("disk"):
        if disk.get("name") not in has:
            listed.remove(disk)
    devices = child(result, "domain/devices")
    remove_all(devices, "disk")
    for disk in live.findall("devices/disk"):
        present = copied(disk)
        # Other devices of that time may have been where it is.
        for tag in ("address", "alias", "backingStore"):
            remove_all(present, tag)
        devices.append(present)
    return result


def _is_part(disk: Element) -> bool:
    return disk.get("snapshot") in ("internal", "external")


def _disk_names(document: Element) -> list[str]:
    return [disk.get("name", "") for disk in document.findall("disks/disk")]


def _sources(domain: Element | None) -> dict[str, tuple[str, ...]]:
    """What is in each disk and drive, by device name."""
    found: dict[str, tuple[str, ...]] = {}
    for disk in domain.findall("devices/disk") if domain is not None else ():
        source = disk.find("source")
        parts = [] if source is None else [source.get(name) for name in _SOURCE]
        found[attribute(disk, "target", "dev") or ""] = tuple(part for part in parts if part)
    return found


def created(document: Element) -> str | None:
    """When it was taken (RFC 3339, UTC)."""
    seconds = text_of(document, "creationTime")
    if seconds is None:
        return None
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")
