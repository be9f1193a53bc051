"""Reading and writing documents: the fast reader, the composer with positions, and both parsers."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.manifest import yamlstrict
from provisioner.manifest.positioned import Node, compose
from provisioner.manifest.source import SourceFile
from provisioner.manifest.yamlstrict import (
    BrokenDocument,
    Limits,
    SyntaxFailure,
    YamlDocument,
    read_documents,
    write_documents,
)


@pytest.fixture(params=["libyaml", "pure"])
def parser(request, monkeypatch):
    monkeypatch.setattr(yamlstrict, "LIBYAML", request.param == "libyaml")


def values(text: str, limits: Limits | None = None) -> list[Any]:
    found = []
    for result in read_documents(text, limits):
        assert isinstance(result, YamlDocument), result
        found.append(result.value)
    return found


@pytest.mark.usefixtures("parser")
def test_documents_with_their_first_lines():
    text = "# one\na: 1\n---\n---\n# two\nb: {c: [x, 'y', \"z\"]}\n...\n---\n  d: |\n    text\n"
    found = list(read_documents(text))
    assert [{"a": 1}, {"b": {"c": ["x", "y", "z"]}}, {"d": "text\n"}] == [r.value for r in found]  # type: ignore[union-attr]
    assert [1, 5, 8] == [r.line for r in found]  # type: ignore[union-attr]
    assert ["a", "b", "d"] == [text[r.offset] for r in found]  # type: ignore[union-attr]


@pytest.mark.usefixtures("parser")
def test_quotes_make_text():
    assert [{"a": "1", "b": "true", "c": "", "d": None}] == values(
        "a: '1'\nb: \"true\"\nc: ''\nd:\n"
    )


@pytest.mark.usefixtures("parser")
def test_aliases_are_copies():
    (value,) = values("a: &x {k: [1]}\nb: *x\nc: &y text\nd: *y\n")
    assert {"a": {"k": [1]}, "b": {"k": [1]}, "c": "text", "d": "text"} == value
    assert value["a"]["k"] is not value["b"]["k"]


@pytest.mark.usefixtures("parser")
def test_anchors_end_with_their_document():
    results = list(read_documents("a: &x 1\n---\nb: *x\n"))
    assert isinstance(results[1], BrokenDocument)


@pytest.mark.usefixtures("parser")
def test_reading_goes_on_after_a_syntax_error():
    text = "a: 1\n---\nb: 'x\n---\nc: 3\n---\nd: [\n--- # four\ne: 5\n"
    found = list(read_documents(text))
    assert [YamlDocument, SyntaxFailure, YamlDocument, SyntaxFailure, YamlDocument] == [
        type(result) for result in found
    ]
    assert [0, 4, 8] == [r.line for r in found if isinstance(r, YamlDocument)]


@pytest.mark.usefixtures("parser")
def test_a_separator_within_a_block_of_text_is_text():
    assert [{"a": "x\n---\n", "b": 1}] == values("a: |\n  x\n  ---\nb: 1\n")


def test_limits_are_exact():
    limits = Limits(depth=3, nodes=6, expanded=4)
    assert [{"a": {"b": {}}}] == values("a: {b: {}}", limits)
    assert refused("a: {b: {c: {}}}", limits)
    assert [[0, 0, 0, 0, 0, 0]] == values("[0,0,0,0,0,0]", limits)
    assert refused("[0,0,0,0,0,0,0]", limits)
    assert [[{"x": 1}, {"x": 1}]] == values("[&a {x: 1}, *a]", limits)
    assert refused("[&a {x: 1}, *a, *a, *a]", limits)


def refused(text: str, limits: Limits) -> bool:
    (result,) = read_documents(text, limits)
    return isinstance(result, BrokenDocument)


def test_the_alias_budget_is_that_of_the_file():
    limits = Limits(expanded=3)
    one, two = read_documents("[&a 1, *a, *a]\n---\n[&a 1, *a, *a]\n", limits)
    assert isinstance(one, YamlDocument)
    assert BrokenDocument(15, 34, 1) == two


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(
        st.characters(
            codec="utf-8", exclude_categories=("Cs", "Cc"), exclude_characters="\ufeff\ufffe\uffff"
        )
        | st.sampled_from("\n \t#:-[]{}'\"&*!|>%@`$~0189_eE.xo"),
        max_size=20,
    ),
)
DATA = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("ab: -'1~<#", max_size=4), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.lists(DATA.filter(lambda value: value is not None), max_size=3))
def test_what_is_written_is_read_back(documents):
    text = write_documents(documents)
    assert documents == values(text)


@given(DATA.filter(lambda value: value is not None))
def test_the_composer_sees_the_same_values(document):
    text = write_documents([document])
    file = SourceFile("f", text)
    composition = compose(file, 0, len(text))
    assert [] == composition.problems
    assert document == plain(composition.root)


def plain(node: Node | None) -> Any:
    assert node is not None
    if node.entries is not None:
        return {key.value: plain(value) for key, value in node.entries}
    if node.items is not None:
        return [plain(item) for item in node.items]
    return node.value


FRAGMENTS = st.lists(
    st.sampled_from(
        [
            "a: 1\n",
            "b: x\n",
            "a: {b: 1, b: 2}\n",
            "? [x]\n: 1\n",
            "1: 2\n",
            "c: &a [1, 2]\n",
            "d: *a\n",
            "e: *b\n",
            "<<: {x: 1}\n",
            "f: !!str 1\n",
            "g: ! 1\n",
            "h: .inf\n",
            "i: 99999999999999999999\n",
            "j: [[[[1]]]]\n",
            "k:\n  - 1\n  - [2]\n",
            "'<<': 1\n",
            "l: &b {m: *a}\n",
            "&c n: 1\n",
            "~: 1\n",
            "---\n",
            "%YAML 1.1\n---\n",
            "*a : 1\n",
            "o: 'it''s'\n",
            "p: |\n  t\n",
            "q: [&d [1], *d, *d]\n",
        ]
    ),
    max_size=8,
)


@settings(max_examples=400)
@given(FRAGMENTS)
def test_the_reader_refuses_exactly_what_the_composer_explains(fragments):
    text = "".join(fragments)
    limits = Limits(depth=3, nodes=12, expanded=6)
    file = SourceFile("f", text)
    for result in read_documents(text, limits):
        if isinstance(result, BrokenDocument):
            found = compose(
                file,
                result.start,
                result.end,
                limits=limits,
                expanded=result.expanded,
            )
            assert found.problems
        elif isinstance(result, YamlDocument):
            found = compose(file, result.start, result.end, limits=limits)
            assert [] == found.problems
            assert result.value == plain(found.root)


def test_without_libyaml_a_stack_loads_and_warns(tmp_path, monkeypatch):
    from tests.unit.manifest.stacks import POOL, load_stack  # noqa: PLC0415

    monkeypatch.setattr(yamlstrict, "LIBYAML", False)
    monkeypatch.setattr("provisioner.manifest.loader.LIBYAML", False)
    stack = load_stack(tmp_path, {"a.yaml": POOL})
    assert ["PRV1009"] == [item.code for item in stack.warnings]
