"""What two resources of one host cannot both have: addresses, a bridge, the place of a pool.

Called by :mod:`provisioner.manifest.checks` with drafts that know their hosts.
"""

from __future__ import annotations

import ipaddress
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from provisioner.core.address import Address
from provisioner.manifest.problems import Problem
from provisioner.manifest.references import Draft

_MAKES_BRIDGE = frozenset({"nat", "routed", "isolated"})
"""Modes for which the host gets a bridge of its own, with an address in the network."""


def check_sharing(drafts: Mapping[Address, Draft]) -> None:
    """Check the resources of each host against one another."""
    by_host: dict[str, list[Draft]] = {}
    for draft in drafts.values():
        if draft.host is not None and draft.address.kind in {"Network", "StoragePool"}:
            by_host.setdefault(draft.host, []).append(draft)
    for found in by_host.values():
        networks = [draft for draft in found if draft.address.kind == "Network"]
        _check_overlaps(networks)
        _check_bridges(networks)
        _check_places([draft for draft in found if draft.address.kind == "StoragePool"])


class _Range(NamedTuple):
    """The addresses of a network as numbers. ``order`` is its place among the manifests."""

    version: int
    first: int
    last: int
    order: int
    draft: Draft
    field: str


def _check_overlaps(networks: Iterable[Draft]) -> None:
    """Two networks with the same addresses: the host could not tell where a packet goes."""
    furthest: _Range | None = None
    for item in sorted(_ranges(networks), key=lambda item: item[:4]):
        if furthest is None or furthest.version != item.version or furthest.last < item.first:
            furthest = item
            continue
        early, late = sorted((furthest, item), key=lambda one: one.order)
        if early.draft is not late.draft:
            late.draft.problems.append(
                Problem(
                    ("spec", late.field),
                    "PRV1424",
                    f"{late.draft.spec[late.field]} overlaps with {early.draft.address}, which is "
                    f"{early.draft.spec[early.field]}",
                    "Networks of one host need addresses of their own.",
                )
            )
        furthest = max(furthest, item, key=lambda one: one.last)


def _ranges(networks: Iterable[Draft]) -> Iterator[_Range]:
    for order, draft in enumerate(networks):
        if not _makes_bridge(draft):
            continue
        for field in ("cidr", "cidr6"):
            cidr = draft.spec.get(field)
            if isinstance(cidr, str):
                network = ipaddress.ip_network(cidr)
                first, last = int(network.network_address), int(network.broadcast_address)
                yield _Range(network.version, first, last, order, draft, field)


def _makes_bridge(network: Draft) -> bool:
    mode = network.spec.get("mode")  # which may be an output, of which nothing is known yet
    return isinstance(mode, str) and mode in _MAKES_BRIDGE


def _check_bridges(networks: Iterable[Draft]) -> None:
    """A bridge that a network makes is its own; those that are there already may be shared."""
    users: dict[str, list[Draft]] = {}
    for draft in networks:
        bridge = draft.spec.get("bridge")
        if isinstance(bridge, str):
            users.setdefault(bridge, []).append(draft)
    for bridge, (first, *others) in users.items():
        for draft in others:
            if _makes_bridge(first) or _makes_bridge(draft):
                draft.problems.append(
                    Problem(
                        ("spec", "bridge"),
                        "PRV1425",
                        f"the bridge {bridge} belongs to {first.address} already",
                        "Name another one, or leave bridge out: the endpoint chooses.",
                    )
                )


def _check_places(pools: Iterable[Draft]) -> None:
    owners: dict[tuple[object, ...], Draft] = {}
    for draft in pools:
        for path, place in _places(draft.spec):
            owner = owners.setdefault((path, *place), draft)
            if owner is not draft:
                draft.problems.append(
                    Problem(
                        ("spec", *path),
                        "PRV1426",
                        f"{' on '.join(map(str, place))} is the place of {owner.address} already",
                        "Use that pool, or choose another place.",
                    )
                )
                break


def _places(spec: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """The fields that tell where a pool is, each with what two pools cannot have in common."""
    kind, path, source = spec.get("type"), spec.get("path"), spec.get("source")
    source = source if isinstance(source, dict) else {}
    if isinstance(path, str) and isinstance(kind, str) and kind in {"dir", "netfs"}:
        yield ("path",), (posixpath.normpath(path),)
    wanted = {"netfs": ("directory", "host"), "logical": ("volumeGroup",)}
    wanted["iscsi"] = ("target", "host")
    names = wanted.get(kind, ()) if isinstance(kind, str) else ()
    values = [source[name] for name in names if isinstance(source.get(name), str)]
    if names and len(values) == len(names):
        yield ("source", names[0]), tuple(values)
