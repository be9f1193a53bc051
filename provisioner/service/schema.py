"""Writing the JSON Schemas out, for editors and for programs that read what this one writes, and
asking them how a field's values look."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path as FilePath
from typing import Any

from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.core.values import Path
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.providers.api import Description
from provisioner.providers.registry import Registry
from provisioner.service.secrets import REFERENCE_KEY

ANY_KIND = "manifest.v1.json"
"""A schema that takes every kind, for files with manifests of several kinds."""

_PACKAGE = "provisioner_schemas"
_RESULTS = "results"
_DEFINITIONS = "definitions.v1.json"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


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


def schema_files(registry: Registry | None = None) -> dict[str, str]:
    """Name and text of every schema file for editors: one for each kind, what they share,
    :data:`ANY_KIND`, and the sections of every installed provider, to which ``Host`` and ``native``
    refer.
    """
    schemas = {
        item.name: json.loads(item.read_text(encoding="utf-8"))
        for item in files(_PACKAGE).iterdir()
        if item.name.endswith(".json")
    }
    sections: dict[str, Any] = {}
    for description in _installed(registry or Registry()):
        for part, schema in (
            ("connection", description.connection_schema),
            ("native", description.native_schema),
        ):
            name = f"{description.name}-{part}.v1.json"
            title = {"title": f"{part.capitalize()} of the provider {description.name}"}
            sections[name] = {"$schema": _DIALECT, **title, **schema, "$id": name}
        _let_refer(schemas, description)
    schemas[ANY_KIND] = _any_kind(schemas)
    whole = dict(sorted({**schemas, **sections}.items()))
    return {name: json.dumps(schema, indent=2) + "\n" for name, schema in whole.items()}


def result_files() -> dict[str, str]:
    """Name and text of the schemas of plan files, shown plans and drift; each stands alone."""
    return {
        item.name: item.read_text(encoding="utf-8")
        for item in sorted(files(_PACKAGE).joinpath(_RESULTS).iterdir(), key=lambda item: item.name)
        if item.name.endswith(".json")
    }


def _installed(registry: Registry) -> Iterator[Description]:
    for name in registry.names():
        try:
            yield registry.get(name).describe()
        except ProvisionerError:
            continue  # 'provisioner providers' says why; its sections stay as open as they were


def _let_refer(schemas: Mapping[str, Any], description: Description) -> None:
    """Have the shared schemas refer to those of a provider."""
    name = description.name
    then: dict[str, Any] = {"properties": {"connection": {"$ref": f"{name}-connection.v1.json"}}}
    if "required" in description.connection_schema:
        then["required"] = ["connection"]
    spec = schemas["host.v1.json"]["properties"]["spec"]
    spec.setdefault("allOf", []).append(
        {
            "if": {"properties": {"provider": {"const": name}}, "required": ["provider"]},
            "then": then,
        }
    )
    native = schemas[_DEFINITIONS]["$defs"]["native"]
    native.setdefault("properties", {})[name] = {"$ref": f"{name}-native.v1.json"}


def _any_kind(schemas: Mapping[str, Any]) -> dict[str, Any]:
    kinds = {schema["title"]: name for name, schema in schemas.items() if name != _DEFINITIONS}
    return {
        "$schema": _DIALECT,
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


def write_schemas(folder: FilePath, *, results: bool = False) -> list[FilePath]:
    """Write the schema files for editors into ``folder``, which is made if need be, with
    ``results`` also the others; returns their paths.

    Files of the same names are replaced: they are ours. Raises ProvisionerError (PRV6010) if one
    cannot be written.
    """
    return list(_write(folder, {**schema_files(), **(result_files() if results else {})}))


def _write(folder: FilePath, texts: Mapping[str, str]) -> Iterator[FilePath]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            path = folder / name
            path.write_text(text, encoding="utf-8")
            yield path
    except OSError as problem:
        raise ProvisionerError(
            error("PRV6010", f"the schemas cannot be written to {folder}", detail=str(problem))
        ) from problem
