"""What the sessions to one endpoint remember for later ones: found at its first use, written when
the operation ends.

:class:`provisioner.engine.sessions.Sessions` hands one to each session that it opens, and saves
them all at the end.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping

from provisioner.core.redaction import Redactor
from provisioner.core.sealed import SealedFile


class EndpointMemory:
    """Implements :class:`provisioner.providers.api.Memory` with a file. Of two that have the same
    one at the same time the last to save it wins.
    """

    def __init__(self, file: SealedFile, redactor: Redactor) -> None:
        """``redactor`` knows what may not be kept."""
        self._file = file
        self._redactor = redactor
        self._lock = threading.Lock()
        self._found: dict[str, bytes] | None = None
        """By subject; what was not used for longest comes first."""
        self._kept: set[str] = set()
        self._is_new = False

    def recall(self, subject: str) -> bytes | None:
        """See :meth:`provisioner.providers.api.Memory.recall`."""
        with self._lock:
            known = self._known()
            content = known.pop(subject, None)
            if content is not None:
                known[subject] = content
            return content

    def keep(self, subject: str, content: bytes) -> None:
        """See :meth:`provisioner.providers.api.Memory.keep`."""
        with self._lock:
            known = self._known()
            self._is_new |= known.pop(subject, b"") != content
            self._kept.add(subject)
            if content:
                known[subject] = content

    def save(self) -> None:
        """Write down what is known, if any of it is new; what holds a secret is forgotten."""
        with self._lock:
            known = self._known() if self._kept else {}
            for subject in self._kept & known.keys():
                # Only now: the secret may have been read after this was kept.
                if self._redactor.is_in(_entry(subject, known[subject])):
                    del known[subject]
                    self._is_new = True
            if self._is_new:
                self._file.write(_encoded(known, self._file.room))
            self._kept.clear()
            self._is_new = False

    def _known(self) -> dict[str, bytes]:
        if self._found is None:
            self._found = dict(_entries(self._file.read() or b""))
        return self._found


def _encoded(known: Mapping[str, bytes], room: int) -> bytes:
    """The entries for which there is room, those used last before all others."""
    parts: list[bytes] = []
    for subject, content in reversed([*known.items()]):
        entry = _entry(subject, content)
        if len(entry) <= room:
            room -= len(entry)
            parts.append(entry)
    return b"".join(reversed(parts))


def _entry(subject: str, content: bytes) -> bytes:
    return json.dumps([subject, len(content)]).encode() + b"\n" + content


def _entries(data: bytes) -> Iterator[tuple[str, bytes]]:
    place = 0
    while place < len(data):
        end = data.index(b"\n", place) + 1
        subject, size = json.loads(data[place:end])
        place = end + size
        yield subject, data[end:place]
