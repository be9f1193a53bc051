"""The record of an author's fragments in a network's ``<metadata>``.

A running network keeps the record of its start, which tells that others are configured by now;
what the fragments say libvirt rewrites. Called by the Network handler; the definition of a domain
has a record of the same form.
"""

from __future__ import annotations

from collections.abc import Sequence

from provisioner_plugins._libvirt.xml import Element, child, element, register_namespace

NAMESPACE = "urn:provisioner:native:1"
PREFIX = "provisioner-native"
TAG = f"{{{NAMESPACE}}}native"
FRAGMENT = f"{{{NAMESPACE}}}fragment"

register_namespace(PREFIX, NAMESPACE)


def read(document: Element) -> list[str]:
    """The recorded fragments, as their author wrote them."""
    return [node.text or "" for node in document.findall(f"metadata/{TAG}/{FRAGMENT}")]


def write(document: Element, fragments: Sequence[str]) -> None:
    """Record fragments in place of those that are recorded."""
    metadata = child(document, "metadata")
    for node in metadata.findall(TAG):
        metadata.remove(node)
    if fragments:
        metadata.append(element(TAG, *(element(FRAGMENT, text) for text in fragments)))
