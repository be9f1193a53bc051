"""Where secrets come from: ``env://NAME``, ``file://PATH`` and ``command://NAME``. Handed to
sessions; checked before anything is planned.

The environment, and where the user's configuration lies, are what the caller of the service hands
in; nothing here reads the process's own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, Protocol

from provisioner.core.actions import Action
from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error, quoted, shortened
from provisioner.core.redaction import Redactor
from provisioner.core.values import Path, Secret
from provisioner.engine.plan import Plan
from provisioner.manifest.model import Stack
from provisioner.service.secretcommands import CommandSecrets

if TYPE_CHECKING:
    from provisioner.workflows.recovery.model import RecoveryPlan

REFERENCE_KEY = "secretRef"
LARGEST_FILE = 1024 * 1024

_LEAVES = frozenset({str, int, float, bool, type(None)})
_NEEDING_SECRETS = (Action.CREATE, Action.REPLACE, Action.UPDATE, Action.RENAME)


class _Source(Protocol):
    """The secrets of one scheme. ``rest`` is what stands behind ``scheme://``."""

    def check(self, rest: str, reference: str) -> None:
        """Raise ProvisionerError if there is no such secret, as far as that can be told without
        running anything."""
        ...

    def read(self, rest: str, reference: str) -> str:
        """The value; raises ProvisionerError if there is none."""
        ...


class ReferencedSecrets:
    """Resolves references, each once. Every value is made known to the redactor before anybody has
    it. Safe to use from several threads."""

    def __init__(
        self,
        environ: Mapping[str, str],
        root: FilePath,
        configuration: FilePath | None = None,
        redactor: Redactor | None = None,
    ) -> None:
        """``root`` is the stack's folder, ``configuration`` the file in which the user allows
        commands."""
        self.redactor = redactor or Redactor()
        self._sources: Mapping[str, _Source] = {
            "env": _Environment(environ),
            "file": _Files(root),
            "command": CommandSecrets(environ, root, configuration),
        }
        self._lock = threading.Lock()
        self._reading: dict[str, threading.Lock] = {}
        self._known: dict[str, Secret | tuple[Diagnostic, ...]] = {}

    def check(self, reference: str) -> None:
        """Raise ProvisionerError (PRV1501, PRV1502) if the reference leads to no secret, as far as
        that can be told without running a command."""
        source, rest = self._source(reference)
        source.check(rest, reference)

    def resolve(self, reference: str) -> Secret:
        """The secret; raises ProvisionerError (PRV1501 to PRV1503) if there is none."""
        with self._lock:
            gate = self._reading.setdefault(reference, threading.Lock())
        with gate:
            if reference not in self._known:
                self._known[reference] = self._read(reference)
            found = self._known[reference]
        if isinstance(found, Secret):
            return found
        raise ProvisionerError(found)

    def _read(self, reference: str) -> Secret | tuple[Diagnostic, ...]:
        try:
            source, rest = self._source(reference)
            secret = Secret(source.read(rest, reference), reference)
        except ProvisionerError as problem:
            return problem.diagnostics
        self.redactor.learn(secret)
        return secret

    def _source(self, reference: str) -> tuple[_Source, str]:
        scheme, _, rest = reference.partition("://")
        source = self._sources.get(scheme)
        if source is not None and rest:
            return source, rest
        raise ProvisionerError(
            error(
                "PRV1501",
                f"{quoted(reference)} is not a reference to a secret",
                detail="Expected env://NAME, file://PATH, command://NAME or "
                "command://NAME/ARGUMENT.",
            )
        )


class _Environment:
    """``env://NAME``."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def check(self, rest: str, reference: str) -> None:
        self.read(rest, reference)

    def read(self, rest: str, reference: str) -> str:
        value = self._environ.get(rest)
        if value is None:
            raise ProvisionerError(
                error(
                    "PRV1501",
                    f"the secret {shortened(reference)} is not set",
                    detail=f"The environment variable {shortened(rest)} does not exist.",
                    hint=f"Set it for this command: {shortened(rest)}=... provisioner ...",
                )
            )
        return value


class _Files:
    """``file://PATH``. One newline at the end is not part of the secret."""

    def __init__(self, root: FilePath) -> None:
        self._root = root

    def check(self, rest: str, reference: str) -> None:
        self.read(rest, reference)

    def read(self, rest: str, reference: str) -> str:
        path = self._root / rest
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
        return text.removesuffix("\n")


def _reason(problem: OSError | ValueError) -> str:
    if isinstance(problem, UnicodeDecodeError):
        return "it is not UTF-8 text"
    return str(getattr(problem, "strerror", None) or problem)


def missing_secrets(stack: Stack, secrets: ReferencedSecrets) -> list[Diagnostic]:
    """One error for each reference of the stack that leads to no secret, at its place. No command
    is run."""
    holders = [
        *((Address("Host", host.name), host.spec) for host in stack.hosts.values()),
        *((item.address, item.spec) for item in stack.declarations.values()),
        *((item.address, item.spec) for item in stack.policies.values()),
    ]
    missing = _missing(holders, secrets.check)
    return [item.at(stack.locate(address, path)) for address, path, item in missing]


def missing_secrets_of_plan(plan: Plan, secrets: ReferencedSecrets) -> list[Diagnostic]:
    """One error for each reference that carrying the plan out would need and that leads nowhere."""
    holders = [
        *((Address("Host", name), record.spec) for name, record in plan.endpoints.items()),
        *(
            (step.address, step.known.spec)
            for step in plan.steps
            if step.action in _NEEDING_SECRETS
        ),
    ]
    return [item for _, _, item in _missing(holders, secrets.resolve)]


def missing_secrets_of_recovery(plan: RecoveryPlan, secrets: ReferencedSecrets) -> list[Diagnostic]:
    """One error for each reference that recovering the machines of a plan would need and that leads
    nowhere. No command is run."""
    changes = [
        (machine.address, {"test": machine.test, "real": machine.real}) for machine in plan.machines
    ]
    holders = [
        *((Address("Host", name), record.spec) for name, record in plan.endpoints.items()),
        *((known.address, known.spec) for known in plan.objects[plan.there].values()),
        *changes,
    ]
    return [item for _, _, item in _missing(holders, secrets.check)]


def _missing(
    holders: Iterable[tuple[Address, Mapping[str, Any]]], attempt: Callable[[str], object]
) -> Iterator[tuple[Address, Path, Diagnostic]]:
    """Who needs what where. Each reference is tried once, however many need it; what is wrong
    elsewhere, in the user's configuration, is said once."""
    tried: dict[str, tuple[Diagnostic, ...]] = {}
    elsewhere: set[Diagnostic] = set()
    for address, spec in holders:
        for path, reference in _references(spec):
            if reference not in tried:
                tried[reference] = _problems(reference, attempt)
            for item in tried[reference]:
                if item in elsewhere:
                    continue
                if item.source is not None:
                    elsewhere.add(item)
                detail = f"{item.detail} {address} needs it."
                yield address, path, replace(item, detail=detail, address=str(address))


def _problems(reference: str, attempt: Callable[[str], object]) -> tuple[Diagnostic, ...]:
    try:
        attempt(reference)
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
