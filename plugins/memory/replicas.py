"""A replica as a memory endpoint keeps it: a value, and the object that stands for it in the
inventory. Pure.

Called by :mod:`provisioner_plugins.memory.replication` and
:mod:`provisioner_plugins.memory.mirroring`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

from provisioner.core.identity import Stamp
from provisioner.providers.api import Resource
from provisioner.providers.capabilities import Point, ReplicaState
from provisioner_plugins.memory.content import EMPTY, Content, decode_content, encode_content
from provisioner_plugins.memory.objects import StoredObject

KIND = "Replica"
"""Of no manifest, so that nobody discovers it."""
SEED = "00000000"
"""Id of the point that is what the machine ran on here before, as long as there is no newer one."""


class StoredPoint(NamedTuple):
    """A recovery point with the content of each disk, by its address."""

    id: str
    taken: datetime | None
    quiesced: bool
    disks: Mapping[str, Content]

    @property
    def told(self) -> Point:
        """What callers are told."""
        return Point(self.id, self.taken, self.quiesced)


class Seed(NamedTuple):
    """What the Disk was that became a disk of the replica."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class StoredReplica:
    """A replica. ``points`` from old to new. ``following``: every write of the source arrives.
    ``staged`` is the point that a drill stands on, ``stood`` are the ids of its disks. ``number``
    counts the points that there ever were, which names them.
    """

    id: str
    name: str
    owner: Stamp
    points: tuple[StoredPoint, ...] = ()
    following: bool = False
    moved: int = -1
    staged: str | None = None
    stood: tuple[str, ...] = ()
    problem: str = ""
    number: int = 0
    seeds: Mapping[str, Seed] = field(default_factory=dict)

    @property
    def newest(self) -> Mapping[str, Content]:
        """The content of the newest point."""
        return self.points[-1].disks if self.points else {}

    @property
    def told(self) -> ReplicaState:
        """What callers are told."""
        problem = self.problem
        if self.points and self.points[-1].id == SEED:
            problem = "it has what the machine ran on there before, and nothing newer"
        return ReplicaState(
            tuple(point.told for point in self.points),
            self.following,
            self.moved,
            self.staged is not None,
            problem,
            next((point.told for point in self.points if point.id == self.staged), None),
        )

    def with_point(
        self, taken: datetime | None, disks: Mapping[str, Content], *, quiesced: bool, moved: int
    ) -> StoredReplica:
        """The replica with one point more."""
        point = StoredPoint(f"{self.number + 1:08d}", taken, quiesced, disks)
        return replace(
            self, points=(*self.points, point), moved=moved, number=self.number + 1, problem=""
        )

    def trimmed(self, keep: int) -> StoredReplica:
        """Without the oldest points beyond ``keep``, and without a seed that there is a newer one
        of, but for one that a drill stands on.
        """
        last = [item for item in self.points if item.id != SEED][-max(keep, 1) :] or self.points
        kept = tuple(item for item in self.points if item in last or item.id == self.staged)
        return replace(self, points=kept)

    def with_write(self, disk: str, content: Content) -> StoredReplica:
        """The replica after a write of the source; an older one changes nothing."""
        point = self.points[-1]
        if point.disks[disk].writes >= content.writes:
            return self
        now = point._replace(disks={**point.disks, disk: content})
        return replace(self, points=(*self.points[:-1], now))


def id_of(machine: Resource) -> str:
    """The id of the replica of a machine."""
    return f"replica/{machine.uid}"


def moved_between(
    before: Mapping[str, Content], after: Mapping[str, Content], disks: Collection[str]
) -> int:
    """The bytes that have to be moved to get from one state of disks to another."""
    return sum(after[disk].moved_from(before.get(disk, EMPTY)) for disk in disks)


def to_object(replica: StoredReplica) -> StoredObject:
    """The object that is kept."""
    spec: dict[str, Any] = {
        "points": [
            {
                "id": point.id,
                "taken": point.taken.isoformat() if point.taken is not None else None,
                "quiesced": point.quiesced,
                "disks": {disk: encode_content(held) for disk, held in point.disks.items()},
            }
            for point in replica.points
        ],
        "following": replica.following,
        "moved": replica.moved,
        "staged": replica.staged,
        "stood": list(replica.stood),
        "problem": replica.problem,
        "number": replica.number,
        "seeds": {disk: list(seed) for disk, seed in replica.seeds.items()},
    }
    return StoredObject(replica.id, KIND, replica.name, replica.owner, spec)


def from_object(stored: StoredObject) -> StoredReplica:
    """The replica of an object that :func:`to_object` made."""
    spec = stored.spec
    assert stored.owner is not None
    return StoredReplica(
        id=stored.id,
        name=stored.name,
        owner=stored.owner,
        points=tuple(
            StoredPoint(
                item["id"],
                datetime.fromisoformat(item["taken"]) if item["taken"] is not None else None,
                item["quiesced"],
                {disk: decode_content(held) for disk, held in item["disks"].items()},
            )
            for item in spec["points"]
        ),
        following=spec["following"],
        moved=spec["moved"],
        staged=spec["staged"],
        stood=tuple(spec["stood"]),
        problem=spec["problem"],
        number=spec["number"],
        seeds={disk: Seed(*seed) for disk, seed in spec["seeds"].items()},
    )
