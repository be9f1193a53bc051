"""Many threads on one connection to a real daemon: each has a handle of its own."""

from __future__ import annotations

import contextlib
import itertools
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from provisioner.providers.api import Terminal
from tests.lab.daemon import LibvirtDaemon

libvirt = pytest.importorskip("libvirt")
handlerbench = pytest.importorskip("tests.live.handlerbench")

from provisioner_plugins._libvirt.handles import MOST  # noqa: E402
from provisioner_plugins._libvirt.storage import Volumes  # noqa: E402
from provisioner_plugins._libvirt.upload import send_bytes  # noqa: E402
from provisioner_plugins._libvirt.volume import VolumeId  # noqa: E402
from tests.live.connecting import connect  # noqa: E402

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]


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
    assert len(seen) <= MOST
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
        volumes = Volumes(connection)
        place = VolumeId("at-once", name)
        text = f"<volume><name>{name}</name><capacity>{len(content)}</capacity></volume>"
        volumes.create("at-once", text)
        volumes.with_volume(
            "send",
            place,
            lambda volume: send_bytes(volume.connect(), volume, content),
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
