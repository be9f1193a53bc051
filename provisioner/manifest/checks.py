"""Rules that a schema cannot express: images of the wrong kind, things that are used twice, names
that are taken.

Called by :mod:`provisioner.manifest.loader` with linked drafts; what is wrong is added to the
drafts' problems. Addresses of network cards are checked by :mod:`provisioner.manifest.addressing`,
cycles by the engine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from provisioner.core.address import Address
from provisioner.core.values import Path
from provisioner.manifest.hierarchy import HIERARCHY_CHECKS, check_hierarchy
from provisioner.manifest.infrastructure import NETWORK_CHECKS, POOL_CHECKS, Check
from provisioner.manifest.machine import MACHINE_CHECKS
from provisioner.manifest.problems import Problem
from provisioner.manifest.references import Draft
from provisioner.manifest.sharing import check_sharing

_SECRET = re.compile(
    r"env://[A-Za-z_][A-Za-z0-9_]*|file://[^$]+|command://[A-Za-z0-9][A-Za-z0-9._-]*(/[^$]+)?"
)


def check_drafts(drafts: Mapping[Address, Draft]) -> None:
    """Check every draft by itself, and all of them together."""
    for draft in drafts.values():
        check_secrets(draft)
        for check in _CHECKS.get(draft.address.kind, ()):
            draft.problems += check(draft)
    _check_disks(drafts)
    _check_images(drafts)
    _check_clusters(drafts)
    _check_renames(drafts)
    _check_object_names(drafts)
    check_sharing(drafts)
    check_hierarchy(drafts)


def check_secrets(draft: Draft) -> None:
    """A reference to a secret says in the manifest where the secret is."""
    if draft.templated:
        reported = {problem.path for problem in draft.problems}
        for path, reference in _secret_references(draft.spec, ()):
            place = ("spec", *path)
            known = isinstance(reference, str) and _SECRET.fullmatch(reference) is not None
            if not known and place not in reported:
                draft.problems.append(
                    Problem(
                        place,
                        "PRV1407",
                        "a reference to a secret that is not known before other resources are made",
                        "Write env://NAME, file://PATH or command://NAME; only ${var.NAME} is "
                        "replaced in it.",
                    )
                )


def _secret_references(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict):
        for name, child in value.items():
            if name == "secretRef":
                yield (*path, name), child
            else:
                yield from _secret_references(child, (*path, name))
    elif isinstance(value, list):
        for number, child in enumerate(value):
            yield from _secret_references(child, (*path, str(number)))


def _raw_clone(draft: Draft) -> Iterator[Problem]:
    spec = draft.spec
    if spec.get("format") == "raw" and "image" in spec and spec.get("clone", "linked") == "linked":
        yield Problem(
            ("spec", "format"),
            "PRV1422",
            "a raw disk cannot be a linked clone",
            "Write 'clone: full', or use format qcow2.",
        )


def _check_disks(drafts: Mapping[Address, Draft]) -> None:
    """A disk that one machine writes to belongs to that machine alone."""
    users: dict[str, list[tuple[Draft, bool]]] = {}
    for draft in drafts.values():
        disks = draft.spec.get("disks") if draft.address.kind == "VirtualMachine" else None
        if isinstance(disks, dict):
            for name, disk in disks.items():
                users.setdefault(name, []).append((draft, disk.get("readOnly") is True))
    for name, uses in users.items():
        if len(uses) > 1 and not all(read_only for _, read_only in uses):
            first = uses[0][0].address
            for draft, _ in uses[1:]:
                draft.problems.append(
                    Problem(
                        ("spec", "disks", name),
                        "PRV1420",
                        f"Disk/{name} is plugged into {first} already",
                        "Give each machine its own disk, or let all only read it: readOnly: true.",
                    )
                )


def _image_source(draft: Draft) -> Iterator[Problem]:
    """A template is a machine that is there already: no file and no volume."""
    source, form = draft.spec.get("source"), draft.spec.get("format")
    if not isinstance(source, dict) or not isinstance(form, str):
        return
    kind = next(iter(source), None)
    if kind == "template" and form != "template":
        expected = "template"
    elif kind in ("file", "volume") and form == "template":
        expected = "one of a file"
    else:
        return
    yield Problem(
        ("spec", "format"),
        "PRV1428",
        f"an image from source.{kind} has the format {form}, expected {expected}",
        "Write the format template with source.template, and only there or with "
        "source.libraryItem.",
    )


class _Use(NamedTuple):
    """Where an image stands, for what, and of which formats it can be there."""

    path: tuple[str, ...]
    image: str
    wanted: str
    formats: frozenset[str]


_OF_DISKS = frozenset({"qcow2", "raw", "vmdk"})
_OF_MACHINES = frozenset({"template", "ova"})


def _check_images(drafts: Mapping[Address, Draft]) -> None:
    for draft in drafts.values():
        for use in _images(draft):
            image = drafts.get(Address("Image", use.image))
            form = image.spec.get("format") if image is not None else None
            if not isinstance(form, str) or form in use.formats:
                continue
            draft.problems.append(
                Problem(
                    ("spec", *use.path),
                    "PRV1421",
                    f"Image/{use.image} has the format {form}, expected {use.wanted}",
                    "Name an image of the right kind, or mend the image's format.",
                )
            )


def _images(draft: Draft) -> Iterator[_Use]:
    spec: Any = draft.spec
    if draft.address.kind == "Disk" and isinstance(spec.get("image"), str):
        yield _Use(("image",), spec["image"], "one of a disk", _OF_DISKS)
    if draft.address.kind != "VirtualMachine":
        return
    clone, drives = spec.get("clone"), spec.get("cdroms")
    if isinstance(clone, dict) and isinstance(clone.get("image"), str):
        what = "template or ova for a machine's clone"
        yield _Use(("clone", "image"), clone["image"], what, _OF_MACHINES)
    for name, drive in drives.items() if isinstance(drives, dict) else ():
        if isinstance(drive.get("image"), str):
            path = ("cdroms", name, "image")
            yield _Use(path, drive["image"], "iso for a CD drive", frozenset({"iso"}))


def _check_clusters(drafts: Mapping[Address, Draft]) -> None:
    """A pool is in one cluster, and is none itself."""
    owners: dict[str, Draft] = {}
    for draft in drafts.values():
        members = draft.spec.get("members") if draft.address.kind == "StoragePool" else None
        for name in members if isinstance(members, dict) else ():
            pool = drafts.get(Address("StoragePool", name))
            owner = owners.setdefault(name, draft)
            if pool is not None and pool.spec.get("type") == "cluster":
                found, hint = "is a cluster itself", "Name the pools that it is made of."
            elif owner is not draft:
                found, hint = f"is in {owner.address} already", "Take it out of one of them."
            else:
                continue
            draft.problems.append(
                Problem(("spec", "members", name), "PRV1433", f"StoragePool/{name} {found}", hint)
            )


def _check_renames(drafts: Mapping[Address, Draft]) -> None:
    heirs: dict[Address, Address] = {}
    for draft in drafts.values():
        if draft.treatment.renamed_from is None:
            continue
        old = Address(draft.address.kind, draft.treatment.renamed_from)
        heir = heirs.setdefault(old, draft.address)
        if old in drafts:
            summary = "is its own old name" if old == draft.address else "is still in the stack"
            hint = "Remove renamedFrom, or the manifest of the old name."
        elif heir != draft.address:
            summary, hint = (
                f"was renamed to {heir} already",
                "One resource can become one other only.",
            )
        else:
            continue
        draft.problems.append(
            Problem(("metadata", "renamedFrom"), "PRV1430", f"{old} {summary}", hint)
        )


def _check_object_names(drafts: Mapping[Address, Draft]) -> None:
    """Two resources are never the same object: ``externalName`` could make them."""
    named = [draft for draft in drafts.values() if draft.treatment.external_name is not None]
    if not named:
        return
    kinds = {draft.address.kind for draft in named}
    owners: dict[tuple[object, ...], Draft] = {}
    for draft in drafts.values():
        if draft.address.kind not in kinds:
            continue
        name = draft.treatment.external_name or draft.address.name
        within = frozenset((path, at) for path, at, known in draft.found if known.host_from)
        place = (draft.address.kind, draft.host, within, name)
        other = owners.setdefault(place, draft)
        if other is draft:
            continue
        blamed, first = (draft, other) if draft.treatment.external_name else (other, draft)
        blamed.problems.append(
            Problem(
                ("metadata", "externalName"),
                "PRV1314",
                f"{first.address} is the object {name!r} already",
                "Each object belongs to one resource: correct the name, or remove one of them.",
            )
        )


_CHECKS: dict[str, tuple[Check, ...]] = {
    "VirtualMachine": MACHINE_CHECKS,
    "Network": NETWORK_CHECKS,
    "StoragePool": POOL_CHECKS,
    "Image": (_image_source,),
    "Disk": (_raw_clone,),
    **HIERARCHY_CHECKS,
}
