"""Folders of a host for what only its user may reach."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any
from uuid import uuid4

import pytest

libvirt = pytest.importorskip("libvirt")

from provisioner.core.clock import Deadline, SystemClock  # noqa: E402
from provisioner.providers.api import Endpoint, Terminal  # noqa: E402
from provisioner_plugins.kvm.replication import private  # noqa: E402
from provisioner_plugins.kvm.replication.exports import Exports  # noqa: E402
from provisioner_plugins.kvm.replication.nbd import UnixAddress  # noqa: E402
from provisioner_plugins.kvm.replication.private import Private  # noqa: E402
from provisioner_plugins.kvm.replication.shell import Shell  # noqa: E402

HERE = Shell("lab")
UUID = str(uuid4())
"""Another one in each process: tests of this module run side by side, and look for it among all
processes.
"""
NOBODY = 65534
root_only = pytest.mark.skipif(os.getuid() != 0, reason="only root runs programs as others")


def soon() -> Deadline:
    return Deadline.after(20, SystemClock())


@pytest.fixture
def below() -> Iterator[Path]:
    """A folder of the test's whose path leaves room for the names of sockets."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        yield Path(name)


@pytest.fixture
def folders(below: Path, monkeypatch: pytest.MonkeyPatch) -> Private:
    """As of a user who is not root."""
    text = private._FOLDER.replace('if [ "$uid" = 0 ]; then at=/run; else', "if true; then")
    assert text != private._FOLDER
    monkeypatch.setattr(private, "_FOLDER", text)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(below))
    return Private(HERE)


def folder_of(path: str) -> str:
    return path.rpartition("/")[0]


def mode(path: str) -> int:
    return Path(path).stat().st_mode & 0o7777


def test_root_has_them_where_nobody_else_makes_any() -> None:
    if os.getuid() == 0:
        assert "/run/provisioner-nbd-0" == Private(HERE).base("any", soon()).rpartition("/")[0]


def test_nobody_else_gets_in(folders: Private, below: Path) -> None:
    base = folders.base("any", soon())
    assert (f"{below}/provisioner-nbd-{os.getuid()}", 0o700) == (
        folder_of(base),
        mode(folder_of(base)),
    )
    assert base == folders.base("any", soon()) != folders.base("other", soon())


@pytest.mark.parametrize("obstacle", ["link", "open", "file", "stranger"])
def test_what_somebody_else_put_in_its_place_is_not_used(
    folders: Private, below: Path, obstacle: str
) -> None:
    path = below / f"provisioner-nbd-{os.getuid()}"
    if obstacle == "link":
        (below / "elsewhere").mkdir(mode=0o700)
        path.symlink_to(below / "elsewhere")
    elif obstacle == "file":
        path.touch(mode=0o700)
    else:
        path.mkdir(mode=0o755 if obstacle == "open" else 0o700)
        if obstacle == "stranger":
            if os.getuid() != 0:
                pytest.skip("only root makes folders of others")
            os.chown(path, NOBODY, NOBODY)
    with pytest.raises(Terminal) as refused:
        folders.base("any", soon())
    found = refused.value.diagnostic
    assert ("PRV5387", True) == (found.code, str(path) in found.detail)


def qemu(user: int) -> Any:
    return subprocess.Popen(
        ["sh", "-c", "read line", "qemu", "-uuid", UUID], stdin=subprocess.PIPE, user=user
    )


def test_a_machine_that_does_not_run_has_no_user(folders: Private) -> None:
    assert (os.getuid(), None) == folders.users(UUID, soon())


def test_a_qemu_of_ours_makes_its_socket_among_our_files(folders: Private) -> None:
    process = qemu(os.getuid())
    assert (os.getuid(), os.getuid()) == folders.users(UUID, soon())
    assert folder_of(folders.base("any", soon())) == folders.room("any", UUID, soon())
    process.communicate()


@root_only
def test_a_qemu_of_another_user_gets_a_room_of_its_own(folders: Private) -> None:
    process = qemu(NOBODY)
    for _ in range(2):
        room = folders.room("any", UUID, soon())
        assert (0o700, NOBODY) == (mode(room), Path(room).stat().st_uid)
        assert (0o711, 0) == (mode(folder_of(room)), Path(room).parent.stat().st_uid)
    process.communicate()


CONNECT = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"


@root_only
@pytest.mark.skipif(which("qemu-storage-daemon") is None, reason="it is not installed")
def test_the_qemu_of_another_user_alone_writes_to_what_it_is_let_in_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder, image = Path(name, "provisioner"), Path(name, "image.raw")
        Path(name).chmod(0o711)
        folder.mkdir(mode=0o700)
        image.write_bytes(bytes(1 << 20))
        folders = Private(HERE)
        monkeypatch.setattr(folders, "_folder", str(folder))
        exports = Exports(Endpoint("lab", "kvm", {"uri": "qemu:///system"}), HERE, folders)
        images = [("disk", str(image), "raw")]
        address = exports.keep_offered("any", images, soon(), let_in=NOBODY)
        assert isinstance(address, UnixAddress)
        ended = [
            subprocess.run(
                [sys.executable, "-c", CONNECT, address.path], user=user, capture_output=True
            ).returncode
            for user in (NOBODY, NOBODY - 1)
        ]
        exports.end(["any"], soon())
        assert ([0, 1], False) == (ended, Path(address.path).exists())


@pytest.mark.skipif(which("qemu-nbd") is None, reason="it is not installed")
def test_what_is_offered_anew_is_offered_at_another_socket(
    folders: Private, tmp_path: Path
) -> None:
    """Whoever was put out knows the one before, and may only now connect."""
    image = tmp_path / "image.raw"
    image.write_bytes(bytes(1 << 20))
    exports = Exports(Endpoint("lab", "kvm", {"uri": "qemu:///system"}), HERE, folders)
    with exports.offered("any", str(image), "raw", soon()) as first:
        assert 0o700 == mode(folder_of(str(first[0])))
    with exports.offered("any", str(image), "raw", soon()) as second:
        assert first != second
    assert [] == [path.name for path in Path(folder_of(str(first[0]))).iterdir()]
