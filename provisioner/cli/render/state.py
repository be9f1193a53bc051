"""What was recorded, as people read it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from provisioner.cli.render.text import Paint, listed, natural, pairs, plain, printable, table
from provisioner.cli.render.values import Vocabulary, leaves, masked, render_path, render_value
from provisioner.core.actions import Permission, permission_names
from provisioner.service.model import Entry, JournalRecord, LockHolder, OperationRecord


def render_entries(entries: Iterable[Entry], paint: Paint = plain, width: int = 80) -> list[str]:
    """A line for each entry, in the order in which people count. What an object is called on its
    host is told where that is not the resource's own name.
    """
    rows = [
        [
            str(entry.address),
            entry.endpoint,
            entry.name if entry.name != entry.address.name else "",
            moment(entry.applied_at),
            ", ".join(
                word
                for word, holds in (
                    ("protected", entry.protect),
                    ("observed only", entry.manage == {Permission.OBSERVE}),
                    ("restart pending", bool(entry.pending)),
                )
                if holds
            ),
        ]
        for entry in sorted(entries, key=lambda entry: natural(str(entry.address)))
    ]
    header = ["ADDRESS", "HOST", "NAME THERE", "APPLIED (UTC)", "NOTES"]
    return table(header, rows, paint, width) if rows else ["Nothing is recorded."]


def render_entry(
    entry: Entry, vocabulary: Vocabulary, paint: Paint = plain, width: int = 80
) -> list[str]:
    """Everything that is recorded of one resource."""
    facts = [
        ("host", entry.endpoint),
        ("provider", entry.provider),
        ("name there", entry.name),
        ("identity", str(entry.uid)),
        ("external id", entry.external_id),
        ("applied", moment(entry.applied_at)),
        ("protected", "yes" if entry.protect else "no"),
        ("may be", permitted(entry.manage)),
        ("replacements", str(entry.generation)),
        ("state serial", str(entry.serial)),
    ]
    kind = entry.address.kind
    spec = [
        (render_path(path), render_value(value, kind, path, vocabulary))
        for path, value in leaves(entry.spec)
        if path
    ]
    outputs = [
        (render_path(path), render_value(value, kind, path, vocabulary))
        for path, value in leaves(entry.outputs)
        if path
    ]
    lines = [paint("strong", str(entry.address)), *pairs(facts, width)]
    for title, values in (("spec", spec), ("outputs", outputs)):
        if values:
            lines += [paint("strong", title), *pairs(values, width)]
    for title, items in (
        ("depends on", [str(address) for address in entry.dependencies]),
        ("waits for a restart", list(entry.pending)),
    ):
        if items:
            lines += [paint("strong", title), *(f"  {printable(item)}" for item in items)]
    return lines


_PARTICIPLES = {
    Permission.CREATE: "created",
    Permission.UPDATE: "changed",
    Permission.DELETE: "deleted",
}


def permitted(manage: frozenset[Permission]) -> str:
    """What may be done to an object: ``created, changed``; ``only observed``."""
    words = [word for permission, word in _PARTICIPLES.items() if permission in manage]
    return ", ".join(words) or "only observed"


def entry_json(entry: Entry, vocabulary: Vocabulary) -> dict[str, Any]:
    """Plain data of one entry; sensitive values are masked."""
    return {
        "address": str(entry.address),
        "endpoint": entry.endpoint,
        "provider": entry.provider,
        "name": entry.name,
        "uid": str(entry.uid),
        "externalId": entry.external_id,
        "spec": masked(entry.spec, entry.address.kind, vocabulary),
        "outputs": entry.outputs,
        "dependencies": [str(address) for address in entry.dependencies],
        "generation": entry.generation,
        "protect": entry.protect,
        "manage": permission_names(entry.manage),
        "pending": list(entry.pending),
        "appliedAt": entry.applied_at,
        "serial": entry.serial,
    }


def render_history(
    operations: Iterable[OperationRecord], paint: Paint = plain, width: int = 80
) -> list[str]:
    """A line for each operation, newest first."""
    rows = [
        [
            moment(item.started_at),
            item.kind,
            item.outcome or "not finished",
            item.actor.partition(" (process")[0],
            item.operation,
            _extent(item),
        ]
        for item in operations
    ]
    header = ["STARTED (UTC)", "KIND", "OUTCOME", "WHO", "OPERATION", "STEPS"]
    return table(header, rows, paint, width) if rows else ["Nothing has been applied yet."]


def _extent(item: OperationRecord) -> str:
    """How many steps came to which end, or what it was about."""
    parts: list[str] = []
    for key, value in item.summary.items():
        if isinstance(value, int) and value:
            parts.append(f"{value:,} {key}")
        elif isinstance(value, (list, tuple)):
            parts.append(f"{len(value):,} {key}: {listed([str(part) for part in value], 3)}")
        elif isinstance(value, str):
            parts.append(f"{key}: {value}")
    return ", ".join(parts)


def history_json(operations: Iterable[OperationRecord]) -> list[dict[str, Any]]:
    """Plain data of operations."""
    return [
        {
            "operation": item.operation,
            "kind": item.kind,
            "actor": item.actor,
            "startedAt": item.started_at,
            "endedAt": item.ended_at,
            "outcome": item.outcome,
            "summary": dict(item.summary),
            "planDigest": item.plan_digest,
        }
        for item in operations
    ]


def render_journal(
    records: Iterable[JournalRecord], paint: Paint = plain, width: int = 80
) -> list[str]:
    """A line for each record of one operation."""
    rows = [
        [
            moment(item.at),
            item.phase.value,
            item.action,
            item.step,
            str(item.detail.get("summary", "")) if item.phase.value == "failed" else "",
        ]
        for item in records
    ]
    return table(["AT (UTC)", "WHAT", "ACTION", "STEP", "PROBLEM"], rows, paint, width)


def journal_json(records: Iterable[JournalRecord], vocabulary: Vocabulary) -> list[dict[str, Any]]:
    """Plain data of journal records."""
    return [
        {
            "sequence": item.sequence,
            "operation": item.operation,
            "step": item.step,
            "phase": item.phase.value,
            "action": item.action,
            "address": str(item.address),
            "at": item.at,
            "detail": {
                key: masked(value, item.address.kind, vocabulary) if key == "spec" else value
                for key, value in item.detail.items()
            },
        }
        for item in records
    ]


def render_lock(holder: LockHolder | None) -> list[str]:
    """Who works on the state."""
    if holder is None:
        return ["The state is not locked."]
    return [
        f"Locked by {printable(holder.owner)} for {printable(holder.purpose)}",
        f"since {holder.since:%Y-%m-%d %H:%M:%S} (UTC),"
        f" leased until {holder.expires:%Y-%m-%d %H:%M:%S} (UTC).",
        *(["Its process has ended; the next command takes the lock over."] * holder.has_ended),
        f"Token: {holder.token}",
    ]


def moment(text: str) -> str:
    """A time of the record, short: ``2025-11-23 03:04:05``, in UTC."""
    return text[:19].replace("T", " ")
