"""Random stacks and random edits of them, for property tests.

The fields and their values come from the kinds' schemas, so that a new field is tried without a
word here; :mod:`tests.lifecycle.fitting` then makes the rough draft valid. Documents are plain data
as an author would write them.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from tests.lifecycle.fitting import ORDER, fit_together
from tests.lifecycle.fitting_world import Document, expanded_names, host_of
from tests.lifecycle.scenario import CATALOG

HOSTS = ("here", "there")
SECRET = "GENERATED_SECRET"
FILES = {
    "seed/user-data.cfg": "#cloud-config\nhostname: generated\n",
    "seed/network.cfg": "version: 2\n",
}
"""Files that manifests name; whoever writes the stack writes them, too."""

TEXTS = (
    "plain words",
    "no",
    "0755",
    "1:30",
    "null",
    "",
    "two\nlines\n",
    "  indented\n    text\n",
    "trailing space ",
    "a: b #c",
    "'single' \"double\" \\",
    "ünïcödé 漢字 😀",
    "$${var.nothing} is not replaced",
    "${replica.index}",
    "tab\there",
    "- not a list",
    "<&>",
)

# Values of shared definitions. Each has at least two that mean different things.
_DEFINITIONS: Mapping[str, tuple[Any, ...]] = {
    "size": ("1GiB", "512 MiB", "2GB", "1.5GiB", "64MiB", "1TiB", "4096KiB"),
    "duration": ("5m", "1h", "120s", "7d", "150000ms"),
    "mac": ("52:54:00:00:00:01", "52-54-00-AB-CD-EF", "02:00:00:00:00:0a"),
    "ipv4": ("10.0.0.10", "10.0.0.77", "10.0.0.200"),
    "ip": ("10.0.0.53", "fd00::53", "FD00:0:0::35", "127.0.0.1"),
    "interface": ("10.0.0.11/24", "10.0.0.12/24", "192.168.7.5/16"),
    "shares": ("low", "high", 2000, 500),
    "cidr": ("10.20.0.0/24", "10.21.0.0/24", "192.168.7.0/24"),
    "cidr6": ("fd00:20::/64", "FD00:21:0:0::/64"),
    "secretOrText": (TEXTS[6], TEXTS[7], TEXTS[12], {"secretRef": f"env://{SECRET}"}),
}
_PROPERTIES: Mapping[str, tuple[Any, ...]] = {
    "userDataFile": tuple(FILES),
    "networkConfigFile": tuple(FILES),
    "native": ({"memory": {"note": "kept"}}, {"memory": {"note": "no", "other": ""}}, {}),
    "checksum": ("sha256:" + "0" * 64, "sha256:" + "9f" * 32),
    "replicas": ({"count": 2}, {"count": 3}, {"count": 2, "start": 0}, {"count": 1}),
}
_KEYS = ("tier", "owner", "example.org/role")
_LARGEST = 8
"""How far integers go beyond their minimum: small numbers meet, and meeting finds more."""


@cache
def _spec_schema(kind: str) -> Mapping[str, Any]:
    schema: Mapping[str, Any] = CATALOG.kinds[kind].schema["properties"]["spec"]
    return schema


def _resolved(node: Mapping[str, Any], kind: str) -> tuple[Mapping[str, Any], str]:
    """The node with its references followed, and the name of the first definition met."""
    name = ""
    while "$ref" in node:
        last = node["$ref"].rpartition("/")[2]
        name = name or last
        target = CATALOG.kinds[kind].schema["$defs"][last]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    return node, name


class _Drafter:
    """Draws one document's values. ``names`` are those that references may use, by kind."""

    def __init__(self, draw: DrawFn, kind: str, names: Mapping[str, tuple[str, ...]]) -> None:
        self._draw = draw
        self._kind = kind
        self._names = names

    def one_of(self, values: tuple[Any, ...]) -> Any:
        return copy.deepcopy(self._draw(st.sampled_from(values)))

    def flag(self) -> bool:
        return bool(self._draw(st.booleans()))

    def mapping(self, node: Mapping[str, Any]) -> dict[str, Any]:
        """An object with its required properties and some of the others."""
        result = {}
        for name, child in node.get("properties", {}).items():
            if name in node.get("required", ()) or self.flag():
                value = self.value(child, name)
                if value is not None:
                    result[name] = value
        others = node.get("additionalProperties")
        if isinstance(others, Mapping) and "properties" not in node:
            for key in _KEYS:
                if self.flag():
                    result[key] = self.value(others, key)
        return result

    def value(self, node: Mapping[str, Any], name: str = "") -> Any:
        """A value of any node; None where there is nothing that a reference could name."""
        node, definition = _resolved(node, self._kind)
        if "x-ref" in node:
            wanted = (node["x-ref"],) if isinstance(node["x-ref"], str) else node["x-ref"]
            known = tuple(other for kind in wanted for other in self._names.get(kind, ()))
            return self.one_of(known) if known else None
        if name in _PROPERTIES:
            return self.one_of(_PROPERTIES[name])
        if definition in _DEFINITIONS:
            return self.one_of(_DEFINITIONS[definition])
        if "enum" in node:
            return self.one_of(tuple(node["enum"]))
        if node["type"] == "object":
            result = self.mapping(node)
            # Without something to refer to, there can be no such element.
            return result if set(node.get("required", ())) <= result.keys() else None
        if node["type"] == "array":
            return self._list(node)
        if node["type"] == "boolean":
            return self.flag()
        if node["type"] == "integer":
            low = node.get("minimum", 0)
            return self._draw(st.integers(low, min(node.get("maximum", low), low + _LARGEST)))
        return self.one_of(_texts(node))

    def _list(self, node: Mapping[str, Any]) -> list[Any]:
        count = self._draw(st.integers(node.get("minItems", 0), 3))
        found: list[Any] = []
        for _ in range(count):
            value = self.value(node["items"])
            if value is not None and value not in found:
                found.append(value)
        return found


def _texts(node: Mapping[str, Any]) -> tuple[str, ...]:
    """Texts that a node takes: its examples and small variations of them, or any text."""
    pattern = node.get("pattern")
    texts = [text for text in TEXTS if len(text) >= node.get("minLength", 0)]
    if pattern is None:
        return tuple(texts)
    variants = [
        text
        for example in node.get("examples", ("/dev/example",))
        for text in (example, f"{example}2", f"{example}-x")
    ]
    # Patterns let every ${...} pass.
    variants += [text for text in texts if "${" not in text]
    return tuple(text for text in variants if re.search(pattern, text))


def _metadata(drafter: _Drafter, kind: str, name: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name}
    schema, _ = _resolved(CATALOG.kinds[kind].schema["properties"]["metadata"], kind)
    for field in ("labels", "tenant", "protect", "replace", "replicas"):
        # Rarer than other fields: protection holds back what the test is about, replicas multiply.
        if drafter.flag() and (field in ("labels", "tenant") or drafter.flag()):
            metadata[field] = drafter.value(schema["properties"][field], field)
    if "replicas" in metadata:
        metadata["name"] = f"{name}-${{replica.index}}"
    return metadata


_MOST = {
    "Network": 3,
    "StoragePool": 3,
    "Image": 3,
    "Disk": 4,
    "VirtualMachine": 3,
    "Snapshot": 2,
}


@st.composite
def specs(draw: DrawFn, kind: str) -> dict[str, Any]:
    """The spec of one resource by itself; what it refers to does not exist."""
    names = dict.fromkeys((*ORDER, "Host"), ("a", "b"))
    return _Drafter(draw, kind, names).mapping(_spec_schema(kind))


@st.composite
def stacks(draw: DrawFn) -> list[Document]:
    """The resources of a stack on two memory hosts."""
    return fit_together(_rough(draw))


def _rough(draw: DrawFn) -> list[Document]:
    documents: list[Document] = []
    for kind in ORDER:
        least = 0 if kind in ("Image", "Snapshot") else 1
        for number in range(draw(st.integers(least, _MOST[kind]))):
            host = draw(st.sampled_from((HOSTS[0], *HOSTS)))
            documents.append(_document(draw, kind, f"{kind[0].lower()}{number}", host, documents))
    return documents


def _document(draw: DrawFn, kind: str, name: str, host: str, before: list[Document]) -> Document:
    names: dict[str, tuple[str, ...]] = {"Host": (host,)}
    for other in before:
        if host_of(other, before) == host:
            more = (other["metadata"]["name"], *expanded_names(other))
            names[other["kind"]] = (*names.get(other["kind"], ()), *more)
    drafter = _Drafter(draw, kind, names)
    document = {
        "apiVersion": "provisioner/v1",
        "kind": kind,
        "metadata": _metadata(drafter, kind, name),
        "spec": drafter.mapping(_spec_schema(kind)),
    }
    _place(document, host)
    _let_wait(drafter, document, before)
    return document


def _place(document: Document, host: str) -> None:
    """Name the host, unless it is the stack's default."""
    if host != HOSTS[0]:
        if document["kind"] in ("Network", "StoragePool"):
            document["spec"]["host"] = host
        elif document["kind"] == "VirtualMachine":
            document["spec"].setdefault("placement", {})["host"] = host


def _let_wait(drafter: _Drafter, document: Document, before: list[Document]) -> None:
    """Have a text wait for what another resource's endpoint tells."""
    sources = {
        "Network": "bridge",
        "StoragePool": "path",
        "Disk": "volume",
        "VirtualMachine": "uuid",
    }
    known = tuple(
        f"${{{other['kind']}/{name}.{sources[other['kind']]}}}"
        for other in before
        if other["kind"] in sources and other["spec"].get("mode") != "user"
        for name in expanded_names(other)
    )
    if known and "description" in document["spec"] and drafter.flag():
        document["spec"]["description"] = "on " + drafter.one_of(known)


@st.composite
def edits(draw: DrawFn, before: list[Document]) -> list[Document]:
    """The same stack after an author has worked on it: fields set, changed and removed, resources
    added, removed, renamed and moved, everything in another order.
    """
    other = {_key(document): document for document in _rough(draw)}
    edited: list[Document] = []
    for document in before:
        new = other.pop(_key(document), None)
        what = draw(st.sampled_from(("keep", "mix", "mix", "take", "rename", "remove")))
        if what == "remove":
            continue
        if what == "rename" and "replicas" not in document["metadata"]:
            edited.append(_renamed(document))
        elif what in ("mix", "take") and new is not None:
            edited.append(new if what == "take" else _mixed(draw, document, new))
        else:
            edited.append(copy.deepcopy(document))
    edited += [document for document in other.values() if draw(st.booleans())]
    shuffled = draw(st.permutations(edited))
    return fit_together(sorted(shuffled, key=lambda document: ORDER.index(document["kind"])))


def _key(document: Document) -> tuple[str, str]:
    return document["kind"], document["metadata"]["name"].partition("-")[0]


def _renamed(document: Document) -> Document:
    result = copy.deepcopy(document)
    old = result["metadata"]["name"]
    result["metadata"]["name"] = f"{old}-b"
    result["metadata"]["renamedFrom"] = old
    return result


def _mixed(draw: DrawFn, old: Document, new: Document) -> Document:
    """A document with each field from one of two, or from neither."""
    identity = ("name", "replicas", "renamedFrom")
    own = {field: old["metadata"][field] for field in identity if field in old["metadata"]}
    fields = [
        {name: value for name, value in document["metadata"].items() if name not in identity}
        for document in (old, new)
    ]
    return {
        **copy.deepcopy(old),
        "metadata": {**own, **_merge(draw, *fields)},
        "spec": _merge(draw, old["spec"], new["spec"]),
    }


def _merge(draw: DrawFn, old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    result = {}
    for name in {**old, **new}:
        if isinstance(old.get(name), dict) and isinstance(new.get(name), dict):
            result[name] = _merge(draw, old[name], new[name])
            continue
        chosen = draw(st.sampled_from((old, old, new)))
        if name in chosen:
            result[name] = copy.deepcopy(chosen[name])
    return result
