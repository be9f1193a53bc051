"""What is told of a replica in the file beside it. Pure.

``<volume of the first disk>.replica.json``, one line of JSON, replaced as a whole: what it does not
name does not count. Called by :mod:`store` and :mod:`handler`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple, Self

from provisioner.providers.capabilities import Point

VERSION = 1
SEED = "00000000"
"""Id of the point that is what the machine ran on here before, as long as there is no newer one."""


class File(NamedTuple):
    """A file of the pool's folder, and its format."""

    name: str
    format: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A recovery point and the files that hold it, by disk: a chain ends in each. ``taken`` is in
    ISO 8601. ``checkpoint`` is that of the source, with which the next point can begin.
    """

    id: str
    files: Mapping[str, File]
    taken: str | None = None
    quiesced: bool = False
    checkpoint: str | None = None
    alone: bool = False
    """Whether its files stand on none of an earlier point."""

    @property
    def point(self) -> Point:
        """As the capability tells it."""
        taken = datetime.fromisoformat(self.taken) if self.taken is not None else None
        return Point(self.id, taken, self.quiesced)


@dataclass(frozen=True, slots=True)
class Record:
    """A replica. Its ``disks`` are keyed by the Disk's address, as text.

    ``below``: files, from the bottom up, that the first point stands on and that are no point.
    ``merging``: the point whose files are being merged into these, which it stands on.
    ``promoting``: the point that is becoming Disks. ``staged``: the point that throw-away disks
    stand on, and their files. ``exports``: what the source of a continuous replica writes to, as
    long as that is not yet the files of a point. ``is_live``: the source was left writing to the
    newest point. ``seeding``: the files of the one point, the seed, may still have the names of the
    Disks that they were.
    """

    way: str
    owner: str = ""
    """Lineage of the stack whose machine it is."""
    number: int = 0
    """Of the last point, or attempt at one."""
    points: tuple[Kept, ...] = ()
    below: tuple[Mapping[str, File], ...] = ()
    merging: tuple[str, Mapping[str, File]] | None = None
    staged: tuple[str, Mapping[str, File]] | None = None
    exports: Mapping[str, File] = field(default_factory=dict)
    is_live: bool = False
    promoting: str | None = None
    seeding: bool = False
    moved: int = -1
    version: int = VERSION

    def text(self) -> str:
        """As one line."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def read(cls, text: str) -> Self:
        """From what :meth:`text` gave; raises ValueError for anything else."""
        try:
            found = json.loads(text)
            if found["version"] != VERSION:
                raise ValueError(f"it has version {found['version']}; expected {VERSION}")
            points = [Kept(**{**kept, "files": _files(kept["files"])}) for kept in found["points"]]
            plain = {
                key: found[key]
                for key in ("way", "owner", "number", "is_live", "promoting", "moved")
            }
            below, seeding = [_files(files) for files in found["below"]], found.get("seeding")
            if below and not points:
                # What is below no point is what one would begin with.
                points, below, seeding = [Kept(SEED, below[-1], alone=True)], [], True
            return cls(
                **plain,
                points=tuple(points),
                below=tuple(below),
                seeding=bool(seeding),
                exports=_files(found["exports"]),
                merging=_pair(found["merging"]),
                staged=_pair(found["staged"]),
            )
        except (KeyError, TypeError, AttributeError) as problem:
            raise ValueError(f"it is no record of a replica: {problem!r}") from problem

    def find(self, point: str | None) -> Kept | None:
        """A point by its id, the newest for None; None if it is not there."""
        if point is None:
            return self.points[-1] if self.points else None
        return next((kept for kept in self.points if kept.id == point), None)

    @property
    def usable(self) -> tuple[Kept, ...]:
        """The points that can become Disks: of a promotion that was begun, that one alone."""
        return tuple(kept for kept in self.points if self.promoting in (None, kept.id))

    def index(self, point: str) -> int:
        """The place of a point among all."""
        return [kept.id for kept in self.points].index(point)

    def files(self) -> Iterator[str]:
        """The names of all files that count."""
        maps = [kept.files for kept in self.points] + [*self.below, self.exports]
        maps += [pair[1] for pair in (self.merging, self.staged) if pair is not None]
        for files in maps:
            for file in files.values():
                yield file.name

    def surplus(self, keep: int) -> str | None:
        """The point that is to go next, so that ``keep`` remain: the oldest one, but none that
        throw-away disks stand on, and none below that. A seed goes once there is a newer one.
        """
        first = 0 if self.staged is None else self.index(self.staged[0]) + 1
        if self.points[first + 1 :] and self.points[first].id == SEED:
            return SEED
        if len(self.points) - first <= keep:
            return None
        return self.points[first].id

    def without(self, point: str) -> Record:
        """The record once a point is given up: where the next one stands on it, that one's files
        are to be merged into its.
        """
        at = self.index(point)
        rest = self.points[:at] + self.points[at + 1 :]
        if not rest[at].alone:
            return replace(self, points=rest, merging=(rest[at].id, self.points[at].files))
        return replace(self, points=rest, below=self.below if at else ())

    def joined(self) -> Record:
        """The record where what the first point stands on is to be merged with it, if nothing has
        that open.
        """
        is_in_use = self.staged is not None or self.is_live
        if not self.below or not self.points or is_in_use:
            return self
        return replace(self, below=(), merging=(self.points[0].id, self.below[0]))

    def merged(self) -> Record:
        """The record once that has been done."""
        if self.merging is None:
            return self
        point, files = self.merging
        points = tuple(
            replace(kept, files={**kept.files, **files}) if kept.id == point else kept
            for kept in self.points
        )
        return replace(self, points=points, merging=None)


def _files(found: Mapping[str, Any]) -> dict[str, File]:
    return {disk: File(*file) for disk, file in found.items()}


def _pair(found: Any) -> tuple[str, Mapping[str, File]] | None:
    return None if found is None else (str(found[0]), _files(found[1]))
