"""Writes marks into the custom attributes of a vCenter's objects; called by the handlers of every
kind but machines. An ESXi host has no custom attributes: nothing is written there.
"""

from __future__ import annotations

import threading
from typing import Any

from provisioner.providers.api import Terminal
from provisioner_plugins.vmware.stamp import FIELD, Mark
from provisioner_plugins.vmware.wire.client import Client
from provisioner_plugins.vmware.wire.errors import EXISTS


class Marks:
    """The custom attribute of a vCenter. Thread-safe."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._key: int | None = None

    @property
    def have_room(self) -> bool:
        """Whether objects of this endpoint can carry a mark."""
        return self._client.content.customFieldsManager is not None

    def write(self, what: str, entity: Any, mark: Mark) -> None:
        """Have a managed entity carry a mark, in place of the one that it has. ``what`` names the
        entity in messages: ``datastore images``.
        """
        self._set(what, entity, mark.text())

    def remove(self, what: str, entity: Any) -> None:
        """Have a managed entity carry none."""
        self._set(what, entity, "")

    def _set(self, what: str, entity: Any, text: str) -> None:
        if self.have_room:
            key = self._field()
            self._client.call(
                f"mark {what}",
                lambda content: content.customFieldsManager.SetField(entity, key, text),
            )

    def _field(self) -> int:
        """The key of the attribute, which is defined if it is not yet."""
        with self._lock:
            if self._key is None:
                self._key = self._find()
            if self._key is None:
                self._key = self._define()
            return self._key

    def _find(self) -> int | None:
        fields = self._client.read(
            "read the custom attributes", lambda content: content.customFieldsManager.field
        )
        return next((int(item.key) for item in fields or () if item.name == FIELD), None)

    def _define(self) -> int:
        what = f"define the custom attribute {FIELD}"
        try:
            made = self._client.call(
                what, lambda content: content.customFieldsManager.AddCustomFieldDef(FIELD, None)
            )
        except Terminal as problem:
            # Somebody else was faster.
            found = self._find() if problem.diagnostic.code == EXISTS.code else None
            if found is None:
                raise
            return found
        return int(made.key)
