"""Reports of runs as signed documents: what is signed, and whether that still holds.

Called by the service layer. The document is JSON in any layout: the signature is over its content
in canonical form, so that it may be kept in a database or printed in another way.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error, quoted
from provisioner.core.values import canonical_json, digest
from provisioner.workflows.recovery.modes.tasks import FOR
from provisioner.workflows.recovery.report import GATE, Ended, Left, Recovered, Report, Said, Step
from provisioner.workflows.recovery.signing import Signature, SigningKey, TrustedKeys

FORMAT = "provisioner.recovery-report/1"
MAX_BYTES = 512 * 1024 * 1024
SIGNATURE = "signature"


@dataclass(frozen=True, slots=True)
class Verified:
    """A report whose signature holds: its content, its digest, and whose signature it is."""

    document: Mapping[str, Any]
    digest: str
    signed_by: str


def signed(content: Mapping[str, Any], key: SigningKey | None) -> dict[str, Any]:
    """The document of a report with its signature; null without a ``key``."""
    signature = None if key is None else key.sign(_signed(content, key.id)).as_json()
    return {**content, SIGNATURE: signature}


def content_digest(document: Mapping[str, Any]) -> str:
    """SHA-256 of what a document says, whoever signed it."""
    return digest(_whole({key: value for key, value in document.items() if key != SIGNATURE}))


def verify(path: Path, trusted: TrustedKeys) -> Verified:
    """The report in a file, if somebody who is trusted has signed it as it is.

    Raises ProvisionerError: PRV7130 (it cannot be read, or is no report), PRV7131 (not signed),
    PRV7042 (altered), PRV7044 (signed by somebody who is not trusted).
    """
    document = _document(path)
    given = document.pop(SIGNATURE, None)
    if given is None:
        raise ProvisionerError(
            error(
                "PRV7131",
                f"the report {path} is not signed",
                detail="Whoever can write the file could have written anything into it.",
                hint="Make it again with a key: 'provisioner dr report PLAN RUN --key FILE'.",
            )
        )
    try:
        signature = Signature.of(given)
    except (KeyError, TypeError, ValueError) as problem:
        raise ProvisionerError(_none(path, f"Its signature cannot be read: {problem}.")) from None
    name = trusted.check(_signed(document, signature.key), signature, f"the report {path}")
    return Verified(document, content_digest(document), name)


def _signed(content: Mapping[str, Any], key: str) -> bytes:
    """What is signed: the format, so that the signature means nothing else anywhere, the key that
    it is by, and the content.
    """
    return f"{FORMAT}\n{key}\n{canonical_json(_whole(content))}\n".encode()


def _whole(value: Any) -> Any:
    """The same with whole numbers as such: programs that know one kind of numbers write 2.0 as 2,
    as RFC 8785 does.
    """
    if isinstance(value, Mapping):
        return {key: _whole(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_whole(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _document(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ProvisionerError(_none(path, f"It is larger than {MAX_BYTES} bytes."))
        text = path.read_text(encoding="utf-8")
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except (OSError, ValueError, RecursionError) as problem:
        raise ProvisionerError(_none(path, f"{problem}")) from problem
    given = found.get("format") if isinstance(found, dict) else None
    if given != FORMAT:
        told = quoted(given) if isinstance(given, str) else "no format"
        raise ProvisionerError(_none(path, f"Found {told}, expected {FORMAT}."))
    return dict(found)


def _once(items: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Two readers must not find different values under one key."""
    found = dict(items)
    if len(found) < len(items):
        raise ValueError("a key stands in it twice")
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _none(path: Path, detail: str) -> Diagnostic:
    return error(
        "PRV7130",
        f"{path} is no report of a run that this version can read",
        detail=detail,
        hint="Reports in JSON are verified: 'provisioner dr report PLAN --format json -o FILE'.",
    )


# The content


def content(report: Report, *, made: str, made_by: str, version: str) -> dict[str, Any]:
    """What schemas/results/recovery-report.v1.schema.json describes, but for the signature.
    ``made``: when, ISO 8601; ``made_by``: by whom; ``version`` of the program.
    """
    record = report.record
    return {
        "format": FORMAT,
        "plan": record.name,
        "mode": record.mode,
        "run": record.id,
        "outcome": None if record.outcome is None else str(record.outcome),
        "undoes": record.undoes,
        "actor": record.actor,
        "started": record.started.isoformat(),
        "ended": None if record.ended is None else record.ended.isoformat(),
        "seconds": report.seconds,
        "from": report.here,
        "to": report.there,
        "digests": {"plan": report.plan_digest, "runbook": record.digest},
        "time": {
            "objectiveSeconds": report.objective,
            "achievedSeconds": report.achieved,
            "within": report.is_within,
        },
        "fenced": None if report.fenced is None else report.fenced.isoformat(),
        "machines": [_machine(machine) for machine in report.machines],
        "gates": [
            {
                "step": step.task.id,
                "machine": step.task.subject,
                "for": step.task.arguments.get(FOR),
                "state": _state(step.ended),
                "at": step.end,
                "why": step.why,
                "passedOver": step.passed_over or None,
            }
            for step in report.named(GATE)
        ],
        "failures": [
            {"step": step.task.id, "title": step.task.title, "diagnostic": _diagnostic(step)}
            for step in report.that(Ended.FAILED)
        ],
        "held": [
            {"step": step.task.id, "title": step.task.title, "why": step.why}
            for step in report.that(Ended.HELD)
        ],
        "abandoned": [
            {"step": step.task.id, "title": step.task.title, "why": step.why}
            for step in report.abandoned
        ],
        "passedOver": [
            {
                "step": step.task.id,
                "title": step.task.title,
                "by": step.passed_over,
                "at": step.end,
                "why": step.why,
            }
            for step in report.that(Ended.PASSED_OVER)
        ],
        "answers": [_said(item) for item in report.answers],
        "cancellations": [_said(item) for item in report.cancellations],
        "carriers": [
            {
                "actor": item.actor,
                "host": item.host,
                "process": item.pid,
                "since": item.since.isoformat(),
                "notices": list(item.notices),
            }
            for item in report.carriers
        ],
        "left": _left(report.left),
        "suspended": list(report.suspended),
        "unheard": dict(report.unheard),
        "leftOut": list(report.left_out),
        "givenUp": [
            {
                "machine": str(item.machine),
                "host": item.host,
                "seen": item.seen.isoformat(),
                "since": None if item.since is None else item.since.isoformat(),
            }
            for item in report.given_up
        ],
        "criticalPath": [step.task.id for step in report.critical_path],
        "steps": [_step(step) for step in report.steps],
        "made": made,
        "madeBy": made_by,
        "version": version,
    }


def _state(ended: Ended) -> str:
    """What has been passed over did fail: only keys are added within a version, so that the state
    has no value of its own.
    """
    return str(Ended.FAILED if ended is Ended.PASSED_OVER else ended)


def _diagnostic(step: Step) -> dict[str, Any] | None:
    return None if step.diagnostic is None else step.diagnostic.as_json()


def _machine(machine: Recovered) -> dict[str, Any]:
    return {
        "machine": machine.address,
        "stage": machine.stage,
        "state": _state(machine.ended),
        "why": machine.why,
        "recoverySeconds": machine.seconds,
        "sinceFencedSeconds": machine.since_fenced,
        "point": machine.point,
        "taken": None if machine.taken is None else machine.taken.isoformat(),
        "lossSeconds": machine.loss,
        "aheadSeconds": machine.ahead,
        "inStep": machine.in_step,
        "pointObjectiveSeconds": machine.objective,
        "within": machine.is_within,
        "movedBytes": machine.moved,
        "gates": machine.gates,
        "gatesPassed": machine.gates_passed,
    }


def _step(step: Step) -> dict[str, Any]:
    task = step.task
    return {
        "id": task.id,
        "title": task.title,
        "action": task.action,
        "subject": task.subject or None,
        "stage": task.stage,
        "lane": task.lane or None,
        "state": _state(step.ended),
        "start": step.start,
        "end": step.end,
        "attempts": step.attempts,
        "beginnings": step.beginnings,
        "observed": step.observed,
        "critical": step.critical,
        "why": step.why,
    }


def _said(item: Said) -> dict[str, Any]:
    return {
        "step": item.task or None,
        "title": item.title,
        "text": item.text,
        "actor": item.actor,
        "at": item.at.isoformat(),
    }


def _left(left: Left | None) -> dict[str, Any] | None:
    if left is None:
        return None
    return {
        "run": left.run,
        "at": None if left.at is None else left.at.isoformat(),
        "count": None if left.things is None else len(left.things),
        "things": list(left.things or ()),
        "looked": left.looked,
    }
