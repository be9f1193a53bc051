"""Rules for what divides an endpoint's inventory, and for who may do what in it: folders,
datacenters, clusters and their hosts, resource pools, placement rules, permissions.

Called through :mod:`provisioner.manifest.checks`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from provisioner.core.address import Address
from provisioner.core.units import format_size
from provisioner.manifest.infrastructure import Check
from provisioner.manifest.problems import MISSING, Problem
from provisioner.manifest.references import Draft

_FOLDER, _DATACENTER, _CLUSTER = "Folder", "Datacenter", "Cluster"

_FOLDER_OF = {
    "Datacenter": "datacenter",
    "Cluster": "host",
    "ClusterHost": "host",
    "VirtualMachine": "machine",
    "StoragePool": "storage",
    "Network": "network",
}
"""The type of the folder in which resources of a kind lie."""
_TOGETHER = ("keep-together", "keep-apart")
_WITH_HOSTS = ("run-on", "keep-off")


def check_hierarchy(drafts: Mapping[Address, Draft]) -> None:
    """Check how resources lie in one another."""
    for draft in drafts.values():
        draft.problems += _folder_types(draft, drafts)
        draft.problems += _places(draft, drafts)
    _check_permissions(drafts)


def _folder_types(draft: Draft, drafts: Mapping[Address, Draft]) -> Iterator[Problem]:
    own = draft.address.kind
    wanted = _folder_type(draft) if own == _FOLDER else _FOLDER_OF.get(own)
    if wanted is None:
        return
    for path, name, known in draft.found:
        folder = drafts.get(Address(_FOLDER, name)) if _FOLDER in known.references else None
        found = None if folder is None or folder is draft else _folder_type(folder)
        if found is not None and found != wanted:
            what = f"a folder of type {wanted}" if own == _FOLDER else f"a {own}"
            yield Problem(
                ("spec", *path),
                "PRV1440",
                f"Folder/{name} has the type {found}, expected {wanted} for {what}",
                "Name a folder of the right type, or mend the folder's type.",
            )


def _folder_type(folder: Draft) -> str | None:
    """What lies in it; None if that cannot be told."""
    if folder.failed and "type" not in folder.spec:
        return None
    found = folder.spec.get("type", "machine")
    return found if isinstance(found, str) else None


def _places(draft: Draft, drafts: Mapping[Address, Draft]) -> Iterator[Problem]:
    """All that a resource lies in is in one cluster and in one datacenter, and so are the hosts of
    a cluster's rule.
    """
    for kind in (_CLUSTER, _DATACENTER):
        found = list(_elsewhere(draft, kind, drafts))
        if found:
            # Different clusters are different datacenters' as well: that is one mistake.
            yield from found
            return


def _elsewhere(draft: Draft, kind: str, drafts: Mapping[Address, Draft]) -> Iterator[Problem]:
    own: Address | None = None
    # What the resource itself says counts before what follows from the rest.
    for path, name, known in sorted(
        draft.found, key=lambda item: kind not in item.field.references
    ):
        is_member = draft.address.kind == "PlacementRule" and path[0] == "hosts"
        if not known.host_from and not is_member:
            continue
        declared = (Address(of, name) for of in known.references)
        target = next((item for item in declared if item in drafts), None)
        above = None if target is None else _above(target, kind, drafts)
        own = own or above
        if above is not None and above != own:
            yield Problem(
                ("spec", *path),
                "PRV1441",
                f"{target} lies in {above}, and {draft.address} in {own}",
                f"Both have to be in the same {kind}: correct one of the names.",
            )


def _above(address: Address, kind: str, drafts: Mapping[Address, Draft]) -> Address | None:
    """The next of a kind in which a resource lies, or itself; None if the manifests do not say."""
    seen: set[Address] = set()
    waiting = [address]
    while waiting:
        found = waiting.pop()
        if found.kind == kind:
            return found
        if found in seen or found not in drafts:
            continue
        seen.add(found)
        waiting += [
            Address(of, name)
            for _, name, known in drafts[found].found
            if known.host_from
            for of in known.references
        ]
    return None


def _check_permissions(drafts: Mapping[Address, Draft]) -> None:
    owners: dict[tuple[object, ...], Draft] = {}
    for draft in drafts.values():
        if draft.address.kind != "Permission" or draft.failed:
            continue
        principal, on = draft.spec.get("principal"), draft.spec.get("on", {})
        if not isinstance(principal, str) or not isinstance(on, dict):
            continue
        is_group = draft.spec.get("group", False)
        # Directories compare names without regard to case.
        who = (draft.host, principal.lower(), is_group, *sorted(on.items()))
        owner = owners.setdefault(who, draft)
        if owner is not draft:
            draft.problems.append(
                Problem(
                    ("spec", "principal"),
                    "PRV1444",
                    f"{owner.address} gives {principal} a role there already",
                    "A principal has one role on an object: put all privileges into one Role.",
                )
            )


def _datacenter_of_datacenters(draft: Draft) -> Iterator[Problem]:
    if draft.spec.get("type") == "datacenter" and "datacenter" in draft.spec:
        yield Problem(
            ("spec", "datacenter"),
            "PRV1418",
            "a folder of type datacenter has no 'datacenter'",
            "Datacenters lie in it, and not it in one: remove 'datacenter', or correct the type.",
            at_key=True,
        )


def _admission(draft: Draft) -> Iterator[Problem]:
    ha = draft.spec.get("ha")
    control = ha.get("admissionControl") if isinstance(ha, dict) else None
    if isinstance(control, dict) and "hostFailures" in control:
        for name in ("cpuPercent", "memoryPercent"):
            if name in control:
                path = ("spec", "ha", "admissionControl", name)
                yield _not_beside(path, "hostFailures")


def _membership(draft: Draft) -> Iterator[Problem]:
    if "cluster" in draft.spec:
        for name in ("folder", "datacenter"):
            if name in draft.spec:
                yield _not_beside(("spec", name), "cluster")


def _not_beside(path: tuple[str, ...], other: str) -> Problem:
    return Problem(
        path,
        "PRV1110",
        f"the field {path[-1]!r} does not go with {other!r}",
        f"Remove one of the two: {path[-1]!r} or {other!r}.",
        at_key=True,
    )


def allocations(draft: Draft) -> Iterator[Problem]:
    """A part that is always there is no more than the most that there can be: processor time in
    MHz, memory in bytes.
    """
    for section, least, most in (
        ("cpu", "reservationMhz", "limitMhz"),
        ("memory", "reservation", "limit"),
    ):
        given: Any = draft.spec.get(section)
        if not isinstance(given, dict):
            continue
        low, high = given.get(least), given.get(most)
        if isinstance(low, int) and isinstance(high, int) and low > high:
            low_text, high_text = (
                f"{value} MHz" if section == "cpu" else format_size(value) for value in (low, high)
            )
            yield Problem(
                ("spec", section, least),
                "PRV1442",
                f"a reservation of {low_text} is more than the limit of {high_text}",
                f"Raise {most}, or lower {least}.",
            )


def _rule(draft: Draft) -> Iterator[Problem]:
    kind, machines = draft.spec.get("type"), draft.spec.get("machines")
    if kind in _TOGETHER:
        if "hosts" in draft.spec:
            yield Problem(
                ("spec", "hosts"),
                "PRV1418",
                f"a rule of type {kind} has no 'hosts'",
                "Remove 'hosts', or use the type run-on or keep-off.",
                at_key=True,
            )
        if isinstance(machines, dict) and len(machines) == 1 and not draft.failed:
            yield Problem(
                ("spec", "machines"),
                "PRV1443",
                f"a rule of type {kind} is about two machines or more, found one",
                "Add the others.",
                at_key=True,
            )
    elif kind in _WITH_HOSTS and "hosts" not in draft.spec and not draft.failed:
        yield Problem(
            ("spec",),
            MISSING,
            f"the field 'hosts' is missing in a rule of type {kind}",
            "Add 'hosts', a list of such as 'clusterHost: NAME'.",
            at_key=True,
        )


def _one_role(draft: Draft) -> Iterator[Problem]:
    if "role" in draft.spec and "builtinRole" in draft.spec:
        yield _not_beside(("spec", "builtinRole"), "role")
    elif not {"role", "builtinRole"} & draft.spec.keys() and not draft.failed:
        yield Problem(
            ("spec",),
            MISSING,
            "the field 'role' is missing",
            "Add 'role', the name of a Role, or 'builtinRole', such as ReadOnly.",
            at_key=True,
        )


HIERARCHY_CHECKS: Mapping[str, tuple[Check, ...]] = {
    "Folder": (_datacenter_of_datacenters,),
    "Cluster": (_admission,),
    "ClusterHost": (_membership,),
    "ResourcePool": (allocations,),
    "PlacementRule": (_rule,),
    "Permission": (_one_role,),
}
