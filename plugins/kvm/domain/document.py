"""A whole domain: built from a spec, edited in place, and read back.

Called by the rules (to check a spec without a host) and by the handler of VirtualMachine.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

from provisioner.core.values import Json, Path, get_path
from provisioner_plugins._libvirt import edits
from provisioner_plugins._libvirt.native import PROVIDER
from provisioner_plugins._libvirt.xml import (
    Element,
    child,
    element,
    remove_all,
    text_of,
)
from provisioner_plugins.kvm.bindings import Bindings, VolumeRef
from provisioner_plugins.kvm.domain import (
    boot_order,
    cdroms,
    consoles,
    controllers,
    disks,
    firmware,
    memory,
    native,
    nics,
    processor,
)
from provisioner_plugins.kvm.domain.tree import at

_PLUGGED = frozenset({"disks", "nics", "machineType"})
_ALWAYS_SET = ("cpu", "memory", "disks", "cloudInit", "console")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a definition says beside the spec.

    ``nested_feature`` is the processor feature (vmx, svm) with which guests of this host run
    virtual machines. ``log`` is where the serial console's output goes, ``seed`` the volume with
    the cloud-init data.
    """

    bindings: Bindings
    emulated: bool = True
    arch: str = "x86_64"
    nested_feature: str = "svm"
    log: str | None = None
    seed: VolumeRef | None = None


_Spec: TypeAlias = Mapping[str, Any]
_Editor: TypeAlias = Callable[[Element, _Spec, _Spec, Surroundings], None]


def build(name: str, uuid: UUID, spec: Mapping[str, Any], around: Surroundings) -> Element:
    """A new domain; what the spec leaves open has its default."""
    domain = element(
        "domain",
        {"type": "qemu" if around.emulated else "kvm"},
        element("name", name),
        element("uuid", str(uuid)),
        element("os", element("type", {"arch": around.arch}, "hvm")),
        element("features", element("acpi"), element("apic")),
        element("devices"),
    )
    wanted = {**spec, "machineType": spec.get("machineType", _default_machine(spec, around))}
    child(domain, "os/type").set("machine", wanted["machineType"])
    # libvirt would add it by itself, and it takes a place.
    child(domain, "devices").append(element("memballoon", {"model": "virtio"}))
    controllers.set_usb(domain, wanted=False)
    edit(domain, wanted, spec, {*wanted, *_ALWAYS_SET}, around)
    return domain


def _default_machine(spec: Mapping[str, Any], around: Surroundings) -> str:
    return firmware.default_machine(spec, around.arch)


def edit(
    domain: Element,
    spec: Mapping[str, Any],
    authored: Mapping[str, Any],
    fields: Collection[str],
    around: Surroundings,
    *,
    reorder: bool = True,
) -> None:
    """Make a domain say what ``spec`` says in the named top-level ``fields``; leave the rest as it
    is.

    ``authored`` is the desired spec as its author wrote it. ``reorder``: the boot order, too.
    """
    plugged = _PLUGGED & set(fields)
    if "native" in fields:
        native.replace(domain, fragments(spec))
        controllers.set_usb(domain, wanted=False)
        # What fragments had said as well as common fields went with them.
        fields = {*fields, *spec}
    for concerned, editor in _EDITORS:
        if concerned & set(fields):
            editor(domain, spec, authored, around)
    if plugged:
        controllers.ensure_spare_ports(domain)
    if reorder and not (native.orders_boot(domain) and not boot_order.is_given(authored)):
        places = boot_order.order(authored, _bootable(authored, around.bindings))
        boot_order.write(domain, places, devices_by_name(domain, authored, around.bindings))
    native.merge(domain)


def _edit_firmware(domain: Element, spec: _Spec, _authored: _Spec, _around: Surroundings) -> None:
    firmware.write(domain, spec)


def _edit_cpu(domain: Element, spec: _Spec, authored: _Spec, around: Surroundings) -> None:
    processor.write(domain, spec.get("cpu", {}), authored.get("cpu", {}), around.nested_feature)


def _edit_memory(domain: Element, spec: _Spec, authored: _Spec, _around: Surroundings) -> None:
    memory.write(domain, spec["memory"], authored.get("memory", {}))


def _edit_disks(domain: Element, spec: _Spec, _authored: _Spec, around: Surroundings) -> None:
    ignored = native.foreign_devices(domain)
    disks.write(domain, _in_order(spec, around.bindings), around.bindings, ignored)


def _edit_nics(domain: Element, spec: _Spec, authored: _Spec, around: Surroundings) -> None:
    ignored = native.foreign_devices(domain)
    cards = _section(authored, "nics")
    nics.write(domain, _by_name(spec, "nics"), cards, around.bindings, ignored)


def _edit_cdroms(domain: Element, spec: _Spec, _authored: _Spec, around: Surroundings) -> None:
    ignored = native.foreign_devices(domain)
    cdroms.write(domain, _by_name(spec, "cdroms"), around.bindings, ignored)


def _edit_seed(domain: Element, _spec: _Spec, _authored: _Spec, around: Surroundings) -> None:
    cdroms.write_seed(domain, around.seed)


def _edit_console(domain: Element, spec: _Spec, _authored: _Spec, around: Surroundings) -> None:
    consoles.write(domain, spec.get("console", {}), around.log)


def _edit_agent(domain: Element, spec: _Spec, _authored: _Spec, _around: Surroundings) -> None:
    consoles.write_agent(domain, wanted=spec.get("guestAgent", False))


def _edit_description(
    domain: Element, spec: _Spec, _authored: _Spec, _around: Surroundings
) -> None:
    remove_all(domain, "description")
    if spec.get("description"):
        domain.append(element("description", spec["description"]))


# Firmware comes first: the board decides which buses there are.
_EDITORS: tuple[tuple[frozenset[str], _Editor], ...] = (
    (frozenset({"machineType", "firmware", "boot"}), _edit_firmware),
    (frozenset({"cpu"}), _edit_cpu),
    (frozenset({"memory"}), _edit_memory),
    (frozenset({"disks"}), _edit_disks),
    (frozenset({"nics"}), _edit_nics),
    (frozenset({"cdroms"}), _edit_cdroms),
    (frozenset({"cloudInit"}), _edit_seed),
    (frozenset({"console"}), _edit_console),
    (frozenset({"guestAgent"}), _edit_agent),
    (frozenset({"description"}), _edit_description),
)


def _in_order(spec: Mapping[str, Any], bindings: Bindings) -> dict[str, Mapping[str, Any]]:
    """The disks as a person counts them: in boot order, then those from an image, then by name."""
    listed = spec.get("disks", {})
    places = boot_order.order({"disks": listed}, _bootable(spec, bindings))
    last = len(places) + 1
    return {
        name: listed[name]
        for name in sorted(listed, key=lambda name: (places.get(("disks", name), last), name))
    }


def _by_name(spec: _Spec, kind: str) -> dict[str, Mapping[str, Any]]:
    """Devices in an order that does not depend on how the spec was written down."""
    return dict(sorted(spec.get(kind, {}).items()))


def _bootable(spec: Mapping[str, Any], bindings: Bindings) -> set[str]:
    return {name for name in spec.get("disks", {}) if bindings.started_from_image(name)}


def devices_by_name(
    domain: Element, wanted: Mapping[str, Any], bindings: Bindings
) -> dict[tuple[str, str], Element]:
    """The disks, drives and cards of a definition, by set and name."""
    ignored = native.foreign_devices(domain, fragments(wanted))
    found = {
        "disks": disks.find(domain, bindings, ignored),
        "cdroms": cdroms.find(domain, ignored),
        "nics": nics.find(domain, bindings, wanted.get("nics", {}), ignored),
    }
    return {(kind, name): node for kind, nodes in found.items() for name, node in nodes.items()}


def fragments(spec: Mapping[str, Any]) -> list[str]:
    """The author's fragments."""
    section = _section(_section(spec, "native"), PROVIDER).get(native.SECTION, ())
    return [text for text in section if isinstance(text, str)]


def read(domain: Element, bindings: Bindings, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The spec of a definition, defaults included, without power, autostart, labels and tenant.

    ``wanted`` (the desired spec) decides between several ways to name the same thing.
    """
    ignored = native.foreign_devices(domain, fragments(wanted))
    spec: dict[str, Any] = {
        "cpu": processor.read(domain, _section(wanted, "cpu")),
        "memory": memory.read(domain),
        **firmware.read(domain, wanted),
        "disks": disks.read(domain, bindings, ignored),
        "nics": nics.read(domain, bindings, _section(wanted, "nics"), ignored),
        "cdroms": cdroms.read(domain, bindings, ignored),
        "console": consoles.read(domain),
        "guestAgent": consoles.has_agent(domain),
    }
    description = text_of(domain, "description")
    if description is not None:
        spec["description"] = description
    in_force = native.observed(domain, fragments(wanted))
    if in_force or native.recorded(domain):
        spec["native"] = {PROVIDER: {native.SECTION: in_force}}
    return spec


def _section(wanted: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = wanted.get(name, {})
    return section if isinstance(section, Mapping) else {}


def running_differences(
    configured: Element, live: Element, bindings: Bindings, wanted: Mapping[str, Any]
) -> dict[Path, Json]:
    """What is in force in a running machine where that is not what is configured, by path."""
    one, other = read(configured, bindings, wanted), read(live, bindings, wanted)
    size, running_size = one["memory"].pop("size"), other["memory"].pop("size")
    for spec, definition in ((one, configured), (other, live)):
        # libvirt rewrites what fragments say; the record of them stays that of the start.
        spec["native"] = {PROVIDER: {native.SECTION: native.recorded(definition)}}
    if configured.find("cpu") is None or _mode(configured) != _mode(live):
        # The live definition names the model that libvirt chose for host-model.
        for spec in (one, other):
            spec["cpu"].pop("model", None)
            spec["cpu"].pop("nested", None)
    if at(configured, "cpu", "topology") is None and at(live, "cpu", "topology") is None:
        # It follows the number of processors, which is compared by itself.
        for spec in (one, other):
            spec["cpu"].pop("topology")
    if "nested" not in one["cpu"]:
        other["cpu"].pop("nested", None)
    if firmware.names_loader_only_when_live(configured, live):
        other["firmware"]["type"] = one["firmware"]["type"]
    differences = edits.running_differences(one, other)
    most = other["memory"]["max"]
    if size > most:
        differences["memory", "size"] = most
    elif running_size not in (size, most):
        # All that there can be is what a guest without a balloon driver has, whatever is asked.
        differences["memory", "size"] = running_size
    if cdroms.seed_volume(configured) != cdroms.seed_volume(live):
        differences["cloudInit",] = None
    if cdroms.find_seed(configured) is None and cdroms.find_seed(live) is not None:
        differences["cloudInit",] = {}  # the drive alone
    return differences


def not_kept(
    written: Element,
    kept: Element,
    bindings: Bindings,
    wanted: Mapping[str, Any],
    paths: Iterable[Path],
) -> Iterator[tuple[Path, Json, Json]]:
    """Those of the ``paths`` of a spec at which libvirt keeps something else than was written, with
    what was and what is. Fragments are not looked at: libvirt tells them in words of its own.
    """
    one, other = read(written, bindings, wanted), read(kept, bindings, wanted)
    for path in paths:
        if path[0] not in one or path[0] == "native":
            continue
        before, after = get_path(one, path), get_path(other, path)
        # What is left out is libvirt's to choose.
        if before is not None and not edits.says(after, before):
            yield path, before, after


def _mode(domain: Element) -> str | None:
    node = domain.find("cpu")
    return None if node is None else node.get("mode")


def drop_devices(
    domain: Element, paths: Collection[Path], bindings: Bindings, wanted: Mapping[str, Any]
) -> None:
    """Take devices, named by their paths, out of a domain."""
    where = child(domain, "devices")
    for key, node in devices_by_name(domain, wanted, bindings).items():
        if key in paths:
            where.remove(node)
