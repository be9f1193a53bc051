"""Prints a loaded stack as manifests again: what it comes down to, with variables, replicas and
overlays resolved.

The service layer calls it. Loading the text again gives the same stack: the same declarations and
hosts, and the same name and policy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from provisioner.core.actions import Impact, permission_names
from provisioner.core.values import TEMPLATE_KEY, UNKNOWN_KEY, is_marker
from provisioner.manifest.annotations import METADATA_FIELDS
from provisioner.manifest.catalog import API_VERSION, SchemaCatalog
from provisioner.manifest.fields import Field, field_tree
from provisioner.manifest.forms import UNITS
from provisioner.manifest.model import Declaration, HostDeclaration, Stack
from provisioner.manifest.placeholders import escaped
from provisioner.manifest.yamlstrict import write_documents


def print_stack(
    stack: Stack,
    catalog: SchemaCatalog,
    connections: Mapping[str, Mapping[str, Any]] | None = None,
) -> str:
    """The stack as YAML, a document for each resource, in the order of its declarations.

    ``connections`` are the schemas of ``Host.spec.connection`` by provider, needed where the stack
    was loaded with descriptions of providers: units in connections are numbers then. File names in
    it stay relative to the stack's folder.
    """
    return write_documents(_documents(stack, catalog, connections or {}))


def _documents(
    stack: Stack, catalog: SchemaCatalog, connections: Mapping[str, Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    yield _stack_document(stack, catalog)
    for host in stack.hosts.values():
        yield _host_document(host, catalog, connections)
    for declaration in (*stack.declarations.values(), *stack.policies.values()):
        yield _document(declaration, catalog)


def _manifest(kind: str, metadata: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


def _stack_document(stack: Stack, catalog: SchemaCatalog) -> dict[str, Any]:
    spec: dict[str, Any] = {}
    default = _default_host(stack, catalog)
    if default is not None:
        spec["defaults"] = {"host": default}
    if stack.max_impact is not Impact.LIVE:
        spec["policy"] = {"maxImpact": stack.max_impact.value}
    return _manifest(catalog.stack_kind, {"name": stack.name}, spec)


def _default_host(stack: Stack, catalog: SchemaCatalog) -> str | None:
    """The host of resources that name none and have none from what they live in: it is the default,
    or the only one.
    """
    for declaration in stack.declarations.values():
        info = catalog.kind(declaration.address.kind)
        named = info.host_field is not None and _at(declaration.spec, info.host_field) is not None
        lives = any(
            field.host_from and any(field.targets(declaration.spec)) for field in info.references
        )
        if not named and not lives:
            return declaration.host
    return None


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _host_document(
    host: HostDeclaration, catalog: SchemaCatalog, connections: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    spec = authored(host.spec, catalog.kind(catalog.endpoint_kind).spec)
    schema = connections.get(host.provider)
    if schema is not None and "connection" in spec:
        fields = field_tree(catalog.standalone(schema))
        spec["connection"] = authored(host.spec["connection"], fields)
    return _manifest(catalog.endpoint_kind, {"name": host.name}, spec)


def _document(declaration: Declaration, catalog: SchemaCatalog) -> dict[str, Any]:
    info = catalog.kind(declaration.address.kind)
    whole = authored(declaration.spec, info.canonical)
    metadata: dict[str, Any] = {"name": declaration.address.name}
    for name in METADATA_FIELDS:
        if name in whole:
            metadata[name] = whole.pop(name)
    if declaration.protect:
        metadata["protect"] = True
    if declaration.renamed_from is not None:
        metadata["renamedFrom"] = declaration.renamed_from
    if declaration.replace_order is not None:
        metadata["replace"] = declaration.replace_order
    if declaration.external_name is not None:
        metadata["externalName"] = escaped(declaration.external_name)
    manage = permission_names(declaration.manage)
    if manage is not None:
        metadata["manage"] = manage
    return _manifest(declaration.address.kind, metadata, whole)


def authored(value: Any, field: Field | None) -> Any:
    """A canonical value as an author would write it."""
    if isinstance(value, str):
        return escaped(value)
    if field is not None and field.unit is not None and isinstance(value, int):
        return UNITS[field.unit][1](value)
    if isinstance(value, list):
        item = None if field is None else field.rest
        return [authored(child, item) for child in value]
    if not isinstance(value, Mapping):
        return value
    if is_marker(value):
        return _placeholder(value)
    if field is not None and field.set_key is not None:
        return [
            {field.set_key: key, **authored(element, field.rest)} for key, element in value.items()
        ]
    return {
        name: authored(child, None if field is None else field.child(name))
        for name, child in value.items()
    }


def _placeholder(value: Mapping[str, Any]) -> str:
    if UNKNOWN_KEY in value:
        address, _, output = str(value[UNKNOWN_KEY]).partition(":")
        return f"${{{address}.{output}}}"
    return "".join(
        escaped(part) if isinstance(part, str) else _placeholder(part)
        for part in value[TEMPLATE_KEY]
    )
