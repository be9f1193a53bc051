"""The objects of a memory endpoint as values, and the JSON line in which each is kept.

Made and read by :mod:`provisioner_plugins.memory.inventory`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from provisioner.core.identity import Stamp
from provisioner.core.values import Json, Path
from provisioner.providers.api import Present
from provisioner_plugins.memory.content import (
    EMPTY,
    Content,
    Mirror,
    decode_content,
    encode_content,
)

MACHINE = "VirtualMachine"
POWER_DEFAULT = "running"

_encoder = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object. ``spec`` is what is configured; ``running`` holds, by path, the values in force
    where they are others. ``saved`` is what a snapshot holds: the machine's spec when it was taken.
    ``holds`` are the ids of the objects that it refers to, by the place in its spec that names
    them. ``node`` is where in a cluster the object is just now: nobody asks for that, and whoever
    runs the cluster changes it. ``content`` is what is on a disk, ``mirrors`` where its writes go
    as well. ``standby`` is why a machine must not be started.
    """

    id: str
    kind: str
    name: str
    owner: Stamp | None
    spec: Mapping[str, Any]
    running: Mapping[Path, Json] = field(default_factory=dict)
    outputs: Mapping[str, Json] = field(default_factory=dict)
    saved: Mapping[str, Any] | None = None
    holds: Mapping[str, str] = field(default_factory=dict)
    node: str | None = None
    content: Content = EMPTY
    mirrors: tuple[Mirror, ...] = ()
    standby: str | None = None

    @property
    def is_on(self) -> bool:
        """Whether it is a machine whose guest runs, or is suspended."""
        power = self.running.get(("power",), self.spec.get("power", POWER_DEFAULT))
        return self.kind == MACHINE and power != "stopped"

    @property
    def is_running(self) -> bool:
        """Whether it is a machine whose guest runs."""
        power = self.running.get(("power",), self.spec.get("power", POWER_DEFAULT))
        return self.kind == MACHINE and power == "running"


_KEEPING = {"Disk": ("image",), MACHINE: ("disks", "cdroms", "clone")}
"""Sections of a spec whose objects cannot be deleted meanwhile."""


def kept_by(stored: StoredObject) -> list[str]:
    """The ids of the objects that it holds on to."""
    sections = _KEEPING.get(stored.kind, ())
    return [held for place, held in stored.holds.items() if place.partition("/")[0] in sections]


def encode(stored: StoredObject) -> str:
    """The line of an object, without its end; equal objects have equal lines. Raises TypeError for
    anything that is no JSON.
    """
    line: dict[str, Any] = {
        "id": stored.id,
        "kind": stored.kind,
        "name": stored.name,
        "owner": list(stored.owner) if stored.owner is not None else None,
        "spec": stored.spec,
    }
    if stored.running:
        line["running"] = [[list(path), stored.running[path]] for path in sorted(stored.running)]
    if stored.outputs:
        line["outputs"] = stored.outputs
    if stored.saved is not None:
        line["saved"] = stored.saved
    if stored.holds:
        line["holds"] = stored.holds
    if stored.node is not None:
        line["node"] = stored.node
    if stored.content != EMPTY:
        line["content"] = encode_content(stored.content)
    if stored.mirrors:
        line["mirrors"] = [list(mirror) for mirror in stored.mirrors]
    if stored.standby is not None:
        line["standby"] = stored.standby
    return _encoder.encode(line)


def encode_removal(object_id: str) -> str:
    """The line that says that an object is gone, without its end."""
    return _encoder.encode({"id": object_id, "gone": True})


def decode(line: Mapping[str, Any]) -> StoredObject | None:
    """The object of a line; None if the line says that it is gone. Raises KeyError, TypeError or
    ValueError for a line that is neither.
    """
    if line.get("gone"):
        return None
    owner = line["owner"]
    return StoredObject(
        id=line["id"],
        kind=line["kind"],
        name=line["name"],
        owner=Stamp(*owner) if owner is not None else None,
        spec=line["spec"],
        running={tuple(path): value for path, value in line.get("running", ())},
        outputs=line.get("outputs", {}),
        saved=line.get("saved"),
        holds=line.get("holds", {}),
        node=line.get("node"),
        content=decode_content(line["content"]) if "content" in line else EMPTY,
        mirrors=tuple(Mirror(*mirror) for mirror in line.get("mirrors", ())),
        standby=line.get("standby"),
    )


def present(stored: StoredObject, line: str) -> Present:
    """What observing an object tells. The fingerprint is a digest of its line, in which equal
    objects agree, but for its place and what guests write: they move by themselves.
    """
    facts: dict[str, Json] = {}
    if stored.kind == MACHINE:
        facts["power"] = stored.running.get(("power",), stored.spec.get("power", POWER_DEFAULT))
    if stored.node is not None:
        facts["node"] = stored.node
    if stored.node is not None or stored.content != EMPTY or stored.mirrors:
        line = encode(replace(stored, node=None, content=EMPTY, mirrors=()))
    return Present(
        external_id=stored.id,
        owner=stored.owner,
        spec=stored.spec,
        fingerprint=hashlib.blake2b(line.encode(), digest_size=16).hexdigest(),
        running=stored.running,
        outputs=stored.outputs,
        facts=facts,
        name=stored.name,
        withheld=_withheld(stored),
    )


def _withheld(stored: StoredObject) -> dict[Path, str]:
    """What a plan leaves alone; a machine that somebody started all the same can be stopped."""
    if stored.standby is None or stored.is_on:
        return {}
    return {("power",): f"it stands by: {stored.standby}"}
