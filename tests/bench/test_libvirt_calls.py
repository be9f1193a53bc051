"""What the plan asks of a libvirt daemon: some lists, however many objects there are, and each
object's definition once.

The calls are counted where libvirt-python hands them to its C module, so nothing that the plugin
does escapes the count.
"""

from collections import Counter
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from provisioner.service.apply import apply_plan
from provisioner.service.model import Event, StopSignal
from provisioner.service.plan import PlanChoices, make_plan
from provisioner.service.workspace import Workspace
from tests.bench import libvirt_stack
from tests.lab.daemon import LibvirtDaemon

pytestmark = pytest.mark.live

LOCAL = ("GetName", "GetUUID", "GetID", "Free", "IsAlive", "Ref")
"""Ends of the names of functions that answer from what the client has already."""
EVENT_LOOP = "virEventRunDefaultImpl"


CONNECTING = {
    "virConnectClose",
    "virConnectGetLibVersion",
    "virConnectOpenAuth",
    "virConnectSetKeepAlive",
    "virGetVersion",
}
"""Once for each connection: there are as many as threads that happen to ask at once."""


def ignore(_: Event) -> None:
    """Events are of no interest here."""


def workspace(folder: Path) -> Workspace:
    return Workspace(folder, environ={}, actor="bench")


def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Calls to the daemon from now on, by the name of the C function."""
    module = pytest.importorskip("libvirtmod")
    calls: Counter[str] = Counter()

    def counting(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*arguments: Any) -> Any:
            calls[name] += 1
            return function(*arguments)

        return call

    for name in dir(module):
        if name.startswith("vir") and not name.endswith(LOCAL) and name != EVENT_LOOP:
            monkeypatch.setattr(module, name, counting(name, getattr(module, name)))
    return calls


def plan_calls(daemon: LibvirtDaemon, folder: Path, objects: int) -> Counter[str]:
    """Calls of a no-op plan once the stack has so many machines, and as many disks."""
    libvirt_stack.write(folder, objects, daemon.uri, daemon.directory / "volumes")
    applying = workspace(folder)
    plan = make_plan(applying, PlanChoices(), ignore)
    assert "done" == apply_plan(applying, plan, ignore, StopSignal()).outcome
    with pytest.MonkeyPatch.context() as monkeypatch:
        calls = counted(monkeypatch)
        assert () == make_plan(workspace(folder), PlanChoices(), ignore).steps
    return Counter({name: count for name, count in calls.items() if name not in CONNECTING})


def test_plan_reads_each_definition_once_and_asks_nothing_else_more_often(
    libvirt_session: LibvirtDaemon, tmp_path: Path
) -> None:
    few = plan_calls(libvirt_session, tmp_path, 2)
    many = plan_calls(libvirt_session, tmp_path, 22)
    assert 2 == few["virDomainGetXMLDesc"]
    assert 2 == few["virStorageVolGetXMLDesc"]
    assert {"virDomainGetXMLDesc": 20, "virStorageVolGetXMLDesc": 20} == many - few
    assert {} == few - many
