"""Where secrets come from: ``env://NAME`` and ``file://PATH``. Handed to sessions; checked before
anything is planned.

The environment is the one that the caller of the service hands in; nothing here reads the process's
own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

from provisioner.core.actions import Action
from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error, quoted, shortened
from provisioner.core.values import Path, Secret
from provisioner.engine.plan import Plan
from provisioner.manifest.model import Stack
from provisioner.providers.api import SecretResolver

REFERENCE_KEY = "secretRef"
LARGEST_FILE = 1024 * 1024

_LEAVES = frozenset({str, int, float, bool, type(None)})
_NEEDING_SECRETS = (Action.CREATE, Action.REPLACE, Action.UPDATE, Action.RENAME)


class ReferencedSecrets:
    """Resolves references against an environment and, for relative ``file://`` paths, the stack's
    folder."""

    def __init__(self, environ: Mapping[str, str], root: FilePath) -> None:
        self._environ = environ
        self._root = root

    def resolve(self, reference: str) -> Secret:
        """The secret; raises ProvisionerError (PRV1501) if there is none. One newline at a file's
        end is not part of it."""
        scheme, separator, rest = reference.partition("://")
        if separator and scheme == "env":
            return self._from_environment(rest, reference)
        if separator and scheme == "file":
            return self._from_file(rest, reference)
        raise ProvisionerError(
            error(
                "PRV1501",
                f"{quoted(reference)} is not a reference to a secret",
                detail="Expected env://NAME or file://PATH.",
            )
        )

    def _from_environment(self, name: str, reference: str) -> Secret:
        value = self._environ.get(name)
        if value is None:
            raise ProvisionerError(
                error(
                    "PRV1501",
                    f"the secret {shortened(reference)} is not set",
                    detail=f"The environment variable {shortened(name)} does not exist.",
                    hint=f"Set it for this command: {shortened(name)}=... provisioner ...",
                )
            )
        return Secret(value, reference)

    def _from_file(self, name: str, reference: str) -> Secret:
        path = self._root / name
        try:
            with path.open("rb") as file:
                data = file.read(LARGEST_FILE + 1)
            text = data.decode("utf-8")
        except (OSError, ValueError) as problem:
            raise ProvisionerError(
                error(
                    "PRV1501",
                    f"the secret {shortened(reference)} cannot be read",
                    detail=f"{shortened(str(path))}: {_reason(problem)}.",
                    hint="A relative path starts at the stack's folder.",
                )
            ) from None
        if len(data) > LARGEST_FILE:
            raise ProvisionerError(
                error(
                    "PRV1501",
                    f"the secret {shortened(reference)} is larger than {LARGEST_FILE} bytes",
                )
            )
        return Secret(text.removesuffix("\n"), reference)


def _reason(problem: OSError | ValueError) -> str:
    if isinstance(problem, UnicodeDecodeError):
        return "it is not UTF-8 text"
    return str(getattr(problem, "strerror", None) or problem)


def missing_secrets(stack: Stack, secrets: SecretResolver) -> list[Diagnostic]:
    """One error for each reference of the stack that leads to no secret, at its place."""
    holders = [
        *((Address("Host", host.name), host.spec) for host in stack.hosts.values()),
        *((item.address, item.spec) for item in stack.declarations.values()),
    ]
    return [
        item.at(stack.locate(address, path)) for address, path, item in _missing(holders, secrets)
    ]


def missing_secrets_of_plan(plan: Plan, secrets: SecretResolver) -> list[Diagnostic]:
    """One error for each reference that carrying the plan out would need and that leads nowhere."""
    holders = [
        *((Address("Host", name), record.spec) for name, record in plan.endpoints.items()),
        *(
            (step.address, step.known.spec)
            for step in plan.steps
            if step.action in _NEEDING_SECRETS
        ),
    ]
    return [item for _, _, item in _missing(holders, secrets)]


def _missing(
    holders: Iterable[tuple[Address, Mapping[str, Any]]], secrets: SecretResolver
) -> Iterator[tuple[Address, Path, Diagnostic]]:
    """Who needs what where. Each reference is tried once, however many need it."""
    tried: dict[str, tuple[Diagnostic, ...]] = {}
    for address, spec in holders:
        for path, reference in _references(spec):
            if reference not in tried:
                tried[reference] = _problems(reference, secrets)
            for item in tried[reference]:
                detail = f"{item.detail} {address} needs it."
                yield address, path, replace(item, detail=detail, address=str(address))


def _problems(reference: str, secrets: SecretResolver) -> tuple[Diagnostic, ...]:
    try:
        secrets.resolve(reference)
    except ProvisionerError as problem:
        return problem.diagnostics
    return ()


def _references(value: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    open_values: list[tuple[Any, Path]] = [(value, ())]
    while open_values:
        holder, path = open_values.pop()
        for key, item in holder.items() if isinstance(holder, Mapping) else enumerate(holder):
            if item.__class__ not in _LEAVES:
                open_values.append((item, (*path, str(key))))
            elif key == REFERENCE_KEY and isinstance(item, str):
                yield (*path, key), item
