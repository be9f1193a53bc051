"""Custom attributes of a vCenter's objects: the marks of all kinds but machines, and labels. An
ESXi host has none: nothing is written there.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from provisioner.providers.api import Terminal
from provisioner_plugins.vmware.stamp import Mark, field_name
from provisioner_plugins.vmware.wire.client import Client
from provisioner_plugins.vmware.wire.errors import EXISTS
from provisioner_plugins.vmware.wire.sweep import look


class Attributes:
    """The custom attributes of a vCenter by their names. Thread-safe."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._keys: dict[str, int] = {}

    @property
    def have_room(self) -> bool:
        """Whether objects of this endpoint have custom attributes."""
        return self._client.content.customFieldsManager is not None

    def write(self, what: str, entity: Any, name: str, text: str) -> None:
        """Set the attribute of a managed entity; empty: it has none. ``what`` says in messages
        what is being done: ``mark datastore images``.
        """
        if self.have_room:
            key = self._key(name)
            self._client.call(
                what, lambda content: content.customFieldsManager.SetField(entity, key, text)
            )

    def of(self, entity: Any) -> Mapping[str, str]:
        """The attributes of a managed entity that say something."""
        wanted = {type(entity): ("customValue",)}
        rows = look(self._client, "read custom attributes", [entity], wanted)
        values = [value for row in rows for value in row.get("customValue", ()) if value.value]
        with self._lock:
            if not {value.key for value in values} <= {*self._keys.values()}:
                self._read()
            names = {key: name for name, key in self._keys.items()}
        return {names[value.key]: str(value.value) for value in values if value.key in names}

    def is_known(self, name: str) -> bool:
        """Whether this session has met an attribute of that name."""
        with self._lock:
            return name in self._keys

    def _key(self, name: str) -> int:
        """The key of an attribute, which is defined if it is not yet."""
        with self._lock:
            if name not in self._keys:
                self._read()
            if name not in self._keys:
                self._define(name)
            return self._keys[name]

    def _read(self) -> None:
        found = self._client.read(
            "read the custom attributes", lambda content: content.customFieldsManager.field
        )
        self._keys = {str(item.name): int(item.key) for item in found or ()}

    def _define(self, name: str) -> None:
        try:
            made = self._client.call(
                f"define the custom attribute {name}",
                lambda content: content.customFieldsManager.AddCustomFieldDef(name, None),
            )
            self._keys[name] = int(made.key)
        except Terminal as problem:
            # Somebody else was faster.
            self._read()
            if problem.diagnostic.code != EXISTS.code or name not in self._keys:
                raise


class Marks:
    """Writes marks. Thread-safe."""

    def __init__(self, client: Client) -> None:
        self._attributes = Attributes(client)

    @property
    def have_room(self) -> bool:
        """Whether objects of this endpoint can carry a mark."""
        return self._attributes.have_room

    def write(self, what: str, entity: Any, mark: Mark) -> None:
        """Have a managed entity carry a mark, in place of the one that it has. ``what`` names the
        entity in messages: ``datastore images``.
        """
        self._set(what, entity, mark.parts())

    def remove(self, what: str, entity: Any) -> None:
        """Have a managed entity carry none."""
        self._set(what, entity, [""])

    def _set(self, what: str, entity: Any, parts: list[str]) -> None:
        # The first is the last to be written: it says what the others have to be.
        for number, text in reversed([*enumerate(parts)]):
            self._attributes.write(f"mark {what}", entity, field_name(number), text)
        if not self._attributes.is_known(field_name(len(parts))):
            return
        left = self._attributes.of(entity)
        number = len(parts)
        while field_name(number) in left:
            self._attributes.write(f"mark {what}", entity, field_name(number), "")
            number += 1
