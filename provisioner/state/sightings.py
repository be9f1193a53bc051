"""Since when drift is known: a file beside the state, of which nothing else depends.

Called by :mod:`provisioner.service.drift`. It holds marks (which field, what digest), never values.
It is replaced as a whole, so that no run ever reads half of one; of two runs at the same moment one
leaves the writing to the other. Damaged or lost, it is begun anew.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from provisioner.core.diagnostics import Diagnostic, note, warning
from provisioner.core.overwriting import replace_file

NAME = "sightings.json"
FORMAT = "provisioner.sightings/1"
LARGEST = 64 * 1024 * 1024

Seen = Mapping[str, Mapping[str, str]]
"""By address, the marks of its differences and when each was seen first (RFC 3339, UTC)."""


class Sweep(NamedTuple):
    """What one run of drift saw: ``marks`` by address of all that it compared; ``vague`` are those
    of which it could not see everything; ``recorded`` are all addresses there are.
    """

    at: str
    marks: Mapping[str, Collection[str]]
    vague: Collection[str]
    recorded: Collection[str]


def remember(path: Path, lineage: str, sweep: Sweep) -> tuple[Seen, list[Diagnostic]]:
    """Since when each mark of the sweep is known, this time included, and what should be said of
    the file. Never raises for the sake of the file.
    """
    notes: list[Diagnostic] = []
    with _alone(path.parent) as alone:
        before = _read(path, lineage, notes)
        after = _merged(before, sweep)
        if alone and after != before:
            _write(path, lineage, after, notes)
    return {address: after.get(address, {}) for address in sweep.marks}, notes


def _merged(before: Seen, sweep: Sweep) -> dict[str, dict[str, str]]:
    after: dict[str, dict[str, str]] = {}
    for address, marks in sweep.marks.items():
        old = before.get(address, {})
        kept = dict(old) if address in sweep.vague else {}
        after[address] = kept | {mark: old.get(mark, sweep.at) for mark in marks}
    for address in before.keys() & set(sweep.recorded) - sweep.marks.keys():
        after[address] = dict(before[address])
    return {address: after[address] for address in sorted(after) if after[address]}


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Whether no other run is at the file; its folder stands for it, since the file is replaced."""
    descriptor = None
    try:
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        yield descriptor is None or _is_locked(descriptor)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: the file is whole all the same
        return True
    return True


def _read(path: Path, lineage: str, notes: list[Diagnostic]) -> Seen:
    """What the file says; nothing if it is none of ours."""
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST + 1)
        document = json.loads(content)
        if len(content) > LARGEST or document["format"] != FORMAT:
            raise ValueError("another format")
        seen = _checked(document["seen"])
    except FileNotFoundError:
        return {}
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as problem:
        reason = getattr(problem, "strerror", None) or f"{type(problem).__name__}: {problem}"
        notes.append(
            warning(
                "PRV2105",
                f"{path} cannot be read: since when drift is known is begun anew",
                detail=str(reason),
                hint="Nothing else is lost.",
            )
        )
        return {}
    return seen if document.get("lineage") == lineage else {}


def _checked(seen: Any) -> Seen:
    for address, marks in seen.items():
        if not all(isinstance(text, str) for text in (address, *marks, *marks.values())):
            raise TypeError("a mark is no text")
    checked: Seen = seen
    return checked


def _write(path: Path, lineage: str, seen: Seen, notes: list[Diagnostic]) -> None:
    document = {"format": FORMAT, "lineage": lineage, "seen": seen}
    content = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    try:
        replace_file(path, content.encode(), durable=True)
    except OSError as problem:
        notes.append(
            note(
                "PRV2106",
                f"{path} cannot be written: since when drift is known is not kept",
                detail=problem.strerror or str(problem),
            )
        )
