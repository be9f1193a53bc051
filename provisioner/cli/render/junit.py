"""Findings as JUnit XML, as Jenkins and GitLab read it.

Nobody has standardised it. Written is only what the schema of Jenkins' xUnit plugin (junit-10.xsd)
and that of Maven Surefire (3.0) both allow.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from provisioner.cli.render.diagnostics import render_diagnostic
from provisioner.cli.render.findings import HELD, Checked
from provisioner.cli.render.text import printable
from provisioner.core.diagnostics import Diagnostic, Severity

_COUNTED = ("tests", "failures", "errors", "skipped")


def junit_document(checked: Iterable[Checked]) -> bytes:
    """A suite for each stack and environment, in it a case for each file or resource: failed if an
    error is about it or the gate refuses it, skipped if it is held."""
    root = Element("testsuites", {"name": "provisioner"})
    for item in checked:
        root.append(_suite(item))
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


def _suite(checked: Checked) -> Element:
    suite = Element("testsuite", {"name": printable(f"{checked.command} {checked.name}")})
    classname = printable(".".join([checked.command, *checked.name.split("/")]))
    for name, found in checked.by_subject().items():
        case = SubElement(suite, "testcase", {"name": printable(name), "classname": classname})
        case.set("time", "0")
        _outcome(case, found, checked)
    counts = {
        "tests": len(suite),
        "failures": len(suite.findall("*/failure")),
        "errors": 0,
        "skipped": len(suite.findall("*/skipped")),
    }
    for name in _COUNTED:
        suite.set(name, str(counts[name]))
    suite.set("time", "0")
    return suite


def _outcome(case: Element, found: list[Diagnostic], checked: Checked) -> None:
    wrong = [item for item in found if item.severity is Severity.ERROR]
    held = [item for item in found if item.code == HELD]
    others = [item for item in found if item not in wrong and item not in held]
    if wrong:
        failure = SubElement(case, "failure", {"message": _short(wrong), "type": wrong[0].code})
        failure.text = _text([*wrong, *held], checked)
    elif held:
        SubElement(case, "skipped", {"message": _short(held)})
    if others:
        SubElement(case, "system-out").text = _text(others, checked)


def _short(found: list[Diagnostic]) -> str:
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    # An attribute has no line breaks: XML 1.0, section 3.3.3, makes spaces of them.
    return printable(" ".join(f"{found[0].code}: {found[0].summary}{more}".split()))


def _text(found: list[Diagnostic], checked: Checked) -> str:
    """As on a terminal, with files named from the root of the repository. XML 1.0, section 2.2, has
    no control characters, not even escaped; here they are written as on a terminal, too."""
    lines: list[str] = []
    for item in found:
        source = item.source
        if source is not None:
            source = source._replace(file=checked.file(source.file))
        lines += [*render_diagnostic(replace(item, source=source), 100), ""]
    return printable("\n".join(lines))
