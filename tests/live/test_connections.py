"""Connections to real daemons: every transport, what goes wrong with each, and daemons that
restart.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioner.providers.api import ProviderError, Retryable, Terminal
from tests.lab import certificates, listeners, requirements
from tests.lab.daemon import Flavour, LibvirtDaemon
from tests.lab.ssh import SshServer

libvirt = pytest.importorskip("libvirt")
handlerbench = pytest.importorskip("tests.live.handlerbench")
connection_module = pytest.importorskip("provisioner_plugins._libvirt.connection")

from tests.live.connecting import Secrets, connect, hostname  # noqa: E402

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]


def refusal(**connection: Any) -> Any:
    """The diagnostic of a connection that cannot be made."""
    with pytest.raises(ProviderError) as caught:
        connect(**connection)
    assert isinstance(caught.value, Retryable | Terminal)
    return caught.value.diagnostic


# --- transports ----------------------------------------------------------------------------------


def test_a_socket(libvirt_session: LibvirtDaemon) -> None:
    connection = connect(uri=libvirt_session.uri)
    assert hostname(connection)
    assert 0 == connection.helpers(1000)
    connection.close()
    connection.close()
    with pytest.raises(Terminal):
        hostname(connection)


def test_plain_tcp_is_refused_unless_accepted() -> None:
    listener = listeners.tcp()
    assert "PRV5105" == refusal(uri=listener.uri).code
    with daemon(listener):
        connection = connect(uri=listener.uri, insecure=True)
        assert hostname(connection)
        assert [0, 1, 4] == [connection.helpers(reads) for reads in (10, 40, 1000)]
        assert ["PRV5106"] == [found.code for found in connection.warnings]
        connection.close()


@contextlib.contextmanager
def daemon(listener: Any) -> Iterator[LibvirtDaemon]:
    """A daemon whose port answers; its socket does so a moment earlier."""
    reason = requirements.daemon_unavailable(Flavour.SESSION)
    if reason is not None:
        pytest.skip(reason)
    port = int(listener.uri.rpartition(":")[2].partition("/")[0])
    with LibvirtDaemon(Flavour.SESSION, listener=listener) as running:
        handlerbench.wait_until(lambda: answers(port))
        yield running


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def authority(tmp_path: Path) -> certificates.Authority:
    reason = requirements.programs_missing("certtool")
    if reason is not None:
        pytest.skip(reason)
    return certificates.make_authority(tmp_path / "authority")


def test_tls_with_a_certificate(authority: certificates.Authority) -> None:
    folder = authority.client("ops")
    stranger = authority.client("stranger")
    listener = listeners.tls(authority, allowed="CN=ops")
    with daemon(listener):
        connection = connect(uri=listener.uri, tls={"folder": str(folder)})
        assert hostname(connection)
        connection.close()
        relative = connect(root=folder.parent, uri=listener.uri, tls={"folder": folder.name})
        assert hostname(relative)
        relative.close()
        refused = refusal(uri=listener.uri, tls={"folder": str(stranger)})
        assert "PRV5102" == refused.code


def test_tls_of_another_authority(authority: certificates.Authority, tmp_path: Path) -> None:
    other = certificates.make_authority(tmp_path / "other").client("ops")
    listener = listeners.tls(authority)
    with daemon(listener):
        assert "PRV5102" == refusal(uri=listener.uri, tls={"folder": str(other)}).code


def test_a_tls_folder_that_lacks_a_file(tmp_path: Path) -> None:
    refused = refusal(uri="qemu+tls://127.0.0.1/system", tls={"folder": str(tmp_path)})
    assert "PRV5110" == refused.code
    assert "clientcert.pem" in refused.detail


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshServer]:
    """A server, and an ssh program on the path that knows its host key and no other."""
    reason = requirements.programs_missing("sshd", "ssh", "nc")
    if reason is not None:
        pytest.skip(reason)
    with SshServer() as server:
        (tmp_path / "bin").mkdir()
        wrapper = tmp_path / "bin" / "ssh"
        known = f"-o UserKnownHostsFile={server.known_hosts} -o GlobalKnownHostsFile=/dev/null"
        wrapper.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} {known} "$@"\n')
        wrapper.chmod(0o755)
        monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
        yield server


def ssh_uri(server: SshServer, daemon: LibvirtDaemon, transport: str) -> str:
    path = daemon.uri.partition("socket=")[2]
    return f"qemu+{transport}://{server.user}@127.0.0.1:{server.port}/session?socket={path}"


def test_ssh_with_a_key_file(ssh: SshServer, libvirt_session: LibvirtDaemon) -> None:
    uri = ssh_uri(ssh, libvirt_session, "ssh")
    connection = connect(uri=uri, ssh={"keyFile": str(ssh.key)})
    assert hostname(connection)
    connection.close()


def keys_in_memory() -> int:
    names = []
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # that of the listing itself
            names.append(str(path.readlink()))
    return sum("provisioner-key" in name for name in names)


@pytest.mark.parametrize("transport", ["ssh", "libssh"])
def test_ssh_with_a_key_from_a_secret_that_is_on_no_disk(
    ssh: SshServer,
    libvirt_session: LibvirtDaemon,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    transport: str,
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    uri = ssh_uri(ssh, libvirt_session, transport)
    secrets = Secrets(KEY=ssh.key.read_text())
    settings = {"privateKey": {"secretRef": "env://KEY"}}
    more = {} if transport == "ssh" else {"knownHosts": str(ssh.known_hosts)}
    connection = connect(secrets=secrets, uri=uri, ssh={**settings, **more})
    assert hostname(connection)
    assert [] == list(temporary.iterdir())
    assert 1 == keys_in_memory()
    connection.close()
    assert 0 == keys_in_memory()
    missing = refusal(uri=uri, ssh=settings)
    assert "PRV1501" == missing.code


def test_ssh_with_a_key_that_may_not_log_in(
    ssh: SshServer, libvirt_session: LibvirtDaemon, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
    subprocess.run(command, check=True, capture_output=True)
    for transport, more in (("ssh", {}), ("libssh", {"knownHosts": str(ssh.known_hosts)})):
        uri = ssh_uri(ssh, libvirt_session, transport)
        assert "PRV5102" == refusal(uri=uri, ssh={"keyFile": str(key), **more}).code


def test_ssh_to_a_host_that_is_not_known(ssh: SshServer, libvirt_session: LibvirtDaemon) -> None:
    uri = ssh_uri(ssh, libvirt_session, "ssh")
    ssh.known_hosts.write_text("")
    assert "PRV5102" == refusal(uri=uri, ssh={"keyFile": str(ssh.key)}).code
    # Accepting any key has to be said twice, and is warned about.
    unchecked: dict[str, Any] = {"uri": f"{uri}&no_verify=1", "ssh": {"keyFile": str(ssh.key)}}
    assert "PRV5105" == refusal(**unchecked).code
    connection = connect(**unchecked, insecure=True)
    assert ["PRV5106"] == [found.code for found in connection.warnings]
    connection.close()


def test_libssh_with_known_hosts(
    ssh: SshServer, libvirt_session: LibvirtDaemon, tmp_path: Path
) -> None:
    uri = ssh_uri(ssh, libvirt_session, "libssh")
    settings = {"keyFile": str(ssh.key), "knownHosts": str(ssh.known_hosts)}
    connection = connect(uri=uri, ssh=settings)
    assert hostname(connection)
    connection.close()
    (tmp_path / "none").touch()
    unknown = refusal(uri=uri, ssh={**settings, "knownHosts": str(tmp_path / "none")})
    assert "PRV5102" == unknown.code


# --- what goes wrong -----------------------------------------------------------------------------


def test_a_defect_while_connecting_reaches_whoever_waits() -> None:
    with pytest.raises(ZeroDivisionError):
        connection_module._open_within(30, "connect", lambda: 1 // 0)


@pytest.mark.parametrize(
    "uri",
    [
        "qemu+unix:///session?socket=/no/such/socket",
        "qemu+tcp://127.0.0.1:{closed}/session",
        "qemu+tcp://no-such-host.invalid/session",
    ],
)
def test_a_host_that_cannot_be_reached(uri: str) -> None:
    located = uri.format(closed=listeners.free_port())
    assert "PRV5101" == refusal(uri=located, insecure=True).code


def test_a_host_that_never_answers(silent_port: int) -> None:
    started = time.monotonic()
    uri = f"qemu+tcp://127.0.0.1:{silent_port}/session"
    refused = refusal(uri=uri, insecure=True, timeouts={"connect": 300})
    assert "PRV5108" == refused.code
    assert time.monotonic() - started < 5


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port where connections are taken and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_libvirt_that_is_too_old(
    libvirt_session: LibvirtDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "OLDEST", 99_001_000)
    refused = refusal(uri=libvirt_session.uri)
    assert "PRV5103" == refused.code
    assert "99.1.0" in refused.detail


def test_nothing_is_printed(
    libvirt_session: LibvirtDaemon, capfd: pytest.CaptureFixture[str]
) -> None:
    connection = connect(uri=libvirt_session.uri)
    assert connection.find("find", lambda h: h.lookupByName("no-such-domain")) is None
    refusal(uri="qemu+unix:///session?socket=/no/such/socket")
    connection.close()
    assert ("", "") == tuple(capfd.readouterr())


# --- restarts ------------------------------------------------------------------------------------


def test_reads_go_on_after_the_daemon_was_restarted(fresh_libvirt_session: LibvirtDaemon) -> None:
    connection = connect(uri=fresh_libvirt_session.uri)
    assert hostname(connection)
    fresh_libvirt_session.kill()
    with pytest.raises(Retryable) as caught:
        hostname(connection)
    assert "PRV5101" == caught.value.diagnostic.code
    fresh_libvirt_session.start()
    assert hostname(connection)
    fresh_libvirt_session.restart()
    assert hostname(connection)
    connection.close()


def test_a_write_is_not_repeated_by_the_connection(fresh_libvirt_session: LibvirtDaemon) -> None:
    connection = connect(uri=fresh_libvirt_session.uri)
    calls = []

    def write(handle: Any) -> str:
        calls.append(handle)
        if len(calls) == 1:
            fresh_libvirt_session.kill()
        name: str = handle.getHostname()
        return name

    with pytest.raises(Retryable) as caught:
        connection.call("write", write)
    assert "PRV5107" == caught.value.diagnostic.code
    assert 1 == len(calls)
    fresh_libvirt_session.start()
    assert connection.call("write", write)
    connection.close()


def test_a_call_goes_on_while_another_thread_gives_the_connection_up(
    libvirt_session: LibvirtDaemon,
) -> None:
    connection = connect(uri=libvirt_session.uri)
    closed = libvirt.open("test:///default")
    closed.close()

    def work(handle: Any) -> Any:
        with pytest.raises(Retryable) as caught:
            connection.call("find it broken", lambda _: closed.getHostname())
        assert "PRV5107" == caught.value.diagnostic.code
        assert connection.call("use the next one", lambda other: other is not handle)
        return handle.getHostname()

    assert hostname(connection) == connection.call("go on", work)
    connection.close()


def test_a_call_goes_on_while_another_thread_closes_the_session(
    libvirt_session: LibvirtDaemon,
) -> None:
    connection = connect(uri=libvirt_session.uri)
    name = hostname(connection)

    def work(handle: Any) -> Any:
        connection.close()
        return handle.getHostname()

    assert name == connection.call("go on", work)
    with pytest.raises(Terminal) as caught:
        hostname(connection)
    assert "PRV5107" == caught.value.diagnostic.code


def test_closing_ends_the_connection(libvirt_session: LibvirtDaemon) -> None:
    connection = connect(uri=libvirt_session.uri)
    handle = connection.call("look", weakref.ref)
    with pytest.raises(Terminal):
        connection.call("fail", lambda h: h.lookupByName("no-such-domain"))
    connection.close()
    connection.close()
    assert handle() is None


def test_a_connection_that_cannot_tell_whether_it_lives_is_lost(
    libvirt_session: LibvirtDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connect(uri=libvirt_session.uri)
    first = connection.call("look", lambda handle: handle)

    def fail(_: object) -> None:
        raise libvirt.libvirtError("invalid connection pointer")

    monkeypatch.setattr(libvirt.virConnect, "isAlive", fail)
    with pytest.raises(Retryable) as caught:
        connection.call("find", lambda handle: handle.lookupByName("no-such-domain"))
    assert "PRV5107" == caught.value.diagnostic.code
    assert connection.call("look again", lambda handle: handle is not first)
    connection.close()


def test_a_slow_definition_is_explained(libvirt_session: LibvirtDaemon) -> None:
    connection = connect(uri=libvirt_session.uri)
    assert ("x", ()) == connection.define("define", lambda _: "x")
    passed = [0.0]

    class SlowClock:
        def monotonic(self) -> float:
            return passed[-1]

    object.__setattr__(connection.context, "clock", SlowClock())
    _, (note,) = connection.define("define", lambda _: passed.append(64.0))
    assert "64 s" in note
    assert "/dev/kvm" in note
    connection.close()
