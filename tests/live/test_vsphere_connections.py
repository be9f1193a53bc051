"""Connections to a vCenter and to an ESXi host: certificates, credentials, what is refused."""

from __future__ import annotations

import hashlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioner.cli.main import run
from provisioner.core.diagnostics import Diagnostic
from provisioner.providers.api import Endpoint, ProviderError, Retryable, Terminal
from tests.lab.fixtures import simulated
from tests.lab.vcsim import Options, Tls, Vcsim
from tests.live.vspherelab import connection_to, provider_of, session

pytest.importorskip("pyVmomi")

from tests.faults.vspherestack import VsphereStack

vmware = pytest.importorskip("provisioner_plugins.vmware")
pytestmark = [pytest.mark.live, pytest.mark.xdist_group("vsphere-connections")]


def fingerprint(vcsim: Vcsim) -> str:
    """SHA-256 of the certificate that it shows."""
    context = ssl.create_default_context(cafile=str(vcsim.ca))
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection((vcsim.host, vcsim.port)) as plain,
        context.wrap_socket(plain) as wrapped,
    ):
        return hashlib.sha256(wrapped.getpeercert(binary_form=True) or b"").hexdigest()


def refusal(vcsim: Vcsim, **settings: Any) -> Diagnostic:
    """The diagnostic of a connection that cannot be made."""
    with pytest.raises(ProviderError) as caught, session(vcsim, **settings):
        pass
    assert isinstance(caught.value, Retryable | Terminal)
    return caught.value.diagnostic


@pytest.fixture(scope="module")
def expired() -> Iterator[Vcsim]:
    with simulated(Options(machines=0, tls=Tls.EXPIRED)) as vcsim:
        yield vcsim


def test_a_certificate_authority_of_ones_own(vcsim_vcenter: Vcsim) -> None:
    warnings: list[Diagnostic] = []
    with session(vcsim_vcenter, warnings=warnings) as opened:
        assert {} == opened.observe([])
    assert [] == warnings


def test_an_unknown_authority(vcsim_vcenter: Vcsim) -> None:
    found = refusal(vcsim_vcenter, tls=None)
    assert "PRV5305" == found.code
    assert "connection.tls.fingerprint" in found.hint


def test_an_expired_certificate(expired: Vcsim) -> None:
    found = refusal(expired)
    assert ("PRV5305", ("connection", "tls")) == (found.code, found.path)
    assert "expired" in found.detail
    assert "Renew" in found.hint


def test_a_certificate_for_another_name() -> None:
    with simulated(Options(machines=0, tls=Tls.WRONG_NAME)) as vcsim:
        found = refusal(vcsim)
    assert ("PRV5305", ("connection", "server")) == (found.code, found.path)
    assert "another name" in found.summary


@pytest.mark.parametrize("written", [str.lower, lambda text: bytes.fromhex(text).hex(":").upper()])
def test_a_pinned_certificate_needs_no_authority(vcsim_vcenter: Vcsim, written: Any) -> None:
    pin = written(fingerprint(vcsim_vcenter))
    with session(vcsim_vcenter, tls={"fingerprint": pin}) as opened:
        assert {} == opened.observe([])


def test_a_pin_counts_for_an_expired_certificate_too(expired: Vcsim) -> None:
    with session(expired, tls={"fingerprint": fingerprint(expired)}) as opened:
        assert {} == opened.observe([])


def test_a_wrong_pin_is_refused_before_anything_is_sent(vcsim_vcenter: Vcsim) -> None:
    vcsim_vcenter.reset_counts()
    found = refusal(vcsim_vcenter, tls={"fingerprint": "00" * 32})
    assert ("PRV5305", ("connection", "tls", "fingerprint")) == (found.code, found.path)
    shown = bytes.fromhex(fingerprint(vcsim_vcenter)).hex(":").upper()
    expected = bytes(32).hex(":")
    assert f"It has the SHA-256 fingerprint {shown}; expected is {expected}." == found.detail
    assert "somebody else" in found.hint
    assert {} == vcsim_vcenter.counts()


def test_insecure_warns_before_the_password_is_sent(vcsim_vcenter: Vcsim) -> None:
    warnings: list[Diagnostic] = []
    with (
        pytest.raises(ProviderError),
        session(vcsim_vcenter, tls=None, insecure=True, password="wrong", warnings=warnings),
    ):
        pass
    assert ["PRV5306"] == [found.code for found in warnings]


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_every_command_that_connects_warns_once_of_insecure(
    vcsim_vcenter: Vcsim,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    form: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VSPHERE_PASSWORD", vcsim_vcenter.password)
    stack = VsphereStack(vcsim_vcenter, tmp_path, connection={"tls": None, "insecure": True})
    stack.declare({f"Folder/warned-{len(form)}": {"type": "machine"}})
    commands = (
        "plan -o plan.json",
        "apply plan.json",
        "drift",
        "adopt --yes",
        "destroy --yes",
        "apply --yes",
        "destroy --yes",
        "discover here -o found --kind Datacenter",
    )
    seen = []
    for command in commands:
        code = run([*command.split(), *form])
        seen.append((command, code, capsys.readouterr().err.count("PRV5306")))
    assert [(command, 0, 1) for command in commands] == seen


def test_a_pin_beside_insecure_is_a_contradiction(vcsim_vcenter: Vcsim) -> None:
    connection = connection_to(vcsim_vcenter, insecure=True)
    [found] = provider_of(vcsim_vcenter).check_endpoint(Endpoint("lab", "vcenter", connection))
    assert ("PRV5310", ("connection", "insecure")) == (found.code, found.path)


def test_a_file_of_authorities_that_is_not_there(vcsim_vcenter: Vcsim) -> None:
    found = refusal(vcsim_vcenter, tls={"caFile": "/nowhere/ca.pem"})
    assert "PRV5310" == found.code
    assert "/nowhere/ca.pem" in found.detail


def test_a_wrong_password(vcsim_vcenter: Vcsim) -> None:
    found = refusal(vcsim_vcenter, password="wrong-one")
    assert ("PRV5302", ("connection", "password")) == (found.code, found.path)
    assert "wrong-one" not in f"{found}"


def test_nobody_answers(vcsim_vcenter: Vcsim) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.2", 0))
        found = refusal(vcsim_vcenter, port=unused.getsockname()[1])
    assert ("PRV5301", ("connection", "server")) == (found.code, found.path)


def test_a_server_that_says_nothing(vcsim_vcenter: Vcsim) -> None:
    with socket.create_server(("127.0.0.2", 0)) as silent:
        found = refusal(vcsim_vcenter, port=silent.getsockname()[1], timeouts={"read": 300})
    assert "PRV5308" == found.code


def test_something_else_than_vsphere(vcsim_vcenter: Vcsim) -> None:
    with simulated(Options(machines=0, tls=Tls.NONE)) as plain:
        found = refusal(vcsim_vcenter, port=plain.port)
    assert "PRV5301" == found.code


@pytest.mark.parametrize(
    ("fixture", "other", "name"),
    [("vcsim_vcenter", "esxi", "vcenter"), ("vcsim_esxi", "vcenter", "esxi")],
)
def test_the_other_sort_of_endpoint(
    request: pytest.FixtureRequest, fixture: str, other: str, name: str
) -> None:
    found = refusal(request.getfixturevalue(fixture), provider=getattr(vmware, other)())
    assert ("PRV5309", f"Write provider: {name}.") == (found.code, found.hint)


def test_an_api_that_is_too_old() -> None:
    with simulated(Options(machines=0, api_version="6.7.3")) as vcsim:
        found = refusal(vcsim)
    assert "PRV5303" == found.code


@pytest.mark.parametrize("version", ["7.0.3.0", "8.0.2.0", "9.0.0.0"])
def test_versions_of_the_api(version: str) -> None:
    with simulated(Options(machines=1, api_version=version)) as vcsim, session(vcsim) as opened:
        found = list(opened.discover({"VirtualMachine"}))
    assert found


def test_no_session_is_left(vcsim_vcenter: Vcsim) -> None:
    before = vcsim_vcenter.sessions()
    with session(vcsim_vcenter) as opened:
        assert len(before) + 1 == len(vcsim_vcenter.sessions())
        opened.close()
        assert before == vcsim_vcenter.sessions()
        with pytest.raises(Terminal):
            opened.observe([])
    assert before == vcsim_vcenter.sessions()
