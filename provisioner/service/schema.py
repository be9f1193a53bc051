"""Writing the JSON Schemas out for editors, and asking them how a field's values look."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path as FilePath
from typing import Any

from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.core.values import Path
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.service.secrets import REFERENCE_KEY

ANY_KIND = "manifest.v1.json"
"""A schema that takes every kind, for files with manifests of several kinds."""

_PACKAGE = "provisioner_schemas"
_DEFINITIONS = "definitions.v1.json"


class Vocabulary:
    """How the values of fields look; paths stand below ``spec``. Outputs and unknown kinds have no
    units and no secrets."""

    def __init__(self, catalog: SchemaCatalog | None = None) -> None:
        self._catalog = catalog or SchemaCatalog.installed()

    def unit_of(self, kind: str, path: Path) -> str | None:
        """``bytes``, ``milliseconds``, or None for a field without a unit."""
        info = self._catalog.kinds.get(kind)
        field = info.field(path) if info is not None else None
        return field.unit if field is not None else None

    def is_sensitive(self, kind: str, path: Path) -> bool:
        """Whether the value must not be shown. A reference to a secret may be."""
        info = self._catalog.kinds.get(kind)
        if info is None or path[-1:] == (REFERENCE_KEY,):
            return False
        return info.is_sensitive(path)


def schema_files() -> dict[str, str]:
    """Name and text of every schema file, one for each kind, what they share, and
    :data:`ANY_KIND`."""
    found = {
        item.name: item.read_text(encoding="utf-8")
        for item in files(_PACKAGE).iterdir()
        if item.name.endswith(".json")
    }
    found[ANY_KIND] = json.dumps(_any_kind(found), indent=2) + "\n"
    return dict(sorted(found.items()))


def _any_kind(schemas: dict[str, str]) -> dict[str, Any]:
    kinds = {
        json.loads(text)["title"]: name for name, text in schemas.items() if name != _DEFINITIONS
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ANY_KIND,
        "title": "Manifest",
        "description": "A manifest of any kind.",
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {"kind": {"enum": sorted(kinds)}},
        "allOf": [
            {
                "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
                "then": {"$ref": name},
            }
            for kind, name in sorted(kinds.items())
        ],
    }


def write_schemas(folder: FilePath) -> list[FilePath]:
    """Write all schema files into ``folder``, which is made if need be; returns their paths.

    Files of the same names are replaced: they are ours. Raises ProvisionerError (PRV6010) if one
    cannot be written.
    """
    return list(_write(folder))


def _write(folder: FilePath) -> Iterator[FilePath]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in schema_files().items():
            path = folder / name
            path.write_text(text, encoding="utf-8")
            yield path
    except OSError as problem:
        raise ProvisionerError(
            error("PRV6010", f"the schemas cannot be written to {folder}", detail=str(problem))
        ) from problem
