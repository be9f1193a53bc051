"""Drives whole machines through the plugin's provider and session, as the engine would.

A stack on one daemon with what a machine needs: pool, image, disks, networks. The guest's output is
read by way of the plugin itself.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Any

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.core.values import Secret
from provisioner.providers.api import (
    Change,
    Context,
    Discovered,
    Endpoint,
    Observation,
    Outcome,
    Present,
    Resource,
)
from provisioner_plugins._libvirt.inventory import Inventory
from provisioner_plugins._libvirt.xml import Element, parse, same, serialize
from provisioner_plugins.kvm import provider
from provisioner_plugins.kvm.session import KvmSession
from tests.lab.bootsector import BootImage
from tests.lab.linux import LinuxGuest
from tests.live.handlerbench import Bench

__all__ = ["MachineBench", "linux_boot", "parse", "replace", "same", "serialize"]

VM = "VirtualMachine"
MIB = 1 << 20
_SEQUENCE = re.compile(r"LAB-SEQ ([0-9a-f]{8})")


class Secrets:
    """Secrets that a test knows."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}

    def resolve(self, reference: str) -> Secret:
        if reference not in self.known:
            raise ProvisionerError(error("PRV1501", f"there is no secret {reference}"))
        return Secret(self.known[reference], reference)


@dataclass(frozen=True)
class OfSession:
    """A session seen as the handler of one kind."""

    kind: str
    session: KvmSession

    def observe(
        self, _inventory: Inventory, targets: Sequence[Resource]
    ) -> Mapping[Address, Observation]:
        return self.session.observe(targets)

    def discover(self, _inventory: Inventory) -> Iterator[Discovered]:
        return self.session.discover([self.kind])

    def create(self, resource: Resource, deadline: Deadline) -> Outcome:
        return self.session.create(resource, deadline)

    def update(
        self,
        resource: Resource,
        observed: Present,
        changes: Sequence[Change],
        restart: bool,
        deadline: Deadline,
    ) -> Outcome:
        return self.session.update(resource, observed, changes, restart, deadline)

    def adopt(self, resource: Resource, observed: Present, deadline: Deadline) -> Outcome:
        return self.session.adopt(resource, observed, deadline)

    def delete(self, resource: Resource, deadline: Deadline) -> None:
        self.session.delete(resource, deadline)


@dataclass(frozen=True)
class OfProvider:
    """The provider seen as the rules of one kind."""

    kind: str

    def normalise(self, resource: Resource) -> Mapping[str, Any]:
        return provider().normalise(resource)

    def impact(self, resource: Resource, observed: Present, changes: Sequence[Change]) -> Any:
        return provider().impact(resource, observed, changes)


class MachineBench(Bench):
    """A stack with machines on one daemon."""

    def __init__(
        self, uri: str, folder: FilePath, accelerator: str = "tcg", **connection: Any
    ) -> None:
        super().__init__(uri, **connection)
        self.secrets = Secrets()
        settings = {"accelerator": accelerator}
        endpoint = Endpoint("lab", "kvm", {"uri": uri, **connection}, settings)
        context = Context(FilePath("/"), self.clock, self.secrets, self._report)
        session = provider().open(endpoint, context)
        assert isinstance(session, KvmSession)
        self.session = session
        kinds = provider().describe().kinds
        self.handlers = {kind: OfSession(kind, session) for kind in kinds}
        self.rules = {kind: OfProvider(kind) for kind in kinds}
        self._folder = folder / f"pool-{self.lineage.hex[:8]}"
        self.apply("StoragePool", "images", {"type": "dir", "path": str(self._folder)})

    def close(self) -> None:
        self.session.close()
        super().close()

    # --- parts of stacks ---

    def boot_disk(self, image: BootImage, name: str = "root") -> None:
        """A disk that starts from the boot-sector guest."""
        source = {"file": str(image.qcow2)}
        self.apply("Image", "boot", {"pool": "images", "source": source, "format": "qcow2"})
        self.apply("Disk", name, {"pool": "images", "image": "boot"})

    def disk(self, name: str, size: str = "4MiB") -> None:
        """An empty disk."""
        self.apply("Disk", name, {"pool": "images", "size": size})

    def network(self, name: str, **spec: Any) -> None:
        """A network; of mode user where nothing is said."""
        self.apply("Network", name, {"mode": "user", **spec})

    # --- what the guest says ---

    def machine(self, name: str = "web") -> Resource:
        """A machine as it was recorded."""
        return self.recorded[Address(VM, name)]

    def said(self, name: str = "web") -> str:
        """All that the guest has said since it was started."""
        return self.session.serial_log(self.machine(name)) or ""

    def wait_for(self, pattern: str, name: str = "web", seconds: float = 60) -> re.Match[str]:
        """Wait until the guest says something."""
        end = time.monotonic() + seconds
        while True:
            text = self.said(name)
            found = re.search(pattern, text)
            if found is not None:
                return found
            assert time.monotonic() < end, f"{pattern!r} not in {text[-800:]!r}"
            time.sleep(0.1)

    def count(self, name: str = "web") -> int:
        """The next count of a boot-sector guest."""
        seen = len(_SEQUENCE.findall(self.said(name)))
        end = time.monotonic() + 30
        while True:
            counts = _SEQUENCE.findall(self.said(name))
            if len(counts) > seen:
                return int(counts[-1], 16)
            assert time.monotonic() < end, self.said(name)[-800:]
            time.sleep(0.1)

    def until_stopped(self, name: str = "web") -> None:
        """Wait until libvirt has seen that the machine's QEMU is gone."""
        end = time.monotonic() + 30
        while self.domain(name).isActive():
            assert time.monotonic() < end, f"{name} runs still"
            time.sleep(0.05)

    @contextmanager
    def uninterrupted(self, name: str = "web") -> Iterator[None]:
        """A block in which the boot-sector guest goes on counting where it was."""
        before, log = self.count(name), self.said(name)
        yield
        after = self.count(name)
        # The log of a restarted guest begins anew.
        assert self.said(name).startswith(log)
        assert before < after < before + 60

    # --- what libvirt says ---

    def domain(self, name: str = "web") -> Any:
        """libvirt's object."""
        uuid = self.machine(name).uid.bytes
        return self.connection.call("find", lambda handle: handle.lookupByUUID(uuid))

    def live(self, name: str = "web") -> Element:
        """The definition in force."""
        return parse(self.domain(name).XMLDesc(0))

    def configured(self, name: str = "web") -> Element:
        """The definition that the next start takes."""
        return parse(self.domain(name).XMLDesc(2))


def linux_boot(guest: LinuxGuest) -> dict[str, Any]:
    """The part of a machine's spec that boots the small Linux guest."""
    return {
        "boot": {
            "kernel": str(guest.kernel),
            "initrd": str(guest.initrd),
            "cmdline": guest.cmdline,
        },
        "memory": {"size": "128MiB"},
    }
