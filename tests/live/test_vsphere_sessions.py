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
from tests.lab.vcsim import Vcsim
from tests.lab.vcsim_rules import Act
from tests.live.vspherelab import machine, session, soon

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


def _count(opened: Any, name: str) -> int:
    return len([item for item in opened.discover({"VirtualMachine"}) if item.name == name])
