"""Two sites for tests of recovery: a daemon each, with a pool each, that know nothing of each
other. Called by the fixtures ``two_sites`` and ``two_system_sites``.

Sites of the session flavour are reached by TCP. Those of the system flavour have networks, and a
line between their hosts: ``address`` says how the other host calls one.
"""

import contextlib
import os
import signal
import subprocess
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import libvirt

from tests.lab import listeners
from tests.lab.bootsector import BootImage
from tests.lab.daemon import Flavour, LibvirtDaemon
from tests.lab.domain import boot_domain
from tests.lab.launcher import LabError, end
from tests.lab.observer import Observer
from tests.lab.serial import SerialLog

POOL = "site"
_EXPORTS = ("qemu-storage-daemon", "qemu-nbd")
_LINE = "labline"
_LISTENING_SECONDS = 10.0
_ADDRESSES = {"a": "10.99.0.1", "b": "10.99.0.2"}


class Site:
    """One site. ``uri`` is what the provisioner and libvirt.open take, ``folder`` is where the
    volumes of its pool are.
    """

    def __init__(self, name: str, flavour: Flavour) -> None:
        listener = listeners.tcp() if flavour is Flavour.SESSION else None
        self.name = name
        self.daemon = LibvirtDaemon(flavour, listener=listener)
        self.uri = self.daemon.uri if listener is None else listener.uri
        self.folder = self.daemon.directory / "pool"
        self.address = _ADDRESSES[name] if flavour is Flavour.SYSTEM else "127.0.0.1"
        """How the host of the other site calls this one."""

    def start(self) -> None:
        """Starts it for the first time, and makes its pool, which is there after each start."""
        self.daemon.start()
        self.folder.mkdir()
        document = ET.Element("pool", type="dir")
        ET.SubElement(document, "name").text = POOL
        ET.SubElement(ET.SubElement(document, "target"), "path").text = str(self.folder)
        with self.connected() as connection:
            pool = connection.storagePoolDefineXML(ET.tostring(document, encoding="unicode"))
            pool.create()
            pool.setAutostart(1)

    @contextmanager
    def connected(self) -> Iterator[libvirt.virConnect]:
        """A connection to its daemon, for as long as the block lasts."""
        connection = self._opened()
        try:
            yield connection
        finally:
            connection.close()

    def _opened(self) -> libvirt.virConnect:
        """A connection; a daemon that has just started may listen a moment later."""
        end_of_patience = time.monotonic() + _LISTENING_SECONDS
        while True:
            try:
                return libvirt.open(self.uri)
            except libvirt.libvirtError:
                if time.monotonic() > end_of_patience:
                    raise
                time.sleep(0.1)

    def boot_disk(self, image: BootImage, name: str, kind: str = "qcow2") -> Path:
        """The disk of a boot-sector guest (``raw`` or ``qcow2``) as a volume of the pool."""
        disk = image.copy(self.folder / f"{name}.{kind}")
        with self.connected() as connection:
            connection.storagePoolLookupByName(POOL).refresh()
        return disk

    def log(self, name: str) -> SerialLog:
        """What a guest of :meth:`start_guest` prints, over all its runs here."""
        return SerialLog(self.daemon.directory / f"{name}.log")

    def define_guest(self, name: str, disk: Path) -> None:
        """Defines a boot-sector guest, which does not run yet."""
        with self.connected() as connection:
            connection.defineXML(boot_domain(name, disk, self.log(name).path))

    def start_guest(self, name: str) -> SerialLog:
        """Starts a guest that is defined here."""
        with self.connected() as connection:
            connection.lookupByName(name).create()
        return self.log(name)

    def end_programs(self) -> None:
        """Ends what works on the volumes of its pool beside its daemon: exports of replicas."""
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (process / "cmdline").read_bytes().split(b"\0")
                if Path(words[0].decode()).name in _EXPORTS and any(
                    os.fsencode(self.folder) in word for word in words
                ):
                    end(int(process.name), signal.SIGKILL)

    def inside(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Runs a program on the host of a system site: in its network, with the files of this
        machine.
        """
        return subprocess.run(
            ["nsenter", "-t", str(self.daemon.pid), "-n", *argv], capture_output=True, text=True
        )


class TwoSites:
    """Sites ``a`` and ``b``; both are ended, by process id, when the block ends."""

    def __init__(self, flavour: Flavour) -> None:
        self._flavour = flavour
        self.a = Site("a", flavour)
        try:
            self.b = Site("b", flavour)
        except BaseException:
            self.a.daemon.stop()
            raise

    def __enter__(self) -> Self:
        try:
            self.a.start()
            self.b.start()
            self._connect()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def other(self, site: Site) -> Site:
        """The site that this one is not."""
        return self.b if site is self.a else self.a

    def lose(self, site: Site) -> None:
        """The whole site fails at once: libvirtd, all QEMUs and what else runs there."""
        site.daemon.cut_power()
        site.end_programs()

    def bring_back(self, site: Site) -> None:
        """Its power is back: disks and definitions are as they were, what is marked so starts."""
        site.daemon.start()
        self._connect()

    def observed(self) -> Observer:
        """An observer of both sites; as a block it fails if a guest ran at both at once."""
        return Observer({site.name: site.daemon.guests for site in (self.a, self.b)})

    def _connect(self) -> None:
        """Lays the line between the hosts, which goes with either of them."""
        if self._flavour is not Flavour.SYSTEM:
            return
        # What is left of the old one goes a moment after the host that had the other end.
        self.a.inside("ip", "link", "del", _LINE)
        self.b.inside("ip", "link", "del", _LINE)
        end = ("type", "veth", "peer", "name", _LINE, "netns", str(self.b.daemon.pid))
        _must(self.a, "ip", "link", "add", _LINE, *end)
        for site in (self.a, self.b):
            _must(site, "ip", "address", "add", f"{site.address}/30", "dev", _LINE)
            _must(site, "ip", "link", "set", _LINE, "up")

    def _stop(self) -> None:
        try:
            self.a.daemon.stop()
            self.a.end_programs()
        finally:
            self.b.daemon.stop()
            self.b.end_programs()


def _must(site: Site, *argv: str) -> None:
    done = site.inside(*argv)
    if done.returncode != 0:
        raise LabError(f"site {site.name}: {' '.join(argv)}: {done.stderr.strip()}")
