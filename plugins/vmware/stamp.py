"""The mark of ownership on a vSphere object: whose it is, with labels, tenant and what else no
property of the object can tell. Pure.

A machine carries it in its extra configuration, under :data:`FIELD`, and so from the call that
makes it; other objects of a vCenter in a custom attribute of that name, written right after they
are made. What an ESXi host has beside machines has no room for one (docs/providers/vmware.md). The
value is JSON::

    {"lineage": "...", "address": "VirtualMachine/web", "generation": 0, "labels": {...}}

The value of a custom attribute has :data:`MOST` characters. What does not fit stands, as the text
of a JSON object, in further attributes (``provisioner.stamp.1`` ...), and the first one says how
many and of what content: ``{"lineage": ..., "parts": 2, "sum": "..."}``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from provisioner.core.identity import Stamp
from provisioner.core.values import canonical_json, digest
from provisioner.providers.api import Resource

FIELD = "provisioner.stamp"
MOST = 255
"""Characters in the value of a custom attribute (vSphere, "Custom Attributes": the vCenter's
database has no more room)."""
_SUM = 16


def field_name(part: int) -> str:
    """The custom attribute with a part of the mark; 0 is the first."""
    return f"{FIELD}.{part}" if part else FIELD


@dataclass(frozen=True, slots=True)
class Mark:
    """What the mark says. ``details`` is what the handler of the kind keeps there: plain data."""

    stamp: Stamp
    labels: Mapping[str, str] = field(default_factory=dict)
    tenant: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, resource: Resource, details: Mapping[str, Any] | None = None) -> Mark:
        """The mark that a resource's object shall carry."""
        labels = dict(resource.spec.get("labels", {}))
        return cls(resource.stamp, labels, resource.spec.get("tenant"), details or {})

    @classmethod
    def parse(cls, text: object) -> Mark | None:
        """The mark that a value is; None for one that cannot be read, which is nobody's."""
        try:
            data = json.loads(str(text))
            stamp = Stamp(str(data["lineage"]), str(data["address"]), int(data["generation"]))
            labels = {str(name): str(value) for name, value in data.get("labels", {}).items()}
            details = dict(data.get("details", {}))
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        return cls(stamp, labels, data.get("tenant"), details)

    def text(self) -> str:
        """The value, as it is written on an object; the same for equal marks."""
        return canonical_json({**self.stamp.as_json(), **self._rest()})

    def parts(self) -> list[str]:
        """The same as values of custom attributes, of which the first tells whose it is."""
        whole = self.text()
        if len(whole) <= MOST:
            return [whole]
        rest = canonical_json(self._rest())
        slices = [rest[at : at + MOST] for at in range(0, len(rest), MOST)]
        told = {"parts": len(slices), "sum": digest(rest)[:_SUM]}
        return [canonical_json({**self.stamp.as_json(), **told}), *slices]

    @classmethod
    def joined(cls, values: Mapping[int, str]) -> Mark | None:
        """The mark in custom attributes, whose values are given by the numbers of their parts. Of
        one that was written by half only whose it is counts.
        """
        first = values.get(0, "")
        mark = cls.parse(first)
        if mark is None or '"parts":' not in first:
            return mark
        data = json.loads(first)
        rest = "".join(values.get(part, "") for part in range(1, int(data["parts"]) + 1))
        if digest(rest)[:_SUM] != data.get("sum"):
            return mark
        return cls.parse(canonical_json({**mark.stamp.as_json(), **json.loads(rest)}))

    def _rest(self) -> dict[str, Any]:
        rest = {"labels": self.labels, "tenant": self.tenant, "details": self.details}
        return {name: value for name, value in rest.items() if value}

    def with_details(self, details: Mapping[str, Any]) -> Mark:
        """The same mark with other details."""
        return replace(self, details=details)

    def fields(self) -> dict[str, Any]:
        """The part of an observed spec that it gives: ``labels``, and ``tenant`` where set."""
        found: dict[str, Any] = {"labels": dict(self.labels)}
        if self.tenant is not None:
            found["tenant"] = self.tenant
        return found
