"""Rules that a schema cannot express: figures that have to fit together, devices that are used
twice, names that are taken.

Called by :mod:`provisioner.manifest.loader` with linked drafts; what is wrong is added to the
drafts' problems. Addresses of network cards are checked by :mod:`provisioner.manifest.addressing`,
cycles by the engine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from provisioner.core.address import Address
from provisioner.core.units import format_size
from provisioner.core.values import Path
from provisioner.manifest.hierarchy import HIERARCHY_CHECKS, check_hierarchy
from provisioner.manifest.infrastructure import NETWORK_CHECKS, POOL_CHECKS, Check
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


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _cpu(draft: Draft) -> Iterator[Problem]:
    cpu = draft.spec.get("cpu")
    if not isinstance(cpu, dict):
        return
    count = _number(cpu.get("count", 1))
    most = _number(cpu.get("max", count))
    if count is None or most is None:
        return
    if count > most:
        yield Problem(
            ("spec", "cpu", "count"),
            "PRV1410",
            f"the machine has {count} processors, more than its max of {most}",
            f"Raise max to {count}, or lower count.",
        )
    topology = cpu.get("topology")
    if not isinstance(topology, dict):
        return
    parts = [_number(topology.get(name, 1)) for name in ("sockets", "cores", "threads")]
    if None not in parts:
        sockets, cores, threads = (part or 1 for part in parts)
        product = sockets * cores * threads
        if product != most:
            yield Problem(
                ("spec", "cpu", "topology"),
                "PRV1411",
                f"{sockets} sockets x {cores} cores x {threads} threads are {product} processors, "
                f"expected {most}",
                "The product has to be max, or count where max is left out.",
                at_key=True,
            )


def _memory(draft: Draft) -> Iterator[Problem]:
    memory = draft.spec.get("memory")
    if not isinstance(memory, dict):
        return
    size, most = _number(memory.get("size")), _number(memory.get("max"))
    if size is not None and most is not None and size > most:
        yield Problem(
            ("spec", "memory", "size"),
            "PRV1412",
            f"{format_size(size)} of memory are more than the max of {format_size(most)}",
            "Raise max, or lower size.",
        )


def _boot_order(draft: Draft) -> Iterator[Problem]:
    taken: dict[int, str] = {}
    for section in ("disks", "nics", "cdroms"):
        devices = draft.spec.get(section)
        if not isinstance(devices, dict):
            continue
        for name, device in devices.items():
            order = _number(device.get("bootOrder"))
            if order is None:
                continue
            owner = taken.setdefault(order, f"{section}[{name}]")
            if owner != f"{section}[{name}]":
                yield Problem(
                    ("spec", section, name, "bootOrder"),
                    "PRV1416",
                    f"bootOrder {order} belongs to {owner} already",
                    "Each number may stand once in a machine.",
                )


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


def _check_images(drafts: Mapping[Address, Draft]) -> None:
    for draft in drafts.values():
        for path, name in _images(draft):
            image = drafts.get(Address("Image", name))
            form = image.spec.get("format") if image is not None else None
            if not isinstance(form, str):
                continue
            is_drive = path[0] == "cdroms"
            if is_drive == (form == "iso"):
                continue
            draft.problems.append(
                Problem(
                    ("spec", *path),
                    "PRV1421",
                    f"Image/{name} has the format {form}, "
                    + ("expected iso for a CD drive" if is_drive else "expected one of a disk"),
                    "Name an image of the right kind, or mend the image's format.",
                )
            )


def _images(draft: Draft) -> Iterator[tuple[tuple[str, ...], str]]:
    if draft.address.kind == "Disk" and isinstance(draft.spec.get("image"), str):
        yield ("image",), draft.spec["image"]
    drives: Any = draft.spec.get("cdroms") if draft.address.kind == "VirtualMachine" else None
    if isinstance(drives, dict):
        for name, drive in drives.items():
            if isinstance(drive.get("image"), str):
                yield ("cdroms", name, "image"), drive["image"]


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
    "VirtualMachine": (_cpu, _memory, _boot_order),
    "Network": NETWORK_CHECKS,
    "StoragePool": POOL_CHECKS,
    "Disk": (_raw_clone,),
    **HIERARCHY_CHECKS,
}
