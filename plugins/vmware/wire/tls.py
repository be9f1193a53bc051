"""The TLS context of a connection: verified by certificate authorities, or pinned to one
certificate, or, where the manifest says ``insecure``, by nothing; called by :mod:`client`.

pyvmomi takes a context as it is. Its own ``thumbprint`` is no substitute: it is looked at beside
the verification and not in place of it, and not at all for a loopback address.
"""

from __future__ import annotations

import hashlib
import hmac
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from provisioner.core.diagnostics import error
from provisioner.providers.api import Terminal


class WrongCertificateError(ssl.SSLError):
    """The endpoint showed another certificate than the one that is pinned. ``found`` is the
    fingerprint of that one, as :func:`fingerprint_text` writes it; ``is_of_host``: it was not the
    manifest that named the expected one, but a vCenter for one of its hosts.
    """

    def __init__(self, found: str, expected: str, algorithm: str, *, is_of_host: bool) -> None:
        super().__init__(f"It has the {algorithm} fingerprint {found}; expected is {expected}")
        self.found = found
        self.is_of_host = is_of_host


class PinnedContext(ssl.SSLContext):
    """Accepts the one certificate with the pinned digest, whoever signed it, and no other.

    The comparison is made when the handshake is done and before a byte is sent.
    """

    pin = b""
    algorithm = "SHA-256"
    is_of_host = False

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        """See :meth:`ssl.SSLContext.wrap_socket`; raises :class:`WrongCertificateError`."""
        wrapped = super().wrap_socket(*args, **kwargs)
        shown = wrapped.getpeercert(binary_form=True) or b""
        name = self.algorithm.replace("-", "").lower()
        found = hashlib.new(name, shown, usedforsecurity=False).digest()
        if not hmac.compare_digest(found, self.pin):
            wrapped.close()
            raise WrongCertificateError(
                fingerprint_text(found),
                fingerprint_text(self.pin),
                self.algorithm,
                is_of_host=self.is_of_host,
            )
        return wrapped


def fingerprint_text(digest: bytes) -> str:
    """A digest as certificates are shown: pairs of upper-case hexadecimal digits and colons."""
    return digest.hex(":").upper()


def thumbprint_of(address: str, port: int, fingerprint: str, seconds: float) -> str:
    """The SHA-1 thumbprint of the certificate that is shown at an address, by which vSphere knows
    it, if that has this SHA-256 fingerprint. Nothing else is sent there.

    Raises Terminal (PRV5333): it shows another one, or cannot be reached from here.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((address, port), seconds) as plain,
            context.wrap_socket(plain, server_hostname=address) as wrapped,
        ):
            shown = wrapped.getpeercert(binary_form=True) or b""
    except OSError as problem:
        raise Terminal(
            error(
                "PRV5333",
                f"host {address}: its certificate cannot be compared with the fingerprint",
                detail=f"Port {port} cannot be reached from here: {problem}.",
                hint="Run this where the host can be reached; or have its certificate signed by an "
                "authority that the vCenter trusts, and leave fingerprint out.",
                path=("fingerprint",),
            )
        ) from problem
    found = hashlib.sha256(shown).digest()
    if not hmac.compare_digest(found, bytes.fromhex(fingerprint.replace(":", ""))):
        raise Terminal(
            error(
                "PRV5333",
                f"host {address} shows another certificate than the manifest names",
                detail=f"Its SHA-256 fingerprint is {fingerprint_text(found)}.",
                hint="Compare it on the host itself, and correct fingerprint if it is right.",
                path=("fingerprint",),
            )
        )
    return fingerprint_text(hashlib.sha1(shown, usedforsecurity=False).digest())


def context_beside(
    host: str, connection: Mapping[str, Any], root: Path, thumbprint: str
) -> ssl.SSLContext:
    """As :func:`context_of`, for another machine to which the endpoint refers: an ESXi host of a
    vCenter. A fingerprint in the connection is that of the vCenter alone; the host is then known by
    the SHA-1 ``thumbprint`` of which the vCenter has told.
    """
    context = context_of(host, connection, root)
    if isinstance(context, PinnedContext):
        context.pin = bytes.fromhex(thumbprint.replace(":", ""))
        context.algorithm, context.is_of_host = "SHA-1", True
    return context


def context_of(host: str, connection: Mapping[str, Any], root: Path) -> ssl.SSLContext:
    """The context for a Host's connection, whose paths are relative to ``root``.

    Raises Terminal (PRV5310) if the file of certificate authorities cannot be used.
    """
    tls = connection.get("tls", {})
    if "fingerprint" in tls:
        pinned = PinnedContext(ssl.PROTOCOL_TLS_CLIENT)
        pinned.check_hostname = False
        pinned.verify_mode = ssl.CERT_NONE
        pinned.pin = bytes.fromhex(tls["fingerprint"].replace(":", ""))
        return pinned
    if connection.get("insecure", False):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    file = str(root / tls["caFile"]) if "caFile" in tls else None
    try:
        return ssl.create_default_context(cafile=file)
    except OSError as problem:
        raise Terminal(
            error(
                "PRV5310",
                f"Host/{host}: the connection cannot be used",
                detail=f"The certificate authorities in {file} cannot be read: {problem}.",
                hint="Name a file with certificates in PEM form in connection.tls.caFile.",
                path=("connection", "tls", "caFile"),
            )
        ) from problem
