"""Discovering: everything on an endpoint, written as manifests.

On a host of a stack they become a part of that stack (:func:`discover_host`); of an endpoint that
is named by its URI a new stack is made (:func:`discover_uri`). Nothing on the endpoint is changed,
and nothing is recorded: adopting is a step of its own.
"""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error, quoted
from provisioner.discovery.check import StackCheck
from provisioner.discovery.discovering import Discovering
from provisioner.discovery.files import Place, check_inside, check_new
from provisioner.discovery.names import plain_name
from provisioner.discovery.texts import manifest, modeline
from provisioner.discovery.values import Choices, Discovery, NotExpressed, Written
from provisioner.manifest.printer import authored
from provisioner.manifest.yamlstrict import write_documents
from provisioner.providers.api import ConnectionUris
from provisioner.service.init import stack_name
from provisioner.service.layout import SCHEMAS
from provisioner.service.model import EventSink
from provisioner.service.schema import write_schemas
from provisioner.service.workspace import Workspace
from provisioner.state.model import State

__all__ = [
    "Choices",
    "Discovery",
    "NotExpressed",
    "Written",
    "discover_host",
    "discover_uri",
]


_NO_STACK = ("PRV1003", "PRV1201")
"""A folder that holds no manifests, or none of a Stack. PRV1202 without a place holds several."""


def discover_host(
    workspace: Workspace, host: str, folder: Path, choices: Choices, sink: EventSink
) -> Discovery:
    """Write manifests of what is on a host of the workspace's stack into ``folder``, which lies in
    the stack's. What the stack has already is passed over.

    Raises ProvisionerError: what is wrong with the stack, PRV6050 for an unknown host, PRV6052 and
    PRV6053 if the manifests cannot go there, PRV6055 and PRV6056 for a choice that leaves nothing,
    and what the endpoint says. Then nothing was written.
    """
    name, state = workspace.applied()
    try:
        stack = workspace.load(sink, state)
    except ProvisionerError as failure:
        found = failure.diagnostics[0]
        if found.code in _NO_STACK or (found.code == "PRV1202" and found.source is None):
            raise ProvisionerError(_no_stack(host, found)) from failure
        raise
    if name != stack.name:
        state = workspace.read_state(stack.name)
    if host not in stack.hosts:
        raise ProvisionerError(_no_host(host, sorted(stack.hosts)))
    below = check_inside(folder, workspace.root)
    check = StackCheck(
        workspace.root,
        workspace.catalog,
        workspace.registry,
        environment=workspace.environment,
        variables=workspace.variables,
        state=state,
    )
    schemas = SCHEMAS if (workspace.root / SCHEMAS).is_dir() else None
    place = Place(workspace.root, below, schemas, choices, new=False)
    with workspace.sessions(sink) as sessions:
        run = Discovering(workspace.catalog, sessions, workspace.clock, check, place, choices, sink)
        return run(stack, host, state)


def discover_uri(
    workspace: Workspace, uri: str, folder: Path, choices: Choices, sink: EventSink
) -> Discovery:
    """Make a new stack in ``folder`` of what is at a connection URI. Of the workspace only its
    providers and schemas count.

    Raises ProvisionerError as :func:`discover_host`, and PRV6051 if no provider knows such a URI,
    PRV6013 for a name that no stack can have.
    """
    folder = folder.resolve()
    check_new(folder)
    texts = _new_stack(workspace, uri, stack_name(choices.name, folder))
    check = StackCheck(folder, workspace.catalog, workspace.registry)
    try:
        stack = check(texts)
    except ProvisionerError as failure:
        raise ProvisionerError([_of_the_uri(item) for item in failure.diagnostics]) from failure
    (host,) = stack.hosts
    nothing = State(lineage=UUID(int=0), serial=0, entries={})
    place = Place(folder, Path(), SCHEMAS, choices, new=True)
    with workspace.sessions(sink) as sessions:
        run = Discovering(workspace.catalog, sessions, workspace.clock, check, place, choices, sink)
        found = run(stack, host, nothing, texts)
    write_schemas(folder / SCHEMAS)
    return found


def _new_stack(workspace: Workspace, uri: str, name: str) -> dict[Path, str]:
    """The manifests of the stack and of its host."""
    catalog, registry = workspace.catalog, workspace.registry
    for provider in registry.names():
        try:
            found = registry.get(provider)
        except ProvisionerError:
            continue  # one that cannot be loaded knows no URI
        connection = found.connection_of(uri) if isinstance(found, ConnectionUris) else None
        if connection is None:
            continue
        host = plain_name(urlsplit(uri).hostname or "", "local")
        spec = {"provider": provider, "connection": authored(connection, None)}
        documents = {
            "stack": manifest(catalog.stack_kind, name, {}),
            "host": manifest(catalog.endpoint_kind, host, spec),
        }
        return {
            Path(f"{file}.yaml"): modeline(f"{SCHEMAS}/{document['kind'].lower()}.v1.json")
            + write_documents([document])
            for file, document in documents.items()
        }
    raise ProvisionerError(
        error(
            "PRV6051",
            f"no provider knows the URI {quoted(uri)}",
            detail=f"Installed providers: {', '.join(registry.names()) or 'none'}.",
            hint="Write one such as qemu:///system or qemu+ssh://root@kvm1.example/system, or name "
            "a Host of a stack.",
        )
    )


def _no_stack(host: str, found: Diagnostic) -> Diagnostic:
    return error(
        "PRV6050",
        f"{quoted(host)} is no connection URI, and there is no stack that could have such a Host",
        detail=f"{found.summary[:1].upper()}{found.summary[1:]}.",
        hint="Name a connection URI such as qemu:///system, or the stack's folder with --stack.",
    )


def _of_the_uri(found: Diagnostic) -> Diagnostic:
    """What is wrong with a manifest that was made of a URI and is not written anywhere."""
    hint = (
        f"{found.hint} What a URI cannot say, a Host can: write a stack with one, and name that "
        "Host instead of the URI."
    ).lstrip()
    return replace(found, source=None, hint=hint)


def _no_host(host: str, known: list[str]) -> Diagnostic:
    near = get_close_matches(host, known, n=1)
    return error(
        "PRV6050",
        f"the stack has no Host {quoted(host)}",
        detail=f"It has {', '.join(known) or 'none'}.",
        hint=f"Did you mean {near[0]!r}?"
        if near
        else "Name a Host of the stack, or a connection URI such as qemu:///system.",
    )
