"""scripts/demo leaves nothing behind, however it ends, and says so without a trace."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pty
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

from tests.lab.daemon import LibvirtDaemon

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "lib" / "demo.py"
SECONDS = 120


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
