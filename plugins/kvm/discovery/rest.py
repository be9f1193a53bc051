"""What a domain says beyond the fields of the common model: fragments, and notes of what not even a
fragment can say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from provisioner_plugins._libvirt.beyond import Beyond, beyond, drop_said, rest_of, stripped
from provisioner_plugins._libvirt.native import PROVIDER
from provisioner_plugins._libvirt.xml import (
    Element,
    child,
    copied,
    element,
    remove_all,
    serialize,
)
from provisioner_plugins.kvm.discovery import defaults
from provisioner_plugins.kvm.discovery.devices import Devices
from provisioner_plugins.kvm.discovery.fields import is_default_model
from provisioner_plugins.kvm.domain import document, native, processor
from provisioner_plugins.kvm.domain.choices import asked_for
from provisioner_plugins.kvm.domain.tree import all_devices, at
from provisioner_plugins.kvm.domain.tree import devices as devices_of

_FEATURES = ("acpi", "apic")
"""What every machine has that is made."""
_NO_FEATURES = "kept as it is: it has {lacking}, which a machine that is made anew has"
_SINGLE_VCPUS = "kept as it is: which single vCPUs are there (<vcpus>)"


def beyond_fields(
    domain: Element,
    uuid: UUID,
    spec: Mapping[str, Any],
    found: Devices,
    *,
    arch: str,
    emulators: Iterable[str],
) -> Beyond:
    """Fragments and notes for a domain of which ``spec`` is what the fields say. ``arch`` and
    ``emulators`` are the host's.
    """
    notes: list[str] = []
    additions = [element("devices", _tidied(node)) for node in found.whole]
    taking = {PROVIDER: {native.SECTION: [serialize(piece) for piece in additions]}}
    around = document.Surroundings(
        found.bindings,
        emulated=processor.is_emulated(domain),
        nested_feature=_nested_feature(domain),
    )
    made = asked_for("found", uuid, {**spec, "native": taking}, around)
    pairs = document.devices_by_name(made, {"nics": spec.get("nics", {})}, found.bindings)
    for kind, name, node in found.modelled():
        piece = _completing(kind, node, pairs[kind, name], spec[kind][name], notes)
        if piece is not None:
            additions.append(element("devices", piece))
    rest, plain = copied(domain), copied(made)
    _drop_devices(rest, domain, found)
    for tag in ("disk", "interface", "serial"):
        remove_all(child(plain, "devices"), tag)
    defaults.drop(rest, arch=arch, emulators=emulators)
    _drop_expressed(rest, plain, spec)
    lacking = [f"no <{tag}/>" for tag in _FEATURES if at(domain, "features", tag) is None]
    if lacking:
        notes.append(_NO_FEATURES.format(lacking=" and ".join(lacking)))
    if rest.find("vcpus") is not None:
        notes.append(_SINGLE_VCPUS)
        remove_all(rest, "vcpus")
    if "model" not in spec.get("cpu", {}):
        _drop_default_model(rest, domain)
    left = beyond(rest, plain, native.IDENTIFY, additions=additions, whole=(domain, made))
    return Beyond(left.fragments, (*notes, *left.notes))


def _nested_feature(domain: Element) -> str:
    names = {feature.get("name") for feature in domain.findall("cpu/feature")}
    return next((name for name in processor.NESTED_FEATURES if name in names), "svm")


def _completing(
    kind: str, node: Element, made: Element, said: Mapping[str, Any], notes: list[str]
) -> Element | None:
    """What a device of the model says beyond its fields, with what it is known by."""
    known = "mac" if kind == "nics" else "target"
    found, plain = stripped(node), stripped(made)
    for device in (found, plain):
        remove_all(device, known)
        drop_said(device, "alias", ("name",))
        defaults.drop_layout(device)
        for name in ("type", "device"):
            device.attrib.pop(name, None)
        if "bootOrder" in said:
            drop_said(device, "boot", ("order",))
        if kind == "nics":
            _drop_card(device)
        else:
            _drop_disk(device, said)
    piece = rest_of(found, plain, native.IDENTIFY, notes)
    identity = _identity(child(copied(node), known))
    if piece is None and identity.attrib.keys() <= {"address", "dev"} and not len(identity):
        return None
    piece = element(node.tag) if piece is None else piece
    piece.insert(0, identity)
    return piece


def _identity(node: Element) -> Element:
    """Target or MAC address of a device, without what a field says of it."""
    result = stripped(node)
    result.attrib.pop("bus", None)
    if result.get("tray") == "closed":
        del result.attrib["tray"]
    return result


def _drop_disk(device: Element, said: Mapping[str, Any]) -> None:
    drop_said(device, "readonly")
    if "serial" in said:
        drop_said(device, "serial", text=True)
    driver = child(device, "driver")
    if "cache" in said or driver.get("cache") == "default":
        driver.attrib.pop("cache", None)
    if driver.get("discard") == "unmap":
        del driver.attrib["discard"]
    drop_said(device, "driver", ("name", "type"))
    drop_said(device, "source", ("file", "dev", "pool", "volume", "index"))


def _drop_card(device: Element) -> None:
    drop_said(device, "source", ("network", "portid", "bridge"))
    drop_said(device, "model", ("type",))
    drop_said(device, "link", ("state",))


def _tidied(node: Element) -> Element:
    """A device as a fragment has it."""
    result = stripped(node)
    defaults.drop_layout(result)
    return result


def _drop_devices(rest: Element, domain: Element, found: Devices) -> None:
    """Take the devices out of a copy that fields or fragments of their own say."""
    gone = {*found.whole, *(node for _, _, node in found.modelled())}
    if found.seed is not None:
        gone.add(found.seed)
    where = child(rest, "devices")
    for original, node in zip(all_devices(domain), list(where), strict=True):
        if original in gone:
            where.remove(node)


def _drop_expressed(rest: Element, made: Element, spec: Mapping[str, Any]) -> None:
    """Take out of both definitions what fields say in words of their own."""
    for tag in ("name", "uuid"):
        remove_all(made, tag)
    made.attrib.clear()
    for definition in (rest, made):
        if "description" in spec:
            drop_said(definition, "description", text=True)
        board = at(definition, "os", "type")
        if board is not None and "machineType" in spec:
            board.attrib.pop("machine", None)
        processors = definition.find("cpu")
        if processors is not None and spec.get("cpu", {}).get("model") in processor.HOST_MODES:
            processors.attrib.pop("mode", None)
        if spec.get("firmware", {}).get("tpm"):
            remove_all(child(definition, "devices"), "tpm")
        if "graphics" in spec.get("console", {}):
            for node in devices_of(definition, "graphics")[:1]:
                node.attrib.pop("listen", None)
                drop_said(node, "listen", ("type", "address"))
    for node in devices_of(rest, "graphics"):
        if node.get("autoport") == "yes":
            for name in ("autoport", "port"):
                node.attrib.pop(name, None)


def _drop_default_model(rest: Element, domain: Element) -> None:
    node = rest.find("cpu")
    if node is None or not is_default_model(domain.find("cpu")):
        return
    drop_said(node, "model", ("fallback",), text=True)
    drop_said(rest, "cpu", ("mode", "match", "check"))
