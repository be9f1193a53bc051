"""One domain as a manifest. Called by the handler of VirtualMachine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from provisioner.providers.api import Present
from provisioner_plugins._libvirt.beyond import Beyond
from provisioner_plugins._libvirt.metadata import notes_on_others
from provisioner_plugins._libvirt.native import PROVIDER
from provisioner_plugins._libvirt.xml import Element, copied
from provisioner_plugins.kvm.discovery.devices import Devices, KnownEstate, sort_devices
from provisioner_plugins.kvm.discovery.fields import common_fields
from provisioner_plugins.kvm.discovery.rest import beyond_fields
from provisioner_plugins.kvm.domain import document, native

_SEED = (
    "it has a cloud-init medium, whose content is not read: write cloudInit if it is to have one "
    "again"
)

_SAVED = (
    "it has a saved state (managed save), from which it goes on when it is started, with the "
    "definition of then: edits are in force once that is resumed or dropped"
)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What discovery knows beside the domain. ``macs`` tells how many cards of the endpoint have
    each MAC address; ``arch`` and ``emulators`` (paths) are the host's.
    """

    estate: KnownEstate
    macs: Mapping[str, int]
    arch: str = "x86_64"
    emulators: Iterable[str] = ()


_WHITE_SPACE = "kept as it is: white space at the beginning or the end of the description"


def describe(
    domain: Element, uuid: UUID, around: Surroundings
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The spec that a manifest of a domain with this definition has, without autostart, labels and
    tenant, and notes. References are external ids.
    """
    found = sort_devices(domain, around.estate, around.macs)
    spec, left = _told(domain, uuid, found, around)
    unsaid = _with_others(domain, spec, found)
    if unsaid:
        found.leave_to_fragments(unsaid)
        spec, left = _told(domain, uuid, found, around)
    notes = [_SEED] if found.seed is not None else []
    if "description" in spec and spec["description"] != domain.findtext("description"):
        notes.append(_WHITE_SPACE)
    return spec, (*notes, *notes_on_others(domain), *left.notes)


def _told(
    domain: Element, uuid: UUID, found: Devices, around: Surroundings
) -> tuple[dict[str, Any], Beyond]:
    spec = common_fields(domain, found)
    left = beyond_fields(domain, uuid, spec, found, arch=around.arch, emulators=around.emulators)
    if left.fragments:
        spec["native"] = {PROVIDER: {native.SECTION: list(left.fragments)}}
    return spec, left


def _with_others(domain: Element, spec: Mapping[str, Any], found: Devices) -> list[str]:
    """The sets of devices that a domain has more of than fields and fragments say: a set in a
    manifest is all that there is to be, so one that lacks some would take them out.
    """
    bare = copied(domain)
    native.forget(bare)
    there = document.devices_by_name(bare, spec, found.bindings)
    return sorted({kind for kind, name in there if kind in spec and name not in spec[kind]})


def remarks_on(
    observed: Present,
    *,
    is_defined: bool,
    is_saved: bool = False,
    has_checkpoints: bool = False,
    external_snapshots: Sequence[str] = (),
    stands_by: str | None = None,
) -> tuple[str, ...]:
    """What is true of a machine now, and not of what a manifest says."""
    found: list[str] = []
    if not is_defined:
        found.append("it has no definition and goes when it stops: an apply defines it")
    elif observed.running:
        waiting = ", ".join(sorted(".".join(path) for path in observed.running))
        how = "its saved state has" if is_saved else "it runs with"
        found.append(f"{how} another value than is configured: {waiting}")
    if is_saved:
        found.append(_SAVED)
    if external_snapshots:
        names = ", ".join(map(repr, external_snapshots))
        found.append(
            f"it has external snapshots ({names}), which have no counterpart: they are left alone"
        )
    if stands_by is not None:
        found.append(f"{stands_by}: it is not started as long as its host says so")
    if has_checkpoints:
        found.append("it has checkpoints, which have no counterpart: they are left alone")
    return tuple(found)
