"""Rules about drift in the Stack manifest: what they mean, and what is wrong with them."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from provisioner.core.fieldpattern import FieldPattern
from tests.unit.manifest.stacks import BASE, check, load_stack, one

RULE = "{address: Disk, field: size, reason: known, until: 2027-01-31}"


def stack(*rules: str) -> str:
    """A stack with these rules, each on a line of its own."""
    lines = "".join(f"\n      - {rule}" for rule in rules)
    return BASE.replace("spec: {}", f"spec:\n  drift:\n    ignore:{lines}")


def test_a_rule_is_read_with_its_place(tmp_path: Path) -> None:
    other = "{address: 'Virtual*/w*', field: 'nics.*.mac', reason: r, until: 2026-02-28}"
    first, second = load_stack(tmp_path, {"a.yaml": stack(RULE, other)}).ignore
    assert ("Disk/*", "size", "known", date(2027, 1, 31), 7) == (
        str(first.address),
        str(first.field),
        first.reason,
        first.until,
        first.source.line,
    )
    assert ("Virtual*/w*", "nics.*.mac", 8) == (
        str(second.address),
        str(second.field),
        second.source.line,
    )


@pytest.mark.parametrize("key", ["address", "field", "reason", "until"])
def test_all_of_it_is_needed(tmp_path: Path, key: str) -> None:
    parts = RULE.strip("{}").split(", ")
    rest = ", ".join(part for part in parts if not part.startswith(key))
    found = one(tmp_path, stack(f"§{{{rest}}}"), "PRV1105")
    assert f"the field '{key}' is missing in spec.drift.ignore[0]" == found.summary


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("address: §Dsk", "PRV1102"),
        ("address: §disk", "PRV1107"),
        ("field: §a..b", "PRV1107"),
        ("field: §'**.size'", "PRV1107"),
        ("reason: §''", "PRV1109"),
        ("until: §tomorrow", "PRV1107"),
        ("until: §2027-02-30", "PRV1107"),
        ("until: §2027-1-31", "PRV1107"),
    ],
)
def test_what_is_wrong_is_shown_where_it_stands(tmp_path: Path, written: str, code: str) -> None:
    key = written.partition(":")[0]
    parts = RULE.strip("{}").split(", ")
    rule = ", ".join(written if part.startswith(key) else part for part in parts)
    check(tmp_path, stack(f"{{{rule}}}"), code)


@pytest.mark.parametrize(
    ("address", "field", "hint"),
    [
        ("VirtualMachine", "memory.§siez", "Did you mean 'memory.size'?"),
        ("VirtualMachine/web*", "§memroy", "Did you mean 'memory'?"),
        ("VirtualMachine", "§memroy.**", "Did you mean 'memory'?"),
        ("VirtualMachine", "nics.*.§modle", "Did you mean 'nics[*].model'?"),
        ("VirtualMachine", "memory.size.§bytes", ""),
        ("'*'", "§sizze", "Did you mean 'size'?"),
        ("Disk", "§memory.size", ""),
    ],
)
def test_a_field_that_no_kind_has_is_shown(
    tmp_path: Path, address: str, field: str, hint: str
) -> None:
    rule = f"{{address: {address}, field: '{field}', reason: known, until: 2027-01-31}}"
    assert hint == one(tmp_path, stack(rule), "PRV1103").hint


@pytest.mark.parametrize(
    ("address", "field"),
    [
        ("VirtualMachine", "nics.*.model"),
        ("VirtualMachine", "nics[lan].**"),
        ("VirtualMachine", "me*.size"),
        ("VirtualMachine", "labels[app.example/x]"),
        ("VirtualMachine", "tenant"),
        ("VirtualMachine", "cloudInit.metaData[any.thing]"),
        ("VirtualMachine", "native.kvm.fragments.x.y"),
        ("VirtualMachine", "native.**"),
        ("*/web", "memory.size"),
        ("Disk", "**"),
        ("Host", "anything"),
    ],
)
def test_what_a_kind_has_or_may_have_is_not(tmp_path: Path, address: str, field: str) -> None:
    rule = f"{{address: '{address}', field: '{field}', reason: known, until: 2027-01-31}}"
    assert 1 == len(load_stack(tmp_path, {"a.yaml": stack(rule)}).ignore)


# Patterns of fields


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("memory.size", ("memory", "size"), True),
        ("memory.size", ("memory",), False),
        ("memory", ("memory", "size"), False),
        ("memory.*", ("memory", "size"), True),
        ("memory.*", ("memory",), False),
        ("memory.*", ("memory", "a", "b"), False),
        ("memory.**", ("memory",), True),
        ("memory.**", ("memory", "a", "b"), True),
        ("memory.**", ("cpu",), False),
        ("nics.*.mac", ("nics", "lan", "mac"), True),
        ("nics[lan].mac", ("nics", "lan", "mac"), True),
        ("nics.lan*.mac", ("nics", "lan-2", "mac"), True),
        ("labels[app.example/x y]", ("labels", "app.example/x y"), True),
        ("labels[app.example/*]", ("labels", "app.example/x"), True),
        ("Memory.size", ("memory", "size"), False),
        ("*", (), False),
        ("*.**", (), False),
        ("**", (), True),
        ("**", ("memory", "size"), True),
    ],
)
def test_patterns_of_fields(pattern: str, path: tuple[str, ...], *, matches: bool) -> None:
    assert matches is FieldPattern.parse(pattern).matches(path)


@pytest.mark.parametrize(
    "text",
    ["", ".", ".a", "a.", "a..b", "**.a", "a.**.b", "a**", "a[b", "a]", "a.[b]", "a b", "a[b]c"],
)
def test_what_is_no_pattern(text: str) -> None:
    with pytest.raises(ValueError, match="is not a pattern of fields"):
        FieldPattern.parse(text)
