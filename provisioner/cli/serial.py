"""A conversation with a serial console: the terminal in raw mode, until Ctrl-], the end of the
input, or of the stream."""

from __future__ import annotations

import os
import select
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager

from provisioner.cli.render.text import wrap
from provisioner.cli.terminal import Terminal
from provisioner.service.console import ConsoleStream

LEAVE = b"\x1d"
"""Ctrl-], as telnet and virsh have it."""

_POLL_SECONDS = 0.1


def nothing_logged(name: object) -> str:
    """What to tell of a machine whose log is empty: silence looks like a failure."""
    return (
        f"{name} has written nothing on its serial console. A machine that finds nothing to boot"
        " stays silent, and so does a system without a console there."
    )


def nothing_came(name: object) -> str:
    """What to tell after a conversation in which the machine said nothing."""
    return (
        f"{name} has written nothing on its serial console since the connection was made."
        " What it wrote before is shown with --log, if its host keeps a log."
    )


def converse(terminal: Terminal, stream: ConsoleStream, name: str) -> None:
    """Copy both ways between the terminal (or pipe) and the stream; returns when either side
    ends."""
    descriptor = sys.stdin.fileno()
    interactive = os.isatty(descriptor)
    if interactive:
        terminal.note([f"Connected to {name}. Ctrl-] leaves."])
    ended = threading.Event()
    silent = True
    typing = threading.Thread(
        target=_type,
        args=(descriptor, stream, interactive, ended),
        name="console-input",
        daemon=True,
    )
    with _raw(descriptor) if interactive else _as_it_is():
        typing.start()
        while not ended.is_set():
            data = stream.read(_POLL_SECONDS)
            if data is None:
                break
            silent = silent and not data
            if data and not terminal.write_bytes(data):
                break
        ended.set()
        typing.join(2 * _POLL_SECONDS)
    if interactive:
        terminal.note(["", f"Left {name}."])
    if silent:
        terminal.note(wrap(nothing_came(name), terminal.width))


def _type(
    descriptor: int, stream: ConsoleStream, interactive: bool, ended: threading.Event
) -> None:
    """Hand what is typed to the guest. The escape counts only on a terminal: a pipe may carry any
    byte."""
    while not ended.is_set():
        ready, _, _ = select.select([descriptor], [], [], _POLL_SECONDS)
        if not ready:
            continue
        data = os.read(descriptor, 4096)
        typed, escape, _ = data.partition(LEAVE) if interactive else (data, b"", b"")
        if typed:
            stream.write(typed)
        if escape or not data:
            ended.set()


@contextmanager
def _raw(descriptor: int) -> Iterator[None]:
    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor, termios.TCSADRAIN)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield
