"""Connection URIs, as ``discover`` takes them: whose one is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from provisioner_plugins import kvm, memory


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
