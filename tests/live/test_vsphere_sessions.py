"""A session that ends in the middle of things is never taken for an empty endpoint.

The session ends before the first, the second, the third call of an operation, and so on until the
operation makes no more of them; each time it has to give the same as with a session that lasts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from provisioner.core.diagnostics import Diagnostic
from provisioner.providers.api import Absent, Present, Resource, Retryable, Undetermined
from provisioner_plugins.vmware.storage.file import own_path
from tests.lab.vcsim import Vcsim
from tests.lab.vcsim_rules import Act
from tests.live.vspherelab import MIB, machine, resource, session, soon

pytest.importorskip("pyVmomi")
sweep = pytest.importorskip("provisioner_plugins.vmware.wire.sweep")
pytestmark = [pytest.mark.live, pytest.mark.xdist_group("vsphere-sessions")]

_CALLS = ".*"
_MOST = 60


def _at_every_call(vcsim: Vcsim, act: Act, operation: Callable[[], None]) -> int:
    """Do it again and again, with the n-th call going wrong; how many calls there were."""
    for number in range(_MOST):
        with vcsim.fault(_CALLS, act, skip=number) as rule:
            operation()
            if rule.hits == 0:
                return number
    raise AssertionError(f"more than {_MOST} calls")


@pytest.fixture
def made(vcsim_vcenter: Vcsim) -> Any:
    with session(vcsim_vcenter) as opened:
        resource = machine("lasting", power="stopped")
        opened.create(resource, soon())
        yield resource
        opened.delete(resource, soon())


@pytest.mark.parametrize("act", [Act.EXPIRE, Act.REFUSE, Act.LOSE, Act.CUT])
def test_what_is_there_is_never_absent(vcsim_vcenter: Vcsim, made: Resource, act: Act) -> None:
    missing = machine("missing")

    def observe() -> None:
        found = opened.observe([made, missing])
        assert isinstance(found[made.address], Present)
        assert Absent() == found[missing.address]

    with session(vcsim_vcenter) as opened:
        calls = _at_every_call(vcsim_vcenter, act, observe)
    assert calls > 3


@pytest.mark.parametrize("act", [Act.EXPIRE])
def test_a_session_that_ends_while_machines_are_made(vcsim_vcenter: Vcsim, act: Act) -> None:
    resource = machine("short-lived", power="running")

    def make_and_remove() -> None:
        created = opened.create(resource, soon())
        assert str(resource.uid) == created.external_id
        assert 1 == _count(opened, "short-lived")
        opened.delete(resource, soon())
        assert 0 == _count(opened, "short-lived")

    with session(vcsim_vcenter) as opened:
        _at_every_call(vcsim_vcenter, act, make_and_remove)


def test_sessions_that_are_ended_again_and_again(vcsim_vcenter: Vcsim, made: Resource) -> None:
    """Somebody ends the sessions of this user at every call: an error, and still no absence."""
    with (
        session(vcsim_vcenter) as opened,
        vcsim_vcenter.fault("RetrievePropertiesEx", Act.EXPIRE, times=0),
        pytest.raises(Retryable) as caught,
    ):
        opened.observe([made])
    assert "PRV5322" == caught.value.diagnostic.code


def test_a_session_that_another_thread_has_opened_anew(
    vcsim_vcenter: Vcsim, made: Resource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The view that was just read is of the old one: it is not there, and that says nothing."""
    read = sweep._pages
    renewed: list[int] = []
    with session(vcsim_vcenter) as opened:
        client = opened._client

        def renew_after(*arguments: Any) -> Any:
            rows = read(*arguments)
            if not renewed:
                renewed.append(vcsim_vcenter.end_sessions(vcsim_vcenter.user))
                client._log_in_again(client._login)
            return rows

        monkeypatch.setattr(sweep, "_pages", renew_after)
        assert isinstance(opened.observe([made])[made.address], Present)
    assert [1] == [min(1, ended) for ended in renewed]


@pytest.mark.parametrize("known", ["recorded", "of that name"])
def test_a_machine_whose_configuration_nobody_tells(
    vcsim_vcenter: Vcsim, made: Resource, monkeypatch: pytest.MonkeyPatch, known: str
) -> None:
    """The user may not read it, or it is out of reach: a missing property is no absence."""
    read = sweep._row

    def without_configuration(item: Any) -> Any:
        row = read(item)
        if row is None or row.get("name") != made.name:
            return row
        left = {key: value for key, value in row.values.items() if key[:7] != "config."}
        # What is out of reach is shown by the path of its file.
        shown = {"name": "%2fvmfs%2fvolumes%2f1%2flasting.vmx"} if known == "recorded" else {}
        return replace(row, values={**left, **shown})

    monkeypatch.setattr(sweep, "_row", without_configuration)
    target = replace(made, external_id=str(made.uid) if known == "recorded" else None)
    other = machine("another")
    warnings: list[Diagnostic] = []
    with session(vcsim_vcenter, warnings=warnings) as opened:
        found = opened.observe([target, other])
        told = found[target.address]
        assert isinstance(told, Undetermined)
        assert "PRV5329" == told.diagnostic.code
        assert Absent() == found[other.address]
        names = [item.name for item in opened.discover({"VirtualMachine"})]
    assert "lasting" not in names
    assert ["PRV5329"] == [found.code for found in warnings]


@pytest.mark.parametrize(
    "kind", ["Folder", "ResourcePool", "Network", "StoragePool", "Disk", "VirtualMachine"]
)
def test_what_the_user_may_not_see_is_not_absent(
    vcsim_vcenter: Vcsim, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The simulator has no rights: here a view leaves an object out, and its name is denied to who
    asks by its id, as a vCenter does.
    """
    pool = {"type": "dir", "path": str(vcsim_vcenter.directory / "unseen")}
    specs: dict[str, Any] = {
        "VirtualMachine": {"memory": {"size": 64 * MIB}, "power": "stopped"},
        "StoragePool": pool,
        "Network": {"mode": "isolated", "virtualSwitch": "distributed"},
    }
    read = sweep._row

    with session(vcsim_vcenter) as opened:
        place = "StoragePool" if kind == "Disk" else kind
        made = resource(place, "unseen", specs.get(place, {}))
        outcome = opened.create(made, soon())
        made = replace(made, external_id=outcome.external_id, outputs=outcome.outputs)
        moid = outcome.outputs.get("id", outcome.external_id)

        def hidden(item: Any) -> Any:
            row = read(item)
            if row is None or row.moid != moid:
                return row
            by_id = "parent" not in row.values
            return replace(row, values={}, denied=frozenset({"name"})) if by_id else None

        disk = resource("Disk", "unseen", {"pool": "unseen"}, related={made.address: made})
        target = (
            replace(disk, external_id=f"{made.external_id}/{own_path(disk)}")
            if kind == "Disk"
            else made
        )
        with monkeypatch.context() as patch:
            patch.setattr(sweep, "_row", hidden)
            told = opened.observe([target])[target.address]
            vcsim_vcenter.reset_counts()
            unrecorded = replace(target, external_id=None)
            assert Absent() == opened.observe([unrecorded])[target.address]
            assert 1 == vcsim_vcenter.counts()["RetrievePropertiesEx"]
        opened.delete(made, soon())
        gone = opened.observe([made])[made.address]
    assert isinstance(told, Undetermined)
    assert "PRV5304" == told.diagnostic.code
    assert Absent() == gone


def _count(opened: Any, name: str) -> int:
    return len([item for item in opened.discover({"VirtualMachine"}) if item.name == name])
