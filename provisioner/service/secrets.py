"""Where secrets come from: ``env://NAME`` and ``file://PATH``. Handed to sessions; checked before
anything is planned.

The environment is the one that the caller of the service hands in; nothing here reads the process's
own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error
from provisioner.core.values import Path, Secret
from provisioner.manifest.model import Stack
from provisioner.providers.api import SecretResolver

REFERENCE_KEY = "secretRef"
LARGEST_FILE = 1024 * 1024


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
                f"{reference!r} is no reference to a secret",
                detail="Expected env://NAME or file://PATH.",
            )
        )

    def _from_environment(self, name: str, reference: str) -> Secret:
        value = self._environ.get(name)
        if value is None:
            raise ProvisionerError(
                error(
                    "PRV1501",
                    f"the secret {reference} is not set",
                    detail=f"The environment variable {name} does not exist.",
                    hint=f"Set it for this command: {name}=... provisioner ...",
                )
            )
        return Secret(value, reference)

    def _from_file(self, name: str, reference: str) -> Secret:
        path = self._root / name
        try:
            with path.open("rb") as file:
                data = file.read(LARGEST_FILE + 1)
            text = data.decode("utf-8")
        except (OSError, UnicodeDecodeError) as problem:
            reason = (
                "it is not UTF-8 text"
                if isinstance(problem, UnicodeDecodeError)
                else problem.strerror
            )
            raise ProvisionerError(
                error(
                    "PRV1501",
                    f"the secret {reference} cannot be read",
                    detail=f"{path}: {reason}.",
                    hint="A relative path starts at the stack's folder.",
                )
            ) from None
        if len(data) > LARGEST_FILE:
            raise ProvisionerError(
                error("PRV1501", f"the secret {reference} is larger than {LARGEST_FILE} bytes")
            )
        return Secret(text.removesuffix("\n"), reference)


def missing_secrets(stack: Stack, secrets: SecretResolver) -> list[Diagnostic]:
    """One error for each reference of the stack that leads to no secret, at the manifest that holds
    it."""
    found: list[Diagnostic] = []
    holders = [
        *((Address("Host", host.name), host.source, host.spec) for host in stack.hosts.values()),
        *((item.address, item.source, item.spec) for item in stack.declarations.values()),
    ]
    for address, source, spec in holders:
        for path, reference in _references(spec, ()):
            try:
                secrets.resolve(reference)
            except ProvisionerError as problem:
                found += [
                    replace(
                        item,
                        detail=f"{item.detail} {address} needs it.",
                        source=stack.locate(address, path) or source,
                        address=str(address),
                    )
                    for item in problem.diagnostics
                ]
    return found


def _references(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key == REFERENCE_KEY and isinstance(item, str):
                yield path, item
            else:
                yield from _references(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _references(item, (*path, str(index)))
