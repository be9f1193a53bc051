"""The ``native`` section of a resource: XML fragments that complete a definition.

``native: {kvm: {network: ["<portgroup name='fast'/>"]}}``: each fragment is a child of the
definition's root. Pure; called by the rules of every kind (to check, when a plan is made) and by
the handlers (to merge).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error
from provisioner.providers.api import Change
from provisioner_plugins._libvirt.xml import (
    Element,
    Identify,
    XmlError,
    covers,
    element,
    merge_under,
    parse_fragment,
    subtract,
)

PROVIDER = "kvm"


def fragments(spec: Mapping[str, Any], section: str) -> list[str]:
    """The fragments of a section, as the author wrote them."""
    return list(spec.get("native", {}).get(PROVIDER, {}).get(section, ()))


def merge_all(
    document: Element,
    spec: Mapping[str, Any],
    section: str,
    identify: Mapping[str, Identify] | None = None,
) -> None:
    """Merge every fragment of a section into a definition; raises ProvisionerError (PRV2501)."""
    problems: list[Diagnostic] = []
    for number, text in enumerate(fragments(spec, section), 1):
        try:
            merge_under(document, parse_fragment(text), identify)
        except XmlError as problem:
            problems.append(
                error(
                    "PRV2501",
                    f"fragment {number} of native.{PROVIDER}.{section} cannot be used",
                    detail=f"{problem}.",
                    hint="A fragment is one element as it stands below the root of libvirt's "
                    f"{section} XML. It may add to the common fields, but not contradict them.",
                    path=("native", PROVIDER, section, str(number - 1)),
                )
            )
    if problems:
        raise ProvisionerError(problems)


def is_there(document: Element, text: str) -> bool:
    """Whether a definition says all that a fragment says."""
    try:
        return covers(document, element(document.tag, parse_fragment(text)))
    except XmlError:
        return False


def take_out(document: Element, changes: tuple[Change, ...], section: str) -> None:
    """Remove from a definition what the fragments before ``changes`` had put in."""
    for text in _before(changes, section):
        subtract(document, element(document.tag, parse_fragment(text)))


def _before(changes: tuple[Change, ...], section: str) -> list[str]:
    """The recorded fragments, if a change concerns them: it may stand at any level of the
    section.
    """
    keys = ("native", PROVIDER, section)
    for change in changes:
        if change.path != keys[: len(change.path)] or change.before is None:
            continue
        value: Any = change.before
        for key in keys[len(change.path) :]:
            value = value.get(key, {}) if isinstance(value, Mapping) else {}
        return [str(text) for text in value]
    return []
