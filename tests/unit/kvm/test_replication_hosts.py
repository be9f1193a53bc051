"""How programs are run on hosts for replication, and which processes are ended there."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

libvirt = pytest.importorskip("libvirt")

from provisioner.core.clock import Deadline, SystemClock  # noqa: E402
from provisioner.core.diagnostics import Diagnostic  # noqa: E402
from provisioner.providers.api import Endpoint, Retryable, Terminal  # noqa: E402
from provisioner_plugins._libvirt.connection import Connection  # noqa: E402
from provisioner_plugins.kvm.replication.exports import Exports  # noqa: E402
from provisioner_plugins.kvm.replication.shell import Shell, shell_of  # noqa: E402

HERE = Shell("lab")


def soon(seconds: float = 20) -> Deadline:
    return Deadline.after(seconds, SystemClock())


def reached(uri: str, **more: Any) -> Shell:
    connected = SimpleNamespace(
        endpoint=Endpoint("lab", "kvm", {"uri": uri, **more}),
        context=SimpleNamespace(root=Path("/stack")),
    )
    return shell_of(cast("Connection", connected))


def refusal(*argv: str, seconds: float = 20) -> Diagnostic:
    with pytest.raises((Terminal, Retryable)) as refused:
        HERE.run(argv, soon(seconds))
    problem = refused.value
    assert isinstance(problem, Terminal | Retryable)
    return problem.diagnostic


@pytest.mark.parametrize(
    ("uri", "more"),
    [
        ("qemu:///system", {}),
        ("qemu+unix:///session?socket=/run/s", {}),
        ("qemu+tls://kvm1.example/system", {"replication": {"shell": "local"}}),
    ],
)
def test_what_is_reached_by_a_socket_is_this_machine(uri: str, more: Any) -> None:
    assert reached(uri, **more).is_here


def test_where_libvirt_goes_by_ssh_so_do_programs() -> None:
    ssh = reached("qemu+ssh://ops@kvm1.example:2222/system", ssh={"keyFile": "keys/ops"}).ssh
    assert ("-p", "2222", "-i", "/stack/keys/ops", "ops@kvm1.example") == ssh[-5:]
    assert "BatchMode=yes" in ssh


def test_another_way_to_the_shell_can_be_named() -> None:
    more = {"replication": {"shell": "ssh://root@kvm1.example"}}
    assert "root@kvm1.example" == reached("qemu+tls://kvm1.example/system", **more).ssh[-1]


@pytest.mark.parametrize(
    ("uri", "more"),
    [
        ("qemu+tls://kvm1.example/system", {}),
        ("qemu+libssh://kvm1.example/system", {}),
        ("qemu+ssh://kvm1.example/system", {"ssh": {"privateKey": {"secretRef": "env://KEY"}}}),
    ],
)
def test_where_programs_cannot_be_run_is_said(uri: str, more: Any) -> None:
    with pytest.raises(Terminal) as refused:
        reached(uri, **more)
    assert "PRV5363" == refused.value.diagnostic.code


def test_what_programs_say_is_told() -> None:
    assert "out\n" == HERE.run(("echo", "out"), soon())
    failed = refusal("sh", "-c", "echo no room >&2; exit 3")
    assert ("PRV5360", True) == (failed.code, "exit code 3 and said: no room" in failed.detail)
    assert "PRV5361" == refusal("no-such-program").code
    assert "PRV5362" == refusal("sleep", "20", seconds=0.05).code


def test_arguments_are_never_read_by_a_shell() -> None:
    assert "$(id) ; 'x'\n" == HERE.script('echo "$1"', ("$(id) ; 'x'",), soon())


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def test_only_our_own_servers_are_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sleeper: subprocess.Popen[bytes]
) -> None:
    """A process id may have been given to another program since it was written down."""
    exports = Exports(Endpoint("lab", "kvm", {"uri": "qemu:///session"}), HERE)
    base = tmp_path / "server"
    monkeypatch.setattr(exports, "_base", lambda *_: str(base))
    base.with_suffix(".pid").write_text(f"{sleeper.pid}\n")
    assert ["gone"] == exports.states(["any"], soon())
    exports.end(["any"], soon())
    assert sleeper.poll() is None
    assert not base.with_suffix(".pid").exists()


def test_one_at_a_time_holds_a_lock(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    with HERE.locked(path, "one"), pytest.raises(Retryable) as refused, HERE.locked(path, "two"):
        pass
    assert "PRV5358" == refused.value.diagnostic.code
    with HERE.locked(path, "three"):
        pass


@pytest.mark.parametrize(
    ("frozen", "state", "quiesced"),
    [(2, "connected", True), (0, "connected", False), (2, "disconnected", False)],
)
def test_file_systems_are_at_rest_where_an_agent_said_so(
    frozen: int, state: str, quiesced: bool
) -> None:
    from provisioner_plugins.kvm.replication.source import _freeze  # noqa: PLC0415

    target = f"<target type='virtio' name='org.qemu.guest_agent.0' state='{state}'/>"
    document = f"<domain><devices><channel type='unix'>{target}</channel></devices></domain>"
    domain = SimpleNamespace(XMLDesc=lambda _flags: document, fsFreeze=lambda: frozen)
    assert quiesced == _freeze(domain)
