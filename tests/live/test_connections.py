"""Connections to real daemons: every transport, what goes wrong with each, and daemons that
restart.
"""

import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from provisioner.core.clock import SystemClock
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error
from provisioner.core.values import Secret
from provisioner.providers.api import Context, Endpoint, ProviderError, Retryable, Terminal
from tests.lab import certificates, listeners, requirements
from tests.lab.daemon import Flavour, LibvirtDaemon
from tests.lab.ssh import SshServer

libvirt = pytest.importorskip("libvirt")
handlerbench = pytest.importorskip("tests.live.handlerbench")
connection_module = pytest.importorskip("provisioner_plugins._libvirt.connection")
handles_module = pytest.importorskip("provisioner_plugins._libvirt.handles")
storage_module = pytest.importorskip("provisioner_plugins._libvirt.storage")
upload_module = pytest.importorskip("provisioner_plugins._libvirt.upload")
volume_module = pytest.importorskip("provisioner_plugins._libvirt.volume")

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]


class Secrets:
    """Secrets by reference."""

    def __init__(self, **known: str) -> None:
        self._known = known

    def resolve(self, reference: str) -> Secret:
        name = reference.removeprefix("env://")
        if name not in self._known:
            raise ProvisionerError(error("PRV1501", f"there is no secret {reference}"))
        return Secret(self._known[name], reference)


def connect(root: Path = Path("/"), secrets: Any = None, **connection: Any) -> Any:
    """A connection for a Host's ``connection`` section; what it warns of is in ``warnings``."""
    warnings: list[Diagnostic] = []
    context = Context(
        root,
        SystemClock(),
        secrets or Secrets(),
        lambda *_: None,
        warn=warnings.append,
    )
    made = connection_module.Connection(Endpoint("lab", "kvm", connection), context)
    made.warnings = warnings
    return made


def hostname(connection: Any) -> str:
    name: str = connection.read("ask for the name", lambda handle: handle.getHostname())
    return name


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


def at_once(work: Callable[[], Any], threads: int) -> list[Any]:
    """What ``work`` returns in each of so many threads."""
    with ThreadPoolExecutor(threads) as pool:
        return [future.result(60) for future in [pool.submit(work) for _ in range(threads)]]


def test_threads_that_take_turns_share_one_handle(libvirt_session: LibvirtDaemon) -> None:
    connection = connect(uri=libvirt_session.uri)
    seen = set()
    for _ in range(8):
        at_once(lambda: connection.read("read", lambda handle: seen.add(id(handle))), 1)
    assert 1 == len(seen)
    connection.close()


def test_no_two_threads_are_in_calls_on_one_handle(libvirt_session: LibvirtDaemon) -> None:
    connection = connect(uri=libvirt_session.uri)
    users: dict[int, int] = {}
    seen: set[Any] = set()

    def look(handle: Any) -> None:
        assert threading.get_ident() == users.setdefault(id(handle), threading.get_ident())
        seen.add(handle)
        handle.listAllDomains(0)
        del users[id(handle)]

    def work() -> None:
        for _ in range(50):
            connection.read("read", look)

    at_once(work, 32)
    assert len(seen) <= handles_module.MOST
    ended = [weakref.ref(handle) for handle in seen]
    seen.clear()
    connection.close()
    assert [None] * len(ended) == [handle() for handle in ended]


def test_streams_events_and_calls_of_many_threads_at_once(libvirt_session: LibvirtDaemon) -> None:
    """What one handle for all of them does not survive for long."""
    connection = connect(uri=libvirt_session.uri)
    folder = libvirt_session.directory / "at-once"
    bench = handlerbench.Bench(libvirt_session.uri)
    bench.apply("StoragePool", "at-once", {"type": "dir", "path": str(folder)})
    event = libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE
    numbers = itertools.count()

    def listen() -> None:
        with connection.kept():
            callback = connection.call(
                "listen", lambda h: h.domainEventRegisterAny(None, event, lambda *_: None, None)
            )
            connection.read("list", lambda h: h.listAllDomains(0))
            connection.call("listen no more", lambda h: h.domainEventDeregisterAny(callback))

    def send(name: str) -> bytes:
        content = name.encode() * 100_000
        volumes = storage_module.Volumes(connection)
        place = volume_module.VolumeId("at-once", name)
        text = f"<volume><name>{name}</name><capacity>{len(content)}</capacity></volume>"
        volumes.create("at-once", text)
        volumes.with_volume(
            "send",
            place,
            lambda volume: upload_module.send_bytes(volume.connect(), volume, content),
        )
        return content

    def work() -> bool:
        kept = True
        for _ in range(10):
            listen()
            name = f"volume-{next(numbers)}"
            content = send(name)
            kept = kept and (folder / name).read_bytes() == content
        return kept

    assert [True] * 8 == at_once(work, 8)
    connection.close()
    bench.close()


def test_every_thread_goes_on_after_the_daemon_was_restarted(
    fresh_libvirt_session: LibvirtDaemon,
) -> None:
    connection = connect(uri=fresh_libvirt_session.uri)
    together = threading.Barrier(6)

    def work() -> str:
        def look(handle: Any) -> str:
            with contextlib.suppress(threading.BrokenBarrierError):
                together.wait(10)
            name: str = handle.getHostname()
            return name

        return connection.read("ask for the name", look)

    (name,) = {*at_once(work, 6)}
    fresh_libvirt_session.restart()
    # Six handles are idle, and none of them knows that it is of no use any more.
    together.abort()
    assert {name} == {*at_once(work, 6)}
    connection.close()


def test_in_a_block_that_keeps_its_handle_objects_go_from_call_to_call(
    libvirt_session: LibvirtDaemon,
) -> None:
    connection = connect(uri=libvirt_session.uri)
    with connection.kept():
        first = connection.call("look", lambda handle: handle)
        others = at_once(lambda: connection.call("look", lambda handle: handle is first), 4)
        assert [False] * 4 == others
        assert connection.call("look", lambda handle: handle is first)
    connection.close()


def test_nobody_else_gets_a_handle_that_something_lasting_has(
    libvirt_session: LibvirtDaemon,
) -> None:
    connection = connect(uri=libvirt_session.uri)
    first, release = connection.lasting("open a stream", lambda handle: handle)
    assert connection.call("look", lambda handle: handle is not first)
    release()
    release()
    with connection.kept():
        (is_first,) = at_once(lambda: connection.call("look", lambda handle: handle is first), 1)
    assert is_first
    connection.close()


def test_what_failed_to_last_gives_its_handle_back(libvirt_session: LibvirtDaemon) -> None:
    connection = connect(uri=libvirt_session.uri)
    first = connection.call("look", lambda handle: handle)
    with pytest.raises(Terminal):
        connection.lasting("fail", lambda handle: handle.lookupByName("no-such-domain"))
    assert connection.call("look", lambda handle: handle is first)
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
