"""A stack, or one resource, with all that is known without asking an endpoint."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from provisioner.cli.render.state import entry_json, moment, permitted, render_entry
from provisioner.cli.render.text import Paint, count, natural, pairs, plain, table
from provisioner.cli.render.values import Vocabulary, leaves, masked, render_path, render_value
from provisioner.core.actions import EVERYTHING, permission_names
from provisioner.core.address import Address
from provisioner.service.model import Declaration, Entry
from provisioner.service.show import ResourceView, StackView


def render_stack(view: StackView, paint: Paint = plain, width: int = 80) -> list[str]:
    """Name, endpoints, and every resource with whether it was applied."""
    stack = view.stack
    title = f"Stack {stack.name}" + (
        f", environment {stack.environment}" if stack.environment else ""
    )
    hosts = [[host.name, host.provider] for host in stack.hosts.values()]
    entries = view.state.entries if view.state is not None else {}
    rows = [
        [str(address), str(stack.declarations[address].host or "-"), _condition(view, address)]
        for address in _in_order(stack.declarations)
    ]
    rows += [
        [str(address), entries[address].endpoint, "recorded, no longer declared"]
        for address in _in_order(entries)
        if address not in stack.declarations
    ]
    lines = [paint("strong", title), ""]
    if hosts:
        lines += [*table(["HOST", "PROVIDER"], hosts, paint, width), ""]
    if rows:
        lines += [*table(["RESOURCE", "ON", "STATE"], rows, paint, width), ""]
    files = count(len(stack.files), "file")
    return [*lines, f"{count(len(stack.declarations), 'resource')} in {files}."]


def _in_order(addresses: Iterable[Address]) -> list[Address]:
    return sorted(addresses, key=lambda address: natural(str(address)))


def _condition(view: StackView, address: Address) -> str:
    entry = view.state.entries.get(address) if view.state is not None else None
    if entry is None:
        return "not applied yet"
    return f"applied {moment(entry.applied_at)}" + ("; restart pending" if entry.pending else "")


def stack_json(view: StackView) -> dict[str, Any]:
    """Plain data of the same."""
    entries = view.state.entries if view.state is not None else {}
    stack = view.stack
    return {
        "stack": stack.name,
        "environment": stack.environment,
        "files": list(stack.files),
        "hosts": [{"name": host.name, "provider": host.provider} for host in stack.hosts.values()],
        "resources": [
            _resource_json(address, stack.declarations.get(address), entries.get(address))
            for address in sorted({*stack.declarations, *entries})
        ],
    }


def _resource_json(
    address: Address, declaration: Declaration | None, entry: Entry | None
) -> dict[str, Any]:
    recorded_on = entry.endpoint if entry is not None else None
    return {
        "address": str(address),
        "host": declaration.host if declaration is not None else recorded_on,
        "declared": declaration is not None,
        "recorded": entry is not None,
        "appliedAt": entry.applied_at if entry is not None else None,
        "restartPending": entry is not None and bool(entry.pending),
    }


def render_resource(
    view: ResourceView, vocabulary: Vocabulary, paint: Paint = plain, width: int = 80
) -> list[str]:
    """What is declared, what was recorded, what it needs and what needs it."""
    lines = [paint("strong", str(view.address))]
    declaration = view.declaration
    if declaration is None:
        lines.append("No longer declared: the next apply removes or forgets it.")
    else:
        facts = [("declared in", str(declaration.source))]
        if not view.is_policy:
            facts.append(("host", str(declaration.host or "-")))
        if declaration.protect:
            facts.append(("protected", "yes"))
        if declaration.manage != EVERYTHING:
            facts.append(("may be", permitted(declaration.manage)))
        if declaration.external_name is not None:
            facts.append(("name there", declaration.external_name))
        if declaration.renamed_from is not None:
            facts.append(("renamed from", declaration.renamed_from))
        kind = view.address.kind
        spec = [
            (render_path(path), render_value(value, kind, path, vocabulary))
            for path, value in leaves(declaration.spec)
            if path
        ]
        lines += [*pairs(facts, width), "", paint("strong", "Declared"), *pairs(spec, width)]
    for title, addresses in (("Needs", view.dependencies), ("Needed by", view.dependents)):
        if addresses:
            texts = (f"  {address}" for address in _in_order(addresses))
            lines += ["", paint("strong", title), *texts]
    if view.is_policy:
        return lines
    lines += ["", paint("strong", "Recorded")]
    if view.entry is None:
        return [*lines, "  nothing; it has not been applied yet"]
    entry = render_entry(view.entry, vocabulary, paint, width - 2)
    return lines + [f"  {line}" for line in entry[1:]]


def resource_json(view: ResourceView, vocabulary: Vocabulary) -> dict[str, Any]:
    """Plain data of the same; sensitive values are masked."""
    data: dict[str, Any] = {
        "address": str(view.address),
        "declared": None,
        "recorded": entry_json(view.entry, vocabulary) if view.entry is not None else None,
        "dependencies": [str(address) for address in view.dependencies],
        "dependents": [str(address) for address in view.dependents],
    }
    if view.declaration is not None:
        data["declared"] = {
            "host": view.declaration.host,
            "source": str(view.declaration.source),
            "protect": view.declaration.protect,
            "manage": permission_names(view.declaration.manage),
            "externalName": view.declaration.external_name,
            "spec": masked(view.declaration.spec, view.address.kind, vocabulary),
        }
    return data
