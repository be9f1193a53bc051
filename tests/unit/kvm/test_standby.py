"""The mark of a machine that stands by, in a definition."""

from __future__ import annotations

import pytest

from provisioner_plugins._libvirt.xml import element, parse, serialize
from provisioner_plugins.kvm.domain import standby
from provisioner_plugins.kvm.domain.standby import StandbyMark

MARK = StandbyMark("it runs <elsewhere>", "2026-03-01T04:05:06Z", autostart=True)


def test_it_is_read_as_it_was_written_and_stands_once() -> None:
    definition = element("domain")
    for mark in (MARK, MARK._replace(autostart=False), MARK):
        standby.write(definition, mark)
        definition = parse(serialize(definition))
        assert mark == standby.read(definition)
    standby.write(definition, None)
    assert standby.read(definition) is None


def test_a_damaged_one_counts() -> None:
    definition = parse(
        f"<domain><metadata><x:standby xmlns:x='{standby.NAMESPACE}'/></metadata></domain>"
    )
    assert StandbyMark("", "an unknown time", autostart=False) == standby.read(definition)


def test_a_reason_is_written_without_what_xml_cannot_hold() -> None:
    definition = element("domain")
    standby.write(definition, MARK._replace(reason="a\x00b\nc"))
    assert MARK._replace(reason="a b c") == standby.read(parse(serialize(definition)))


@pytest.mark.parametrize(
    ("mark", "runs", "fields"),
    [
        (MARK, False, {("autostart",), ("power",)}),
        (MARK, True, {("autostart",)}),
        (None, False, set()),
    ],
)
def test_one_that_runs_all_the_same_may_be_stopped(
    mark: StandbyMark | None, runs: bool, fields: set[tuple[str, ...]]
) -> None:
    assert fields == set(standby.withheld(mark, runs=runs))


def test_the_refusal_quotes_the_name_for_a_shell() -> None:
    assert "virsh metadata 'my web' --uri" in standby.refusal("my web", "V/web", MARK).hint
