"""What a running or suspended machine does not take, on an endpoint that refuses it: the plan says
so beforehand, and the change is made while the machine is off.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from provisioner.core.actions import Impact
from provisioner.core.values import Json, Path, get_path
from provisioner.providers.api import Change, Present, Resource, Terminal
from provisioner_plugins.vmware.session import VmwareSession
from tests.lab.vcsim import Vcsim
from tests.live.test_vsphere_memory import Kept
from tests.live.vspherelab import MIB, machine, provider_of, session, soon

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("vsphere-power-cycle")]

HOT: dict[str, Any] = {
    "cpu": {"count": 2, "hotAdd": True, "topology": {"sockets": 1, "cores": 2, "threads": 1}},
    "memory": {"size": 64 * MIB, "hotAdd": True},
    "shutdownTimeout": 0,
}


class Running:
    """A machine that runs, or is suspended."""

    def __init__(self, opened: VmwareSession, resource: Resource) -> None:
        self.opened, self.resource = opened, resource

    def seen(self) -> Present:
        found = self.opened.observe([self.resource])[self.resource.address]
        assert isinstance(found, Present)
        return found

    def at(self, path: Path) -> Json:
        value: Json = get_path(self.seen().spec, path)
        return value

    def change(self, path: Path, after: Json, *, restart: bool) -> None:
        change = Change(path, self.at(path), after)
        self.opened.update(self.resource, self.seen(), [change], restart, soon())


@pytest.fixture(params=["running", "suspended"])
def made(request: pytest.FixtureRequest, vcsim_vcenter: Vcsim) -> Iterator[Running]:
    """A machine in both states; with the memory of a session, which keeps what was read of it."""
    resource = machine("cycled", power="running", **HOT)
    with session(vcsim_vcenter, memory=Kept()) as opened:
        opened.create(resource, soon())
        found = Running(opened, resource)
        if request.param == "suspended":
            found.change(("power",), "suspended", restart=True)
        yield found
        opened.delete(resource, soon())


def impact(made: Running, vcsim: Vcsim, path: Path, after: Json) -> tuple[Impact, str]:
    change = Change(path, made.at(path), after)
    [found] = provider_of(vcsim).impact(made.resource, made.seen(), [change])
    return found.impact, found.reason


@pytest.mark.parametrize("made", ["running"], indirect=True)
@pytest.mark.parametrize(
    ("path", "after"), [(("cpu", "count"), 4), (("memory", "size"), 1024 * MIB)]
)
def test_more_is_added_while_it_runs(
    made: Running, vcsim_vcenter: Vcsim, path: Path, after: int
) -> None:
    assert Impact.LIVE is impact(made, vcsim_vcenter, path, after)[0]
    made.change(path, after, restart=False)
    assert (after, "running") == (made.at(path), made.at(("power",)))


@pytest.mark.parametrize("made", ["running"], indirect=True)
@pytest.mark.parametrize(
    ("path", "after", "reason"),
    [
        (("cpu", "count"), 3, "3 processors are no whole sockets of the 2 cores"),
        (("memory", "size"), 1028 * MIB, "since it was started it has room for 1GiB at most"),
        (("memory", "size"), 32 * MIB, "memory cannot be taken away while it runs"),
        (("cpu", "hotAdd"), False, "hot-add is switched on and off while it is off"),
        (("guestOs",), "debian12_64Guest", "its system is said while it is off"),
    ],
)
def test_what_a_running_machine_does_not_take(
    made: Running, vcsim_vcenter: Vcsim, path: Path, after: Json, reason: str
) -> None:
    found = impact(made, vcsim_vcenter, path, after)
    assert (Impact.RESTART, True) == (found[0], found[1].startswith(reason))
    made.change(path, after, restart=True)
    assert (after, "running") == (made.at(path), made.at(("power",)))


@pytest.mark.parametrize("made", ["suspended"], indirect=True)
@pytest.mark.parametrize(
    ("path", "after"),
    [(("cpu", "count"), 4), (("cpu", "shares"), "high"), (("memory", "limit"), 64 * MIB)],
)
def test_what_a_suspended_machine_does_not_take(
    made: Running, vcsim_vcenter: Vcsim, path: Path, after: Json
) -> None:
    assert Impact.RESTART is impact(made, vcsim_vcenter, path, after)[0]
    with pytest.raises(Terminal):
        made.change(path, after, restart=False)
    made.change(path, after, restart=True)
    assert (after, "suspended") == (made.at(path), made.at(("power",)))


@pytest.mark.parametrize("made", ["suspended"], indirect=True)
def test_a_suspended_machine_takes_a_note(made: Running, vcsim_vcenter: Vcsim) -> None:
    assert Impact.LIVE is impact(made, vcsim_vcenter, ("description",), "noted")[0]
    made.change(("description",), "noted", restart=False)
    assert ("noted", "suspended") == (made.at(("description",)), made.at(("power",)))
