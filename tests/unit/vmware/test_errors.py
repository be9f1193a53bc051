"""What the faults of vSphere mean to a person."""

from __future__ import annotations

from http.client import HTTPException

import pytest

pytest.importorskip("pyVmomi")

from pyVmomi import vim, vmodl

from provisioner.providers.api import Retryable, Terminal
from provisioner_plugins.vmware.nearest import nearest
from provisioner_plugins.vmware.wire import errors
from provisioner_plugins.vmware.wire.errors import rule_for, translate


@pytest.mark.parametrize("base", range(len(errors._RULES)))
def test_a_derived_fault_stands_before_its_base(base: int) -> None:
    kinds = [kind for kind, _ in errors._RULES]
    assert [] == [kind for kind in kinds[base + 1 :] if issubclass(kind, kinds[base])]


def test_a_lost_session_is_no_missing_right() -> None:
    found = translate(vim.fault.NotAuthenticated(privilegeId="System.View"), "read pool p")
    assert isinstance(found, Retryable)
    assert "PRV5322" == found.diagnostic.code
    assert "lacks" not in found.diagnostic.detail


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        (vim.fault.NasConfigFault(name="nfs"), "PRV5313", "share"),
        (vim.fault.PlatformConfigFault(text="x"), "PRV5313", "host"),
        (vim.fault.CannotCreateFile(file="[ds] web"), "PRV5338", "file"),
        (vim.fault.FileLocked(file="[ds] web"), "PRV5320", "needs"),
        (vim.fault.NoDiskSpace(file="[ds] web", datastore="ds"), "PRV5314", "room"),
        (vim.fault.InaccessibleDatastore(name="ds"), "PRV5339", "datastore"),
        (vim.fault.InvalidDatastorePath(datastorePath="x"), "PRV5313", "configuration"),
        (vim.fault.NoCompatibleHost(), "PRV5330", "host"),
    ],
)
def test_a_fault_has_a_meaning_and_advice(fault: Exception, code: str, words: str) -> None:
    found = translate(fault, "make it")
    assert isinstance(found, Terminal)
    assert code == found.diagnostic.code
    assert words in found.diagnostic.summary
    assert found.diagnostic.hint


def test_what_is_in_the_way_on_each_host_is_told() -> None:
    errors_of_hosts = [vmodl.fault.NotSupported(msg="no room on esx1")]
    found = translate(vim.fault.NoCompatibleHost(error=errors_of_hosts), "start machine web")
    assert "no room on esx1" in found.diagnostic.detail  # type: ignore[attr-defined]


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_an_endpoint_that_takes_no_requests(status: int) -> None:
    found = translate(HTTPException(f"{status} Unavailable"), "read pool p")
    assert isinstance(found, Retryable)
    assert ("PRV5312", True) == (found.diagnostic.code, "services" in found.diagnostic.hint)


def test_every_rule_gives_advice() -> None:
    rules = {rule for rule in vars(errors).values() if isinstance(rule, errors.Rule)}
    assert [] == [rule for rule in rules if not rule.hint]
    assert rule_for(RuntimeError()) in rules


@pytest.mark.parametrize(
    ("name", "expected"),
    [("dc0", ["DC0", "DC1"]), ("LOCALDS_0", ["LocalDS_0"]), ("nothing", [])],
)
def test_names_that_may_have_been_meant(name: str, expected: list[str]) -> None:
    assert expected == nearest(name, ["DC0", "DC1", "LocalDS_0"])
