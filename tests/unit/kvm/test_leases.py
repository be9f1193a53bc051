"""Hosts that can hold no leases: their connection reaches no shell, or there is no flock."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

libvirt = pytest.importorskip("libvirt")

from provisioner.core.clock import Deadline, SystemClock  # noqa: E402
from provisioner.providers.api import Endpoint, Terminal  # noqa: E402
from provisioner_plugins.kvm.replication import leases  # noqa: E402
from provisioner_plugins.kvm.replication.private import Private  # noqa: E402
from provisioner_plugins.kvm.replication.shell import Shell  # noqa: E402


def hold(uri: str) -> object:
    endpoint = Endpoint("lab", "kvm", {"uri": uri})
    connection: Any = SimpleNamespace(endpoint=endpoint, context=SimpleNamespace(root=Path()))
    deadline = Deadline.after(20, SystemClock())
    return leases.HostLeases(connection).hold("lineage/plan", "us", deadline)


def test_what_reaches_no_shell_holds_none() -> None:
    assert hold("qemu+tls://lab.example/system") is None


def test_a_host_without_flock_holds_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    far = Shell("lab", ("sh", "-c", f'PATH={tmp_path}; eval "$2"', "ssh"))
    monkeypatch.setattr(leases, "shell_of", lambda _: far)
    monkeypatch.setattr(Private, "base", lambda *_: str(tmp_path / "base"))
    (tmp_path / "sh").symlink_to("/bin/sh")
    assert hold("qemu:///session") is None


def test_a_host_that_gives_no_answer_is_not_taken_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "shell_of", lambda _: Shell("lab", ("sh", "-c", "exit 3")))
    monkeypatch.setattr(Private, "base", lambda *_: str(tmp_path / "base"))
    with pytest.raises(Terminal):
        hold("qemu:///session")
