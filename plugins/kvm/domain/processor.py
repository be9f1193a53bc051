"""Processors: ``<vcpu>`` and ``<cpu>``."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from provisioner_plugins._libvirt.xml import Element, child, element, remove_all, text_of
from provisioner_plugins.kvm.domain.tree import at

HOST_MODES = ("host-passthrough", "host-model", "maximum")
"""Values of ``model`` that are modes of libvirt's and not names of processors."""

NESTED_FEATURES = ("vmx", "svm")
"""The features by which Intel's and AMD's processors run virtual machines."""


def write(
    domain: Element, cpu: Mapping[str, Any], authored: Mapping[str, Any], nested_feature: str
) -> None:
    """Make the domain have these processors.

    ``authored`` is the part of the spec that the author wrote: what is left out of it follows the
    rest (``max`` is ``count``, the topology is libvirt's).
    """
    count = cpu.get("count", 1)
    most = max(count, cpu.get("max", count)) if "max" in authored else count
    vcpu = child(domain, "vcpu")
    vcpu.text = str(most)
    if most == count:
        vcpu.attrib.pop("current", None)
    else:
        vcpu.set("current", str(count))
    # It lists single processors, and would contradict the new numbers.
    remove_all(domain, "vcpus")
    _write_model(domain, cpu, nested_feature)
    _write_topology(domain, authored.get("topology"), most)


def _write_model(domain: Element, cpu: Mapping[str, Any], nested_feature: str) -> None:
    model, nested = cpu.get("model"), cpu.get("nested")
    before = read(domain, cpu)
    if before.get("model") == model and before.get("nested") == nested:
        return
    node = child(domain, "cpu")
    if before.get("model") != model or model is None:
        _set_model(node, model, emulated=is_emulated(domain))
    for name in NESTED_FEATURES:
        _remove_feature(node, name)
    if nested is not None:
        if model is None:
            # Features need a model to be features of.
            _set_model(node, "host-passthrough", emulated=is_emulated(domain))
        for name in [nested_feature] if nested else NESTED_FEATURES:
            policy = "require" if nested else "disable"
            node.append(element("feature", {"policy": policy, "name": name}))
    if not node.attrib and not len(node):
        domain.remove(node)


def _set_model(node: Element, model: str | None, *, emulated: bool) -> None:
    for tag in ("model", "vendor", "feature", "maxphysaddr"):
        remove_all(node, tag)
    for name in ("mode", "match", "check", "migratable"):
        node.attrib.pop(name, None)
    if model is None:
        return
    if model in HOST_MODES:
        # Software emulation has no host processor to pass through: everything that it can emulate
        # is the nearest thing.
        node.set("mode", "maximum" if emulated and model == "host-passthrough" else model)
        return
    node.set("mode", "custom")
    node.set("match", "exact")
    node.append(element("model", {"fallback": "forbid"}, model))


def _remove_feature(node: Element, name: str) -> None:
    for feature in node.findall("feature"):
        if feature.get("name") == name:
            node.remove(feature)


def _write_topology(domain: Element, topology: Mapping[str, int] | None, most: int) -> None:
    node = at(domain, "cpu", "topology")
    if topology is not None:
        node = child(domain, "cpu/topology")
        node.attrib.clear()
        for name in ("sockets", "cores", "threads"):
            node.set(name, str(topology.get(name, 1)))
    elif node is not None and product(node) != most:
        child(domain, "cpu").remove(node)


def product(topology: Element) -> int:
    """How many processors a ``<topology>`` makes."""
    levels = ("sockets", "dies", "clusters", "cores", "threads")
    return prod(int(topology.get(name, "1")) for name in levels)


def number_in(listed: str) -> int:
    """How many processors a list such as ``0-3,8`` names; those after ``^`` are taken out."""
    found: set[int] = set()
    for part in filter(None, listed.replace(" ", "").split(",")):
        first, _, last = part.removeprefix("^").partition("-")
        named = range(int(first), int(last or first) + 1)
        found = found.difference(named) if part.startswith("^") else found.union(named)
    return len(found)


def read(domain: Element, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The processors of a definition. ``wanted`` decides between names of the same thing."""
    most = int(text_of(domain, "vcpu") or "1")
    vcpu = domain.find("vcpu")
    spec: dict[str, Any] = {
        "count": int(vcpu.get("current", most)) if vcpu is not None else most,
        "max": most,
    }
    node = domain.find("cpu")
    spec["topology"] = _read_topology(node, most)
    if node is None:
        return spec
    model = _read_model(node, is_emulated(domain), wanted.get("model"))
    if model is not None:
        spec["model"] = model
    nested = _read_nested(node)
    if nested is not None:
        spec["nested"] = nested
    return spec


def _read_topology(node: Element | None, most: int) -> dict[str, int]:
    topology = node.find("topology") if node is not None else None
    if topology is None:
        return {"sockets": most, "cores": 1, "threads": 1}
    return {name: int(topology.get(name, "1")) for name in ("sockets", "cores", "threads")}


def _read_model(node: Element, emulated: bool, wanted: object) -> str | None:
    mode = node.get("mode")
    if mode == "maximum" and emulated:
        return "host-passthrough" if wanted == "host-passthrough" else "maximum"
    if mode in HOST_MODES:
        return mode
    return text_of(node, "model")


def _read_nested(node: Element) -> bool | None:
    policies = {
        feature.get("policy", "require")
        for feature in node.findall("feature")
        if feature.get("name") in NESTED_FEATURES
    }
    if policies & {"require", "force"}:
        return True
    return False if policies & {"disable", "forbid"} else None


def fixed(live: Element) -> int:
    """How many of a running machine's processors cannot be unplugged: those it was started with.

    ``<vcpus>`` tells it of each one; without it none was plugged in later.
    """
    vcpus = live.find("vcpus")
    listed = [] if vcpus is None else vcpus.findall("vcpu")
    if not listed:
        return int(read(live, {})["count"])
    return sum(
        1 for node in listed if node.get("enabled") == "yes" and node.get("hotpluggable") == "no"
    )


def is_emulated(domain: Element) -> bool:
    """Whether QEMU itself runs the guest's instructions (TCG), and not the processor."""
    return domain.get("type") == "qemu"
