"""A StoragePool's canonical spec as libvirt's storage pool XML, and back. Pure.

Source: libvirt, "Storage pool and volume XML format" (https://libvirt.org/formatstorage.html).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from provisioner_plugins._libvirt.beyond import beyond
from provisioner_plugins._libvirt.native import PROVIDER
from provisioner_plugins._libvirt.xml import (
    Element,
    attribute,
    child,
    copied,
    element,
    remove_all,
    text_of,
)

TYPES = ("dir", "netfs", "logical", "iscsi")
ISCSI_PATH = "/dev/disk/by-path"

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_GROUP = re.compile(r"[A-Za-z0-9+_.][A-Za-z0-9+_.-]{0,126}")
_TARGET = re.compile(r"(iqn|eui|naa)[.]\S+")

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


def folder_of(spec: Mapping[str, Any]) -> str | None:
    """The folder in which each volume of a pool is a file, or node, of its name; None: there is
    none, or it is not known yet.
    """
    if spec.get("type") == "logical":
        group = spec.get("source", {}).get("volumeGroup")
        return f"/dev/{group}" if isinstance(group, str) else None
    path = spec.get("path")
    return path if spec.get("type") in ("dir", "netfs") and isinstance(path, str) else None


def clean_path(path: str) -> str:
    """A path as libvirt keeps it: no slash twice, none at the end."""
    return re.sub("/+", "/", path).rstrip("/") or "/"


def describe(name: str, uid: UUID, document: Element) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The spec that a manifest of a pool has, without autostart, and notes. ``type`` is missing
    where the common model has none for it.
    """
    spec = read(document)
    kind = document.get("type")
    if "type" not in spec or not _is_complete(spec):
        spec.pop("type", None)
        return spec, (f"the type {kind}, with this source, has no counterpart in the common model",)
    rest = copied(document)
    made = build(name, uid, spec)
    for pool in (rest, made):
        for tag in ("name", "uuid", "capacity", "allocation", "available"):
            remove_all(pool, tag)
        for target in pool.findall("target"):
            # Libvirt tells the owner and the mode that the folder has.
            for tag in ("path", "permissions"):
                remove_all(target, tag)
        for source in pool.findall("source"):
            if not source.attrib and not len(source):
                pool.remove(source)
        for node in pool.findall("source/format") if kind == "logical" else ():
            child(pool, "source").remove(node)
    if kind == "logical":
        spec.pop("path", None)
    left = beyond(rest, made, IDENTIFY)
    if left.fragments:
        spec["native"] = {PROVIDER: {"pool": list(left.fragments)}}
    return spec, left.notes


def _is_complete(spec: Mapping[str, Any]) -> bool:
    """Whether it says all that a pool of its type needs, in the words that a manifest can use."""
    source = spec.get("source", {})
    path = spec.get("path", "/")
    if not path.startswith("/") or path != path.rstrip():
        return False
    match spec["type"]:
        case "netfs":
            formats = ("auto", "nfs", "glusterfs", "cifs")
            return bool(
                _HOST.fullmatch(source.get("host", ""))
                and source.get("directory")
                and source.get("format") in formats
            )
        case "logical":
            return _GROUP.fullmatch(source.get("volumeGroup", "")) is not None
        case "iscsi":
            return bool(
                _HOST.fullmatch(source.get("host", ""))
                and _TARGET.fullmatch(source.get("target", ""))
                and _TARGET.fullmatch(source.get("initiator", "iqn.x"))
            )
    return "path" in spec


def read(document: Element) -> dict[str, Any]:
    """The spec of a definition, without autostart.

    ``type`` is missing where the common model has none for it.
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
