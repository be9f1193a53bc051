"""Findings as SARIF 2.1.0 (OASIS Static Analysis Results Interchange Format), which code scanning
of forges and editors read.

The sections named below are those of the specification, errata 01.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from provisioner import __version__
from provisioner.cli.render.findings import Checked
from provisioner.cli.render.text import printable
from provisioner.core.diagnostics import Diagnostic, SourceRange

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_BASE = "SRCROOT"


def sarif_document(checked: Iterable[Checked]) -> dict[str, Any]:
    """One run for each stack and environment. Nothing in it depends on the machine or the time."""
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [_run(item) for item in checked]}


def _run(checked: Checked) -> dict[str, Any]:
    found = list(checked.found)
    codes = sorted({item.code for item in found})
    seen: Counter[str] = Counter()
    return {
        "tool": {
            "driver": {
                "name": "provisioner",
                "semanticVersion": __version__,
                "rules": [_rule(code) for code in codes],
            }
        },
        # 3.17.3: what stands before the last slash is the category, which forges keep apart.
        "automationDetails": {"id": f"provisioner-{checked.command}/{checked.name}/"},
        "originalUriBaseIds": {
            _BASE: {
                "description": {
                    "text": "The root of the repository; for a stack in none, the current folder."
                }
            }
        },
        "columnKind": "unicodeCodePoints",
        "results": [_result(item, checked, codes, seen) for item in found],
    }


def _rule(code: str) -> dict[str, Any]:
    known = _codes().get(code)
    if known is None:  # a plugin's own
        return {"id": code}
    return {
        "id": code,
        "shortDescription": {"text": known["text"]},
        "help": {"text": f"{known['text']} See docs/diagnostics.md, {known['section']}."},
    }


@cache
def _codes() -> dict[str, dict[str, str]]:
    """What docs/diagnostics.md says of each code; written by scripts/codes."""
    text = files("provisioner.cli.render").joinpath("codes.json").read_text(encoding="utf-8")
    codes: dict[str, dict[str, str]] = json.loads(text)
    return codes


def _result(
    found: Diagnostic, checked: Checked, codes: Sequence[str], seen: Counter[str]
) -> dict[str, Any]:
    text = "\n".join(part for part in (found.summary, found.detail, found.hint) if part)
    place = _place(found, checked)
    result: dict[str, Any] = {
        "ruleId": found.code,
        "ruleIndex": codes.index(found.code),
        # 3.27.10: error, warning and note are the words there, too.
        "level": found.severity.value,
        "message": {"text": printable(text)},
        "locations": [_location(place, checked, found.address)],
        "partialFingerprints": {"primaryLocationLineHash": _fingerprint(found, checked, seen)},
    }
    if found.related:
        result["relatedLocations"] = [_location(other, checked) for other in found.related]
    return result


def _place(found: Diagnostic, checked: Checked) -> SourceRange | None:
    return found.source if found.source is not None else checked.home


def _location(
    place: SourceRange | None, checked: Checked, address: str | None = None
) -> dict[str, Any]:
    file = checked.file(place.file if place is not None else str(checked.folder))
    physical: dict[str, Any] = {"artifactLocation": {"uri": quote(file), "uriBaseId": _BASE}}
    if place is not None:
        physical["region"] = {
            "startLine": place.line,
            "startColumn": place.column,
            "endColumn": place.column + max(1, place.length),
        }
    location: dict[str, Any] = {"physicalLocation": physical}
    if address is not None:
        location["logicalLocations"] = [
            {"fullyQualifiedName": printable(address), "kind": "resource"}
        ]
    return location


def _fingerprint(found: Diagnostic, checked: Checked, seen: Counter[str]) -> str:
    """The same for the same finding after lines were added above it: no number of a line, but what
    the line says. The number after the colon tells findings apart that are otherwise the same.
    """
    place = _place(found, checked)
    file = checked.file(place.file) if place is not None else ""
    line = found.source.text.strip() if found.source is not None else ""
    parts = (found.code, file, found.address or "", line)
    text = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]
    seen[text] += 1
    return f"{text}:{seen[text]}"
