"""What is asked of a vCenter: a plan makes some requests, however many machines there are; a
creation makes those that its tasks need, and all tasks are awaited together.

The simulator counts the requests, so nothing that the plugin does escapes the count.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from provisioner.providers.api import Resource
from provisioner.service.apply import apply_plan
from provisioner.service.layout import CachePlace
from provisioner.service.model import Event, StopSignal
from provisioner.service.plan import PlanChoices, make_plan
from provisioner.service.workspace import Workspace
from provisioner_plugins.vmware.session import VmwareSession
from provisioner_plugins.vmware.wire import sweep, tasks
from provisioner_plugins.vmware.wire.sweep import Row, look
from tests.bench import vsphere_stack
from tests.lab.vcsim import Options, Vcsim
from tests.lab.vcsim_rules import Act
from tests.live.vspherelab import machine, session, soon

pytest.importorskip("pyVmomi")
pytestmark = [pytest.mark.live, pytest.mark.xdist_group("vsphere-calls")]

MOST = 12
"""Requests of a whole plan, the further pages of answers left out."""
PAGES = "ContinueRetrievePropertiesEx"
AT_ONCE = 8


def ignore(_: Event) -> None:
    """Events are of no interest here."""


def workspace(folder: Path, *, remembers: bool) -> Workspace:
    place = CachePlace(folder / "cache", folder / "key")
    environ = {vsphere_stack.PASSWORD: Options().users[0][1]}
    cache = place if remembers else None
    return Workspace(folder / "stack", environ=environ, actor="bench", cache=cache)


def apply(
    vcsim: Vcsim, folder: Path, machines: int, *, tags: Mapping[str, str] | None = None
) -> None:
    vsphere_stack.write(folder / "stack", machines, vcsim, tags=tags)
    applying = workspace(folder, remembers=False)
    plan = make_plan(applying, PlanChoices(), ignore)
    assert "done" == apply_plan(applying, plan, ignore, StopSignal()).outcome


def requests(vcsim: Vcsim, folder: Path, *, remembers: bool) -> Counter[str]:
    """Those of a plan that finds nothing to do."""
    vcsim.reset_counts()
    assert () == make_plan(workspace(folder, remembers=remembers), PlanChoices(), ignore).steps
    return Counter(vcsim.reset_counts())


def test_plan_makes_as_many_requests_for_many_machines_as_for_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "PAGE", 50)
    with Vcsim(Options(machines=2)) as vcsim:
        apply(vcsim, tmp_path, 10)
        few = requests(vcsim, tmp_path, remembers=False)
        apply(vcsim, tmp_path, 80)
        many = requests(vcsim, tmp_path, remembers=False)
        requests(vcsim, tmp_path, remembers=True)
        warm = requests(vcsim, tmp_path, remembers=True)
    assert {PAGES} == (many - few).keys()
    assert few.total() <= MOST
    assert {"RetrievePropertiesEx": 1, PAGES: 1} == many - warm


def test_tags_are_read_with_as_many_requests_for_many_machines_as_for_few(tmp_path: Path) -> None:
    """Log in, ask for those of all machines, for the one tag and its category, log out."""
    with Vcsim(Options(machines=2)) as vcsim:
        apply(vcsim, tmp_path, 3, tags={"tier": "web"})
        few = requests(vcsim, tmp_path, remembers=False)
        apply(vcsim, tmp_path, 20, tags={"tier": "web"})
        many = requests(vcsim, tmp_path, remembers=False)
    assert few == many
    assert few.total() <= MOST
    assert 5 == sum(count for name, count in few.items() if " /api/" in name)


def test_machine_that_is_made_is_read_once(vcsim_vcenter: Vcsim) -> None:
    made = [machine(f"counted{number}", power="running") for number in range(AT_ONCE)]
    first = machine("first", power="stopped")
    with session(vcsim_vcenter) as opened:
        # It looks for creations that an earlier session has begun in the folder, and at the places.
        create(opened, [first])
        vcsim_vcenter.reset_counts()
        create(opened, made)
        counts = Counter(vcsim_vcenter.reset_counts())
        remove(opened, [first, *made])
    reads = counts.pop("RetrievePropertiesEx")
    assert dict.fromkeys(("FindByUuid", "CreateVM_Task", "PowerOnVM_Task"), AT_ONCE) == counts
    # Each machine, and at most a look for each of two tasks.
    assert reads <= AT_ONCE + 2 * AT_ONCE


def test_all_tasks_are_awaited_with_one_look_at_a_time(
    vcsim_vcenter: Vcsim, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = Looks()
    first = machine("first", power="stopped")
    made = [machine(f"awaited{number}", power="stopped") for number in range(AT_ONCE)]
    with session(vcsim_vcenter) as opened, ThreadPoolExecutor(1) as beside:
        create(opened, [first])
        monkeypatch.setattr(tasks, "look", looks)
        with vcsim_vcenter.fault("CreateVM_Task", Act.HOLD, times=0):
            creating = beside.submit(create, opened, made)
            for_all = looks.for_all.wait(30)
            vcsim_vcenter.release()
            creating.result()
        remove(opened, [first, *made])
    assert for_all
    assert 1 == looks.most_at_once


class Looks:
    """Looks at tasks, and notes how many are made at once, and when one is made for all."""

    def __init__(self) -> None:
        self.for_all = threading.Event()
        self.most_at_once = 0
        self._lock = threading.Lock()
        self._now = 0

    def __call__(self, client: Any, what: str, objects: Iterable[Any], wanted: Any) -> list[Row]:
        asked = list(objects)
        with self._lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            return look(client, what, asked, wanted)
        finally:
            with self._lock:
                self._now -= 1
            if len(asked) == AT_ONCE:
                self.for_all.set()


def create(opened: VmwareSession, resources: Sequence[Resource]) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda resource: opened.create(resource, soon()), resources))


def remove(opened: VmwareSession, resources: Sequence[Resource]) -> None:
    for resource in resources:
        opened.delete(resource, soon())
