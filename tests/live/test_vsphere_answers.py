"""What is read of an answer of the property collector is what pyvmomi itself reads of it."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from http.client import HTTPException
from types import SimpleNamespace
from typing import Any

import pytest
from pyVmomi import vim, vmodl

from provisioner_plugins.vmware.machine.properties import OF_ONE
from provisioner_plugins.vmware.wire import answers
from tests.conformance.provider.vmware_outside import Connected, connected
from tests.lab.vcsim import Vcsim
from tests.lab.vcsim_rules import Act

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("vsphere-memory")]

_Collector = vmodl.query.PropertyCollector
_PROPERTIES = {
    vim.VirtualMachine: [*OF_ONE, "summary", "runtime", "snapshot", "datastore", "config.modified"],
    vim.HostSystem: ["name", "overallStatus", "summary", "config.network", "vm", "no.such"],
    vim.Datastore: ["info", "host", "summary.freeSpace", "summary.accessible"],
    vim.Folder: ["childEntity", "childType", "customValue", "parent"],
    vim.ClusterComputeResource: ["configurationEx", "effectiveRole"],
    vim.Network: ["summary", "host"],
}


def request(there: Connected) -> tuple[Any, Any]:
    view = there.content.viewManager.CreateContainerView(
        container=there.content.rootFolder, type=[], recursive=True
    )
    below = _Collector.TraversalSpec(type=vim.view.ContainerView, path="view", skip=False)
    spec = _Collector.FilterSpec(
        objectSet=[_Collector.ObjectSpec(obj=view, skip=True, selectSet=[below])],
        propSet=[
            _Collector.PropertySpec(type=kind, pathSet=paths) for kind, paths in _PROPERTIES.items()
        ],
    )
    return [spec], _Collector.RetrieveOptions(maxObjects=3)


def shown(value: Any) -> tuple[type, str]:
    return type(value), str(value)


def ours(there: Connected) -> Iterator[tuple[str, Any, Any]]:
    collector = there.content.propertyCollector
    answer = answers.ask(collector, "RetrievePropertiesEx", *request(there))
    while True:
        for item in answer.items:
            values = {path: shown(value) for path, value in item.values.items()}
            yield f"{item.kind.__name__}:{item.moid}", values, [str(m) for m in item.missing]
        if not answer.token:
            return
        answer = answers.ask(collector, "ContinueRetrievePropertiesEx", answer.token)


def theirs(there: Connected) -> Iterator[tuple[str, Any, Any]]:
    collector = there.content.propertyCollector
    answer = collector.RetrievePropertiesEx(*request(there))
    while answer is not None:
        for item in answer.objects:
            values = {p.name: shown(p.val) for p in item.propSet if p.val is not None}
            missing = [str(m) for m in item.missingSet or ()]
            yield f"{type(item.obj).__name__}:{item.obj._GetMoId()}", values, missing
        token = answer.token
        answer = collector.ContinueRetrievePropertiesEx(token) if token else None


def test_pages_of_all_sorts_of_values(vcsim_vcenter: Vcsim) -> None:
    with connected(vcsim_vcenter) as there:
        expected = list(theirs(there))
        assert len(expected) > 10
        assert expected == list(ours(there))


class Packing:
    """A connection whose answers are compressed, as a vCenter's are if they may."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def getresponse(self) -> Any:
        response = self._connection.getresponse()
        body = io.BytesIO(gzip.compress(response.read()))
        return SimpleNamespace(status=response.status, read=body.read, getheader=lambda *_: "gzip")


def test_compressed_answer_is_read(vcsim_vcenter: Vcsim, monkeypatch: pytest.MonkeyPatch) -> None:
    with connected(vcsim_vcenter) as there:
        expected = list(ours(there))
        asked = request(there)
        collector, stub = there.content.propertyCollector, there.instance._stub
        monkeypatch.setattr(stub, "GetConnection", lambda get=stub.GetConnection: Packing(get()))
        answer = answers.ask(collector, "RetrievePropertiesEx", *asked)
    found = [f"{item.kind.__name__}:{item.moid}" for item in answer.items]
    assert [name for name, _, _ in expected][: len(found)] == found
    assert found


@pytest.mark.parametrize("act", [Act.FAULT, Act.STATUS])
def test_refusal_is_raised_as_pyvmomi_raises_it(vcsim_vcenter: Vcsim, act: Act) -> None:
    found = []
    for read in (theirs, ours):
        refused = vcsim_vcenter.fault("RetrievePropertiesEx", act, fault="NoPermission")
        with connected(vcsim_vcenter) as there, refused:
            with pytest.raises((vim.fault.NoPermission, HTTPException)) as caught:
                list(read(there))
            found.append(shown(caught.value))
    assert found[0] == found[1]
