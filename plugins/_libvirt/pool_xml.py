"""A StoragePool's canonical spec as libvirt's storage pool XML, and back. Pure.

Source: libvirt, "Storage pool and volume XML format" (https://libvirt.org/formatstorage.html).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from provisioner_plugins._libvirt.xml import Element, attribute, element, text_of

TYPES = ("dir", "netfs", "logical", "iscsi")
ISCSI_PATH = "/dev/disk/by-path"

IDENTIFY = {
    "device": lambda node: node.get("path"),
    "host": lambda node: node.get("name"),
}


def build(name: str, uid: UUID, spec: Mapping[str, Any]) -> Element:
    """The definition of a pool."""
    return element(
        "pool",
        {"type": spec["type"]},
        element("name", name),
        element("uuid", str(uid)),
        _source(spec),
        element("target", element("path", target_path(spec))),
    )


def _source(spec: Mapping[str, Any]) -> Element | None:
    source = spec.get("source", {})
    match spec["type"]:
        case "netfs":
            return element(
                "source",
                element("host", {"name": source["host"]}),
                element("dir", {"path": source["directory"]}),
                element("format", {"type": source.get("format", "auto")}),
            )
        case "logical":
            return element(
                "source",
                *(element("device", {"path": path}) for path in source.get("devices", ())),
                element("name", source["volumeGroup"]),
                element("format", {"type": "lvm2"}),
            )
        case "iscsi":
            initiator = source.get("initiator")
            return element(
                "source",
                element("host", {"name": source["host"]}),
                element("device", {"path": source["target"]}),
                element("initiator", element("iqn", {"name": initiator})) if initiator else None,
            )
    return None


def target_path(spec: Mapping[str, Any]) -> str:
    """Where the volumes appear; libvirt fixes it for volume groups."""
    if spec["type"] == "logical":
        return f"/dev/{spec['source']['volumeGroup']}"
    return str(spec.get("path", ISCSI_PATH))


def clean_path(path: str) -> str:
    """A path as libvirt keeps it: no slash twice, none at the end."""
    return re.sub("/+", "/", path).rstrip("/") or "/"


def read(document: Element) -> dict[str, Any]:
    """The spec of a definition, without autostart.

    ``type`` is missing where the common model has none for it; :func:`notes` says so.
    """
    spec: dict[str, Any] = {}
    kind = document.get("type")
    path = text_of(document, "target/path")
    if path is not None:
        spec["path"] = clean_path(path)
    if kind not in TYPES:
        return spec
    spec["type"] = kind
    values: dict[str, Any] = {}
    if kind == "netfs":
        values = {
            "host": attribute(document, "source/host", "name"),
            "directory": attribute(document, "source/dir", "path"),
            "format": attribute(document, "source/format", "type") or "auto",
        }
    elif kind == "logical":
        values = {
            "volumeGroup": text_of(document, "source/name"),
            "devices": [str(d.get("path")) for d in document.findall("source/device")] or None,
        }
    elif kind == "iscsi":
        values = {
            "host": attribute(document, "source/host", "name"),
            "target": attribute(document, "source/device", "path"),
            "initiator": attribute(document, "source/initiator/iqn", "name"),
        }
    source = {key: value for key, value in values.items() if value is not None}
    return {**spec, "source": source} if source else spec


def notes(document: Element) -> tuple[str, ...]:
    """What :func:`read` could not express."""
    kind = document.get("type")
    return () if kind in TYPES else (f"pool type {kind} has no counterpart",)
