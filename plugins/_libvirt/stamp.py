"""The mark of ownership in an object's ``<metadata>``: who it belongs to, with its labels and
tenant.

Domains and networks carry it. Written in the same call that defines the object; other tools'
metadata is left alone. ::

    <metadata>
      <stamp xmlns="urn:provisioner:stamp:1" lineage="..." address="Network/lan" generation="0"
      tenant="acme">
        <label name="tier" value="web"/>
      </stamp>
    </metadata>
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from dataclasses import replace as replace_fields
from typing import Any

from provisioner.core.identity import Stamp
from provisioner.providers.api import Resource
from provisioner_plugins._libvirt.xml import Element, child, element, register_namespace

NAMESPACE = "urn:provisioner:stamp:1"
PREFIX = "provisioner"
"""Prefix under which ``virDomainSetMetadata`` files it (its ``key`` argument)."""
TAG = f"{{{NAMESPACE}}}stamp"

register_namespace(PREFIX, NAMESPACE)


@dataclass(frozen=True, slots=True)
class Mark:
    """What the stamp element says. ``owed``: the power state that a machine is to be brought back
    to, from before it is switched off for a change until it is.
    """

    stamp: Stamp
    labels: Mapping[str, str] = field(default_factory=dict)
    tenant: str | None = None
    owed: str | None = None

    @classmethod
    def of(cls, resource: Resource, owed: str | None = None) -> Mark:
        """The mark that a resource's object shall carry."""
        labels = dict(resource.spec.get("labels", {}))
        return cls(resource.stamp, labels, resource.spec.get("tenant"), owed)

    def without_debt(self) -> Mark:
        """The mark of a machine that is to be brought back to nothing."""
        return replace_fields(self, owed=None)

    def fields(self) -> dict[str, Any]:
        """The part of an observed spec that it gives: ``labels``, and ``tenant`` where set."""
        found: dict[str, Any] = {"labels": dict(self.labels)}
        if self.tenant is not None:
            found["tenant"] = self.tenant
        return found


def build(mark: Mark) -> Element:
    """The stamp element, as it stands in ``<metadata>``."""
    return element(
        TAG,
        {
            "lineage": mark.stamp.lineage,
            "address": mark.stamp.address,
            "generation": mark.stamp.generation,
            "tenant": mark.tenant,
            "owed": mark.owed,
        },
        *(
            element(f"{{{NAMESPACE}}}label", {"name": name, "value": value})
            for name, value in sorted(mark.labels.items())
        ),
    )


def read(document: Element) -> Mark | None:
    """The mark of a definition; None if it has none, or one that cannot be read (which is
    nobody's).
    """
    node = document.find(f"metadata/{TAG}")
    if node is None:
        return None
    lineage, address, generation = (node.get(k) for k in ("lineage", "address", "generation"))
    if not lineage or not address or not (generation or "").isdecimal():
        return None
    labels = {
        name: label.get("value", "")
        for label in node
        if label.tag == f"{{{NAMESPACE}}}label" and (name := label.get("name"))
    }
    found = Stamp(lineage, address, int(generation or 0))
    return Mark(found, labels, node.get("tenant"), node.get("owed"))


def replace(document: Element, mark: Mark) -> None:
    """Put ``mark`` into a definition in place of the one it has; other metadata stays as it is."""
    metadata = child(document, "metadata")
    for node in metadata.findall(TAG):
        metadata.remove(node)
    metadata.append(build(mark))
