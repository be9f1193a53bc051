"""Turns what goes wrong in a call into the two errors that leave a plugin; called by
:mod:`client` for every call.

The type of a fault decides (vSphere Web Services API, "Faults"), never its text.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import replace
from http.client import HTTPException
from typing import Any, NamedTuple
from xml.parsers.expat import ExpatError

from pyVmomi import vim, vmodl

from provisioner.core.diagnostics import Diagnostic, error
from provisioner.core.values import Path
from provisioner.providers.api import InUse, ProviderError, Retryable, Terminal
from provisioner_plugins.vmware.wire.tls import WrongCertificateError
from provisioner_plugins.vmware.wire.vapi import VapiError


class Rule(NamedTuple):
    """What an error means: a code, a summary in which {what} stands for the failed call, advice,
    seconds to a retry, the field of the Host's manifest that it is about while it is connected.
    """

    code: str
    summary: str
    hint: str
    after: float | None = None
    """None: repeating the call will not help."""
    field: Path = ()


UNREACHABLE = Rule(
    "PRV5301",
    "{what}: the endpoint cannot be reached",
    "Check server and port in the Host's connection, and that the service runs.",
    2.0,
    ("connection", "server"),
)
REFUSED = Rule(
    "PRV5302",
    "{what}: the endpoint refused the user name or the password",
    "Check username and password in the Host's connection.",
    field=("connection", "password"),
)
FORBIDDEN = Rule(
    "PRV5304",
    "{what}: permission denied",
    "Give the user of the connection a role with this privilege on this object, or on one above it "
    "with propagation.",
)
UNTRUSTED = Rule(
    "PRV5305",
    "{what}: the endpoint's certificate is not trusted",
    "Name the file of its certificate authority (connection.tls.caFile), or pin the certificate "
    "(connection.tls.fingerprint) once you have compared it on the endpoint itself.",
    field=("connection", "tls"),
)
_OUT_OF_DATE = UNTRUSTED._replace(
    summary="{what}: the endpoint's certificate is not valid at this time",
    hint="Renew it on the endpoint, or set the clock that is wrong. Until then the certificate can "
    "be pinned (connection.tls.fingerprint), once you have compared it on the endpoint itself.",
)
_OF_ANOTHER_NAME = UNTRUSTED._replace(
    summary="{what}: the endpoint's certificate is for another name",
    hint="Write the name that it is for into connection.server, or have the endpoint given a "
    "certificate for this one.",
    field=("connection", "server"),
)
_ANOTHER_PIN = UNTRUSTED._replace(
    summary="{what}: the endpoint shows another certificate than the one that is pinned",
    hint="If its certificate was renewed, compare the new one on the endpoint itself and correct "
    "connection.tls.fingerprint. If it was not, somebody else may answer there: find out who.",
    field=("connection", "tls", "fingerprint"),
)
_ANOTHER_OF_HOST = UNTRUSTED._replace(
    summary="{what}: the host shows another certificate than its vCenter has told of",
    hint="If the host's certificate was renewed, connect the host to the vCenter anew. If it was "
    "not, somebody else may answer there: find out who.",
    field=(),
)
_OF_VERIFICATION = {9: _OUT_OF_DATE, 10: _OUT_OF_DATE, 62: _OF_ANOTHER_NAME, 64: _OF_ANOTHER_NAME}
"""By what OpenSSL says of a certificate (x509_vfy.h, X509_V_ERR_*)."""
STRANGER = Rule(
    "PRV5305",
    "{what}: the host's certificate is not trusted",
    "Write its SHA-256 into fingerprint once you have compared it on the host itself.",
)
LOST = Rule(
    "PRV5307",
    "{what}: the connection to the endpoint was lost",
    "It is opened again at the next attempt; if that fails too, check that the service runs.",
    1.0,
)
TIMEOUT = Rule(
    "PRV5308",
    "{what}: the endpoint did not answer in time",
    "Check its load; the Host's connection has a timeouts section.",
    5.0,
)
UNSUPPORTED = Rule(
    "PRV5311",
    "{what}: the endpoint does not support it",
    "Change the field that the message is about, or use a host that has it.",
)
BUSY = Rule(
    "PRV5312",
    "{what}: the endpoint is busy with another operation",
    "Apply again when its list of tasks shows no more of it.",
    2.0,
)
OVERLOADED = Rule(
    "PRV5312",
    "{what}: the endpoint takes no requests at present",
    "It is starting or stopping, or has too much to do; if that lasts, look at its services.",
    2.0,
)
INVALID = Rule(
    "PRV5313",
    "{what}: the endpoint does not accept the configuration",
    "Correct the field that the message names.",
)
UNMOUNTED = Rule(
    "PRV5313",
    "{what}: a host cannot mount the share",
    "Check host and directory of the pool's source: every host that shall have it needs a way to "
    "the server and the right to mount the directory. A host's vmkernel.log tells more.",
)
UNCONFIGURABLE = Rule(
    "PRV5313",
    "{what}: a host does not accept the configuration",
    "Correct what the endpoint names. The host's own vmkernel.log and hostd.log tell more.",
)
FULL = Rule(
    "PRV5314",
    "{what}: there is no room left",
    "Free space on the datastore or resources in the pool, enlarge it, or use another one.",
)
VANISHED = Rule(
    "PRV5315",
    "{what}: the object is not there",
    "Somebody else removed it since it was read: plan again.",
)
STATE = Rule(
    "PRV5316",
    "{what}: the object's present state does not allow it",
    "Plan again: the object has changed since it was read.",
)
EXISTS = Rule(
    "PRV5318",
    "{what}: an object with that name exists already",
    "Rename the resource, or remove or adopt the object on the endpoint.",
)
IN_USE = Rule(
    "PRV5320",
    "{what}: something else on the endpoint needs the object",
    "Whatever uses it has to let go of it first; then apply again.",
)
UNLICENSED = Rule(
    "PRV5321",
    "{what}: the licence does not allow it",
    "Assign a licence with this feature, or do without it.",
)
EXPIRED = Rule(
    "PRV5322",
    "{what}: the session is not logged in",
    "It is opened again at the next attempt. If this repeats, somebody ends the sessions of this "
    "user.",
    1.0,
)
NOBODY = Rule(
    "PRV5335",
    "{what}: the endpoint knows no such user or group",
    "Correct principal and group. A vCenter has to know the domain (identity source), and an ESXi "
    "host the user.",
)
LOCKED_OUT = Rule(
    "PRV5336",
    "{what}: rights would be lost that nobody could give back",
    "Give them to another user or group first, or make the change as another administrator.",
)
UNREADABLE = Rule(
    "PRV5325",
    "{what}: the endpoint's answer cannot be read",
    "Report it with the version of the endpoint.",
)
UNHOSTED = Rule(
    "PRV5330",
    "{what}: no host can run the machine",
    "Connect a host that has its networks and datastores and room for it, or change its placement.",
)
FILE = Rule(
    "PRV5338",
    "{what}: a file on a datastore cannot be used",
    "Check that the datastore is mounted and writable on the hosts, and that no folder or file of "
    "others is in the way.",
)
DARK = Rule(
    "PRV5339",
    "{what}: the datastore cannot be reached",
    "Check its storage and the hosts' way to it; apply again when it is accessible.",
)
UNCUSTOMISABLE = Rule(
    "PRV5342",
    "{what}: the guest cannot be customised",
    "It needs VMware Tools (open-vm-tools) that are installed; or configure it through cloudInit.",
)
OTHER = Rule("PRV5317", "{what}: the endpoint reported an error", "Its own log may say more.")

_RULES: tuple[tuple[type[Exception], Rule], ...] = (
    # The first that fits: a derived fault stands before its base.
    (vim.fault.InvalidLogin, REFUSED),
    (vim.fault.NotAuthenticated, EXPIRED),
    (vim.fault.NoPermission, FORBIDDEN),
    (vmodl.fault.ManagedObjectNotFound, VANISHED),
    (vim.fault.UserNotFound, NOBODY),
    (vim.fault.AuthMinimumAdminPermission, LOCKED_OUT),
    (vim.fault.DuplicateName, EXISTS),
    (vim.fault.AlreadyExists, EXISTS),
    (vim.fault.AlreadyConnected, EXISTS),
    (vim.fault.SSLVerifyFault, STRANGER),
    (vim.fault.FileAlreadyExists, EXISTS),
    (vim.fault.ResourceInUse, IN_USE),
    (vim.fault.FileLocked, IN_USE),
    (vim.fault.ConcurrentAccess, BUSY),
    (vim.fault.TaskInProgress, BUSY),
    # What a deployment or a backup holds is let go of when that ends.
    (vim.fault.MethodDisabled, BUSY),
    (vim.fault.ResourceNotAvailable, BUSY),
    (vmodl.fault.HostNotConnected, BUSY),
    (vmodl.fault.HostCommunication, BUSY),
    (vim.fault.Timedout, TIMEOUT),
    (vim.fault.NoDiskSpace, FULL),
    (vim.fault.InsufficientResourcesFault, FULL),
    (vim.fault.FaultToleranceNotLicensed, UNLICENSED),
    (vim.fault.InvalidLicense, UNLICENSED),
    (vim.fault.LicenseAssignmentFailed, UNLICENSED),
    (vim.fault.LicenseEntityNotFound, UNLICENSED),
    (vim.fault.VMotionNotLicensed, UNLICENSED),
    (vmodl.fault.NotEnoughLicenses, UNLICENSED),
    (vim.fault.RestrictedVersion, UNLICENSED),
    (vim.fault.CustomizationFault, UNCUSTOMISABLE),
    (vim.fault.NotFound, VANISHED),
    (vim.fault.FileNotFound, VANISHED),
    (vim.fault.FileFault, FILE),
    (vim.fault.NasConfigFault, UNMOUNTED),
    (vim.fault.HostConfigFault, UNCONFIGURABLE),
    (vim.fault.InaccessibleDatastore, DARK),
    (vim.fault.InvalidDatastore, INVALID),
    (vim.fault.NoCompatibleHost, UNHOSTED),
    (vim.fault.InvalidState, STATE),
    (vmodl.fault.NotSupported, UNSUPPORTED),
    (vmodl.fault.MethodNotFound, UNSUPPORTED),
    (vim.fault.InvalidName, INVALID),
    (vim.fault.InvalidVmConfig, INVALID),
    (vmodl.fault.InvalidArgument, INVALID),
    (vmodl.fault.InvalidRequest, INVALID),
)


def rule_for(problem: BaseException) -> Rule:
    """What an error means; every error has a rule."""
    if isinstance(problem, TimeoutError):
        return TIMEOUT
    if isinstance(problem, WrongCertificateError):
        return _ANOTHER_OF_HOST if problem.is_of_host else _ANOTHER_PIN
    if isinstance(problem, ssl.SSLCertVerificationError):
        return _OF_VERIFICATION.get(problem.verify_code, UNTRUSTED)
    if isinstance(problem, VapiError):
        by_status = _BY_STATUS.get(problem.status, OTHER)
        return _BY_ERROR_TYPE.get(problem.kind, by_status)
    if isinstance(problem, HTTPException) and _status(problem) is not None:
        return _BY_STATUS.get(_status(problem) or 0, OTHER)
    if isinstance(problem, OSError | HTTPException | ExpatError):
        return LOST
    if isinstance(problem, vmodl.MethodFault):
        return next((rule for kind, rule in _RULES if isinstance(problem, kind)), OTHER)
    return UNREADABLE


_BY_ERROR_TYPE: dict[str, Rule] = {
    "ALREADY_EXISTS": EXISTS,
    "CONCURRENT_CHANGE": BUSY,
    "FEATURE_IN_USE": IN_USE,
    "INTERNAL_SERVER_ERROR": OTHER,
    "INVALID_ARGUMENT": INVALID,
    "INVALID_ELEMENT_CONFIGURATION": INVALID,
    "INVALID_ELEMENT_TYPE": INVALID,
    "INVALID_REQUEST": INVALID,
    "NOT_ALLOWED_IN_CURRENT_STATE": STATE,
    "NOT_FOUND": VANISHED,
    "OPERATION_NOT_FOUND": UNSUPPORTED,
    "RESOURCE_BUSY": BUSY,
    "RESOURCE_INACCESSIBLE": BUSY,
    "RESOURCE_IN_USE": IN_USE,
    "SERVICE_UNAVAILABLE": OVERLOADED,
    "TIMED_OUT": TIMEOUT,
    "UNABLE_TO_ALLOCATE_RESOURCE": FULL,
    "UNAUTHENTICATED": EXPIRED,
    "UNAUTHORIZED": FORBIDDEN,
    "UNEXPECTED_INPUT": UNSUPPORTED,
    "UNSUPPORTED": UNSUPPORTED,
}
"""The standard errors of the REST API (vSphere Automation API, com.vmware.vapi.std.errors)."""
_BY_STATUS = {
    401: EXPIRED,
    403: FORBIDDEN,
    404: VANISHED,
    429: OVERLOADED,
    500: LOST,
    502: OVERLOADED,
    503: OVERLOADED,
    504: OVERLOADED,
}


def _status(problem: HTTPException) -> int | None:
    """The status that pyvmomi puts at the beginning of its own exceptions; None for others."""
    first = str(problem).split(" ", 1)[0]
    return int(first) if type(problem) is HTTPException and first.isdecimal() else None


Named = Callable[[Any], str | None]
"""What people call a managed object that a right is lacking on; None if that cannot be told."""


def nameless(_: Any) -> None:
    """Where nobody can be asked."""
    return


def translate(
    problem: Exception,
    what: str,
    *,
    opening: bool = False,
    of_connection: bool = False,
    named: Named = nameless,
) -> ProviderError:
    """The error that leaves the plugin. ``what`` is the call as a person would say it: ``create
    machine web``. ``opening``: there was no connection before it, ``of_connection``: it is about
    the Host's connection. ``named`` is asked about objects that the message is about.
    """
    rule = rule_for(problem)
    if opening and rule is LOST:
        rule = UNREACHABLE  # there was no connection yet that could have been lost
    diagnostic = describe(rule, problem, what, named)
    if opening or of_connection:
        diagnostic = replace(diagnostic, path=rule.field)
    if rule.after is not None:
        return Retryable(diagnostic, rule.after)
    return InUse(diagnostic) if rule is IN_USE else Terminal(diagnostic)


def describe(rule: Rule, problem: Exception, what: str, named: Named = nameless) -> Diagnostic:
    """The diagnostic of a rule, with what the endpoint said."""
    detail = _detail(problem, named)
    return error(rule.code, rule.summary.format(what=what), detail=detail, hint=rule.hint)


def _detail(problem: Exception, named: Named) -> str:
    if isinstance(problem, vim.fault.NoPermission) and rule_for(problem) is FORBIDDEN:
        return _permission(problem, named)
    if isinstance(problem, VapiError):
        said = problem.kind or f"HTTP {problem.status}"
        return f"The endpoint says: {problem.words or 'nothing more'} ({said})."
    if isinstance(problem, vmodl.fault.InvalidArgument) and problem.invalidProperty:
        return f"The endpoint does not take what it was given as {problem.invalidProperty}."
    if isinstance(problem, vmodl.MethodFault):
        name = type(problem).__name__.rsplit(".", 1)[-1]
        return f"The endpoint says: {_words(problem) or 'nothing more'} ({name})."
    if isinstance(problem, KeyError | TypeError | AttributeError):
        return f"pyvmomi could not make sense of it: {type(problem).__name__}: {problem}."
    if isinstance(problem, ssl.SSLError):
        return f"{problem.args[-1]}."
    return f"{type(problem).__name__}: {problem}."


_TOLD = (
    "property",
    "invalidProperty",
    "argument",
    "name",
    "file",
    "remoteHost",
    "remotePath",
    "device",
    "feature",
    "reason",
    "detail",
    "principal",
    "source",
)
"""Fields of faults that say what a fault is about."""


def _words(problem: Any) -> str:
    """What a fault says in words: its message, and what its cause and its own fields name."""
    texts = [problem.msg or ""]
    texts += [item.message or "" for item in problem.faultMessage or ()]
    for name in _TOLD:
        value = getattr(problem, name, None)
        if isinstance(value, str) and value:
            texts.append(f"{name} {value!r}")
    # Of NoCompatibleHost: what is in the way on each host.
    causes = [problem.faultCause, *(getattr(problem, "error", None) or ())]
    for cause in causes:
        if cause is not None:
            texts.append(_words(cause) or type(cause).__name__.rsplit(".", 1)[-1])
    return "; ".join(dict.fromkeys(text.strip().rstrip(".") for text in texts if text.strip()))


def _permission(problem: Any, named: Named) -> str:
    lacking: dict[str, list[str]] = {}
    for item in problem.missingPrivileges or ():
        lacking.setdefault(_object(item.entity, named), []).extend(item.privilegeIds or ())
    if not lacking:
        where = "an object that it does not name"
        if problem.object:
            where = _object(problem.object, named)
        lacking[where] = [problem.privilegeId or "a privilege that the endpoint does not name"]
    told = [f"{', '.join(needed)} on {where}" for where, needed in lacking.items()]
    return f"The user lacks {'; '.join(told)}."


def _object(managed: Any, named: Named) -> str:
    kind, moid = type(managed).__name__.rsplit(".", 1)[-1], managed._GetMoId()
    return named(managed) or f"{kind} {moid}"
