"""scripts/demo leaves nothing behind, however it ends, and says so without a trace."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import libvirt
import pytest

from tests.lab import requirements
from tests.lab.daemon import Flavour, LibvirtDaemon
from tests.lab.launcher import runs

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "lib" / "demo.py"
RECOVERY = SCRIPT.with_name("recovery_demo.py")
SECONDS = 120
needs_root = pytest.mark.skipif(
    requirements.daemon_unavailable(Flavour.SYSTEM) is not None, reason="needs a system daemon"
)


@pytest.fixture
def demo(libvirt_session: LibvirtDaemon, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module, with a daemon that outlives the demo; what it sets for signals is undone."""
    before = {
        number: signal.getsignal(number)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    spec = importlib.util.spec_from_file_location("demo", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    shared = module.Connection(libvirt_session.uri, private=False)
    monkeypatch.setattr(module, "connection", lambda: contextlib.nullcontext(shared))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    yield module
    for number, handler in before.items():
        signal.signal(number, handler)


def left(daemon: LibvirtDaemon) -> list[str]:
    with contextlib.closing(libvirt.open(daemon.uri)) as connection:
        found = [*connection.listAllDomains(), *connection.listAllStoragePools()]
        return [item.name() for item in found]


@pytest.mark.parametrize(
    ("problem", "ending"),
    [
        (KeyboardInterrupt(), (130, "interrupted. Nothing of it is left.")),
        (OSError("no such program"), (1, "failed: no such program. Nothing of it is left.")),
    ],
    ids=["interrupted", "failing"],
)
def test_in_the_middle(
    demo: ModuleType,
    libvirt_session: LibvirtDaemon,
    tmp_path: Path,
    problem: BaseException,
    ending: tuple[int, str],
) -> None:
    """The guest runs by then."""

    def fail(_: object) -> int:
        assert 2 == len(left(libvirt_session))
        raise problem

    demo.Demo.counter = fail
    assert ending == demo.carry_out(folder_for(tmp_path))
    assert [] == left(libvirt_session)
    assert [] == list(tmp_path.iterdir())


def folder_for(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    folder = tmp_path / "demo"
    folder.mkdir()
    return folder


def test_what_cannot_be_removed_is_said(
    demo: ModuleType, libvirt_session: LibvirtDaemon, tmp_path: Path
) -> None:
    """The record stays, with the command that removes the rest."""

    def fail(_: object) -> int:
        raise KeyboardInterrupt

    removal = demo.Demo.removal
    demo.Demo.counter, demo.Demo.removal = fail, lambda _: ["false"]
    code, words = demo.carry_out(folder_for(tmp_path))
    assert 130 == code
    assert "could not be removed" in words
    (state,) = tmp_path.glob("demo/*/.provisioner/default/state.db")
    stack = state.parents[2]
    command = removal(SimpleNamespace(stack=stack, name=stack.name))
    assert 0 == subprocess.run(command, stdout=subprocess.DEVNULL).returncode
    assert [] == left(libvirt_session)


def test_ctrl_c_at_a_terminal() -> None:
    """While apply is at work: it comes to its end first, and no trace is shown."""
    pid, terminal = pty.fork()
    if pid == 0:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        os.execve(sys.executable, [sys.executable, str(SCRIPT)], {**os.environ, "PATH": path})
    screen = read(terminal, until="$ provisioner apply")
    os.write(terminal, b"\x03")
    screen += read(terminal)
    assert 130 == os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert "Traceback" not in screen
    assert screen.endswith("\r\ndemo: interrupted. Nothing of it is left.\r\n")


@needs_root
def test_recovery_refuses_an_ordinary_user() -> None:
    demo = "import os, runpy, sys; os.geteuid = lambda: 1000; "
    demo += "runpy.run_path(sys.argv[1], run_name='__main__')"
    refused = subprocess.run([sys.executable, "-c", demo, RECOVERY], capture_output=True, text=True)
    expected = "demo: --dr needs root: its sites are daemons with networks of their own.\n"
    assert (1, expected, "") == (refused.returncode, refused.stdout, refused.stderr)


@needs_root
def test_recovery_that_is_interrupted_leaves_neither_processes_nor_files() -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, str(RECOVERY)])
    screen = read(terminal, until="run at site a.")
    time.sleep(1)
    below = processes(pid)
    folders = [re.search("/tmp/lab-[^/\0]+", line) for line in below.values()]
    sites = {found[0] for found in folders if found is not None}
    assert 2 == len(sites)
    os.write(terminal, b"\x03")
    screen += read(terminal)
    assert 130 == os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert screen.endswith("\r\ndemo: interrupted. Nothing of it is left.\r\n")
    assert ([], []) == (
        [number for number in below if runs(number)],
        [site for site in sites if Path(site).exists()],
    )


def processes(pid: int) -> dict[int, str]:
    """Those below a process, as long as they are, with their command lines."""
    found = {}
    with contextlib.suppress(OSError):
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            for number in map(int, path.read_text().split()):
                with contextlib.suppress(OSError):
                    found[number] = Path(f"/proc/{number}/cmdline").read_text(errors="replace")
                found |= processes(number)
    return found


def read(terminal: int, until: str = "\0") -> str:
    text = ""
    deadline = time.monotonic() + SECONDS
    while until not in text and select.select([terminal], [], [], deadline - time.monotonic())[0]:
        try:
            data = os.read(terminal, 4096)
        except OSError:  # Linux: the other end was closed
            break
        text += data.decode()
    return text
