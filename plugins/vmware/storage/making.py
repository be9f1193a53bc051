"""What the handlers of disks and images do alike: whose a file is, one attempt at a time, what is
observed of a file.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from provisioner.core.identity import Stamp
from provisioner.core.values import Json, digest
from provisioner.providers.api import Outcome, Present, Resource, Terminal
from provisioner_plugins.vmware.ownership import not_ours
from provisioner_plugins.vmware.storage.file import FileId, is_borrowed, is_own, maker
from provisioner_plugins.vmware.storage.listing import Found
from provisioner_plugins.vmware.storage.places import Located


class Turns:
    """Lets one thread at a time work at a file: an attempt that was given up may be under way."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._taken: set[FileId] = set()

    @contextmanager
    def at(self, file: FileId) -> Iterator[None]:
        """A block in which nobody else of this session works at the file."""
        with self._changed:
            self._changed.wait_for(lambda: file not in self._taken)
            self._taken.add(file)
        try:
            yield
        finally:
            with self._changed:
                self._taken.remove(file)
                self._changed.notify_all()


def require_ours(resource: Resource, file: FileId) -> None:
    """Raise Terminal (PRV5319) unless the file has the identity of the resource in its name, or is
    recorded as its own: nothing else tells whose a file is.
    """
    if not is_own(resource, file.path) and resource.external_id != str(file):
        raise Terminal(not_ours(resource, None))


def owner_of(target: Resource, place: Located) -> Stamp | None:
    """Whose the file is at which a target was found. One that another stack made is not taken over;
    an image may use it as it is, for that never removes it.
    """
    if place.ours:
        return target.stamp
    if is_borrowed(target.spec):
        return None
    return maker(place.found.file.path, lineage=target.stamp.lineage)


def present(
    found: Found, spec: Mapping[str, Any], owner: Stamp | None, more: Mapping[str, Json]
) -> Present:
    """A file as observed; ``owner`` is whose file it is, ``more`` is what else is told of it in
    outputs.
    """
    return Present(
        external_id=str(found.file),
        owner=owner,
        spec=spec,
        # How much of a disk is written moves by itself, and its format is what the author says.
        fingerprint=digest(
            {
                "file": str(found.file),
                "size": found.size if found.capacity is None else found.capacity,
                "checksum": found.checksum,
            }
        ),
        outputs={**outputs_of(found), **more},
    )


def outcome(found: Found, more: Mapping[str, Json], *notes: str) -> Outcome:
    """A file as it was made."""
    return Outcome(str(found.file), {**outputs_of(found), **more}, notes=notes)


def outputs_of(found: Found) -> dict[str, Json]:
    """Where a file is: as vSphere writes it, and on its datastore alone."""
    return {"path": found.text, "volume": found.file.path}
