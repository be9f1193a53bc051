"""A machine that stands by is not started on the ways that vSphere has beside those of every
provider, until the mark is taken away.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from provisioner.core.actions import Impact
from provisioner.providers.api import Change, Present, Resource, Terminal
from tests.lab.vcsim import Vcsim
from tests.live.vspherelab import machine, resource, session, soon

pytest.importorskip("pyVmomi")

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("vsphere-standby")]

WHY = 'it runs at the other site: "B" & co'
SUSPENDED = machine("stands-by", power="suspended", shutdownTimeout=0)


@pytest.fixture
def opened(vcsim_vcenter: Vcsim) -> Iterator[Any]:
    """A session to a vCenter with a machine that is off and stands by."""
    with session(vcsim_vcenter) as made:
        made.create(with_power("stopped"), soon())
        made.stand_by(SUSPENDED, WHY, soon())
        yield made
        made.take_over(SUSPENDED, soon())
        made.delete(SUSPENDED, soon())


def with_power(power: str) -> Resource:
    return replace(SUSPENDED, spec={**SUSPENDED.spec, "power": power})


def seen(opened: Any) -> Present:
    found = opened.observe([SUSPENDED])[SUSPENDED.address]
    assert isinstance(found, Present)
    return found


def start_by_hand(opened: Any) -> None:
    """As somebody does who looks at no marks."""
    opened._site.run("start", lambda _: entity(opened).PowerOnVM_Task(None), soon())


def entity(opened: Any) -> Any:
    return opened._client.content.searchIndex.FindByUuid(
        uuid=str(SUSPENDED.uid), vmSearch=True, instanceUuid=True
    )


def refusal(call: Any) -> str:
    with pytest.raises(Terminal) as caught:
        call()
    return caught.value.diagnostic.code


def test_it_is_not_started_to_be_suspended(opened: Any) -> None:
    assert "PRV5343" == refusal(lambda: opened.power(SUSPENDED, "suspended", soon()))
    assert "stopped" == seen(opened).spec["power"]


def test_a_snapshot_does_not_take_the_mark_away(opened: Any) -> None:
    known = replace(SUSPENDED, external_id=str(SUSPENDED.uid))
    related = {SUSPENDED.address: known}
    spec = {"machine": SUSPENDED.name}
    snapshot = resource("Snapshot", "before", spec, related=related)
    made = opened.create(snapshot, soon())
    recorded = replace(snapshot, external_id=made.external_id)
    assert "PRV5343" == refusal(lambda: opened.revert(recorded, soon()))


def test_one_that_was_started_by_hand_is_stopped_and_not_restarted(opened: Any) -> None:
    start_by_hand(opened)
    assert {} == seen(opened).withheld
    wanted = machine("stands-by", power="running", shutdownTimeout=0, firmware={"type": "uefi"})
    change = Change(("firmware", "type"), "bios", "uefi", Impact.RESTART)

    def restart() -> None:
        opened.update(wanted, seen(opened), [change], restart=True, deadline=soon())

    assert "PRV5343" == refusal(restart)
    assert "running" == seen(opened).spec["power"]
    opened.power(SUSPENDED, "stopped", soon())
    assert [("power",)] == [*seen(opened).withheld]


def test_the_mark_of_a_running_machine_is_not_written(opened: Any) -> None:
    opened.take_over(SUSPENDED, soon())
    start_by_hand(opened)
    assert "PRV5344" == refusal(lambda: opened.stand_by(SUSPENDED, WHY, soon()))
    assert {} == opened.standing_by([SUSPENDED])
    opened.power(SUSPENDED, "stopped", soon())


def test_the_first_mark_tells_since_when(opened: Any) -> None:
    before = seen(opened).withheld["power",]
    opened.stand_by(SUSPENDED, "another reason", soon())
    assert before.partition(": ")[0] == seen(opened).withheld["power",].partition(": ")[0]
    assert {SUSPENDED.address: "another reason"} == opened.standing_by([SUSPENDED])
