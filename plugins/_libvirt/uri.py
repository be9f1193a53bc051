"""From ``Host.spec.connection`` to the URI that libvirt opens; called by :mod:`connection`. Pure.

Source: libvirt, "Connection URIs" (https://libvirt.org/uri.html).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from provisioner.core.diagnostics import Diagnostic, error, warning
from provisioner.core.values import Path
from provisioner.providers.api import Terminal

TRANSPORTS = ("unix", "ssh", "libssh", "libssh2", "tls", "tcp")
SSH_TRANSPORTS = frozenset({"ssh", "libssh", "libssh2"})
# Any of these in a URI would start a program that the manifest names.
_PROGRAM_PARAMETERS = frozenset({"command", "netcat", "proxy"})


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect. ``uri`` lacks the ``keyfile`` parameter if the key is only known as a
    secret.
    """

    uri: str
    transport: str
    warnings: tuple[Diagnostic, ...] = ()

    @property
    def remote(self) -> bool:
        """Whether calls go over a network."""
        return self.transport != "unix"

    def with_parameter(self, name: str, value: str) -> str:
        """The URI with one more query parameter."""
        parts = urlsplit(self.uri)
        return _join(parts.scheme, parts.netloc, parts.path, {**_query(parts.query), name: value})


def target_of(host: str, scheme: str, connection: Mapping[str, Any], root: FilePath) -> Target:
    """Check a Host's connection and make the URI; raises Terminal (PRV5105, PRV5110).

    ``host`` is the Host's name, for messages. ``scheme`` is the driver's (``qemu``).
    ``connection`` fits the provider's connection schema, in canonical form; its paths are relative
    to ``root``.
    """
    uri = str(connection["uri"])
    parts = urlsplit(uri)
    driver, _, transport = parts.scheme.partition("+")
    if driver != scheme:
        raise _unusable(host, f"{uri!r} is not a {scheme} URI", f"Write {scheme}:///system, say.")
    transport = transport or ("tls" if parts.netloc else "unix")
    if transport not in TRANSPORTS:
        raise _unusable(
            host,
            f"the transport {transport!r} in {uri!r} is not supported",
            f"Supported: {', '.join(TRANSPORTS)}.",
        )
    if parts.password is not None:
        raise _unusable(
            host,
            "the URI contains a password",
            "Write credentials: {username: ..., password: {secretRef: ...}} instead.",
        )
    query = _query(parts.query)
    programs = sorted(_PROGRAM_PARAMETERS & query.keys())
    if programs:
        raise _unusable(
            host,
            f"the URI parameter {programs[0]!r} would start a program",
            "Remove it; configure the ssh client instead (ssh_config).",
        )
    _apply_sections(host, transport, connection, query, root)
    return Target(
        _join(parts.scheme, parts.netloc, parts.path, query),
        transport,
        _security(host, uri, transport, query, bool(connection.get("insecure", False))),
    )


def _apply_sections(
    host: str, transport: str, connection: Mapping[str, Any], query: dict[str, str], root: FilePath
) -> None:
    """Translate the sections ``tls`` and ``ssh`` into URI parameters."""
    if "tls" in connection:
        if transport != "tls":
            raise _unusable(
                host,
                f"it has a tls section, but the transport is {transport}",
                "Remove it, or use qemu+tls://.",
                ("tls",),
            )
        query["pkipath"] = str(root / connection["tls"]["folder"])
    ssh = connection.get("ssh")
    if ssh is not None and transport not in SSH_TRANSPORTS:
        raise _unusable(
            host,
            f"it has an ssh section, but the transport is {transport}",
            "Remove it, or use qemu+ssh://.",
            ("ssh",),
        )
    if ssh and "keyFile" in ssh:
        query["keyfile"] = str(root / ssh["keyFile"])
    if ssh and "knownHosts" in ssh:
        if transport == "ssh":
            raise _unusable(
                host,
                "ssh.knownHosts is set, but the ssh program reads its own configuration",
                "Use qemu+libssh:// or qemu+libssh2://, or UserKnownHostsFile in ssh_config.",
                ("ssh", "knownHosts"),
            )
        query["known_hosts"] = str(root / ssh["knownHosts"])
        query.setdefault("known_hosts_verify", "normal")
    if transport == "ssh":
        # Otherwise ssh would ask for a password on the terminal and wait for ever.
        query["no_tty"] = "1"


def _security(
    host: str, uri: str, transport: str, query: Mapping[str, str], insecure: bool
) -> tuple[Diagnostic, ...]:
    weak = None
    if transport == "tcp":
        weak = "plain TCP: neither encrypted nor authenticated by certificate"
    elif query.get("no_verify", "0") != "0":
        weak = "no_verify: the host's key or certificate is not checked"
    elif query.get("known_hosts_verify") in ("ignore", "auto"):
        weak = f"known_hosts_verify={query['known_hosts_verify']}: unknown host keys are accepted"
    if weak is None:
        return ()
    if not insecure:
        raise Terminal(
            error(
                "PRV5105",
                f"Host/{host}: the connection would be insecure",
                detail=f"{uri} is {weak}.",
                hint="Use qemu+tls:// or qemu+ssh://, or accept the risk (insecure: true).",
                path=("connection", "uri"),
            )
        )
    return (
        warning(
            "PRV5106",
            f"Host/{host}: the connection is insecure",
            detail=f"{uri} is {weak}.",
            hint="Anybody on the way can read and change what is sent. Use qemu+tls:// or qemu+ssh://.",
        ),
    )


def _unusable(host: str, found: str, hint: str, path: Path = ("uri",)) -> Terminal:
    return Terminal(
        error(
            "PRV5110",
            f"Host/{host}: the connection cannot be used",
            detail=f"{found[:1].upper()}{found[1:]}.",
            hint=hint,
            path=("connection", *path),
        )
    )


def _query(text: str) -> dict[str, str]:
    return dict(parse_qsl(text, keep_blank_values=True))


def _join(scheme: str, netloc: str, path: str, query: Mapping[str, str]) -> str:
    # Not urlunsplit: it drops the empty authority of qemu:///system. libvirt decodes %20, but not
    # +.
    text = urlencode(query, quote_via=quote, safe="/")
    return f"{scheme}://{netloc}{path}" + (f"?{text}" if text else "")
