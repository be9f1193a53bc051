"""The floor of a plan on a vCenter: what pyvmomi itself costs to read the same properties.

    python -m tests.bench.vsphere_floor HOST PORT USER PASSWORD CA

Log in, sweep all machines once with the property collector, log out, and nothing else: no
manifest, no state, no comparison.
"""

from __future__ import annotations

import ssl
import sys
from typing import Any

from pyVmomi import SoapStubAdapter, vim, vmodl

from provisioner_plugins.vmware.machine.properties import OF_ONE
from provisioner_plugins.vmware.wire.sweep import PAGE

_Collector = vmodl.query.PropertyCollector


def main(host: str, port: str, user: str, password: str, ca: str) -> None:
    """Read them, and say how many machines there are."""
    stub = SoapStubAdapter(
        host,
        int(port),
        version="vim.version.v8_0_3_0",
        sslContext=ssl.create_default_context(cafile=ca),
    )
    content: Any = vim.ServiceInstance("ServiceInstance", stub).RetrieveContent()
    content.sessionManager.Login(user, password)
    sys.stdout.write(f"{_machines(content)}\n")
    content.sessionManager.Logout()


def _machines(content: Any) -> int:
    view = content.viewManager.CreateContainerView(
        container=content.rootFolder, type=[vim.VirtualMachine], recursive=True
    )
    below = _Collector.TraversalSpec(type=vim.view.ContainerView, path="view", skip=False)
    spec = _Collector.FilterSpec(
        objectSet=[_Collector.ObjectSpec(obj=view, skip=True, selectSet=[below])],
        propSet=[_Collector.PropertySpec(type=vim.VirtualMachine, pathSet=list(OF_ONE))],
    )
    collector = content.propertyCollector
    answer = collector.RetrievePropertiesEx([spec], _Collector.RetrieveOptions(maxObjects=PAGE))
    found = 0
    while answer is not None:
        found += len(answer.objects)
        token = answer.token
        answer = collector.ContinueRetrievePropertiesEx(token) if token else None
    view.DestroyView()
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
