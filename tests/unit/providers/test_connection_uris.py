"""Connection URIs, as ``discover`` takes them: whose one is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from provisioner.core.diagnostics import ProvisionerError
from provisioner_plugins import kvm, memory, vmware


@pytest.mark.parametrize(
    ("uri", "connection"),
    [
        ("qemu:///system", {"uri": "qemu:///system"}),
        ("qemu+ssh://root@kvm1/system", {"uri": "qemu+ssh://root@kvm1/system"}),
        ("qemus:///system", None),
        ("xen:///system", None),
        ("memory:///a", None),
        ("qemu", None),
    ],
)
def test_libvirts_are_kvms(uri: str, connection: Mapping[str, Any] | None) -> None:
    assert connection == kvm.provider().connection_of(uri)


@pytest.mark.parametrize(
    ("uri", "connection"),
    [
        ("memory:///a/b%20c.jsonl", {"path": "/a/b c.jsonl"}),
        ("memory://", {}),
        ("memory://host/a", None),
        ("qemu:///system", None),
    ],
)
def test_files_are_memorys(uri: str, connection: Mapping[str, Any] | None) -> None:
    assert connection == memory.provider().connection_of(uri)


LOGIN = {
    "server": "vc.example",
    "username": "me@lab",
    "password": {"secretRef": "env://VSPHERE_PASSWORD"},
}
PIN = "5D:8C" * 16


@pytest.mark.parametrize(
    ("behind", "more"),
    [
        ("", {}),
        (":8443/DC%200", {"port": 8443, "datacenter": "DC 0"}),
        (f"?fingerprint={PIN}", {"tls": {"fingerprint": PIN}}),
        ("/DC0?caFile=/etc/vc.pem", {"datacenter": "DC0", "tls": {"caFile": "/etc/vc.pem"}}),
        ("?caFile=vc.pem", {"tls": {"caFile": str(Path("vc.pem").absolute())}}),
    ],
)
def test_a_vcenters_say_how_its_certificate_is_verified(
    behind: str, more: Mapping[str, Any]
) -> None:
    uri = f"vcenter://me%40lab@vc.example{behind}"
    assert {**LOGIN, **more} == vmware.vcenter().connection_of(uri)
    assert vmware.esxi().connection_of(uri) is None


@pytest.mark.parametrize(
    "uri",
    ["vcenter://me:hidden@vc.example", "vcenter://me@vc.example?password=hidden"],
)
def test_no_password_can_stand_in_a_uri(uri: str) -> None:
    with pytest.raises(ProvisionerError) as refused:
        vmware.vcenter().connection_of(uri)
    [told] = refused.value.diagnostics
    assert "PRV5310" == told.code
    assert "hidden" not in f"{told.summary} {told.detail} {told.hint}"
