"""Stored recovery plans: one self-contained file, versioned, with a digest and a signature.

Called by the service layer. The file is one JSON document in exactly one form: whoever changes a
byte of it, a space even, makes it another one, which is refused. It holds references to secrets and
no secrets.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error, quoted
from provisioner.core.overwriting import WHAT_TO_DO, replace_file, would_be_lost
from provisioner.core.values import canonical_json, digest
from provisioner.workflows.owners import Owner
from provisioner.workflows.recovery.clocks import TOLERATED_OF_DAYS, ahead
from provisioner.workflows.recovery.documents import EDGES, plan_json, plan_of
from provisioner.workflows.recovery.model import RecoveryPlan
from provisioner.workflows.recovery.signing import Signature, SigningKey, TrustedKeys

FORMAT = "provisioner.recovery/1"
WITH_EDGES = "provisioner.recovery/2"
"""The format of plans in which a machine has gates that count for it alone. A version that does not
know them has to refuse such a plan, not to carry it out without them.
"""
MAX_BYTES = 512 * 1024 * 1024

_FAMILY = "provisioner.recovery/"
_OPENING = r'\{"format":"provisioner\.recovery/'
_COMPILE = "Make a new one with 'provisioner dr compile PLAN -o FILE'."
_ORIGINAL = "Get the original again, or make a new one with 'provisioner dr compile'."


@dataclass(frozen=True, slots=True)
class Estate:
    """Whose plan is expected: that of a stack, and of one lineage of its state if that is known."""

    stack: str
    lineage: str | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """A plan as it was read, with its digest and the name of the key that signed it. ``overdue``
    says how old it is where it was older than allowed, or dated in the future, and that was
    consented to; else it is empty. ``content``: that of its file, which :func:`accepted` takes
    wherever it was kept.
    """

    plan: RecoveryPlan
    digest: str
    signed_by: str
    overdue: str = ""
    content: bytes = field(default=b"", repr=False)


def stored_text(plan: RecoveryPlan, key: SigningKey) -> str:
    """The whole content of the file of a plan, signed with ``key``."""
    data = plan_json(plan)
    found = _digest(data)
    signature = key.sign(_signed(data, found, key.id))
    return _text(found, signature.as_json(), data)


def plan_digest(plan: RecoveryPlan) -> str:
    """SHA-256 of what a plan says: that of its file, whoever signs it."""
    return _digest(plan_json(plan))


def write(plan: RecoveryPlan, key: SigningKey, path: Path) -> str:
    """Write the file of a plan, readable by its owner only, in the place of an older one; returns
    its digest. Raises ProvisionerError (PRV7040) if that fails or something else is there.
    """
    try:
        lost = would_be_lost(path, _OPENING)
        if not lost:
            replace_file(path, stored_text(plan, key).encode(), durable=True)
    except OSError as problem:
        raise ProvisionerError(
            error("PRV7040", f"the stored plan {path} cannot be written", detail=str(problem))
        ) from problem
    if lost:
        raise ProvisionerError(
            error(
                "PRV7040",
                f"{path} is there already, and is no stored recovery plan",
                hint=WHAT_TO_DO,
            )
        )
    return plan_digest(plan)


def read(
    path: Path,
    trusted: TrustedKeys,
    now: datetime,
    expected: Estate | None = None,
    *,
    allow_age: bool = False,
) -> Stored:
    """The plan in a file, if it may be used at ``now``, or at any time with ``allow_age``.

    Raises ProvisionerError with the reason: PRV7040 (it cannot be read), PRV7041 (no stored plan,
    or of another version), PRV7042 (altered), PRV7043 (not signed), PRV7044 (signed by somebody who
    is not trusted), PRV7045 (of another estate than ``expected``), PRV7046 (too old), PRV7123
    (dated in the future).
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _none(path, f"it is larger than {MAX_BYTES} bytes")
        content = path.read_bytes()
    except OSError as problem:
        raise ProvisionerError(
            error("PRV7040", f"the stored plan {path} cannot be read", detail=str(problem))
        ) from problem
    return accepted(content, path, trusted, now, expected, allow_age=allow_age)


def accepted(
    content: bytes,
    path: Path | str,
    trusted: TrustedKeys,
    now: datetime,
    expected: Estate | None = None,
    *,
    allow_age: bool = False,
) -> Stored:
    """The plan in what was the content of a file, called ``path`` in messages. Raises like
    :func:`read`.
    """
    found = _stored(content, path, trusted)
    strange = _of_another_estate(found.plan, expected, path)
    if strange is not None:
        raise ProvisionerError(strange)
    overdue = _from_the_future(found.plan, now, path) or _too_old(found.plan, now, path)
    if overdue is None:
        return found
    if not allow_age:
        raise ProvisionerError(overdue)
    return replace(found, overdue=overdue.summary)


def claimed(path: Path) -> Owner | None:
    """Whose plan a file says that it holds; None if it does not say. Nothing of it is proven: for
    what only has to tell two plans apart.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            return None
        plan = _document(path.read_bytes(), path)["plan"]
        return Owner(str(plan["name"]), str(plan["stack"]), str(plan["lineage"]))
    except (OSError, KeyError, ProvisionerError):
        return None


def _stored(content: bytes, path: Path | str, trusted: TrustedKeys) -> Stored:
    document = _document(content, path)
    signature = _signature(document, path)
    data = document["plan"]
    try:
        found = _digest(data)
        text = _text(found, signature.as_json(), data).encode()
    except (RecursionError, ValueError) as problem:
        raise _altered(path, f"It holds what no plan can: {problem}.") from problem
    if found != document["digest"]:
        raise _altered(path, "Its content does not fit its digest.")
    if text != content:
        raise _altered(path, "Its text is not the one that was written.")
    name = trusted.check(_signed(data, found, signature.key), signature, f"the stored plan {path}")
    try:
        plan = plan_of(data)
    except (AttributeError, KeyError, TypeError, ValueError) as problem:
        raise _none(path, f"{type(problem).__name__}: {problem}") from problem
    return Stored(plan, found, name, content=content)


def _document(content: bytes, path: Path | str) -> dict[str, Any]:
    try:
        document = json.loads(content.decode("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError) as problem:
        raise _none(path, f"{problem}") from problem
    given = document.get("format") if isinstance(document, dict) else None
    if not isinstance(given, str) or not given.startswith(_FAMILY):
        raise _none(path, f"found {quoted(given) if given else 'no format'}, expected {FORMAT}")
    if given not in (FORMAT, WITH_EDGES):
        expected = f"{FORMAT} or {WITH_EDGES}"
        raise _none(path, f"found the format {quoted(given)}, expected {expected}")
    if not isinstance(document.get("plan"), dict):
        raise _none(path, "it has no plan")
    return {"digest": None, "signature": None, **document}


def _signature(document: dict[str, Any], path: Path | str) -> Signature:
    given = document["signature"]
    if given is None:
        raise ProvisionerError(
            error(
                "PRV7043",
                f"the stored plan {path} is not signed",
                detail="Whoever can write the file could have written anything into it.",
                hint=_COMPILE,
            )
        )
    try:
        return Signature.of(given)
    except (KeyError, TypeError, ValueError) as problem:
        raise _altered(path, f"Its signature cannot be read: {problem}.") from problem


def _format(data: Mapping[str, Any]) -> str:
    """The oldest format that says all of a plan."""
    machines = data.get("machines")
    has_edges = isinstance(machines, list) and any(
        isinstance(machine, dict) and EDGES in machine for machine in machines
    )
    return WITH_EDGES if has_edges else FORMAT


def _digest(data: Mapping[str, Any]) -> str:
    return digest({"format": _format(data), "plan": data})


def _signed(data: Mapping[str, Any], found: str, key: str) -> bytes:
    """What is signed: the format, so that the signature means nothing else anywhere, the digest,
    and the key that it is by.
    """
    return f"{_format(data)}\n{found}\n{key}\n".encode()


def _text(found: str, signature: dict[str, Any], data: Mapping[str, Any]) -> str:
    parts = {"format": _format(data), "digest": found, "signature": signature, "plan": data}
    inner = ",".join(f"{canonical_json(key)}:{canonical_json(part)}" for key, part in parts.items())
    return f"{{{inner}}}\n"


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _none(path: Path | str, detail: str) -> ProvisionerError:
    return ProvisionerError(
        error(
            "PRV7041",
            f"{path} is no stored recovery plan that this version can read",
            detail=detail,
            hint=_COMPILE,
        )
    )


def _altered(path: Path | str, detail: str) -> ProvisionerError:
    return ProvisionerError(
        error(
            "PRV7042",
            f"the stored plan {path} was altered after it was made",
            detail=detail,
            hint=_ORIGINAL,
        )
    )


def _of_another_estate(
    plan: RecoveryPlan, expected: Estate | None, path: Path | str
) -> Diagnostic | None:
    if expected is None or plan.stack != expected.stack:
        found = None if expected is None else f"the stack {plan.stack}, expected {expected.stack}"
    elif expected.lineage is not None and str(plan.lineage) != expected.lineage:
        found = f"the state {plan.lineage}, expected {expected.lineage}"
    else:
        found = None
    if found is None:
        return None
    return error(
        "PRV7045",
        f"the stored plan {path} is of another estate",
        detail=f"It was compiled from {found}.",
        hint="Name the plan of this estate. Without --stack, any trusted plan is taken.",
    )


def _from_the_future(plan: RecoveryPlan, now: datetime, path: Path | str) -> Diagnostic | None:
    later = ahead(plan.compiled, now, TOLERATED_OF_DAYS)
    if later is None:
        return None
    return error(
        "PRV7123",
        f"the stored plan {path} is dated in the future: it was compiled on "
        f"{plan.compiled:%Y-%m-%d %H:%M} UTC, and here it is {now:%Y-%m-%d %H:%M} UTC",
        detail="The clock of this machine, or of the one that compiled it, is wrong. Nobody can "
        "tell how old the plan is, and the loss of a failover, measured by these clocks, would be "
        "wrong.",
        hint="Set the clock of this machine right. If there is no time for that, and what the plan "
        "says of the machines still holds: --allow-age carries it out, and the report of the run "
        "says so.",
    )


def _too_old(plan: RecoveryPlan, now: datetime, path: Path | str) -> Diagnostic | None:
    age = (now - plan.compiled).total_seconds()
    if age <= plan.max_age:
        return None
    return error(
        "PRV7046",
        f"the stored plan {path} is too old: it was compiled on {plan.compiled:%Y-%m-%d %H:%M} UTC",
        detail=f"It may be used for {plan.max_age / 3600:g} hours (maxAge of the plan), and is "
        f"{age / 3600:.1f} hours old.",
        hint="Take a newer one; what has changed since is not in it. If there is none, and what it "
        "says of the machines still holds: --allow-age carries it out, and the report of the run "
        "says so. 'dr compile' belongs into a job that runs often enough.",
    )
