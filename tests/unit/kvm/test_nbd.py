"""The NBD client against qemu-nbd, and against what is no NBD server."""

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from provisioner_plugins.kvm.replication.copying import copy_differing, copy_dirty
from provisioner_plugins.kvm.replication.nbd import (
    ALLOCATION,
    DIRTY,
    HOLE,
    IS_DIRTY,
    ZERO,
    Client,
    Extent,
    NbdError,
    TcpAddress,
    UnixAddress,
)
from tests.lab.listeners import free_port

pytestmark = pytest.mark.skipif(shutil.which("qemu-nbd") is None, reason="qemu-nbd is missing")

MIB = 1 << 20
GRAIN = 1 << 16


@contextmanager
def served(image: Path, *options: str) -> Iterator[UnixAddress]:
    """An image behind a socket, under the export name ``disk``."""
    path = image.with_suffix(".sock")
    argv = ["qemu-nbd", "--export-name=disk", "--persistent", f"--socket={path}", *options]
    with subprocess.Popen([*argv, str(image)], stderr=subprocess.PIPE) as process:
        while not path.exists():
            assert process.poll() is None, process.stderr and process.stderr.read()
            time.sleep(0.01)
        try:
            yield UnixAddress(str(path))
        finally:
            process.terminate()


def image(folder: Path, name: str, content: bytes | None = None, size: int = 4 * MIB) -> Path:
    """A qcow2 image with some bytes at 1 MiB."""
    path = folder / f"{name}.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, str(size)], check=True)
    if content is not None:
        with served(path, "--format=qcow2") as at, Client(at, "disk") as client:
            client.write(MIB, content)
    return path


def content(path: Path) -> bytes:
    raw = path.with_suffix(".raw")
    subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", path, raw], check=True)
    return raw.read_bytes()


def ignore(done: int, total: int) -> None:
    del done, total


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = image(tmp_path, "a")
    with served(path, "--format=qcow2") as at, Client(at, "disk") as client:
        assert (4 * MIB, True) == (client.size, client.writable)
        client.write(MIB - 1, b"abc")
        client.write(2 * MIB, bytes(range(256)) * 512)
        client.write_zeroes(2 * MIB + 256, 256)
        client.flush()
        assert b"\0abc\0" == client.read(MIB - 2, 5)
        expected = bytes(range(256)) + bytes(256) + bytes(range(256))
        assert expected == client.read(2 * MIB, 768)
    assert b"abc" == content(path)[MIB - 1 : MIB + 2]


def test_many_parts_are_read_in_their_order(tmp_path: Path) -> None:
    block = bytes(range(256)) * 256
    path = image(tmp_path, "a", block * 8)
    parts = [Extent(at, GRAIN, 0) for at in range(0, 4 * MIB, GRAIN)]
    with served(path, "--format=qcow2") as at, Client(at, "disk") as client:
        found = [*client.read_many(parts)]
        assert parts == [part for part, _ in found]
        data = b"".join(data for _, data in found)
        assert (block * 8).join((bytes(MIB), bytes(2 * MIB + MIB // 2))) == data
        # The server refuses what is beyond the end, and then goes on.
        with pytest.raises(NbdError, match="refused"):
            [*client.read_many([Extent(4 * MIB, GRAIN, 0)])]
        assert block == client.read(MIB, GRAIN)


def test_it_tells_what_is_allocated(tmp_path: Path) -> None:
    path = image(tmp_path, "a", b"x" * GRAIN)
    with served(path, "--format=qcow2") as at, Client(at, "disk", [ALLOCATION]) as client:
        expected = [
            Extent(0, MIB, HOLE | ZERO),
            Extent(MIB, GRAIN, 0),
            Extent(MIB + GRAIN, 3 * MIB - GRAIN, HOLE | ZERO),
        ]
        assert expected == [*client.extents(ALLOCATION)]


def test_it_tells_what_is_dirty(tmp_path: Path) -> None:
    path = image(tmp_path, "a", b"x" * GRAIN)
    subprocess.run(["qemu-img", "bitmap", "--add", path, "since"], check=True)
    with served(path, "--format=qcow2") as at, Client(at, "disk") as client:
        client.write(3 * MIB + 5, b"new")
    context = DIRTY.format("since")
    with (
        served(path, "--format=qcow2", "--read-only", "--bitmap=since") as at,
        Client(at, "disk", [context]) as client,
    ):
        assert not client.writable
        dirty = [e for e in client.extents(context) if e.flags & IS_DIRTY]
        assert [Extent(3 * MIB, GRAIN, IS_DIRTY)] == dirty
        with pytest.raises(NbdError, match="refused"):
            client.write(0, b"x")
        assert b"new" == client.read(3 * MIB + 5, 3), "the connection goes on after a refusal"


def test_an_export_that_is_not_there(tmp_path: Path) -> None:
    with served(image(tmp_path, "a"), "--format=qcow2") as at:
        with pytest.raises(NbdError, match="no export 'other'"):
            Client(at, "other")
        with Client(at, "disk") as client, pytest.raises(NbdError, match="has no base:allocation"):
            [*client.extents(ALLOCATION)]


def test_over_tcp(tmp_path: Path) -> None:
    path, port = image(tmp_path, "a", b"over tcp"), free_port()
    argv = ["qemu-nbd", "-f", "qcow2", "-b", "127.0.0.1", "-p", str(port), str(path)]
    with subprocess.Popen(argv) as process:
        end = time.monotonic() + 20
        while True:
            try:
                client = Client(TcpAddress("127.0.0.1", port), "")
                break
            except NbdError:
                assert time.monotonic() < end
                time.sleep(0.02)
        with client:
            assert b"over tcp" == client.read(MIB, 8)
        process.wait(20)


@pytest.mark.parametrize("greeting", [b"", b"SSH-2.0-OpenSSH_9.2p1 Debian-2", b"NBDMAGIC" * 3])
def test_what_is_no_nbd_server(tmp_path: Path, greeting: bytes) -> None:
    path = tmp_path / "other.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def greet() -> None:
            plug, _ = listener.accept()
            with plug:
                plug.sendall(greeting)

        thread = threading.Thread(target=greet)
        thread.start()
        with pytest.raises(NbdError, match=r"was closed|is no NBD server"):
            Client(UnixAddress(str(path)), "disk", timeout=20)
        thread.join()
    with pytest.raises(NbdError, match="nobody answers"):
        Client(UnixAddress(str(tmp_path / "none")), "disk")


def test_only_what_differs_is_written(tmp_path: Path) -> None:
    block = bytes(range(1, 129)) * 1024
    source = image(tmp_path, "source", block + b"tail", size=5 * MIB)
    target = image(tmp_path, "target", block + b"was here " * 30_000, size=5 * MIB)
    with (
        served(source, "--format=qcow2") as one,
        served(target, "--format=qcow2") as other,
        Client(one, "disk", [ALLOCATION]) as reading,
        Client(other, "disk", [ALLOCATION]) as writing,
    ):
        moved = copy_differing(reading, writing, ignore)
    assert content(source) == content(target)
    # Two grains were the same; the one with the tail, and what was beyond it, was not.
    assert 5 * GRAIN == moved


def test_only_what_is_dirty_is_copied(tmp_path: Path) -> None:
    source = image(tmp_path, "source", b"before")
    target = image(tmp_path, "target")
    subprocess.run(["qemu-img", "bitmap", "--add", source, "since"], check=True)
    with served(source, "--format=qcow2") as at, Client(at, "disk") as client:
        client.write(2 * MIB, b"later")
    context = DIRTY.format("since")
    with (
        served(source, "--format=qcow2", "--bitmap=since") as one,
        served(target, "--format=qcow2") as other,
        Client(one, "disk", [context]) as reading,
        Client(other, "disk") as writing,
    ):
        assert GRAIN == copy_dirty(reading, writing, context, ignore)
    found = content(target)
    assert (bytes(6), b"later") == (found[MIB : MIB + 6], found[2 * MIB : 2 * MIB + 5])
