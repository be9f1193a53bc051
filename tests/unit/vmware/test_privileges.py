"""What docs/providers/vmware.md says that the account of a connection may have to do."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyVmomi")

from pyVmomi import VmomiSupport

ROOT = Path(__file__).resolve().parents[3]
PLUGIN = ROOT / "plugins" / "vmware"
OF_PYVMOMI = {"DropConnections"}
"""Methods of pyvmomi's own that are called as one of vSphere's is."""


def privileges() -> dict[str, set[str]]:
    """The privileges that pyvmomi knows for each method of vSphere, whichever object has it."""
    definitions: Any = VmomiSupport
    found: dict[str, set[str]] = {}
    for definition in definitions._managedDefMap.values():
        for method in definition[5] or ():
            found.setdefault(method[1], set()).add(str(method[5]))
    return found


def called() -> set[str]:
    """The names of methods of vSphere in the plugin."""
    known = privileges().keys() - OF_PYVMOMI
    return {
        node.attr
        for path in PLUGIN.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in known and node.attr[:1].isupper()
    }


def listed() -> dict[str, str]:
    """The rows of the table by the methods in them."""
    text = (ROOT / "docs" / "providers" / "vmware.md").read_text(encoding="utf-8")
    section = text.partition("## Privileges\n")[2].partition("\n## ")[0]
    rows: dict[str, str] = {}
    for row in section.splitlines():
        for name in re.findall(r"`(\w+)`", row.rpartition(" | ")[2]):
            rows[name] = rows.get(name, "") + row
    return rows


def test_every_method_that_is_called_is_listed() -> None:
    assert sorted(called()) == sorted(listed())


def test_what_a_method_requires_is_listed_beside_it() -> None:
    rows, known = listed(), privileges()
    missing = {
        name: sorted(known[name])
        for name in called()
        if not any(wanted in rows.get(name, "") for wanted in known[name])
        and not known[name] & {"None", "System.Anonymous", "System.View"}
    }
    assert {} == missing
