"""Reading, building and merging libvirt's XML with element APIs only.

Called by every module that makes or reads a definition. Documents come from a daemon or, as
``native`` fragments, from an author: a DOCTYPE is refused (entities need one), and fragments are
bounded in size and depth.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeAlias
from xml.etree import ElementTree
from xml.sax.saxutils import unescape

Element: TypeAlias = ElementTree.Element

_KNOWN: dict[str, str] = {}


def register_namespace(prefix: str, namespace: str) -> None:
    """Have elements of a namespace written with this prefix, where their document has no other."""
    _KNOWN[namespace] = prefix
    ElementTree.register_namespace(prefix, namespace)


for _prefix, _namespace in {
    "qemu": "http://libvirt.org/schemas/domain/qemu/1.0",
    "dnsmasq": "http://libvirt.org/schemas/network/dnsmasq/1.0",
    "libosinfo": "http://libosinfo.org/xmlns/libvirt/domain/1.0",
    "cockpit_machines": "https://github.com/cockpit-project/cockpit/tree/master/pkg/machines",
    "boxes": "https://wiki.gnome.org/Apps/Boxes",
    "ovirt-vm": "http://ovirt.org/vm/1.0",
    "ovirt-tune": "http://ovirt.org/vm/tune/1.0",
    "nova": "http://openstack.org/xmlns/libvirt/nova/1.1",
}.items():
    # What others call these namespaces, so that what is theirs looks the same when written back.
    register_namespace(_prefix, _namespace)

_DECLARATION = re.compile(r"""\sxmlns(?::([\w.-]+))?\s*=\s*(["'])(.*?)\2""")

MAX_FRAGMENT_CHARACTERS = 64 * 1024
MAX_FRAGMENT_DEPTH = 16
RESERVED_TAGS = frozenset({"name", "uuid", "metadata"})
"""What identifies an object; no fragment may write it."""

Part: TypeAlias = Mapping[str, object] | str | Element | None
"""Attributes, text, a child, or nothing; see :func:`element`."""

Identify: TypeAlias = Callable[[Element], object]
"""What makes an element among its siblings of the same tag the one that is meant; see
:func:`merge`.
"""


class Document(ElementTree.Element):
    """The root of a document in which others have namespaces of their own: ``prefixes`` are theirs,
    by namespace, so that what is theirs is written back as it was.
    """

    def __init__(self, root: Element, prefixes: Mapping[str, str]) -> None:
        super().__init__(root.tag, root.attrib)
        self.text, self.tail = root.text, root.tail
        self.prefixes = prefixes


class XmlError(ValueError):
    """A document or fragment that cannot be used; the text says what was found and where."""


def parse(text: str) -> Element:
    """The root element of a document; raises XmlError if it is not well-formed or has a DOCTYPE."""
    if "<!DOCTYPE" in text:
        # The text is a str, so no encoding can hide the word, and XML knows it in upper case only.
        raise XmlError("it has a DOCTYPE, which may define entities: only elements are read")
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - no DOCTYPE, so no entity of its own
    except ElementTree.ParseError as problem:
        raise XmlError(f"it is not well-formed XML: {problem}") from problem
    declared = {unescape(uri): prefix for prefix, _, uri in _DECLARATION.findall(text)}
    prefixes = {uri: prefix for uri, prefix in declared.items() if _KNOWN.get(uri) != prefix}
    if not prefixes:
        return root
    document = Document(root, prefixes)
    document.extend(list(root))
    return document


def parse_fragment(text: str) -> Element:
    """The root element of an author's fragment: as :func:`parse`, and within the limits of size
    and depth.
    """
    if len(text) > MAX_FRAGMENT_CHARACTERS:
        raise XmlError(
            f"it has {len(text)} characters; at most {MAX_FRAGMENT_CHARACTERS} are allowed"
        )
    root = parse(text)
    if _depth_exceeds(root, MAX_FRAGMENT_DEPTH):
        raise XmlError(f"its elements are nested more than {MAX_FRAGMENT_DEPTH} levels deep")
    return root


def _depth_exceeds(root: Element, limit: int) -> bool:
    level = [root]
    for _ in range(limit):
        level = [child for node in level for child in node]
        if not level:
            return False
    return True


def serialize(root: Element) -> str:
    """The document as text."""
    if isinstance(root, Document):
        root = _prefixed(root, root.prefixes, {})
    return ElementTree.tostring(root, encoding="unicode")


def _prefixed(node: Element, prefixes: Mapping[str, str], scope: Mapping[str, str]) -> Element:
    """A copy with prefixes in place of the namespaces that have one, declared where they begin.
    ``scope`` are those declared above, by prefix.
    """
    scope = dict(scope)
    attributes: dict[str, str] = {}
    result = ElementTree.Element(_named(node.tag, prefixes, scope, attributes))
    for name, value in node.attrib.items():
        # An attribute without a prefix is in no namespace, whatever is declared.
        has_prefix = prefixes.get(name.rpartition("}")[0].lstrip("{"), "") != ""
        attributes[_named(name, prefixes, scope, attributes) if has_prefix else name] = value
    result.attrib.update(attributes)
    result.text, result.tail = node.text, node.tail
    result.extend([_prefixed(below, prefixes, scope) for below in node])
    return result


def _named(
    name: str, prefixes: Mapping[str, str], scope: dict[str, str], attributes: dict[str, str]
) -> str:
    """A name with its prefix, declared among the ``attributes`` unless it is in ``scope``."""
    namespace, _, local = name.rpartition("}")
    namespace = namespace.lstrip("{")
    prefix = prefixes.get(namespace, "" if not namespace else None)
    if prefix is None:
        return name
    if scope.get(prefix, "") != namespace:
        scope[prefix] = namespace
        attributes[f"xmlns:{prefix}" if prefix else "xmlns"] = namespace
    return f"{prefix}:{local}" if prefix else local


def element(tag: str, *parts: Part) -> Element:
    """A new element. A mapping gives attributes (None is left out, bool is yes/no), a string the
    text, an element a child.

    ``element("ip", {"address": "10.0.0.1", "prefix": 24}, element("dhcp"))``
    """
    node = ElementTree.Element(tag)
    for part in parts:
        if part is None:
            continue
        if isinstance(part, str):
            node.text = part
        elif isinstance(part, ElementTree.Element):
            node.append(part)
        else:
            for key, value in part.items():
                if value is not None:
                    node.set(key, attribute_text(value))
    return node


def copied(node: Element) -> Element:
    """A copy with everything below it; a tenth of what :func:`copy.deepcopy` costs, which does not
    know that texts need no copies.
    """
    if isinstance(node, Document):
        result: Element = Document(node, node.prefixes)
    else:
        result = node.makeelement(node.tag, node.attrib)
    result.text, result.tail = node.text, node.tail
    result.extend([copied(below) for below in node])
    return result


def attribute_text(value: object) -> str:
    """A value as libvirt writes it in attributes: booleans are yes and no."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def child(parent: Element, path: str) -> Element:
    """The first element at ``path`` (tags separated by /), made where it is missing."""
    node = parent
    for tag in path.split("/"):
        found = node.find(tag)
        if found is None:
            found = ElementTree.SubElement(node, tag)
        node = found
    return node


def text_of(parent: Element, path: str) -> str | None:
    """The text of the first element at ``path``, stripped; None if there is no such element or no
    text in it.
    """
    text = parent.findtext(path)
    return text.strip() or None if text is not None else None


def attribute(parent: Element, path: str, name: str) -> str | None:
    """An attribute of the first element at ``path``; None if there is none."""
    node = parent.find(path)
    return None if node is None else node.get(name)


def remove_all(parent: Element, tag: str) -> None:
    """Remove every direct child with this tag."""
    for node in parent.findall(tag):
        parent.remove(node)


def same(one: Element, other: Element) -> bool:
    """Whether both mean the same: tags, attributes, stripped texts and children in order."""
    return (
        one.tag == other.tag
        and one.attrib == other.attrib
        and (one.text or "").strip() == (other.text or "").strip()
        and len(one) == len(other)
        and all(same(a, b) for a, b in zip(one, other, strict=True))
    )


def merge(base: Element, fragment: Element, identify: Mapping[str, Identify] | None = None) -> None:
    """Merge ``fragment`` into ``base`` element by element; raises XmlError where they contradict
    each other.

    What the fragment adds is added; what both say must be the same, so that a fragment can complete
    a definition but never overrule a field of the common model. ``identify`` names the tags that
    may occur several times and what tells them apart: a child whose key is None, or equals no
    sibling's, is appended. Every other tag occurs once.
    """
    if base.tag != fragment.tag:
        raise XmlError(f"its root is <{fragment.tag}>, expected <{base.tag}>")
    _merge(base, fragment, identify or {}, f"/{base.tag}")


def merge_under(
    root: Element, fragment: Element, identify: Mapping[str, Identify] | None = None
) -> None:
    """Merge ``fragment`` as a child of ``root``; raises XmlError as :func:`merge` does."""
    if fragment.tag in RESERVED_TAGS:
        raise XmlError(f"<{fragment.tag}> of <{root.tag}> is not for fragments to write")
    merge(root, element(root.tag, fragment), identify)


def subtract(base: Element, fragment: Element) -> None:
    """Take out of ``base`` what :func:`merge` of ``fragment`` put in: equal attributes and text,
    and child elements that are empty afterwards. What ``base`` says differently stays.
    """
    for name, value in fragment.attrib.items():
        if base.get(name) == value:
            del base.attrib[name]
    text = (fragment.text or "").strip()
    if text and text == (base.text or "").strip():
        base.text = None
    for node in fragment:
        found = next((below for below in base.findall(node.tag) if covers(below, node)), None)
        if found is None:
            continue
        subtract(found, node)
        if not found.attrib and not len(found) and not (found.text or "").strip():
            base.remove(found)


def _merge(base: Element, fragment: Element, identify: Mapping[str, Identify], where: str) -> None:
    for name, value in fragment.attrib.items():
        present = base.get(name)
        if present is not None and present != value:
            raise XmlError(f"{where}@{name} is {value!r}, but other fields make it {present!r}")
        base.set(name, value)
    text, present_text = (fragment.text or "").strip(), (base.text or "").strip()
    if text and present_text and text != present_text:
        raise XmlError(f"{where} is {text!r}, but other fields make it {present_text!r}")
    if text:
        base.text = text
    for node in fragment:
        counterpart = _counterpart(base, node, identify)
        if counterpart is None:
            base.append(_copy(node))
        else:
            _merge(counterpart, node, identify, f"{where}/{node.tag}")


def _counterpart(base: Element, node: Element, identify: Mapping[str, Identify]) -> Element | None:
    key_of = identify.get(node.tag)
    if key_of is None:
        return base.find(node.tag)
    key = key_of(node)
    if key is None:
        return None
    return next((sibling for sibling in base.findall(node.tag) if key_of(sibling) == key), None)


def _copy(node: Element) -> Element:
    duplicate = ElementTree.Element(node.tag, dict(node.attrib))
    duplicate.text = node.text
    duplicate.extend([_copy(below) for below in node])
    return duplicate


def covers(document: Element, fragment: Element) -> bool:
    """Whether everything that ``fragment`` says stands in ``document`` (which may say more).

    This is how a merged fragment is recognised in what the daemon gives back.
    """
    if document.tag != fragment.tag:
        return False
    if any(document.get(name) != value for name, value in fragment.attrib.items()):
        return False
    text = (fragment.text or "").strip()
    if text and text != (document.text or "").strip():
        return False
    return _assignable(list(fragment), document)


def _assignable(wanted: list[Element], document: Element) -> bool:
    """Whether each wanted child has a document child of its own, in any order."""
    candidates = [
        [index for index, node in enumerate(document) if covers(node, below)] for below in wanted
    ]
    holder: dict[int, int] = {}

    def place(item: int, seen: set[int]) -> bool:
        for index in candidates[item]:
            if index in seen:
                continue
            seen.add(index)
            if index not in holder or place(holder[index], seen):
                holder[index] = item
                return True
        return False

    return all(place(item, set()) for item in range(len(wanted)))
