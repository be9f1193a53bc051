"""The providers that the conformance suite takes through the laws. A plugin joins here."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from provisioner.providers.api import Provider
from provisioner.providers.capabilities import REPLICATION, STANDBY
from provisioner_plugins import kvm, vmware
from tests.conformance.provider.example_under_test import KIND, FolderUnderTest
from tests.conformance.provider.memory_under_test import MemoryUnderTest
from tests.conformance.provider.name_only_under_test import NameOnlyUnderTest
from tests.conformance.provider.under_test import APART, Candidate, ProviderUnderTest


def _kvm(flavour: str) -> Callable[[Path], ProviderUnderTest]:
    def start(folder: Path) -> ProviderUnderTest:
        if importlib.util.find_spec("libvirt") is None:
            pytest.skip("libvirt-python is not installed: install the project's extra kvm")
        from tests.conformance.provider.kvm_under_test import KvmUnderTest  # noqa: PLC0415

        started: ProviderUnderTest = getattr(KvmUnderTest, flavour)(folder)
        return started

    return start


def _vmware(flavour: str) -> Callable[[Path], ProviderUnderTest]:
    def start(folder: Path) -> ProviderUnderTest:
        if importlib.util.find_spec("pyVmomi") is None:
            pytest.skip("pyvmomi is not installed: install the project's extra vmware")
        from tests.conformance.provider.vmware_under_test import VmwareUnderTest  # noqa: PLC0415

        started: ProviderUnderTest = getattr(VmwareUnderTest, flavour)(folder)
        return started

    return start


def _served(provider: Provider) -> frozenset[str]:
    """The kinds that a provider says it serves: tests about others are left out, not skipped."""
    return frozenset(provider.describe().kinds)


COPIES = frozenset({REPLICATION, STANDBY})
"""What vSphere has of them: it keeps no leases."""
KVM, VCENTER, ESXI = _served(kvm.provider()), _served(vmware.vcenter()), _served(vmware.esxi())

CANDIDATES = (
    Candidate("memory", MemoryUnderTest.in_file, capabilities=APART),
    # Where the inventory is kept has nothing to do with kinds: no need to try all of them twice.
    Candidate(
        "memory-in-process",
        MemoryUnderTest.in_process,
        frozenset({"Disk", "VirtualMachine"}),
        capabilities=APART,
    ),
    Candidate("folder", FolderUnderTest, frozenset({KIND})),
    Candidate("name-only", NameOnlyUnderTest, frozenset({KIND})),
    Candidate("kvm-system", _kvm("system"), KVM, live=True, capabilities=APART),
    Candidate(
        "kvm-session", _kvm("session"), KVM, live=True, capabilities=APART, like="kvm-system"
    ),
    Candidate("vcenter", _vmware("vcenter"), VCENTER, live=True, capabilities=COPIES),
    Candidate("esxi", _vmware("esxi"), ESXI, live=True, capabilities=COPIES, like="vcenter"),
)
