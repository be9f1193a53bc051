"""Turns entries, endpoints and journal details into compact JSON text and back; the SQLite store
calls it.

Nothing but plain data is written: a ``Secret`` or a value that is not known yet is refused here,
whatever layer let it through. Every row carries a digest over its content, so that a damaged row is
never taken for a good one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from sys import intern
from typing import Any
from uuid import UUID

from provisioner.core.actions import permission_names, permissions
from provisioner.core.address import Address
from provisioner.core.collector import collector_paused
from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.core.values import UNKNOWN_KEY, Secret
from provisioner.state.model import EndpointRecord, Entry

DIGEST_BYTES = 16
_UNKNOWN_MARK = f'"{UNKNOWN_KEY}":'


def row_digest(table: str, *parts: object) -> bytes:
    """BLAKE2b (RFC 7693), 16 bytes, over a row's content; the table's name is part of it."""
    text = "\0".join((table, *map(str, parts)))
    return hashlib.blake2b(text.encode(), digest_size=DIGEST_BYTES).digest()


def _plain(value: object) -> object:
    # Called for what json does not know; read-only views of mappings are data all the same.
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Secret):
        raise TypeError(f"a secret ({value.reference}) cannot be recorded")
    raise TypeError(f"a value of type {type(value).__name__} cannot be recorded")


_encoder = json.JSONEncoder(
    separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False, default=_plain
)


def encode(value: object, what: str) -> str:
    """Compact JSON text of ``value``.

    Raises ProvisionerError (PRV4012) if it holds a secret, an unknown, or anything else that is no
    JSON; ``what`` names the value in the message.
    """
    try:
        text = _encoder.encode(value)
    except (TypeError, ValueError, RecursionError) as problem:
        raise _refused(what, str(problem)) from problem
    # In JSON text a quote inside a string is escaped, so this can only be a key.
    if _UNKNOWN_MARK in text:
        raise _refused(what, "A value in it is not known yet.")
    return text


def _refused(what: str, detail: str) -> ProvisionerError:
    return ProvisionerError(
        error(
            "PRV4012",
            f"{what} holds a value that state must not keep",
            detail=detail,
            hint="State keeps plain data and references to secrets."
            " This is a defect of the program; please report it.",
        )
    )


def encode_entry(entry: Entry, now: str) -> str:
    """The JSON text of everything in an entry but its address and serial, which are columns.
    Defaults are left out.
    """
    body: dict[str, Any] = {
        "provider": entry.provider,
        "endpoint": entry.endpoint,
        "name": entry.name,
        "uid": str(entry.uid),
        "id": entry.external_id,
        "spec": entry.spec,
    }
    if entry.outputs:
        body["outputs"] = entry.outputs
    if entry.dependencies:
        body["dependencies"] = [str(address) for address in entry.dependencies]
    if entry.generation:
        body["generation"] = entry.generation
    if entry.protect:
        body["protect"] = True
    manage = permission_names(entry.manage)
    if manage is not None:
        body["manage"] = manage
    if entry.pending:
        body["pending"] = list(entry.pending)
    body["at"] = entry.applied_at or now
    return encode(body, f"the state entry of {entry.address}")


def decode_entries(rows: Iterable[tuple[str, int, str]]) -> dict[Address, Entry]:
    """Entries by address from rows of address, serial and JSON text whose digests were checked.

    One pass of the JSON parser over all rows is a third cheaper than one for each. Raises
    ValueError if a row is not what :func:`encode_entry` writes.
    """
    with collector_paused():
        return _decode_entries(list(rows))


def _decode_entries(rows: list[tuple[str, int, str]]) -> dict[Address, Entry]:
    bodies = json.loads("[" + ",".join([row[2] for row in rows]) + "]")
    known: dict[str, Address] = {row[0]: split_address(row[0]) for row in rows}
    entries: dict[Address, Entry] = {}
    for (text, serial, _), body in zip(rows, bodies, strict=True):
        address = known[text]
        get = body.get
        try:
            entries[address] = Entry(
                address=address,
                provider=intern(body["provider"]),
                endpoint=intern(body["endpoint"]),
                name=body["name"],
                uid=UUID(body["uid"]),
                external_id=body["id"],
                spec=body["spec"],
                outputs=get("outputs") or {},
                dependencies=tuple(
                    known.get(item) or split_address(item) for item in get("dependencies", ())
                ),
                generation=get("generation", 0),
                protect=get("protect", False),
                manage=permissions(get("manage")),
                pending=tuple(get("pending", ())),
                applied_at=get("at", ""),
                serial=serial,
            )
        except (KeyError, TypeError, AttributeError) as problem:
            raise ValueError(f"the entry of {text} cannot be read: {problem!r}") from problem
    return entries


def split_address(text: str) -> Address:
    """The address in ``Kind/name``; unlike :meth:`Address.parse` it trusts a text that was written
    by this store.
    """
    kind, _, name = text.partition("/")
    return Address(intern(kind), name)


def encode_endpoint(record: EndpointRecord) -> str:
    """The JSON text of everything in an endpoint record but its name."""
    body = {"provider": record.provider, "spec": record.spec}
    return encode(body, f"the state record of the endpoint {record.name}")


def decode_endpoint(name: str, text: str) -> EndpointRecord:
    """The record that :func:`encode_endpoint` wrote."""
    body = json.loads(text)
    return EndpointRecord(name=name, provider=body["provider"], spec=body["spec"])
