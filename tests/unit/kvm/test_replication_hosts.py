"""How programs are run on hosts for replication, and which processes are ended there."""

import subprocess
import sys
from itertools import pairwise
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
from provisioner_plugins.kvm.replication.private import Private  # noqa: E402
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


def test_what_is_out_of_time_is_ended_with_all_that_it_began(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    script = 'sleep 60 & echo $! >"$1"; wait'
    with pytest.raises(Retryable):
        HERE.script(script, (str(told),), soon(0.5))
    assert not running(int(told.read_text()))


def test_a_host_that_is_gone_holds_nobody_up() -> None:
    ssh = reached("qemu+ssh://ops@kvm1.example/system").ssh
    options = {option for flag, option in pairwise(ssh) if flag == "-o"}
    assert {"ConnectTimeout=15", "ServerAliveInterval=10", "ServerAliveCountMax=3"} <= options


def test_what_is_out_of_time_is_ended_on_the_other_host_too(tmp_path: Path) -> None:
    ssh, told = tmp_path / "ssh", tmp_path / "pid"
    # Another host: what runs there has nothing to do with the end of ssh here.
    ssh.write_text('#!/bin/sh\nshift\nexec setsid --wait sh -c "$*"\n')
    ssh.chmod(0o755)
    there = Shell("far", (str(ssh),))
    with pytest.raises(Retryable) as refused:
        there.script('echo $$ >"$1"; exec sleep 60', (str(told),), soon(0.5))
    assert "PRV5362" == refused.value.diagnostic.code
    assert not running(int(told.read_text()))


@pytest.fixture
def exports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Exports:
    private = Private(HERE)
    monkeypatch.setattr(private, "_folder", str(tmp_path))
    return Exports(Endpoint("lab", "kvm", {"uri": "qemu:///session"}), HERE, private)


def begun(*argv: str) -> subprocess.Popen[bytes]:
    """A program whose command line is this, and which sleeps."""
    program = "import time; print(flush=True); time.sleep(60)"
    process = subprocess.Popen(
        [sys.executable, "-c", program, *argv], stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_only_our_own_servers_are_ended(exports: Exports) -> None:
    """A process id may have been given to another program since it was written down."""
    base = exports._base("any", soon())
    with begun("about", f"{base}.pid.old") as other, begun(f"--pid-file={base}.pid") as ours:
        Path(f"{base}.pid").write_text(f"{other.pid}\n")
        assert ["gone"] == exports.states(["any"], soon())
        exports.end(["any"], soon())
        assert (None, True) == (other.poll(), ours.wait(5) is not None)
        assert not Path(f"{base}.pid").exists()
        other.kill()


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


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
