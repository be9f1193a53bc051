"""What a definition says beyond another one: how discovery finds what the common model left out.

Pure. Called by the discovery of every kind with the definition that was found and the one that its
spec would make.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from provisioner_plugins._libvirt.xml import (
    Element,
    Identify,
    XmlError,
    copied,
    covers,
    element,
    merge_under,
    parse_fragment,
    remove_all,
    serialize,
)

_SHOWN = 200
"""Characters of an element that a note quotes."""


class Beyond(NamedTuple):
    """``fragments`` are texts for a ``native`` section, in the order of the definition; ``notes``
    say what no fragment can carry.
    """

    fragments: tuple[str, ...]
    notes: tuple[str, ...]


def beyond(
    found: Element,
    made: Element,
    identify: Mapping[str, Identify],
    *,
    additions: Iterable[Element] = (),
    whole: tuple[Element, Element] | None = None,
) -> Beyond:
    """What ``found`` says and ``made`` does not, one fragment for each child of the root (of each
    ``<devices>``, for each device). ``additions`` are further fragments; ``whole`` are the two
    definitions in full, where ``found`` and ``made`` are parts of them. Every fragment can be
    merged into what is made with all before it, and what was found covers it.
    """
    definition, merged = whole or (found, made)
    notes: list[str] = []
    rest = _rest(found, made, identify, "", notes)
    for node in (rest, *rest.findall("devices")):
        for name, value in sorted(node.attrib.items()):
            notes.append(f"kept as it is: {name}={value!r} of <{node.tag}>")
    fragments: list[str] = []
    for piece in [*_pieces(rest), *additions]:
        text = serialize(piece)
        trial = copied(merged)
        try:
            merge_under(trial, parse_fragment(text), identify)
        except XmlError as problem:
            notes.append(f"kept as it is: {_shortened(text)} ({problem})")
            continue
        if covers(definition, element(definition.tag, piece)):
            merged = trial
            fragments.append(text)
        else:
            notes.append(f"kept as it is: {_shortened(text)}")
    return Beyond(tuple(fragments), tuple(notes))


def _pieces(rest: Element) -> Iterator[Element]:
    for node in rest:
        if node.tag != "devices":
            yield node
            continue
        alike: dict[str, list[Element]] = {}
        for device in node:
            alike.setdefault(serialize(device), []).append(device)
        for devices in alike.values():
            # Several that say the same are several only together.
            yield element("devices", *devices)


def rest_of(
    found: Element, made: Element, identify: Mapping[str, Identify], notes: list[str]
) -> Element | None:
    """What one element says beyond another of its tag, without what identifies it; None: nothing.
    What contradicts the other is added to ``notes``.
    """
    rest = _rest(found, made, identify, f"<{found.tag}>", notes)
    return rest if rest.attrib or len(rest) or rest.text else None


def _rest(
    found: Element,
    made: Element,
    identify: Mapping[str, Identify],
    where: str,
    notes: list[str],
) -> Element:
    rest = element(found.tag)
    for name, value in found.attrib.items():
        other = made.get(name)
        if other is None:
            rest.set(name, value)
        elif other != value:
            notes.append(f"kept as it is: {name}={value!r} of {where or found.tag}")
    text, other_text = (found.text or "").strip(), (made.text or "").strip()
    if text and not other_text:
        rest.text = text
    elif text != other_text and text:
        notes.append(f"kept as it is: {_shortened(text)!r} in {where or found.tag}")
    taken: set[Element] = set()
    for node in found:
        counterpart = _counterpart(made, node, identify, taken)
        if counterpart is None:
            rest.append(stripped(node))
            continue
        taken.add(counterpart)
        below = _rest(node, counterpart, identify, f"{where}<{node.tag}>", notes)
        if not (below.attrib or len(below) or below.text):
            continue
        if _stands_alone(node, identify):
            rest.append(stripped(node))
        else:
            _identified(below, node, identify)
            rest.append(below)
    return rest


def _counterpart(
    made: Element, node: Element, identify: Mapping[str, Identify], taken: set[Element]
) -> Element | None:
    candidates = [other for other in made.findall(node.tag) if other not in taken]
    key_of = identify.get(node.tag)
    if key_of is None:
        return candidates[0] if candidates else None
    key = key_of(node)
    if key is None:
        return next((other for other in candidates if covers(node, other)), None)
    return next((other for other in candidates if key_of(other) == key), None)


def _stands_alone(node: Element, identify: Mapping[str, Identify]) -> bool:
    """Whether nothing tells it from its siblings, so that no fragment can complete it."""
    key_of = identify.get(node.tag)
    return key_of is not None and key_of(node) is None


def _identified(rest: Element, node: Element, identify: Mapping[str, Identify]) -> None:
    """Give what is left of an element back what it is known by among its siblings."""
    key_of = identify.get(node.tag)
    if key_of is None:
        return
    key, bare = key_of(node), element(node.tag, node.attrib)
    for name, value in node.attrib.items():
        others = {other: text for other, text in node.attrib.items() if other != name}
        if key_of(element(node.tag, others, *map(copied, node))) != key:
            rest.set(name, value)
    for below in node:
        if key_of(bare) != key and key_of(element(node.tag, node.attrib, copied(below))) == key:
            remove_all(rest, below.tag)
            rest.append(stripped(below))


def drop_said(
    parent: Element, tag: str, attributes: Iterable[str] = (), *, text: bool = False
) -> None:
    """Take attributes of children, or their text, out where a field says them, and children of
    which nothing is left.
    """
    for node in parent.findall(tag):
        for name in attributes:
            node.attrib.pop(name, None)
        if text:
            node.text = None
        if not node.attrib and not len(node) and not (node.text or "").strip():
            parent.remove(node)


def stripped(node: Element) -> Element:
    """A copy without the white space between elements, by which libvirt lays its documents out."""
    result = copied(node)
    for below in result.iter():
        below.tail = None
        below.text = (below.text or "").strip() or None
    return result


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
