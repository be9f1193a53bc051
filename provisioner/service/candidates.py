"""What could be typed next: addresses, environments and variables of a stack, for shell completion.

Nothing is judged and no endpoint is asked: files are skimmed, and what cannot be read offers
nothing. A whole estate takes a few hundredths of a second.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from provisioner.service.layout import state_path

POLICIES = ("Site", "SitePair", "ProtectionGroup", "RecoveryPlan")
"""The kinds that nothing is made of, and that no plan is narrowed to."""

_KIND = re.compile(r"^kind:[ \t]*[\"']?(\w+)", re.MULTILINE)
_METADATA = re.compile(r"^metadata:.*(?:\n(?:[ \t]+.*)?)*", re.MULTILINE)
_NAME = re.compile(r"(?:\{|,|\n)[ \t]*name:[ \t]*[\"']?((?:\$\{[^}]*\}|[^\s,}\"'])+)")
_START = re.compile(r"^---", re.MULTILINE)
_MOST_SEEN = 20_000
"""Files and folders: somebody's home, or a whole disk, is no stack."""
_PLACEHOLDER = re.compile(r"\$\{[^}]*\}")


def declared_addresses(folder: Path) -> list[str]:
    """``Kind/name`` of every manifest; ``*`` where a placeholder stands in a name."""
    return [
        f"{kind}/{_PLACEHOLDER.sub('*', name)}"
        for document in _documents(folder)
        for kind, name in _named(document)
    ]


def recorded_addresses(
    folder: Path, environment: str | None, states: Path | None = None
) -> list[str]:
    """Addresses of everything that was applied; ``states`` as for a workspace."""
    # Not for those who complete an option.
    from provisioner.state.reading import connect_reading  # noqa: PLC0415

    path = state_path(folder, environment, states)
    with closing(connect_reading(path)) as connection:
        return [row[0] for row in connection.execute("SELECT address FROM entries")]


def environments(folder: Path) -> list[str]:
    """The names of the stack's environments."""
    return list(_stack_spec(folder).get("environments", {}))


def variables(folder: Path) -> list[str]:
    """The names of the stack's variables."""
    return list(_stack_spec(folder).get("variables", {}))


def _documents(folder: Path) -> Iterator[str]:
    # The loader's own list of files comes with everything that judges them.
    seen = 0
    for parent, below, names in os.walk(folder):
        seen += len(below) + len(names)
        if seen > _MOST_SEEN:
            return
        below[:] = [name for name in below if not name.startswith(".")]
        for name in names:
            if name.endswith((".yaml", ".yml")) and not name.startswith("."):
                text = Path(parent, name).read_text(encoding="utf-8", errors="replace")
                yield from _START.split(text)


def _named(document: str) -> Iterator[tuple[str, str]]:
    kind, metadata = _KIND.search(document), _METADATA.search(document)
    name = _NAME.search(metadata[0]) if metadata is not None else None
    if kind is not None and name is not None and kind[1] not in ("Stack", "Host"):
        yield kind[1], name[1]


def _stack_spec(folder: Path) -> dict[str, Any]:
    from provisioner.manifest.yamlstrict import (  # noqa: PLC0415 - not for addresses
        YamlDocument,
        read_documents,
    )

    for document in _documents(folder):
        kind = _KIND.search(document)
        if kind is not None and kind[1] == "Stack":
            for found in read_documents(document):
                if isinstance(found, YamlDocument):
                    spec: dict[str, Any] = found.value["spec"]
                    return spec
    return {}
