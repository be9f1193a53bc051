"""Ports of a lab daemon beside its unix socket: plain TCP and TLS, on the loopback. Handed to
``LibvirtDaemon`` by tests of connections.

Source: https://libvirt.org/remote.html
"""

import contextlib
import random
import socket
from typing import NamedTuple

from tests.lab.certificates import Authority
from tests.lab.layout import Settings

_ADDRESS = "127.0.0.1"
# Below those for outgoing connections (ip_local_port_range in ip(7)).
_PORTS = range(20000, 30000)


class Listener(NamedTuple):
    """``settings`` for libvirtd.conf; ``uri`` without a query, which the client side decides on."""

    settings: Settings
    uri: str


def tcp() -> Listener:
    """A port without encryption or authentication."""
    port = free_port()
    settings: Settings = {
        "listen_tls": 0,
        "listen_tcp": 1,
        "auth_tcp": "none",
        "tcp_port": str(port),
        "listen_addr": _ADDRESS,
    }
    return Listener(settings, f"qemu+tcp://{_ADDRESS}:{port}/session")


def tls(authority: Authority, *, allowed: str | None = None) -> Listener:
    """A port that wants a client certificate of the authority; ``allowed``: only the one with this
    distinguished name."""
    port = free_port()
    settings: dict[str, str | int | list[str]] = {
        "listen_tls": 1,
        "tls_port": str(port),
        "listen_addr": _ADDRESS,
        "ca_file": str(authority.certificate),
        "cert_file": str(authority.server / "servercert.pem"),
        "key_file": str(authority.server / "serverkey.pem"),
    }
    if allowed is not None:
        settings["tls_allowed_dn_list"] = [allowed]
    return Listener(settings, f"qemu+tls://{_ADDRESS}:{port}/session")


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago, and that the kernel gives to nobody who
    asks for any: it is as free when the daemon starts, and when it starts anew.
    """
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((_ADDRESS, port))
            return port
    raise OSError(f"no port of {_ADDRESS} from {_PORTS.start} to {_PORTS.stop - 1} is free")
