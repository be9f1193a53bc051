"""Who a connection says that it is: keys, users and passwords. Called by :mod:`connection`."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import libvirt

from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.providers.api import Context, Endpoint, Terminal
from provisioner_plugins._libvirt.uri import Target


class Credentials:
    """What a connection needs to prove who it is: resolved when first needed, forgotten when
    closed.
    """

    def __init__(self, endpoint: Endpoint, context: Context) -> None:
        self._endpoint = endpoint
        self._context = context
        self._lock = threading.Lock()
        self._key: int | None = None
        """Descriptor of a file in memory that holds the private key."""
        self._openings = 0
        self._is_cleared = False
        _check_files(endpoint, context.root)

    def open(self, target: Target) -> Any:
        """Open, with a file in memory for the key where the Host names a secret that holds it;
        answers the daemon's questions for user and password.
        """
        with self._lock:
            self._openings += 1
        try:
            return self._open(self._uri(target))
        finally:
            with self._lock:
                self._openings -= 1
                self._forget()

    def clear(self) -> None:
        """Forget the key, once nobody opens any more."""
        with self._lock:
            self._is_cleared = True
            self._forget()

    def _forget(self) -> None:
        if self._is_cleared and not self._openings and self._key is not None:
            os.close(self._key)
            self._key = None

    def _uri(self, target: Target) -> str:
        private_key = self._endpoint.connection.get("ssh", {}).get("privateKey")
        if private_key is None:
            return target.uri
        with self._lock:
            if self._key is None:
                # ssh refuses a key file that does not end with a line end.
                self._key = _in_memory(self._reveal(private_key).rstrip("\n") + "\n")
            return target.with_parameter("keyfile", f"/proc/{os.getpid()}/fd/{self._key}")

    def _open(self, uri: str) -> Any:
        credentials = self._endpoint.connection.get("credentials", {})
        password = self._reveal(credentials["password"]) if "password" in credentials else None
        username = credentials.get("username")

        def answer(questions: list[list[Any]], _: object) -> int:
            for question in questions:
                asks_name = question[0] in (libvirt.VIR_CRED_USERNAME, libvirt.VIR_CRED_AUTHNAME)
                question[4] = username if asks_name else password
                if question[4] is None:
                    return -1
            return 0

        kinds = [
            libvirt.VIR_CRED_USERNAME,
            libvirt.VIR_CRED_AUTHNAME,
            libvirt.VIR_CRED_PASSPHRASE,
            libvirt.VIR_CRED_NOECHOPROMPT,
        ]
        return libvirt.openAuth(uri, [kinds, answer, None], 0)

    def _reveal(self, reference: Mapping[str, Any]) -> str:
        try:
            return self._context.secrets.resolve(reference["secretRef"]).reveal()
        except ProvisionerError as problem:
            raise Terminal(problem.diagnostics[0]) from problem


def _in_memory(text: str) -> int:
    """A file that is on no disk and goes with this process; only this user can open it. The
    program that needs it, as ssh does, finds it below /proc.
    """
    descriptor = os.memfd_create("provisioner-key")
    os.fchmod(descriptor, 0o600)
    with open(descriptor, "w", encoding="utf-8", closefd=False) as file:
        file.write(text)
    return descriptor


def _check_files(endpoint: Endpoint, root: Path) -> None:
    """Name a missing file before libvirt, whose message for it names none."""
    connection = endpoint.connection
    wanted = []
    if "tls" in connection:
        folder = root / connection["tls"]["folder"]
        wanted += [folder / name for name in ("cacert.pem", "clientcert.pem", "clientkey.pem")]
    if "keyFile" in connection.get("ssh", {}):
        wanted.append(root / connection["ssh"]["keyFile"])
    missing = [str(path) for path in wanted if not path.is_file()]
    if missing:
        raise Terminal(
            error(
                "PRV5110",
                f"Host/{endpoint.name}: the connection cannot be used",
                detail=f"There is no file {', '.join(missing)}.",
                hint="Correct the path in the Host's connection, or put the file there.",
            )
        )
