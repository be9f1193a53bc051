"""Manifests of what was found, as text: one document with its remarks as comments. Called by
:mod:`provisioner.discovery.discovering`.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from provisioner.discovery.drafts import Draft
from provisioner.manifest.annotations import METADATA_FIELDS
from provisioner.manifest.catalog import API_VERSION
from provisioner.manifest.fields import Field
from provisioner.manifest.placeholders import escaped
from provisioner.manifest.printer import authored
from provisioner.manifest.yamlstrict import write_documents

_WIDTH = 98


def manifest(kind: str, name: str, spec: Mapping[str, Any], **metadata: Any) -> dict[str, Any]:
    """A document."""
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": name, **metadata},
        "spec": dict(spec),
    }


def text_of(draft: Draft, folder: PurePosixPath, host: str) -> str:
    """The text of a draft for a file in ``folder``, which is relative to the stack's; only comments
    if there can be no manifest.
    """
    body = write_documents([_document(draft, folder)])
    if draft.problem is None:
        return "".join(_comments(_said_first(draft, host))) + body
    said = [
        f"No manifest: the {draft.address.kind} {draft.found.name!r} on Host/{host} cannot be "
        f"expressed: {draft.reason}",
        *draft.remarks[len(draft.found.notes) :],
    ]
    return "".join(_comments(said)) + "".join(_commented("#   ", body.splitlines()))


def modeline(schema: str) -> str:
    """The first line of a file, by which editors find the schema of its documents."""
    return f"# yaml-language-server: $schema={schema}\n"


def _document(draft: Draft, folder: PurePosixPath) -> dict[str, Any]:
    spec = _relative_to(draft.spec, draft.info.canonical, folder)
    whole = authored(spec, draft.info.canonical)
    metadata: dict[str, Any] = {}
    if draft.external_name is not None:
        metadata["externalName"] = escaped(draft.external_name)
    metadata |= {name: whole.pop(name) for name in METADATA_FIELDS if name in whole}
    if draft.observe_only:
        metadata["manage"] = ["observe"]
    return manifest(draft.address.kind, draft.address.name, whole, **metadata)


def _relative_to(value: Any, known: Field | None, folder: PurePosixPath) -> Any:
    """Names of files count from the manifest's folder in a manifest, and from the stack's in a
    canonical spec.
    """
    if known is None or known.provider_part is not None:
        return value
    if known.local_file and isinstance(value, str):
        # A name with a placeholder in it the loader takes as it is.
        as_it_is = value.startswith("/") or "${" in value
        return value if as_it_is else os.path.relpath(value or ".", folder)
    if isinstance(value, Mapping):
        return {key: _relative_to(child, known.child(key), folder) for key, child in value.items()}
    return value


def _said_first(draft: Draft, host: str) -> list[str]:
    said = [f"Discovered on Host/{host}."]
    if draft.others is not None:
        what = "It is" if draft.found.observed.owner is not None else "It is used only by"
        said.append(f"{what} {draft.others} of another stack, so it is only observed.")
    return said + [f"not expressed: {remark}" for remark in draft.remarks]


def _comments(texts: Iterable[str]) -> Iterable[str]:
    """Each text as comment lines; what follows its first line is further in."""
    for text in texts:
        first, *rest = text.splitlines() or [""]
        lines = textwrap.wrap(
            _printable(first), _WIDTH, break_long_words=False, break_on_hyphens=False
        )
        yield from _commented("# ", lines or [""])
        yield from _commented("#   ", rest)


def _commented(start: str, lines: Iterable[str]) -> Iterable[str]:
    for line in lines:
        yield f"{start}{_printable(line)}".rstrip() + "\n"


def _printable(text: str) -> str:
    """The text with escapes for what could end a comment, or hide in it."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
