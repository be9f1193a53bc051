"""Images of a host offered over NBD: by qemu-nbd to us, by qemu-storage-daemon to the QEMU of
another site. Called by :mod:`handler`, :mod:`source` and :mod:`mirror`.

A server is known by its key alone: its files are called after it, and a process is ours only if
its command line names that very file. So a caller that was killed leaves nothing that the next one
does not find, and a process id that was given to another program meanwhile is left alone.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from provisioner.core.clock import Deadline
from provisioner.providers.api import Endpoint, Terminal
from provisioner_plugins.kvm.replication.nbd import Address, TcpAddress, UnixAddress
from provisioner_plugins.kvm.replication.private import Private
from provisioner_plugins.kvm.replication.shell import Shell

_PORTS = (10809, 10872)
# By a whole argument of the command line: the file of the process id, which is ours alone. grep is
# told by its input, or it would find itself.
_OURS = """
named() { printf '%s\\n' "$1.pid" "--pid-file=$1.pid"; }
ours() { named "$2" | grep -qzxF -f - "/proc/$1/cmdline" 2>/dev/null; }
"""
_END = (
    _OURS
    + """
of() { named "$1" | grep -lzxF -f - /proc/[0-9]*/cmdline 2>/dev/null | cut -d / -f 3; }
for base in "$@"; do
  tries=0
  while pids=$(of "$base") && [ -n "$pids" ]; do
    tries=$((tries + 1))
    if [ "$tries" -gt 300 ]; then echo "processes do not end:" $pids >&2; exit 1; fi
    if [ "$tries" -gt 200 ]; then kill -s KILL $pids 2>/dev/null || true
    elif [ "$tries" = 1 ]; then kill $pids 2>/dev/null || true; fi
    sleep 0.05
  done
  door="${base%/*}.door/${base##*/}"
  rm -f -- "$base.pid" "$base.sock" "$base".????????.sock "$base.qmp" "$base.idle" "$door.sock"
done
"""
)
# Not from the kernel's tables of sockets: those are of one network namespace, and a QEMU may be in
# another one. Without a client, a server has the sockets at which it listens.
_SOCKETS = """
sockets() { find "/proc/$1/fd" -maxdepth 1 -lname 'socket:*' 2>/dev/null | wc -l; }
"""
_NOTE = (
    _SOCKETS
    + """
sockets "$(cat "$1.pid")" >"$1.idle"
"""
)
_CONNECTED = (
    _OURS
    + _SOCKETS
    + """
while read -r base; do
  pid=$(cat "$base.pid" 2>/dev/null || true)
  if [ -z "$pid" ] || ! ours "$pid" "$base"; then echo gone
  elif [ "$(sockets "$pid")" -gt "$(cat "$base.idle")" ]; then echo connected
  else echo idle; fi
done
"""
)
_LET_IN = """
chmod 600 -- "$2"
chown -h "$1" -- "$2"
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a host lets another site's QEMU write to its images. ``listen``: an address of it,
    None: on sockets in its file system alone. ``ports``: first and last. ``certificates``: the
    folder of the host with which that is encrypted.
    """

    listen: str | None = None
    certificates: str | None = None
    ports: tuple[int, int] = _PORTS


def place_of(endpoint: Endpoint) -> Place:
    """What the connection's section ``replication`` says."""
    options: Mapping[str, Any] = endpoint.connection.get("replication", {})
    ports = options.get("ports", {})
    first = int(ports.get("from", _PORTS[0]))
    last = int(ports.get("to", first + 63))
    return Place(options.get("listen"), options.get("certificates"), (first, last))


class Exports:
    """Servers of images on one host."""

    def __init__(self, endpoint: Endpoint, shell: Shell, private: Private) -> None:
        self._shell = shell
        self._place = place_of(endpoint)
        self._private = private

    @property
    def listens(self) -> bool:
        """Whether the host has an address for other sites."""
        return self._place.listen is not None

    @property
    def encrypts(self) -> bool:
        """Whether what goes there is encrypted."""
        return self._place.certificates is not None

    @contextmanager
    def offered(
        self,
        key: str,
        path: str,
        form: str,
        deadline: Deadline,
        *,
        bitmap: str | None = None,
        writable: bool = False,
    ) -> Iterator[Address]:
        """A block in which an image is offered to one client; the export's name is empty.

        When the client is gone, or never comes because we are killed before, it is the server's end
        or the next call's to end it.
        """
        base = self._base(key, deadline)
        self.end([key], deadline)
        options = ["--fork", f"--pid-file={base}.pid", f"--format={form}", "--discard=unmap"]
        options += ["--cache=writeback"] if writable else ["--read-only"]
        options += [f"--bitmap={bitmap}"] if bitmap is not None else []
        # Never the same again: who was put out meanwhile does not get to another one's server.
        socket = f"{base}.{secrets.token_hex(4)}.sock"
        self._shell.run(("qemu-nbd", *options, f"--socket={socket}", path), deadline)
        try:
            with self._shell.reached(socket, deadline) as here:
                yield UnixAddress(here)
        finally:
            self.end([key], deadline)

    def keep_offered(
        self,
        key: str,
        images: Sequence[tuple[str, str, str]],
        deadline: Deadline,
        let_in: int | None = None,
    ) -> Address:
        """Have images (export name, path, format) written to by the QEMU of another site, until
        :meth:`end`. ``let_in``: another user of this machine, by whom that is run.
        """
        base = self._base(key, deadline)
        self.end([key], deadline)
        argv = ["qemu-storage-daemon", "--daemonize", "--pidfile", f"{base}.pid"]
        for name, path, form in images:
            node = f"driver={form},node-name={name},discard=unmap,file.driver=file,file.filename="
            argv += ["--blockdev", node + path.replace(",", ",,")]
        argv += ["--chardev", f"socket,id=control,path={base}.qmp,server=on,wait=off"]
        argv += ["--monitor", "chardev=control"]
        exports: list[str] = []
        for name, _, _ in images:
            exports += ["--export", f"type=nbd,id={name},node-name={name},name={name},writable=on"]
        listen = self._place.listen
        address: Address
        if listen is None:
            at_base = base if let_in is None else self._private.door(key, deadline)
            server = f"addr.type=unix,addr.path={at_base}.sock,max-connections={len(images)}"
            self._shell.run([*argv, "--nbd-server", server, *exports], deadline)
            if let_in is not None:
                self._shell.script(_LET_IN, (str(let_in), f"{at_base}.sock"), deadline)
            address = UnixAddress(f"{at_base}.sock")
        else:
            at = f"addr.type=inet,max-connections={len(images)},addr.host={listen}"
            if self._place.certificates is not None:
                made = f"tls-creds-x509,id=tls,endpoint=server,dir={self._place.certificates}"
                argv += ["--object", made]
                at += ",tls-creds=tls"
            address = self._on_port(
                listen,
                lambda port: [*argv, "--nbd-server", f"{at},addr.port={port}", *exports],
                deadline,
            )
        self._shell.script(_NOTE, (base,), deadline)
        return address

    @contextmanager
    def control_of(self, key: str, deadline: Deadline) -> Iterator[str]:
        """A block in which a server of :meth:`keep_offered` takes commands at a socket here."""
        with self._shell.reached(f"{self._base(key, deadline)}.qmp", deadline) as here:
            yield here

    def states(self, keys: Sequence[str], deadline: Deadline) -> list[str]:
        """Of each server of :meth:`keep_offered`: ``gone``, ``idle`` or ``connected``."""
        if not keys:
            return []
        given = "".join(f"{self._base(key, deadline)}\n" for key in keys).encode()
        return self._shell.script(_CONNECTED, (), deadline, given).split()

    def end(self, keys: Sequence[str], deadline: Deadline) -> None:
        """End servers in good order, and return when they are gone. Raises Terminal (PRV5360) if
        one does not end.
        """
        bases = [self._base(key, deadline) for key in keys]
        self._shell.script(_END, bases, deadline)

    def _base(self, key: str, deadline: Deadline) -> str:
        return self._private.base(key, deadline)

    def _on_port(
        self, listen: str, argv: Callable[[int], Sequence[str]], deadline: Deadline
    ) -> TcpAddress:
        """Start a server at the first port that is free; raises Terminal (PRV5360)."""
        first, last = self._place.ports
        for port in range(first, last):
            try:
                self._shell.run(argv(port), deadline)
            except Terminal as problem:
                if "in use" not in problem.diagnostic.detail:
                    raise
            else:
                return TcpAddress(listen, port)
        self._shell.run(argv(last), deadline)
        return TcpAddress(listen, last)
