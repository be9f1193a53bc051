"""Questions that a machine of vSphere asks in the middle of a task, which waits for the answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from provisioner.core.clock import Deadline
from provisioner.providers.api import Change, Resource, Retryable
from tests.lab.fixtures import simulated
from tests.lab.vcsim import Options, Vcsim
from tests.lab.vcsim_rules import Act
from tests.live.vspherelab import MIB, session, soon

pytest.importorskip("pyVmomi")

from provisioner_plugins.vmware.wire import tasks
from tests.live.test_vsphere_storage import Stack

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("vsphere-questions")]

LOCKED = "msg.cdromdisconnect.locked"


@pytest.fixture(scope="module")
def vcsim() -> Iterator[Vcsim]:
    with simulated(Options(machines=0)) as started:
        yield started


@pytest.fixture
def reports() -> list[str]:
    return []


@pytest.fixture
def stack(vcsim: Vcsim, reports: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    monkeypatch.setattr(tasks, "_PATIENT_SECONDS", 0.0)
    with session(vcsim, storagePool="LocalDS_0", reports=reports) as opened:
        made = Stack(opened)
        made.create(made.has("StoragePool", "pool", type="dir", path=str(vcsim.directory / "pool")))
        yield made
        vcsim.release()
        made.clear()


@pytest.fixture
def web(vcsim: Vcsim, stack: Stack) -> Resource:
    """A machine that runs, with an image in its drive."""
    path = vcsim.directory / "setup.iso"
    path.write_bytes(b"i" * MIB)
    stack.create(stack.has("Image", "setup", pool="pool", source={"file": str(path)}, format="iso"))
    drives = {"cd": {"image": "setup"}}
    machine = stack.has("VirtualMachine", "web", memory={"size": 64 * MIB}, cdroms=drives)
    return stack.create(machine)


def update(stack: Stack, web: Resource, change: Change, deadline: Deadline) -> Any:
    spec = {**web.spec, "cdroms": {"cd": {}}} if change.path[0] == "cdroms" else web.spec
    wanted = replace(web, spec=spec)
    stack.opened.update(wanted, stack.sees(web), [change], restart=False, deadline=deadline)
    return stack.sees(wanted).spec


EJECT = Change(("cdroms", "cd", "image"), "setup", None)
DESCRIBE = Change(("description",), None, "new")


def test_a_drive_that_the_guest_has_locked_is_emptied(
    vcsim: Vcsim, stack: Stack, web: Resource
) -> None:
    with vcsim.fault("ReconfigVM_Task", Act.ASK, question=LOCKED):
        found = update(stack, web, EJECT, soon())
    assert "image" not in found["cdroms"]["cd"]


@pytest.mark.parametrize(
    "asked", [(EJECT, "msg.disk.full"), (DESCRIBE, LOCKED)], ids=["other", "not of our change"]
)
def test_a_question_that_nobody_answers_is_told(
    vcsim: Vcsim, stack: Stack, web: Resource, reports: list[str], asked: tuple[Change, str]
) -> None:
    change, question = asked
    vcsim.reset_counts()
    with (
        vcsim.fault("ReconfigVM_Task", Act.ASK, question=question),
        pytest.raises(Retryable) as caught,
    ):
        update(stack, web, change, soon(0.5))
    told = caught.value.diagnostic
    assert "PRV5308" == told.code
    assert told.summary.endswith("the machine waits for an answer")
    assert "It asks: the guest is in the way. Go on? (Yes or No)" == told.detail
    assert 1 == len([text for text in reports if "the machine asks: " in text])
    assert 0 == vcsim.counts().get("AnswerVM", 0)
