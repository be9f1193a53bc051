"""Manifests as their authors wrote them: :class:`Manifest`, made by
:mod:`provisioner.manifest.documents` and expanded by :mod:`provisioner.manifest.expand`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from provisioner.manifest.canonical import FoundReference
from provisioner.manifest.model import Treatment
from provisioner.manifest.places import Origin
from provisioner.manifest.yamlstrict import YamlDocument, read_documents


class Settled(NamedTuple):
    """What becomes of a document that depends on nothing but its own text: no variable, no file, no
    number of replicas. ``spec`` is canonical.
    """

    spec: dict[str, Any]
    references: list[FoundReference]
    treatment: Treatment


@dataclass(slots=True)
class Manifest:
    """One document of a known kind. ``name`` may contain placeholders; it is empty where there is
    none.
    """

    kind: str
    name: str
    origin: Origin
    folder: Path
    """Where the file lies; relative paths in the manifest start here."""
    text_value: dict[str, Any] | None
    """What stands in the text; None where it was not read, or is not kept: it is settled."""
    settled: Settled | None = None
    broken: bool = False
    """Strict reading refused a part of it, and has reported it. ``UNREADABLE`` stands there."""

    @property
    def written(self) -> str:
        """``Kind/name`` as the manifest has it."""
        return f"{self.kind}/{self.name}"

    @property
    def value(self) -> dict[str, Any]:
        """The document as plain data; that of a settled one is read again."""
        if self.text_value is not None:
            return self.text_value
        origin = self.origin
        (document,) = read_documents(origin.file.text[origin.start : origin.end])
        assert isinstance(document, YamlDocument), "it was read without complaint before"
        value: dict[str, Any] = document.value
        return value

    def settle(self, settled: Settled) -> None:
        """Remember what becomes of it, in the place of what was written."""
        self.settled, self.text_value = settled, None
