"""Conversations with a serial console, on a real pseudo-terminal and through pipes."""

import os
import pty
import queue
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from provisioner.cli.serial import converse
from provisioner.cli.terminal import Terminal

DEADLINE = 10.0


class Guest:
    """The other end: says what it is told to say, and remembers what was typed."""

    def __init__(self) -> None:
        self.says: queue.Queue[bytes | None] = queue.Queue()
        self.typed = b""

    def read(self, timeout: float) -> bytes | None:
        try:
            return self.says.get(timeout=timeout)
        except queue.Empty:
            return b""

    def write(self, data: bytes) -> None:
        self.typed += data

    def close(self) -> None:
        self.says.put(None)


@contextmanager
def standard_input(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with os.fdopen(descriptor, "r", closefd=False) as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        yield


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def run(guest: Guest) -> threading.Thread:
    thread = threading.Thread(
        target=converse, args=(Terminal({}), guest, "VirtualMachine/web01"), daemon=True
    )
    thread.start()
    return thread


def test_terminal_until_escape(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    keyboard, terminal = pty.openpty()
    before = termios.tcgetattr(terminal)
    guest = Guest()
    with standard_input(terminal, monkeypatch):
        conversation = run(guest)
        wait_until(lambda: not termios.tcgetattr(terminal)[3] & termios.ECHO)
        guest.says.put(b"login: \xff")
        os.write(keyboard, b"root\r")
        # Ctrl-C belongs to the guest in raw mode; what follows the escape does not.
        os.write(keyboard, b"\x03")
        wait_until(lambda: guest.typed.endswith(b"\x03"))
        os.write(keyboard, b"x\x1dy")
        conversation.join(DEADLINE)
        assert not conversation.is_alive()
    assert b"root\r\x03x" == guest.typed
    assert before == termios.tcgetattr(terminal)
    captured = capfdbinary.readouterr()
    assert b"login: \xff" == captured.out
    assert b"Ctrl-] leaves" in captured.err
    os.close(keyboard)
    os.close(terminal)


def test_pipe_until_it_ends(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    reader, writer = os.pipe()
    guest = Guest()
    with standard_input(reader, monkeypatch):
        conversation = run(guest)
        os.write(writer, b"a\x1db")
        wait_until(lambda: guest.typed != b"")
        os.close(writer)
        conversation.join(DEADLINE)
        assert not conversation.is_alive()
    assert b"a\x1db" == guest.typed
    os.close(reader)


def test_silence_is_only_that_of_the_conversation(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    reader, writer = os.pipe()
    os.close(writer)
    with standard_input(reader, monkeypatch):
        run(Guest()).join(DEADLINE)
    said = b" ".join(capfdbinary.readouterr().err.split())
    assert b"has written nothing on its serial console since the connection was made." in said
    assert b"What it wrote before is shown with --log" in said
    os.close(reader)


def test_a_guest_that_speaks_needs_no_remark(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    reader, writer = os.pipe()
    guest = Guest()
    with standard_input(reader, monkeypatch):
        guest.says.put(b"login: ")
        guest.says.put(None)
        run(guest).join(DEADLINE)
    captured = capfdbinary.readouterr()
    assert (b"login: ", b"") == (captured.out, captured.err)
    os.close(reader)
    os.close(writer)


def test_stream_that_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    guest = Guest()
    with standard_input(reader, monkeypatch):
        conversation = run(guest)
        guest.says.put(None)
        conversation.join(DEADLINE)
        assert not conversation.is_alive()
    os.close(reader)
    os.close(writer)
