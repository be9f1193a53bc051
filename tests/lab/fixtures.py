"""The lab as pytest fixtures; ``tests/conftest.py`` loads this module as a plugin.

``libvirt_session`` and ``libvirt_system`` are one daemon for each worker, emptied after every test
that uses it. ``fresh_libvirt_session`` and ``fresh_libvirt_system`` are a test's own, to be killed
and restarted at will, and so are the two of ``two_sites`` and ``two_system_sites``.
``shop`` is one for each module. ``vcsim_vcenter`` and ``vcsim_esxi`` are one simulator for each
worker, to be left as they were found. What the machine cannot run is skipped; the reason says what
is missing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.lab import bootsector, linux, requirements, vcsim
from tests.lab.bootsector import BootImage
from tests.lab.daemon import Flavour, LibvirtDaemon
from tests.lab.linux import LinuxGuest
from tests.lab.storagehost import StorageHost
from tests.lab.vcsim import Options, Vcsim

if TYPE_CHECKING:
    from tests.lab.shop import Shop
    from tests.lab.sites import TwoSites


@pytest.fixture
def libvirt_session(worker_libvirt_session: LibvirtDaemon) -> Iterator[LibvirtDaemon]:
    """An unprivileged daemon without domains, networks and pools."""
    yield worker_libvirt_session
    _empty(worker_libvirt_session)


@pytest.fixture
def libvirt_system(worker_libvirt_system: LibvirtDaemon) -> Iterator[LibvirtDaemon]:
    """A privileged daemon without domains, networks and pools; networks can be started."""
    yield worker_libvirt_system
    _empty(worker_libvirt_system)


@pytest.fixture(scope="session")
def worker_libvirt_session() -> Iterator[LibvirtDaemon]:
    """What ``libvirt_session`` empties."""
    yield from _daemon(Flavour.SESSION)


@pytest.fixture(scope="session")
def worker_libvirt_system() -> Iterator[LibvirtDaemon]:
    """What ``libvirt_system`` empties."""
    yield from _daemon(Flavour.SYSTEM)


@pytest.fixture
def fresh_libvirt_session() -> Iterator[LibvirtDaemon]:
    """An unprivileged daemon of the test's own."""
    yield from _daemon(Flavour.SESSION)


@pytest.fixture
def fresh_libvirt_system() -> Iterator[LibvirtDaemon]:
    """A privileged daemon of the test's own."""
    yield from _daemon(Flavour.SYSTEM)


@pytest.fixture
def two_sites() -> Iterator["TwoSites"]:
    """Two unprivileged daemons of the test's own, with a pool each, reached by TCP."""
    yield from _sites(Flavour.SESSION)


@pytest.fixture
def two_system_sites() -> Iterator["TwoSites"]:
    """Two privileged daemons of the test's own, with a pool and networks each, and a line between
    their hosts."""
    yield from _sites(Flavour.SYSTEM)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Shop"]:
    """The stack of two sites, of which nothing is there yet. Its daemons are the module's own."""
    _skip_if(requirements.boot_image_unavailable())
    # Imported here because the suite also runs where libvirt-python is not installed.
    from tests.lab.shop import Shop  # noqa: PLC0415

    for sites in _sites(Flavour.SYSTEM):
        with Shop(sites, tmp_path_factory.mktemp("shop")) as opened:
            yield opened


@pytest.fixture(scope="session")
def boot_image() -> BootImage:
    """The boot-sector guest's disk, to be copied."""
    _skip_if(requirements.boot_image_unavailable())
    return bootsector.build()


@pytest.fixture(scope="session")
def linux_guest() -> LinuxGuest:
    """Kernel and initramfs of the small Linux guest."""
    _skip_if(requirements.linux_guest_unavailable())
    return linux.build()


@pytest.fixture(scope="session")
def storage_host() -> Iterator[StorageHost]:
    """The machine with NFS, volume groups, iSCSI and Open vSwitch."""
    _skip_if(requirements.storage_host_unavailable())
    with StorageHost() as host:
        yield host


@pytest.fixture(scope="session")
def vcsim_vcenter() -> Iterator[Vcsim]:
    """A vCenter with four machines, for tests that leave it as they found it."""
    with simulated(Options()) as simulator:
        yield simulator


@pytest.fixture(scope="session")
def vcsim_esxi() -> Iterator[Vcsim]:
    """An ESXi host with four machines, for tests that leave it as they found it."""
    with simulated(Options(esx=True, users=(("root", "lab-password"),))) as simulator:
        yield simulator


@contextmanager
def simulated(options: Options) -> Iterator[Vcsim]:
    """A vSphere simulator that a test shares with nobody; skips where the machine has none."""
    _skip_if(vcsim.unavailable())
    with Vcsim(options) as started:
        yield started


def _daemon(flavour: Flavour) -> Iterator[LibvirtDaemon]:
    _skip_if(requirements.daemon_unavailable(flavour))
    with LibvirtDaemon(flavour) as daemon:
        yield daemon


def _sites(flavour: Flavour) -> Iterator["TwoSites"]:
    _skip_if(requirements.daemon_unavailable(flavour))
    # Imported here because the suite also runs where libvirt-python is not installed.
    from tests.lab.sites import TwoSites  # noqa: PLC0415

    with TwoSites(flavour) as sites:
        yield sites


def _empty(daemon: LibvirtDaemon) -> None:
    # Imported here because the suite also runs where libvirt-python is not installed.
    import libvirt  # noqa: PLC0415

    from tests.lab.sweep import sweep  # noqa: PLC0415

    connection = libvirt.open(daemon.uri)
    try:
        sweep(connection)
    finally:
        connection.close()


def _skip_if(reason: str | None) -> None:
    if reason is not None:
        pytest.skip(reason)
