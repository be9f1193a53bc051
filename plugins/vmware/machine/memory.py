"""What was read of the configurations of machines, kept for later sessions: devices are the dearest
of all that is read, and are asked for again only of machines whose configuration has moved. Called
by :mod:`~provisioner_plugins.vmware.machine.handler`.

A record is believed where the same machine of the same endpoint has the very
:data:`~provisioner_plugins.vmware.machine.properties.VERSIONS` that it was read with. These are
part of the sweep that finds the machines, and so of every observation.
"""

from __future__ import annotations

import json

from provisioner.core.values import digest
from provisioner_plugins.vmware.machine import properties
from provisioner_plugins.vmware.machine.record import Device, Record
from provisioner_plugins.vmware.wire.client import Client
from provisioner_plugins.vmware.wire.sweep import Row

_FORM = digest([*Record._fields, *Device._fields])[:8]
"""Tells what a record is made of: one with other fields is none for this program."""


class RecordMemory:
    """The memory of one session. Thread-safe."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def recall(self, row: Row) -> Record | None:
        """The configuration of a machine; None if it is not known, or has moved since. ``row`` has
        :data:`~provisioner_plugins.vmware.machine.properties.OF_EVERY`, as it is now.
        """
        content = self._client.context.memory.recall(_subject(row.moid))
        if content is None:
            return None
        try:
            proof, plain = json.loads(content)
            record = Record.of_plain(plain)
            return record if proof == self._proof(row, row, record) else None
        except (ValueError, TypeError, IndexError, KeyError, RecursionError):
            return None  # no program of ours has written this

    def keep(self, row: Row, read: Row, record: Record) -> None:
        """Remember the configuration ``record`` of the machine ``row``; ``read`` is what it was
        read from, at its own versions.
        """
        kept = json.dumps([self._proof(row, read, record), record.plain()], separators=(",", ":"))
        self._client.context.memory.keep(_subject(row.moid), kept.encode())

    def forget(self, moid: str) -> None:
        """Remember a machine no longer."""
        self._client.context.memory.keep(_subject(moid), b"")

    def _proof(self, row: Row, read: Row, record: Record) -> list[object]:
        versions = (read.get(path) for path in properties.VERSIONS)
        # How far memory can be added is settled anew at each start.
        power = str(row.get("runtime.powerState")) if record.more_memory else ""
        return [_FORM, self._client.instance, row.get(properties.UUID), power, *versions]


def _subject(moid: str) -> str:
    return f"VirtualMachine {moid}"
