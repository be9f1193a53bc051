"""The vSphere simulator of the lab: its inventory, its end, and that each rule does what it says,
as pyvmomi sees it.
"""

import contextlib
import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

import pytest

from tests.lab import cache, golang, vcsim
from tests.lab.launcher import LabError, runs
from tests.lab.vcsim import Options, Tls, Vcsim
from tests.lab.vcsim_rules import Act

sdk = pytest.importorskip("pyVmomi")
vim, vmodl = sdk.vim, sdk.vmodl
connect = pytest.importorskip("pyVim.connect")
WaitForTask = pytest.importorskip("pyVim.task").WaitForTask

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("vcsim")]

ADMINISTRATOR, OPERATOR = [name for name, _ in Options().users]
NO_PERMISSION: dict[str, Any] = {
    "fault": "NoPermission",
    "details": {"privilegeId": "VirtualMachine.Config.Memory"},
}


@contextlib.contextmanager
def connected(to: Vcsim, user: str | None = None, *, timeout: float = 30.0) -> Iterator[Any]:
    """The content of a service that a user is logged in to."""
    stub = sdk.SoapStubAdapter(
        to.host,
        to.port,
        version="vim.version.v8_0_3_0",
        sslContext=ssl.create_default_context(cafile=to.ca),
        httpConnectionTimeout=timeout,
    )
    try:
        content = vim.ServiceInstance("ServiceInstance", stub).RetrieveContent()
        content.sessionManager.Login(user or to.user, to.password)
        yield content
        with contextlib.suppress(vim.fault.NotAuthenticated):
            content.sessionManager.Logout()
    finally:
        stub.DropConnections()


@pytest.fixture
def content(vcsim_vcenter: Vcsim) -> Iterator[Any]:
    with connected(vcsim_vcenter) as found:
        yield found


@pytest.fixture
def made(content) -> Iterator[list]:
    """What a test makes, to be destroyed after it."""
    objects: list = []
    yield objects
    for each in objects:
        WaitForTask(each.Destroy_Task())


@pytest.fixture
def own() -> Iterator[Callable[[Options], Vcsim]]:
    """A simulator that a test does not share."""
    if reason := vcsim.unavailable():
        pytest.skip(reason)
    with contextlib.ExitStack() as stack:
        yield lambda options: stack.enter_context(Vcsim(options))


def machine_folder(content) -> Any:
    return content.rootFolder.childEntity[0].vmFolder


def machine_names(content) -> list[str]:
    return sorted(child.name for child in machine_folder(content).childEntity)


def create(content, name: str) -> Any:
    """The task that creates a machine without devices."""
    pool = content.rootFolder.childEntity[0].hostFolder.childEntity[0].resourcePool
    files = vim.vm.FileInfo(vmPathName="[LocalDS_0]")
    return machine_folder(content).CreateVM_Task(vim.vm.ConfigSpec(name=name, files=files), pool)


def sweep(content, *properties: str) -> list[Any]:
    """What one request reads of all machines."""
    collector = vmodl.query.PropertyCollector
    view = content.viewManager.CreateContainerView(
        content.rootFolder, [vim.VirtualMachine], recursive=True
    )
    machines = collector.TraversalSpec(
        name="view", path="view", skip=False, type=vim.view.ContainerView
    )
    found = content.propertyCollector.RetrievePropertiesEx(
        [
            collector.FilterSpec(
                objectSet=[collector.ObjectSpec(obj=view, skip=True, selectSet=[machines])],
                propSet=[collector.PropertySpec(type=vim.VirtualMachine, pathSet=list(properties))],
            )
        ],
        collector.RetrieveOptions(),
    )
    view.Destroy()
    return found.objects


def now(content) -> Any:
    return vim.ServiceInstance("ServiceInstance", content.rootFolder._stub).CurrentTime()


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "not within the deadline"
        time.sleep(0.02)


# --- inventory ---


def test_machines_are_spread_and_read_whole(own) -> None:
    simulator = own(Options(machines=5, clusters=1, pools=1, hosts=1, datacenters=2))
    with connected(simulator) as content:
        machines = [
            {change.name: change.val for change in found.propSet}
            for found in sweep(content, "name", "runtime", "summary", "config")
        ]
    assert [
        "DC0_C0_RP1_VM0",
        "DC0_C0_RP1_VM1",
        "DC0_H0_VM0",
        "DC1_C0_RP1_VM0",
        "DC1_H0_VM0",
    ] == sorted(machine["name"] for machine in machines)
    assert {("poweredOn", "notConfigured", "inactive")} == {
        (runtime.powerState, runtime.faultToleranceState, runtime.recordReplayState)
        for machine in machines
        for runtime in (machine["runtime"], machine["summary"].runtime)
    }


@pytest.mark.parametrize(
    ("simulator", "kind"), [("vcsim_vcenter", "VirtualCenter"), ("vcsim_esxi", "HostAgent")]
)
def test_pyvmomi_finds_the_api_version(simulator, kind, request) -> None:
    to = request.getfixturevalue(simulator)
    service = connect.SmartConnect(
        host=to.host,
        port=to.port,
        user=to.user,
        pwd=to.password,
        sslContext=ssl.create_default_context(cafile=to.ca),
    )
    about = service.RetrieveContent().about
    version = service._stub.version
    connect.Disconnect(service)
    service._stub.DropConnections()
    assert (kind, "8.0.3", "vim.version.v8_0_3_0") == (about.apiType, about.version, version)


def test_only_the_users_that_are_named_may_log_in(vcsim_vcenter) -> None:
    with pytest.raises(vim.fault.InvalidLogin), connected(vcsim_vcenter, "stranger"):
        pass


@pytest.mark.parametrize(
    ("tls", "problem"),
    [(Tls.EXPIRED, "certificate has expired"), (Tls.WRONG_NAME, "IP address mismatch")],
)
def test_a_certificate_is_refused(own, tls, problem) -> None:
    simulator = own(Options(tls=tls, machines=0))
    with pytest.raises(ssl.SSLCertVerificationError, match=problem), connected(simulator):
        pass


def test_every_call_is_delayed(own) -> None:
    simulator = own(Options(machines=0, delay=0.05))
    with connected(simulator) as content:
        start = time.monotonic()
        now(content)
    assert time.monotonic() - start > 0.05


def test_a_second_machine_of_one_name_is_refused(content, made) -> None:
    WaitForTask(create(content, "one/1"))
    made.append(next(m for m in machine_folder(content).childEntity if m.name == "one%2f1"))
    with pytest.raises(vim.fault.DuplicateName) as caught:
        WaitForTask(create(content, "one/1"))
    assert ("one/1", made[0]) == (caught.value.name, caught.value.object)
    assert 1 == machine_names(content).count("one%2f1")


# --- counts and sessions ---


def test_calls_are_counted(vcsim_vcenter, content) -> None:
    vcsim_vcenter.reset_counts()
    now(content)
    now(content)
    assert {"CurrentTime": 2} == vcsim_vcenter.counts()
    assert {"CurrentTime": 2} == vcsim_vcenter.reset_counts()
    assert {} == vcsim_vcenter.counts()


def test_open_sessions_are_seen_and_ended(vcsim_vcenter, content) -> None:
    with connected(vcsim_vcenter, OPERATOR) as other:
        assert [ADMINISTRATOR, OPERATOR] == vcsim_vcenter.sessions()
        assert 1 == vcsim_vcenter.end_sessions(OPERATOR)
        with pytest.raises(vim.fault.NotAuthenticated):
            now(other)
    now(content)
    assert [ADMINISTRATOR] == vcsim_vcenter.sessions()


def test_idle_sessions_expire(own) -> None:
    simulator = own(Options(machines=0, session_timeout=0.1))
    with connected(simulator) as content:
        wait_until(lambda: simulator.sessions() == [])
        with pytest.raises(vim.fault.NotAuthenticated):
            now(content)


# --- rules ---


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ((Act.REFUSE, {}), (http.client.RemoteDisconnected, False)),
        ((Act.LOSE, {}), (http.client.RemoteDisconnected, True)),
        ((Act.CUT, {}), (ExpatError, True)),
        ((Act.STATUS, {"status": 401}), (http.client.HTTPException, False)),
        ((Act.STATUS, {"status": 503}), (http.client.HTTPException, False)),
        ((Act.STATUS, {"status": 500}), (ExpatError, False)),
        ((Act.FAULT, {"fault": "InvalidState"}), (vim.fault.InvalidState, False)),
        ((Act.FAULT, {"fault": "SystemError"}), (vmodl.fault.SystemError, False)),
    ],
)
def test_a_call_goes_wrong_once(vcsim_vcenter, content, made, wrong, expected) -> None:
    (act, settings), (error, done) = wrong, expected
    root = machine_folder(content)
    with vcsim_vcenter.fault("CreateFolder", act, **settings) as rule:
        with pytest.raises(error):
            root.CreateFolder("first")
        made += [child for child in root.childEntity if child.name == "first"]
        assert ["first"] * done == [child.name for child in made]
        made.append(root.CreateFolder("second"))
        assert 1 == rule.hits


def test_a_call_is_late(vcsim_vcenter, content) -> None:
    with (
        connected(vcsim_vcenter, OPERATOR, timeout=0.2) as impatient,
        vcsim_vcenter.fault("CurrentTime", Act.SLEEP, seconds=60.0),
    ):
        with pytest.raises(TimeoutError):
            now(impatient)
        now(content)


def test_a_session_ends_in_front_of_a_sweep(vcsim_vcenter, content) -> None:
    # No fault says so: the machines are there, and nothing of them.
    properties = vmodl.query.PropertyCollector.PropertySpec(
        type=vim.VirtualMachine, pathSet=["name"]
    )
    machine = machine_folder(content).childEntity[0]
    spec = vmodl.query.PropertyCollector.FilterSpec(
        objectSet=[vmodl.query.PropertyCollector.ObjectSpec(obj=machine)], propSet=[properties]
    )
    options = vmodl.query.PropertyCollector.RetrieveOptions()
    with vcsim_vcenter.fault("RetrievePropertiesEx", Act.EXPIRE):
        (found,) = content.propertyCollector.RetrievePropertiesEx([spec], options).objects
    assert ([], [vim.fault.NotAuthenticated]) == (
        found.propSet,
        [type(missing.fault) for missing in found.missingSet],
    )


def test_one_user_lacks_a_permission_on_one_object(vcsim_vcenter, content) -> None:
    first, second, *_ = machine_folder(content).childEntity
    note = vim.vm.ConfigSpec(annotation="")
    with (
        connected(vcsim_vcenter, OPERATOR) as other,
        vcsim_vcenter.fault(
            "Reconfig.*", Act.FAULT, target=first._moId, user=OPERATOR, times=0, **NO_PERMISSION
        ) as rule,
    ):
        as_operator = [
            vim.VirtualMachine(each._moId, other.rootFolder._stub) for each in (first, second)
        ]
        for _ in range(2):
            with pytest.raises(vim.fault.NoPermission) as caught:
                as_operator[0].ReconfigVM_Task(note)
        assert (first._moId, "VirtualMachine.Config.Memory") == (
            caught.value.object._moId,
            caught.value.privilegeId,
        )
        WaitForTask(as_operator[1].ReconfigVM_Task(note))
        WaitForTask(first.ReconfigVM_Task(note))
        assert 2 == rule.hits


def test_the_first_calls_go_well(vcsim_vcenter, content) -> None:
    with vcsim_vcenter.fault("CurrentTime", Act.REFUSE, skip=2, times=2):
        outcomes = []
        for _ in range(5):
            try:
                now(content)
                outcomes.append("well")
            except http.client.RemoteDisconnected:
                outcomes.append("refused")
    assert ["well", "well", "refused", "refused", "well"] == outcomes


def test_a_task_fails(vcsim_vcenter, content) -> None:
    before = machine_names(content)
    with vcsim_vcenter.fault(
        "CreateVM_Task", Act.FAIL, fault="NoDiskSpace", details={"datastore": "a"}
    ):
        task = create(content, "failing")
    with pytest.raises(vim.fault.NoDiskSpace) as caught:
        WaitForTask(task)
    assert "a" == caught.value.datastore
    assert before == machine_names(content)


def test_the_reply_to_a_create_is_lost_while_its_task_runs(vcsim_vcenter, content, made) -> None:
    before = machine_names(content)
    with (
        vcsim_vcenter.fault("CreateVM_Task", Act.LOSE),
        vcsim_vcenter.fault("CreateVM_Task", Act.HOLD),
        pytest.raises(http.client.RemoteDisconnected),
    ):
        create(content, "slow")
    folder = machine_folder(content)
    task = folder.recentTask[-1]
    assert ("running", "Folder.createVm", folder) == (
        task.info.state,
        task.info.descriptionId,
        task.info.entity,
    )
    assert before == machine_names(content)
    with pytest.raises(vim.fault.DuplicateName):
        WaitForTask(create(content, "slow"))
    assert 1 == vcsim_vcenter.release()
    made.append(task.info.result)
    assert ("success", "slow") == (task.info.state, task.info.result.name)
    assert 0 == vcsim_vcenter.release()


def test_a_held_task_fails_as_it_would_have(vcsim_vcenter, content) -> None:
    machine = machine_folder(content).childEntity[0]
    with vcsim_vcenter.fault("PowerOnVM_Task", Act.HOLD):
        task = machine.PowerOnVM_Task()
    vcsim_vcenter.release()
    assert ("error", vim.fault.InvalidPowerState) == (task.info.state, type(task.info.error))


def test_a_cancelled_task_does_nothing(vcsim_vcenter, content) -> None:
    machine = machine_folder(content).childEntity[0]
    with vcsim_vcenter.fault("PowerOffVM_Task", Act.HOLD):
        task = machine.PowerOffVM_Task()
    task.CancelTask()
    vcsim_vcenter.release()
    assert ("error", "poweredOn") == (task.info.state, machine.runtime.powerState)


@pytest.mark.parametrize(
    ("method", "settings", "problem"),
    [("(", {}, "missing closing"), ("x", {"fault": "Nope"}, "invalid discriminator type: Nope")],
)
def test_a_rule_that_cannot_work_is_refused(vcsim_vcenter, method, settings, problem) -> None:
    with pytest.raises(LabError, match=problem):
        vcsim_vcenter.fault(method, Act.FAULT, **{"fault": "InvalidState", **settings})


# --- its end ---


def test_a_panic_leaves_a_lock(own) -> None:
    simulator = own(Options(machines=1))
    with connected(simulator, timeout=0.2) as content:
        (machine,) = machine_folder(content).childEntity
        with simulator.fault("PowerOffVM_Task", Act.PANIC):
            with pytest.raises(http.client.RemoteDisconnected):
                machine.PowerOffVM_Task()
            with pytest.raises(TimeoutError):
                machine.PowerOffVM_Task()


def test_it_starts_anew_on_the_same_port(own) -> None:
    simulator = own(Options(machines=0))
    url = simulator.url
    with connected(simulator) as content:
        WaitForTask(create(content, "lost"))
        simulator.fault("CurrentTime", Act.EXIT)
        # Which end of a connection is told first decides how; one derives from the other.
        with pytest.raises(ConnectionResetError):
            now(content)
        wait_until(lambda: not simulator.runs())
        # A port that is just being given up may still answer with a reset.
        with pytest.raises(ConnectionError):
            now(content)
        simulator.start()
        content.propertyCollector._stub.DropConnections()
        with pytest.raises(vim.fault.NotAuthenticated):
            now(content)
    with connected(simulator) as content:
        assert [] == machine_names(content)
    simulator.kill()
    simulator.start()
    assert url == simulator.url


def test_nothing_is_left_of_an_aborted_run(own) -> None:
    program = """
import time
from tests.lab.vcsim import Options, Tls, Vcsim
simulator = Vcsim(Options(machines=0, tls=Tls.NONE))
simulator.start()
print(simulator.directory, simulator.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"XDG_CACHE_HOME": str(cache.directory().parent)},
    ) as run:
        assert run.stdout is not None
        directory, pid = run.stdout.readline().split()
        assert runs(int(pid))
        os.kill(run.pid, signal.SIGKILL)
    wait_until(lambda: not runs(int(pid)) and not Path(directory).exists())


def test_the_program_ends_with_its_parent(own, tmp_path) -> None:
    command = f"{golang.simulator()} -machines 0 & wait"
    with subprocess.Popen(
        ["/bin/sh", "-c", command],
        stdout=subprocess.PIPE,
        text=True,
        env={"TMPDIR": str(tmp_path)},
    ) as shell:
        assert shell.stdout is not None
        pid = json.loads(shell.stdout.readline())["pid"]
        assert [True] == [path.is_dir() for path in tmp_path.iterdir()]
        shell.kill()
    wait_until(lambda: not runs(pid))
    assert [] == list(tmp_path.iterdir())
