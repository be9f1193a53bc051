"""What JUnit XML may hold, so that whoever reads such reports takes it: a document against a table
of elements and attributes.

The table is what both the schema of Jenkins' xUnit plugin (junit-10.xsd) and that of Maven Surefire
(surefire-test-report-3.0.xsd) allow, as far as the program writes it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element


class Shape(NamedTuple):
    """An element: attributes that it must and may have, and what may stand in it."""

    required: frozenset[str]
    optional: frozenset[str]
    children: frozenset[str]


def _shape(required: str, optional: str = "", children: str = "") -> Shape:
    return Shape(*(frozenset(words.split()) for words in (required, optional, children)))


_SHAPES = {
    "testsuites": _shape("", "name time tests failures errors", "testsuite"),
    "testsuite": _shape("name time tests failures errors skipped", "", "testcase"),
    "testcase": _shape("name time classname", "", "failure skipped system-out"),
    "failure": _shape("type", "message"),
    "skipped": _shape("", "message"),
    "system-out": _shape(""),
}
_TIME = re.compile(r"[0-9]+(\.[0-9]+)?")


def read_junit(path: Path) -> Element:
    """The root of a report; fails if it is not of the shape that readers know, or its counts are
    wrong."""
    root = ElementTree.fromstring(path.read_bytes())
    assert "testsuites" == root.tag
    for element in root.iter():
        shape = _SHAPES[element.tag]
        assert shape.required <= set(element.keys()) <= shape.required | shape.optional
        assert {child.tag for child in element} <= shape.children
        assert _TIME.fullmatch(element.get("time", "0"))
    for suite in root:
        cases = suite.findall("testcase")
        assert all(
            len(case.findall("failure")) + len(case.findall("skipped")) < 2 for case in cases
        )
        assert [
            len(cases),
            len(suite.findall("*/failure")),
            0,
            len(suite.findall("*/skipped")),
        ] == [int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped")]
    for name in ("tests", "failures", "errors"):
        assert int(root.attrib[name]) == sum(int(suite.attrib[name]) for suite in root)
    return root


def outcomes(path: Path) -> dict[str, str]:
    """How each case ended: ``passed``, ``failure`` or ``skipped``, by its name."""
    found = {}
    for case in read_junit(path).iter("testcase"):
        ends = [child.tag for child in case if child.tag != "system-out"]
        found[case.attrib["name"]] = ends[0] if ends else "passed"
    return found
