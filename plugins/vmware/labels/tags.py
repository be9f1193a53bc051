"""Tags of a vCenter: for each label a tag, called like its value, in a category that is called like
the label.

Source: vSphere Automation API, cis.tagging (category, tag, tag_association).
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from provisioner.core.diagnostics import error
from provisioner.providers.api import Terminal
from provisioner_plugins.vmware.labels.comparing import Shown
from provisioner_plugins.vmware.wire.errors import EXISTS, INVALID, VANISHED
from provisioner_plugins.vmware.wire.rest import Rest

_CATEGORY, _TAG, _ATTACHED = (
    "/cis/tagging/category",
    "/cis/tagging/tag",
    "/cis/tagging/tag-association",
)
_OURS = "provisioner.labels"
"""Stands in the description of categories that were made here."""
_AT_ONCE = 500
"""Objects that are asked about in one request, as in a page of a sweep."""


class Object(NamedTuple):
    """A managed object, as the REST API names it."""

    type: str
    id: str


class Category(NamedTuple):
    """A category; ``is_ours``: made for labels. ``is_single``: an object has one tag of it."""

    id: str
    name: str
    is_ours: bool
    is_single: bool


class Tag(NamedTuple):
    """A tag, and its category."""

    id: str
    name: str
    category: Category


class Tags:
    """The tags of a vCenter, as far as this session has met them. Thread-safe."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        self._lock = threading.RLock()
        self._categories: dict[str, Category] = {}
        self._tags: dict[str, Tag] = {}

    # --- reading ---

    def shown(self, objects: Sequence[Object]) -> dict[Object, Shown]:
        """The tags of objects: a request for all, and one for each tag and category that is met
        for the first time.
        """
        found = self.attached(objects)
        return {item: _shown(tags) for item, tags in found.items()}

    def attached(self, objects: Sequence[Object]) -> dict[Object, list[Tag]]:
        """The tags of each of these objects."""
        result: dict[Object, list[Tag]] = {item: [] for item in objects}
        for at in range(0, len(objects), _AT_ONCE):
            answer = self._rest.post(
                "read the tags of objects",
                _ATTACHED,
                {"object_ids": [item._asdict() for item in objects[at : at + _AT_ONCE]]},
                {"action": "list-attached-tags-on-objects"},
                reads=True,
            )
            for entry in answer or ():
                item = Object(str(entry["object_id"]["type"]), str(entry["object_id"]["id"]))
                known = (self._tag(str(tag)) for tag in entry.get("tag_ids") or ())
                result[item] = [tag for tag in known if tag is not None]
        return result

    def _tag(self, tag_id: str) -> Tag | None:
        """None for one that was removed in the meantime."""
        with self._lock:
            if tag_id not in self._tags:
                try:
                    found = self._rest.get("read a tag", f"{_TAG}/{tag_id}")
                    category = self._category(str(found["category_id"]))
                except Terminal as problem:
                    if problem.diagnostic.code == VANISHED.code:
                        return None
                    raise
                self._tags[tag_id] = Tag(tag_id, str(found["name"]), category)
            return self._tags[tag_id]

    def _category(self, category_id: str) -> Category:
        with self._lock:
            if category_id not in self._categories:
                found = self._rest.get("read a category of tags", f"{_CATEGORY}/{category_id}")
                self._categories[category_id] = Category(
                    category_id,
                    str(found["name"]),
                    is_ours=_OURS in str(found.get("description", "")),
                    is_single=found.get("cardinality") == "SINGLE",
                )
            return self._categories[category_id]

    # --- writing ---

    def write(
        self, what: str, item: Object, labels: Mapping[str, str], before: Mapping[str, str]
    ) -> None:
        """Have an object show these labels; ``before`` are those that it has. What people attach
        in their own categories stays, but for the tags of these labels. ``what`` names the object.
        """
        wanted = {self._made(name, value) for name, value in labels.items()}
        has = self.attached([item])[item]
        names = {tag.category.id: tag for tag in wanted}
        excess = [
            tag
            for tag in has
            if tag not in wanted
            and (
                tag.category.is_ours
                or before.get(tag.category.name) == tag.name
                or (tag.category.is_single and tag.category.id in names)
            )
        ]
        missing = sorted(wanted - set(has))
        # First: of most categories an object has one tag at a time.
        self._change(f"take tags from {what}", "detach-multiple-tags-from-object", item, excess)
        self._change(f"tag {what}", "attach-multiple-tags-to-object", item, missing)

    def _change(self, what: str, action: str, item: Object, tags: Sequence[Tag]) -> None:
        if not tags:
            return
        body = {"object_id": item._asdict(), "tag_ids": [tag.id for tag in tags]}
        answer: Any = self._rest.post(what, _ATTACHED, body, {"action": action}) or {}
        if answer.get("success", True):
            return
        told = [str(one.get("default_message", one)) for one in answer.get("error_messages") or ()]
        names = ", ".join(f"{tag.category.name}/{tag.name}" for tag in tags)
        raise Terminal(
            error(
                INVALID.code,
                INVALID.summary.format(what=what),
                detail=f"About {names} the endpoint says: {'; '.join(told) or 'nothing more'}.",
                hint="Plan again: somebody may have removed a tag, or its category is not meant "
                "for such objects.",
            )
        )

    def _made(self, name: str, value: str) -> Tag:
        """The tag of a label, which is made if it is not there."""
        with self._lock:
            category = self._category_named(name) or self._make_category(name)
            return self._tag_named(category, value) or self._make_tag(category, value)

    def _category_named(self, name: str) -> Category | None:
        def among() -> Category | None:
            return next((item for item in self._categories.values() if item.name == name), None)

        found = among()
        if found is None:
            for category_id in self._rest.get("read the categories of tags", _CATEGORY) or ():
                self._category(str(category_id))
            found = among()
        return found

    def _make_category(self, name: str) -> Category:
        body = {
            "name": name,
            "description": f"The label {name} of things in stacks ({_OURS})",
            "cardinality": "SINGLE",
            "associable_types": [],
        }
        try:
            made = self._rest.post(f"make the category of tags {name}", _CATEGORY, body)
        except Terminal as problem:
            # Somebody else was faster.
            found = self._category_named(name) if problem.diagnostic.code == EXISTS.code else None
            if found is None:
                raise
            return found
        return self._category(str(made))

    def _tag_named(self, category: Category, value: str) -> Tag | None:
        def among() -> Tag | None:
            tags = self._tags.values()
            return next((tag for tag in tags if tag[1:] == (value, category)), None)

        found = among()
        if found is None:
            ids = self._rest.post(
                f"read the tags of the category {category.name}",
                _TAG,
                {"category_id": category.id},
                {"action": "list-tags-for-category"},
                reads=True,
            )
            for tag_id in ids or ():
                self._tag(str(tag_id))
            found = among()
        return found

    def _make_tag(self, category: Category, value: str) -> Tag:
        what, body = f"make the tag {category.name}/{value}", {"description": ""}
        try:
            made = self._rest.post(what, _TAG, {"category_id": category.id, "name": value, **body})
        except Terminal as problem:
            found = (
                self._tag_named(category, value) if problem.diagnostic.code == EXISTS.code else None
            )
            if found is None:
                raise
            return found
        tag = self._tags[str(made)] = Tag(str(made), value, category)
        return tag


def _shown(tags: Iterable[Tag]) -> Shown:
    values: dict[str, set[str]] = defaultdict(set)
    for tag in tags:
        values[tag.category.name].add(tag.name)
    return Shown(values, {tag.category.name for tag in tags if tag.category.is_ours})
