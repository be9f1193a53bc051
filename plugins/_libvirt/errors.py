"""Turns libvirt's errors into the two that leave a plugin; called by :mod:`connection` for every
call to a daemon.

libvirt's numbers (virErrorNumber, <libvirt/virterror.h>) decide; a message is looked at only where
libvirt 9.0 uses one number (internal error, system error) for things that need different answers.
"""

from __future__ import annotations

import errno
import re
from typing import NamedTuple

import libvirt

from provisioner.core.diagnostics import error
from provisioner.providers.api import ProviderError, Retryable, Terminal


class Rule(NamedTuple):
    """What an error means: a code, a summary in which {what} stands for the failed call, advice,
    seconds to a retry.
    """

    code: str
    summary: str
    hint: str
    after: float | None = None
    """None: repeating the call will not help."""


UNREACHABLE = Rule(
    "PRV5101",
    "{what}: the libvirt daemon cannot be reached",
    "Check that the daemon runs, and the address, port and socket in the Host's connection.",
    2.0,
)
NO_SYSTEM_DAEMON = Rule(
    "PRV5101",
    "{what}: the libvirt daemon cannot be reached",
    "This is the system's daemon: start it (systemctl start libvirtd, or libvirtd -d). For root "
    "qemu:///session means the same one; only an ordinary user's daemon starts by itself.",
    2.0,
)
NO_CERTIFICATE = Rule(
    "PRV5110",
    "{what}: the connection cannot be used",
    "Name the folder of cacert.pem, clientcert.pem and clientkey.pem: connection.tls.folder.",
)
REFUSED = Rule(
    "PRV5102",
    "{what}: the daemon refused the credentials or the certificate",
    "Check the user, key, password or TLS folder in the Host's connection, and that the daemon "
    "accepts them.",
)
FORBIDDEN = Rule(
    "PRV5104",
    "{what}: permission denied",
    "Connect as a user who may do this (group libvirt, or root), or mend the owner and mode of the "
    "file named. An unprivileged daemon (qemu:///session) cannot make bridges: use a Network with "
    "mode user or bridge.",
)
LOST = Rule(
    "PRV5107",
    "{what}: the connection to the libvirt daemon was lost",
    "It is opened again at the next attempt; if that fails too, check that the daemon runs.",
    1.0,
)
TIMEOUT = Rule(
    "PRV5108",
    "{what}: the endpoint did not answer in time",
    "Check the load of the host; the Host's connection has a timeouts section.",
    5.0,
)
UNSUPPORTED = Rule(
    "PRV5111",
    "{what}: libvirt cannot make this configuration",
    "Change the field that the message is about. Only where it says that the host lacks something "
    "may another host have it.",
)
MISSING = Rule(
    "PRV5125",
    "{what}: the host does not have what it names",
    "Put the file or device that the message names on the host, or correct its name.",
)
ENDED = Rule(
    "PRV5126",
    "{what}: the machine's own process ended meanwhile",
    "QEMU's last words are on the host, in the machine's file below /var/log/libvirt/qemu. Plan "
    "again: what was to be done may have to be done still.",
)
BUSY = Rule("PRV5112", "{what}: the object is busy with another operation", "", 2.0)
INVALID = Rule(
    "PRV5113",
    "{what}: libvirt does not accept the definition",
    "Correct the field that the message names.",
)
FULL = Rule(
    "PRV5114",
    "{what}: there is no space left",
    "Free space in the pool, enlarge it, or use another pool.",
)
VANISHED = Rule(
    "PRV5115",
    "{what}: the object is not there",
    "Somebody else removed it since it was read: plan again.",
)
STATE = Rule(
    "PRV5116",
    "{what}: the object's present state does not allow it",
    "Plan again: the object has changed since it was read.",
)
CONFLICT = Rule(
    "PRV5122",
    "{what}: another network of the host has these addresses",
    "Give the network another cidr, or stop the other one.",
)
OCCUPIED = Rule(
    "PRV5127",
    "{what}: another storage pool of the host has this place",
    "Choose another path or source, or remove the other pool.",
)
EXISTS = Rule(
    "PRV5118",
    "{what}: an object with that name or identity exists already",
    "Rename the resource, or remove or adopt the object on the host.",
)
OPEN_ELSEWHERE = Rule(
    "PRV5129",
    "{what}: a disk is open in another guest or program",
    "Whatever has it open has to let go of it first. If that is a machine which gives the disk up "
    "at its next restart, restart it (--max-impact restart); otherwise stop it, or wait. Then "
    "apply again.",
)
UNTOLD = Rule(
    "PRV5128",
    "{what}: libvirt failed, and the reason was lost",
    "The daemon's log may say more.",
    0.1,
)
"""libvirt keeps the last error of a thread; freeing another object, which the interpreter may do at
any moment, clears it before the binding reads it.
"""
OTHER = Rule("PRV5117", "{what}: libvirt reported an error", "The daemon's log may say more.")

NOT_FOUND = frozenset(
    {
        libvirt.VIR_ERR_NO_DOMAIN,
        libvirt.VIR_ERR_NO_DOMAIN_METADATA,
        libvirt.VIR_ERR_NO_DOMAIN_SNAPSHOT,
        libvirt.VIR_ERR_NO_NETWORK,
        libvirt.VIR_ERR_NO_NETWORK_PORT,
        libvirt.VIR_ERR_NO_STORAGE_POOL,
        libvirt.VIR_ERR_NO_STORAGE_VOL,
    }
)

RULES: dict[int, Rule] = {
    **dict.fromkeys(NOT_FOUND, VANISHED),
    libvirt.VIR_ERR_NO_SUPPORT: UNSUPPORTED,
    libvirt.VIR_ERR_CONFIG_UNSUPPORTED: UNSUPPORTED,
    libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED: UNSUPPORTED,
    libvirt.VIR_ERR_OPERATION_UNSUPPORTED: UNSUPPORTED,
    libvirt.VIR_ERR_CPU_INCOMPATIBLE: UNSUPPORTED,
    libvirt.VIR_ERR_UNKNOWN_HOST: UNREACHABLE,
    libvirt.VIR_ERR_NO_CONNECT: UNREACHABLE,
    libvirt.VIR_ERR_SSH: UNREACHABLE,
    libvirt.VIR_ERR_LIBSSH: UNREACHABLE,
    libvirt.VIR_ERR_INVALID_CONN: LOST,
    libvirt.VIR_ERR_RPC: LOST,
    libvirt.VIR_ERR_GNUTLS_ERROR: REFUSED,
    libvirt.VIR_ERR_AUTH_FAILED: REFUSED,
    libvirt.VIR_ERR_AUTH_CANCELLED: REFUSED,
    libvirt.VIR_ERR_AUTH_UNAVAILABLE: REFUSED,
    libvirt.VIR_ERR_OPERATION_DENIED: FORBIDDEN,
    libvirt.VIR_ERR_ACCESS_DENIED: FORBIDDEN,
    libvirt.VIR_ERR_OPERATION_TIMEOUT: BUSY,
    libvirt.VIR_ERR_RESOURCE_BUSY: BUSY,
    libvirt.VIR_ERR_BLOCK_COPY_ACTIVE: BUSY,
    libvirt.VIR_ERR_OPERATION_INVALID: STATE,
    libvirt.VIR_ERR_DEVICE_MISSING: STATE,
    libvirt.VIR_ERR_XML_ERROR: INVALID,
    libvirt.VIR_ERR_XML_DETAIL: INVALID,
    libvirt.VIR_ERR_XML_INVALID_SCHEMA: INVALID,
    libvirt.VIR_ERR_INVALID_ARG: INVALID,
    libvirt.VIR_ERR_INVALID_MAC: INVALID,
    libvirt.VIR_ERR_DOM_EXIST: EXISTS,
    libvirt.VIR_ERR_NETWORK_EXIST: EXISTS,
    libvirt.VIR_ERR_STORAGE_VOL_EXIST: EXISTS,
    libvirt.VIR_ERR_STORAGE_POOL_BUILT: EXISTS,
}

_ERRNO: dict[int, Rule] = {
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
    errno.ENOENT: MISSING,
    errno.ENODEV: MISSING,
    errno.EACCES: FORBIDDEN,
    errno.EPERM: FORBIDDEN,
    errno.ECONNREFUSED: UNREACHABLE,
    errno.EHOSTUNREACH: UNREACHABLE,
    errno.ENETUNREACH: UNREACHABLE,
    errno.ETIMEDOUT: UNREACHABLE,
    errno.ECONNRESET: LOST,
    errno.EPIPE: LOST,
    errno.EBUSY: BUSY,
}

# Parts of messages, lower case, for numbers that mean too many things.
_TEXTS: tuple[tuple[str, Rule], ...] = (
    ("no space left on device", FULL),
    ("disk quota exceeded", FULL),
    ("insufficient free space", FULL),
    # Of a socket that may not be used it says the same as of one that nobody listens at.
    ("permission denied", FORBIDDEN),
    ("connect socket to '/var/run/libvirt/libvirt-sock'", NO_SYSTEM_DAEMON),
    ("connect socket to '/run/libvirt/libvirt-sock'", NO_SYSTEM_DAEMON),
    ("failed to connect socket", UNREACHABLE),
    ("cannot read ca certificate", NO_CERTIFICATE),
    ("unable to connect to server", UNREACHABLE),
    ("unable to resolve address", UNREACHABLE),
    ('"write" lock', OPEN_ELSEWHERE),
    ('"consistent read" lock', OPEN_ELSEWHERE),
    ("unable to read from monitor", ENDED),
    ("unable to write to monitor", ENDED),
    ("end of file from qemu monitor", ENDED),
    ("client socket is closed", LOST),
    ("end of file while reading data", LOST),
    ("connection closed due to keepalive timeout", LOST),
    ("unable to read tls confirmation", REFUSED),
    ("operation not permitted", FORBIDDEN),
    ("already exists with uuid", EXISTS),
    ("storage source conflict", OCCUPIED),
    ("volume target path '", EXISTS),
    ("is already in use by interface", CONFLICT),
    ("failed to create listening socket", CONFLICT),
    ("already in use by another network", EXISTS),
    ("has asynchronous jobs running", BUSY),
    ("no such file or directory", MISSING),
)

_CARET = re.compile(r"[-\s]*\^\s*")

# A refused key ends the ssh program, which libvirt sees as an end of file with ssh's words in it;
# libssh asks a question that nobody can answer.
_SSH_REFUSED = (
    "permission denied (",
    "host key verification",
    "identification has changed",
)


def rule_for(problem: libvirt.libvirtError) -> Rule:
    """What an error of libvirt means; every error has a rule."""
    number = problem.get_error_code()
    if number is None:
        return UNTOLD
    text = (problem.get_error_message() or "").lower()
    if any(words in text for words in _SSH_REFUSED):
        return REFUSED
    if number in RULES and number not in (libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_RPC):
        return RULES[number]
    for words, rule in _TEXTS:
        if words in text:
            return rule
    if number == libvirt.VIR_ERR_SYSTEM_ERROR:
        return _ERRNO.get(problem.get_int1() or 0, OTHER)
    return RULES.get(number, OTHER)


def translate(problem: libvirt.libvirtError, what: str, *, opening: bool = False) -> ProviderError:
    """The error that leaves the plugin. ``what`` is the call as a person would say it: ``define
    network lan``.
    """
    rule = rule_for(problem)
    if opening and rule is LOST:
        rule = UNREACHABLE  # there was no connection yet that could have been lost
    diagnostic = error(
        rule.code,
        rule.summary.format(what=what),
        detail=f"libvirt says: {_essential(problem.get_error_message() or '')}",
        hint=rule.hint,
    )
    return Terminal(diagnostic) if rule.after is None else Retryable(diagnostic, rule.after)


def _essential(message: str) -> str:
    """What libvirt says, without the document that it quotes: a whole definition in one line, and
    below it one with as many dashes up to where the mistake is.
    """
    lines = message.splitlines()
    quoted = {number for number, line in enumerate(lines) if _CARET.fullmatch(line)}
    rest = [line for number, line in enumerate(lines) if not {number, number + 1} & quoted]
    return "\n".join(rest or lines)


def code_of(problem: BaseException) -> int | None:
    """libvirt's number behind an error that :func:`translate` made (or of a libvirtError); None
    if there is none.
    """
    origin = problem if isinstance(problem, libvirt.libvirtError) else problem.__cause__
    return origin.get_error_code() if isinstance(origin, libvirt.libvirtError) else None
