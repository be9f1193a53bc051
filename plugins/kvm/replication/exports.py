"""Images of a host offered over NBD: by qemu-nbd to us, by qemu-storage-daemon to the QEMU of
another site. Called by :mod:`handler`, :mod:`source` and :mod:`mirror`.

A server is known by its key alone: its files are called after it, and a process is ours only if
its command line names that very file. So a caller that was killed leaves nothing that the next one
does not find, and a process id that was given to another program meanwhile is left alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from provisioner.core.clock import Deadline
from provisioner.providers.api import Endpoint, Terminal
from provisioner_plugins.kvm.replication.nbd import Address, TcpAddress, UnixAddress
from provisioner_plugins.kvm.replication.shell import Shell

FOLDER = "/tmp/provisioner-nbd-{}"  # noqa: S108 - made for one user alone, and checked
_PORTS = (10809, 10872)
_FOLDER = """
dir="/tmp/provisioner-nbd-$(id -u)"
mkdir -m 711 "$dir" 2>/dev/null || true
[ -d "$dir" ] && [ -O "$dir" ] && [ ! -L "$dir" ] || { echo "$dir is not ours" >&2; exit 1; }
echo "$dir"
"""
_OURS = """
ours() { tr '\\0' '\\n' <"/proc/$1/cmdline" 2>/dev/null | grep -qF -- "$2.pid"; }
"""
_END = (
    _OURS
    + """
for base in "$@"; do
  pid=$(cat "$base.pid" 2>/dev/null || true)
  if [ -n "$pid" ] && ours "$pid" "$base"; then
    kill "$pid" 2>/dev/null || true
    tries=0
    while ours "$pid" "$base"; do
      tries=$((tries + 1))
      if [ "$tries" = 200 ]; then kill -9 "$pid" 2>/dev/null || true; fi
      if [ "$tries" = 300 ]; then echo "process $pid does not end" >&2; exit 1; fi
      sleep 0.05
    done
  fi
  rm -f -- "$base.pid" "$base.sock" "$base.qmp" "$base.idle"
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
chown --reference="$1" -- "$2" 2>/dev/null || true
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

    def __init__(self, endpoint: Endpoint, shell: Shell) -> None:
        self._shell = shell
        self._place = place_of(endpoint)
        self._folder: str | None = None

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
        argv = ("qemu-nbd", *options, f"--socket={base}.sock", path)
        self._shell.run(argv, deadline)
        try:
            with self._shell.reached(f"{base}.sock", deadline) as here:
                yield UnixAddress(here)
        finally:
            self.end([key], deadline)

    def keep_offered(
        self,
        key: str,
        images: Sequence[tuple[str, str, str]],
        deadline: Deadline,
        let_in: str | None = None,
    ) -> Address:
        """Have images (export name, path, format) written to by the QEMU of another site, until
        :meth:`end`. ``let_in``: a file of this machine whose owner may connect to the socket.
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
            server = f"addr.type=unix,addr.path={base}.sock,max-connections={len(images)}"
            self._shell.run([*argv, "--nbd-server", server, *exports], deadline)
            if let_in is not None:
                self._shell.script(_LET_IN, (let_in, f"{base}.sock"), deadline)
            address = UnixAddress(f"{base}.sock")
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
    def locked(self, key: str, about: str, deadline: Deadline) -> Iterator[None]:
        """A block that one caller at a time is in; see :meth:`Shell.locked`."""
        with self._shell.locked(f"{self._base(key, deadline)}.lock", about):
            yield

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
        if self._folder is None:
            self._folder = self._shell.script(_FOLDER, (), deadline).strip()
        return f"{self._folder}/{hashlib.sha256(key.encode()).hexdigest()[:24]}"

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
