"""Reading local files for an upload, without a daemon."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("libvirt")

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from provisioner.core.clock import Deadline, SystemClock
from provisioner.providers.api import Retryable, Terminal
from provisioner_plugins._libvirt.local_image import LocalFile, local_file
from provisioner_plugins._libvirt.upload import send, send_bytes

CLOCK = SystemClock()


class Stream:
    """Takes what is sent, less than offered at a time, as libvirt's streams may."""

    def __init__(self) -> None:
        self.content = b""
        self.holes = 0
        self.state = "open"

    def send(self, data: bytes) -> int:
        taken = data[:100_000]
        self.content += taken
        return len(taken)

    def sendHole(self, length: int, _flags: int) -> None:  # noqa: N802 - libvirt's name
        self.holes += length
        self.content += bytes(length)

    def recv(self, length: int) -> bytes:
        part, self.content = self.content[: min(length, 70_000)], self.content[70_000:]
        return part

    def finish(self) -> None:
        self.state = "finished"

    def abort(self) -> None:
        self.state = "aborted"


class Daemon:
    """What ``send`` needs of a connection, a pool and a volume. ``keeps``: how many bytes of what
    is sent it keeps; ``available``: how many it has room for.
    """

    def __init__(self, keeps: int | None = None, available: int = 1 << 40) -> None:
        self.stream = Stream()
        self.keeps = keeps
        self.available = available

    def newStream(self, _flags: int) -> Stream:  # noqa: N802 - libvirt's name
        return self.stream if "open" == self.stream.state else Stream()

    def upload(self, *_: Any) -> None:
        assert "open" == self.stream.state

    def download(self, stream: Stream, offset: int, length: int, _flags: int) -> None:
        assert "finished" == self.stream.state
        kept = self.stream.content[: self.keeps].ljust(len(self.stream.content), b"\0")
        stream.content = kept[offset : offset + length]

    def name(self) -> str:
        return "big.raw"

    def storagePoolLookupByVolume(self) -> "Daemon":  # noqa: N802 - libvirt's name
        return self

    def refresh(self, _flags: int) -> None:
        """Nothing changes behind its back."""

    def info(self) -> list[int]:
        return [2, 1 << 40, 1 << 40, self.available]


def sent(source: LocalFile, seconds: float = 60) -> tuple[Stream, str, list[Any]]:
    daemon = Daemon()
    reports: list[Any] = []
    report = lambda done, total: reports.append((done, total))  # noqa: E731
    checksum = send(daemon, daemon, source, report, Deadline.after(seconds, CLOCK))
    return daemon.stream, checksum, reports


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 300_000)), max_size=4),
    st.integers(0, 500_000),
)
def test_any_file_arrives_whole(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[int, int]], tail: int
) -> None:
    path = tmp_path_factory.mktemp("upload") / "file.raw"
    end = 0
    assume(parts or tail)
    with path.open("wb") as file:
        for position, length in parts:
            file.seek(position * 65_536)
            file.write(b"x" * length)
            end = max(end, file.tell())
        file.truncate(end + tail)
    stream, checksum, reports = sent(local_file(path, "raw"))
    assert path.read_bytes() == stream.content
    assert hashlib.sha256(path.read_bytes()).hexdigest() == checksum
    assert "finished" == stream.state
    assert not reports or reports[-1][0] == end + tail


class Forgetful(Stream):
    """Does not keep the zeros of holes, of which there are many."""

    def sendHole(self, length: int, _flags: int) -> None:  # noqa: N802 - libvirt's name
        self.holes += length


def test_a_hole_is_not_sent_as_data(tmp_path: Path) -> None:
    path = tmp_path / "file.raw"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    daemon = Daemon()
    daemon.stream = Forgetful()
    send(daemon, daemon, local_file(path, "raw"), lambda *_: None, Deadline.after(60, CLOCK))
    assert (1 << 30, b"") == (daemon.stream.holes, daemon.stream.content)


@pytest.mark.parametrize(("available", "code"), [(4096, "PRV5114"), (1 << 30, "PRV5137")])
@pytest.mark.parametrize("zeros", [0, 1 << 20])
@pytest.mark.parametrize("lost", [1, 1000, 1 << 20])
def test_what_the_host_did_not_keep_is_told(
    tmp_path: Path, lost: int, zeros: int, available: int, code: str
) -> None:
    """Though it says that all is well; zeros behind it, sent or not, hide nothing."""
    path = tmp_path / "file.raw"
    path.write_bytes(b"x" * (2 << 20) + bytes(zeros))
    daemon = Daemon((2 << 20) - lost, available)
    with pytest.raises(Terminal) as caught:
        send(daemon, daemon, local_file(path, "raw"), lambda *_: None, Deadline.after(60, CLOCK))
    assert code == caught.value.diagnostic.code
    assert "big.raw" in caught.value.diagnostic.summary
    daemon = Daemon((2 << 20) - lost, available)
    with pytest.raises(Terminal) as caught:
        send_bytes(daemon, daemon, path.read_bytes())
    assert code == caught.value.diagnostic.code


def test_bytes_arrive_whole() -> None:
    daemon = Daemon()
    send_bytes(daemon, daemon, bytes(range(256)) * 4096)
    assert bytes(range(256)) * 4096 == daemon.stream.content


@pytest.mark.parametrize("change", [-1, 1])
def test_a_file_that_changes_meanwhile_is_told(tmp_path: Path, change: int) -> None:
    path = tmp_path / "file.raw"
    path.write_bytes(b"x" * 1000)
    with pytest.raises(Terminal) as caught:
        sent(LocalFile(path, 1000 - change, 1000))
    assert "PRV5130" == caught.value.diagnostic.code


@pytest.mark.parametrize(
    ("path", "said"),
    [("/no/such/file", "No such file or directory."), ("/proc/self/mem", "Input/output error.")],
)
def test_a_file_that_cannot_be_read_any_more_is_told(path: str, said: str) -> None:
    """As on storage that fails, or a network file system whose server went."""
    daemon = Daemon()
    source = LocalFile(Path(path), 4096, 4096)
    with pytest.raises(Terminal) as caught:
        send(daemon, daemon, source, lambda *_: None, Deadline.after(60, CLOCK))
    assert ("PRV5130", said) == (caught.value.diagnostic.code, caught.value.diagnostic.detail)
    assert "aborted" == daemon.stream.state


def test_a_deadline_ends_the_copy(tmp_path: Path) -> None:
    path = tmp_path / "file.raw"
    path.write_bytes(b"x" * (1 << 20))
    daemon = Daemon()
    deadline = Deadline.after(-1, CLOCK)
    with pytest.raises(Retryable) as caught:
        send(daemon, daemon, local_file(path, "raw"), lambda *_: None, deadline)
    assert "PRV5132" == caught.value.diagnostic.code
    assert "aborted" == daemon.stream.state


def test_a_folder_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(Terminal) as caught:
        local_file(tmp_path, "raw")
    assert "PRV5130" == caught.value.diagnostic.code
