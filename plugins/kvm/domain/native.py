"""``native.kvm.domain``: an author's XML fragments within a domain.

They are kept as text in the domain's ``<metadata>`` too, so that what was merged can be recognised,
compared and taken out again. Beside it stands what libvirt made of a fragment where it tells it in
other words (``<hard_limit unit='GiB'>1</hard_limit>`` as 1048576 KiB): that is what has to be found
again. A fragment may complete what the common fields make, or say otherwise than libvirt's own
defaults; it may not contradict a common field. One that only completes a disk, drive or card never
makes one: without its device it is left out (:func:`unattached`). ::

    <native xmlns="urn:provisioner:native:1">
      <fragment>&lt;on_crash>preserve&lt;/on_crash></fragment>
      <fragment>&lt;memtune>...&lt;/memtune><made>&lt;memtune>...&lt;/memtune></made></fragment>
    </native>
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from provisioner_plugins._libvirt import stamp
from provisioner_plugins._libvirt.fragment_record import FRAGMENT, NAMESPACE, TAG
from provisioner_plugins._libvirt.native import is_there
from provisioner_plugins._libvirt.xml import (
    Element,
    Identify,
    XmlError,
    attribute,
    child,
    copied,
    covers,
    element,
    parse_fragment,
    remove_all,
    serialize,
)
from provisioner_plugins.kvm.domain.tree import at

SECTION = "domain"
_QEMU = "http://libvirt.org/schemas/domain/qemu/1.0"
_MADE = f"{{{NAMESPACE}}}made"
_MODELLED = ("disk", "interface")
_NAMES_OF_SOURCES = ("file", "dev", "dir", "pool", "protocol", "network", "bridge")
_WHOLE = ("filesystem", "channel", "input")
_IDENTITY_CHILDREN = ("alias", "target", "mac")
_IDENTITY_ATTRIBUTES = frozenset(
    {"type", "index", "name", "bus", "id", "vcpu", "iothread", "cellid", "size", "nodeset", "file"}
)


def _alias(node: Element) -> str | None:
    return attribute(node, "alias", "name")


class _OneOf(frozenset[tuple[str, str]]):
    """What a device is known by; one with which it shares any of it is the same device."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _OneOf) and not self.isdisjoint(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = frozenset.__hash__


def _known_by(node: Element, tag: str, name: str) -> object:
    """Alias, and an attribute of a child: a device that somebody else made has no alias."""
    names = {("alias", _alias(node)), (name, (attribute(node, tag, name) or "").lower())}
    return _OneOf((key, value) for key, value in names if value) or None


def _controller(node: Element) -> object:
    # Companions of a USB controller have its index.
    return node.get("type"), node.get("index"), attribute(node, "master", "startport")


def _appended(_: Element) -> object:
    return None


IDENTIFY: Mapping[str, Identify] = {
    "disk": lambda node: _known_by(node, "target", "dev"),
    "interface": lambda node: _known_by(node, "mac", "address"),
    "controller": _controller,
    "graphics": lambda node: node.get("type"),
    "audio": lambda node: node.get("id"),
    "boot": lambda node: node.get("dev", "order"),
    "input": lambda node: (node.get("type"), node.get("bus")),
    "channel": lambda node: attribute(node, "target", "name"),
    "filesystem": lambda node: attribute(node, "target", "dir"),
    "feature": lambda node: node.get("name"),
    "timer": lambda node: node.get("name"),
    "vcpupin": lambda node: node.get("vcpu"),
    "iothreadpin": lambda node: node.get("iothread"),
    "iothread": lambda node: node.get("id"),
    "cell": lambda node: node.get("id"),
    "memnode": lambda node: node.get("cellid"),
    "page": lambda node: (node.get("size"), node.get("nodeset")),
    "entry": lambda node: (node.get("name"), node.get("file")),
    "seclabel": lambda node: node.get("model"),
    "sysinfo": lambda node: node.get("type"),
    # The same words are plain settings elsewhere: <memory> of the domain, <serial> of a disk.
    "memory": lambda node: None if node.get("model") else "memory",
    "serial": lambda node: None if node.get("type") else "serial",
    "vcpu": lambda node: node.get("id", "vcpu"),
    **dict.fromkeys(
        (
            "hostdev",
            "rng",
            "sound",
            "video",
            "watchdog",
            "redirdev",
            "shmem",
            "panic",
            "smartcard",
            "lease",
            "pstore",
            "parallel",
            "console",
            "hub",
            "crypto",
            "arg",
            "env",
            f"{{{_QEMU}}}arg",
            f"{{{_QEMU}}}env",
        ),
        _appended,
    ),
}
"""Which elements of a domain may stand several times, and what tells them apart."""


def recorded(domain: Element) -> list[str]:
    """The fragments that were merged, as their author wrote them."""
    return [fragment.text or "" for fragment in _records(domain)]


def observed(domain: Element, wanted: Sequence[str] = ()) -> list[str]:
    """Those of the recorded fragments whose content is still there. Where nobody's stamp says that
    there is a record, those of the ``wanted`` ones that the definition has by itself.
    """
    return [
        fragment.text or ""
        for fragment in _records(domain, wanted)
        if covers(domain, element(domain.tag, _in_force(fragment)))
    ]


def take_over(domain: Element, wanted: Sequence[str]) -> None:
    """Record those of the ``wanted`` fragments that a definition has by itself."""
    _record(domain, [element(FRAGMENT, text) for text in wanted if is_there(domain, text)])


def orders_boot(domain: Element) -> bool:
    """Whether fragments say what is tried to boot from."""
    return any(
        next(_in_force(fragment).iter("boot"), None) is not None for fragment in _records(domain)
    )


def of_whole_devices(fragments: Iterable[str]) -> list[str]:
    """Those of some fragments that bring in disks and network cards of their own."""
    found = []
    for text in fragments:
        try:
            fragment = parse_fragment(text)
        except XmlError:
            continue
        if any(_is_whole(device) for device in _modelled(fragment)):
            found.append(text)
    return found


def forget(domain: Element) -> None:
    """Take the record out of a definition, and the stamp that says that there is one."""
    metadata = child(domain, "metadata")
    for tag in (TAG, stamp.TAG):
        remove_all(metadata, tag)


def settle(domain: Element) -> tuple[bool, tuple[str, ...]]:
    """Record what libvirt made of the fragments in a definition that it has given back: whether
    there was anything to record, and notes about what it left out.
    """
    changed = False
    notes: list[str] = []
    taken: set[Element] = set()
    for number, fragment in enumerate(_records(domain), 1):
        if covers(domain, element(domain.tag, _in_force(fragment))):
            continue
        wanted = element(domain.tag, parse_fragment(fragment.text or ""))
        missing: list[str] = []
        made = _as_found(domain, wanted, taken, f"/{wanted[0].tag}", missing)
        if len(made) and not covers(domain, made):
            continue
        if missing:
            notes.append(
                f"libvirt took no notice of {', '.join(missing)} in fragment {number} of "
                f"native.kvm.{SECTION}"
            )
        if len(made):
            remove_all(fragment, _MADE)
            fragment.append(element(_MADE, serialize(made[0])))
            changed = True
    return changed, tuple(notes)


def _records(domain: Element, wanted: Sequence[str] = ()) -> list[Element]:
    node = at(domain, "metadata", TAG)
    if node is not None:
        return node.findall(FRAGMENT)
    if not wanted or at(domain, "metadata", stamp.TAG) is not None:
        return []
    return [element(FRAGMENT, text) for text in wanted if is_there(domain, text)]


def _in_force(fragment: Element) -> Element:
    """What a recorded fragment is in libvirt's words, as far as they are known."""
    return parse_fragment(fragment.findtext(_MADE) or fragment.text or "")


def _as_found(
    base: Element, wanted: Element, taken: set[Element], where: str, missing: list[str]
) -> Element:
    """A copy of ``wanted`` with the values that stand in ``base``; what is not there is left out
    and named in ``missing``. Elements in ``taken`` are those of other fragments.
    """
    found = element(wanted.tag)
    for name in wanted.attrib:
        if name in base.attrib:
            found.set(name, base.attrib[name])
        else:
            missing.append(f"{where}@{name}")
    if (wanted.text or "").strip():
        found.text = (base.text or "").strip()
    for node in wanted:
        path = where if base.tag == "domain" else f"{where}/{node.tag}"
        counterpart = _likeliest(base, node, taken)
        if counterpart is None:
            missing.append(path)
            continue
        if node.tag in IDENTIFY:
            taken.add(counterpart)
        found.append(_as_found(counterpart, node, taken, path, missing))
    return found


def _likeliest(base: Element, node: Element, taken: set[Element]) -> Element | None:
    """The element of ``base`` that libvirt made of a fragment's element: the counterpart, else of
    several the one that has most in common with it.
    """
    known = _counterpart(base, node)
    if known is not None:
        return known
    return max(
        (other for other in base.findall(node.tag) if other not in taken),
        key=lambda other: _likeness(other, node),
        default=None,
    )


def _likeness(one: Element, other: Element) -> int:
    """How many values two elements of the same tag have in common."""
    same = sum(one.get(name) == value for name, value in other.attrib.items())
    same += (one.text or "").strip() == (other.text or "").strip()
    for node in other:
        same += max((_likeness(below, node) for below in one.findall(node.tag)), default=0)
    return same


def foreign_devices(domain: Element, wanted: Sequence[str] = ()) -> frozenset[Element]:
    """Disks and network cards that fragments brought in, and that are no resource's. ``wanted``
    counts as in :func:`observed`.
    """
    return _brought_in(domain, [_in_force(record) for record in _records(domain, wanted)])


def _brought_in(domain: Element, fragments: Iterable[Element]) -> frozenset[Element]:
    found: set[Element] = set()
    for fragment in fragments:
        for device in _modelled(fragment):
            if not _is_whole(device):
                continue
            for node in domain.findall(f"devices/{device.tag}"):
                if node not in found and _may_mean(device, node) and covers(node, device):
                    found.add(node)
                    break
    return frozenset(found)


def unattached(domain: Element, fragments: Sequence[str]) -> Iterator[tuple[int, Element]]:
    """The disks, drives and cards of fragments that only complete a device, where neither the
    domain nor another fragment has that device; with the number of the fragment, from 1.
    """
    parsed = [parse_fragment(text) for text in fragments]
    brought = element(
        "devices",
        *(copied(node) for node in child(domain, "devices")),
        *(copied(node) for fragment in parsed for node in _modelled(fragment) if _is_whole(node)),
    )
    for number, fragment in enumerate(parsed, 1):
        for node in _modelled(fragment):
            if not _is_whole(node) and _counterpart(brought, node) is None:
                yield number, node


def completes_devices(fragments: Iterable[str]) -> bool:
    """Whether there are fragments that only complete a disk, drive or card."""
    return any(
        not _is_whole(node) for text in fragments for node in _modelled(parse_fragment(text))
    )


def _modelled(fragment: Element) -> list[Element]:
    """The disks, drives and cards of a fragment."""
    if fragment.tag != "devices":
        return []
    return [node for node in fragment if node.tag in _MODELLED]


def _is_whole(device: Element) -> bool:
    """Whether a fragment's disk or card is one of its own, and does not complete another."""
    source = device.find("source")
    named = source is not None and any(source.get(name) is not None for name in _NAMES_OF_SOURCES)
    return device.get("type") is not None or named


def _may_mean(device: Element, node: Element) -> bool:
    """A disk or card that carries a mark of ours is a fragment's only if that names the mark."""
    alias = _alias(node) or ""
    if alias.startswith("ua-") and alias != _alias(device):
        return False
    return not _is_volume(node) or _is_volume(device)


def _is_volume(node: Element) -> bool:
    return attribute(node, "source", "volume") is not None


def replace(domain: Element, fragments: Sequence[str]) -> None:
    """Take out what the recorded fragments brought in and ``fragments`` do not, and merge the new
    ones. What both say stays where it is.

    Raises XmlError for a fragment that cannot be read.
    """
    devices = child(domain, "devices")
    before = {fragment.text or "": fragment for fragment in _records(domain)}
    leaving = [_in_force(record) for text, record in before.items() if text not in fragments]
    for node in _brought_in(domain, leaving):
        devices.remove(node)
    for fragment in leaving:
        _retract(domain, element(domain.tag, fragment))
    kept = {text: before[text] for text in fragments if text in before}
    _record(domain, [kept.get(text, element(FRAGMENT, text)) for text in fragments])
    merge(domain)


def merge(domain: Element) -> None:
    """Put the recorded fragments in force; what is in force already stays as it is."""
    in_force = [_in_force(record) for record in _records(domain)]
    # What brings in a device comes before what completes it.
    for fragment in sorted(in_force, key=lambda node: not any(map(_is_whole, _modelled(node)))):
        _overlay(domain, element(domain.tag, fragment))


def _record(domain: Element, fragments: Sequence[Element]) -> None:
    metadata = child(domain, "metadata")
    for node in metadata.findall(TAG):
        metadata.remove(node)
    if fragments:
        metadata.append(element(TAG, *fragments))


def _overlay(base: Element, fragment: Element) -> None:
    base.attrib.update(fragment.attrib)
    if (fragment.text or "").strip():
        base.text = fragment.text
    taken: set[Element] = set()
    for node in fragment:
        counterpart = _counterpart(base, node, taken)
        if counterpart is None:
            if base.tag == "devices" and node.tag in _MODELLED and not _is_whole(node):
                continue
            counterpart = copied(node)
            base.append(counterpart)
        elif node.tag not in IDENTIFY or IDENTIFY[node.tag](node) is not None:
            _overlay(counterpart, node)
        taken.add(counterpart)


def _retract(base: Element, fragment: Element) -> None:
    for node in fragment:
        counterpart = _counterpart(base, node)
        if counterpart is None:
            continue
        if _stands_alone(node) or _is_empty_without(counterpart, node):
            base.remove(counterpart)
        else:
            _strip(counterpart, node)
            _restore_identity(counterpart, node)
    # A parent that the fragment's content needed stays: libvirt takes an empty one.


def _stands_alone(node: Element) -> bool:
    """Whether a fragment's element is a thing of its own, and does not complete another."""
    identify = IDENTIFY.get(node.tag)
    return node.tag in _WHOLE or (identify is not None and identify(node) is None)


def _is_empty_without(node: Element, fragment: Element) -> bool:
    rest = copied(node)
    _strip(rest, fragment)
    # Address and alias of a device are what libvirt added to it by itself.
    children = [below for below in rest if below.tag not in ("address", "alias")]
    return not rest.attrib and not children and not (rest.text or "").strip()


def _strip(node: Element, fragment: Element) -> None:
    for name in fragment.attrib:
        node.attrib.pop(name, None)
    if (fragment.text or "").strip():
        node.text = None
    _retract(node, fragment)


def _restore_identity(node: Element, fragment: Element) -> None:
    """Give an element that stays back what it is known by."""
    identify = IDENTIFY.get(fragment.tag)
    if identify is None or identify(node) == identify(fragment):
        return
    for name in _IDENTITY_ATTRIBUTES & fragment.attrib.keys():
        node.set(name, fragment.attrib[name])
    for below in fragment:
        if below.tag in _IDENTITY_CHILDREN:
            _overlay(node, element(fragment.tag, copied(below)))


def _counterpart(base: Element, node: Element, taken: Collection[Element] = ()) -> Element | None:
    """The element of ``base`` that a fragment's element means; for one that is appended, the one
    that it was appended as. Those in ``taken`` are others.
    """
    siblings = [sibling for sibling in base.findall(node.tag) if sibling not in taken]
    same = next((sibling for sibling in siblings if covers(sibling, node)), None)
    identify = IDENTIFY.get(node.tag)
    if identify is None:
        return same if same is not None else next(iter(siblings), None)
    key = identify(node)
    if key is None:
        return same
    return next((sibling for sibling in siblings if identify(sibling) == key), None)
