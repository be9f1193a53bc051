"""The quick answer about a document is that of the authority, for every kind."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.manifest.validation import Validator
from tests.unit.manifest.stacks import catalog

JUNK: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    -1,
    2.5,
    4096,
    99999,
    "",
    " ",
    "x",
    "x\n",
    "X_1",
    "a" * 300,
    "4GiB",
    "4 GiB",
    "4\u00a0GiB",
    "4",
    "30s",
    "30s\n",
    "52:54:00:12:34:56",
    "10.20.0.10",
    "10.20.0.0/24",
    "fd00::/64",
    "fd00::1",
    "/a\nb",
    "${var.x}",
    "${x}\n",
    "a${x}b",
    "env://A",
    "file://x",
    "sha256:" + "0" * 64,
    "qcow2",
    "keep",
    "٣s",
    "é",
    "😀" * 63,
    "\u2028",
    "a\u2029",
    [],
    {},
    [1],
    ["a", "a"],
    {"a": "b"},
    {"a": 1},
    {"disk": "d"},
    [{"disk": "d"}],
    [{"name": "n", "network": "l"}],
    {"secretRef": "env://A"},
    {"count": 2},
    [True, 1],
    [1, 1.0],
]
EXAMPLES = [
    (kind, example) for kind, info in catalog().kinds.items() for example in info.schema["examples"]
]


def test_the_examples_are_valid():
    for kind, example in EXAMPLES:
        validator = catalog().compiled[kind].validator
        assert validator.accepts(example)
        assert [] == validator.violations(example)


def collections(value: Any) -> list[Any]:
    found = []
    if isinstance(value, dict | list):
        found.append(value)
        for child in value.values() if isinstance(value, dict) else value:
            found += collections(child)
    return found


def names(schema: Any) -> list[str]:
    if isinstance(schema, dict):
        own = (
            list(schema.get("properties", {})) if isinstance(schema.get("properties"), dict) else []
        )
        return own + [name for child in schema.values() for name in names(child)]
    return [name for child in schema for name in names(child)] if isinstance(schema, list) else []


NAMES = {
    kind: [*sorted(set(names(info.schema))), "unknown"] for kind, info in catalog().kinds.items()
}


@settings(max_examples=600)
@given(st.sampled_from(EXAMPLES), st.data())
def test_they_agree_on_damaged_documents(example, data):
    kind, document = example[0], deepcopy(example[1])
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(collections(document)))
        value = deepcopy(data.draw(st.one_of(st.sampled_from(JUNK), st.text(max_size=12))))
        if isinstance(place, list):
            place.insert(data.draw(st.integers(0, len(place))), value)
        elif place and data.draw(st.booleans()):
            name = data.draw(st.sampled_from(sorted(place)))
            if data.draw(st.booleans()):
                place[name] = value
            else:
                del place[name]
        else:
            place[data.draw(st.sampled_from(NAMES[kind]))] = value
    validator = catalog().compiled[kind].validator
    assert validator.accepts(document) is (not validator.violations(document))


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("^a$", "a\n", False),
        ("^a$", "a", True),
        ("a|b$", "b\n", False),
        (r"a\$", "a$\n", True),
        ("^[$]$", "$", True),
        (r"^[^${}]+$", "a\n", True),
        (r"^[\]$]$", "$", True),
        (r"^\\$", "\\\n", False),
    ],
)
def test_an_end_is_the_very_end(pattern, text, fits):
    validator = Validator({"pattern": pattern})
    assert fits is validator.accepts(text)
    assert fits is (not validator.violations(text))


def test_every_mistake_of_a_document_is_reported():
    schema = {"properties": {"a": {"type": "string"}, "b": {"minimum": 3}}, "required": ["c"]}
    found = Validator(schema).violations({"a": 1, "b": 2})
    assert {"type", "minimum", "required"} == {violation.keyword for violation in found}
