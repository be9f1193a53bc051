"""KVM is taken only where a guest gets on with it; the measure is the host's own emulation."""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

libvirt = pytest.importorskip("libvirt")

from provisioner.core.diagnostics import error  # noqa: E402
from provisioner.providers.api import Terminal  # noqa: E402
from provisioner_plugins._libvirt.xml import parse  # noqa: E402
from provisioner_plugins.kvm.machine import host as host_module  # noqa: E402
from provisioner_plugins.kvm.machine.host import Host, HostFacts  # noqa: E402

CAPABILITIES = """
<capabilities>
  <host><cpu><arch>x86_64</arch><vendor>{vendor}</vendor></cpu></host>
  <guest><arch name='i686'>
    <machine>isapc</machine><domain type='qemu'/><domain type='kvm'/>
  </arch></guest>
  <guest><arch name='x86_64'>
    <machine canonical='pc-q35-7.2'>q35</machine><domain type='qemu'/>{kvm}
  </arch></guest>
</capabilities>
"""


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Daemon:
    """A daemon on which a guest's BIOS gives up after so many seconds, by type of domain; None: it
    does not start."""

    def __init__(
        self,
        clock: Clock,
        seconds: Mapping[str, float | None],
        *,
        vendor: str = "Intel",
        accelerator: str | None = "auto",
        kvm: bool = True,
    ) -> None:
        self.clock = clock
        self.seconds = seconds
        self.started: list[str] = []
        self.ended = 0
        self.reports: list[str] = []
        offered = "<domain type='kvm'/>" if kvm else ""
        self.capabilities = CAPABILITIES.format(vendor=vendor, kvm=offered)
        settings = {} if accelerator is None else {"accelerator": accelerator}
        self.endpoint = SimpleNamespace(name="lab", settings=settings)

    def read(self, _what: str, function: Callable[[Any], Any]) -> Any:
        return function(SimpleNamespace(getCapabilities=lambda: self.capabilities))

    def report(self, text: str) -> None:
        self.reports.append(text)

    def call(self, what: str, function: Callable[[Any], Any]) -> Any:
        try:
            return function(SimpleNamespace(createXML=self.start))
        except libvirt.libvirtError as problem:
            raise Terminal(error("PRV5117", what)) from problem

    def start(self, text: str, _flags: int) -> Any:
        kind = str(parse(text).get("type"))
        self.started.append(kind)
        seconds = self.seconds[kind]
        if seconds is None:
            raise libvirt.libvirtError("it does not start")
        end = self.clock.now + seconds

        def state() -> tuple[int, int]:
            running = self.clock.now < end
            return (libvirt.VIR_DOMAIN_RUNNING if running else libvirt.VIR_DOMAIN_SHUTDOWN, 0)

        def destroy() -> None:
            self.ended += 1

        return SimpleNamespace(state=state, destroy=destroy)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(host_module, "time", clock)
    return clock


@pytest.mark.parametrize(
    ("emulated", "accelerated", "chosen"),
    [
        (0.06, 0.04, "kvm"),
        (0.06, 0.4, "kvm"),  # not faster here, but nothing is wrong with it
        (0.06, 1.4, "tcg"),
        (0.06, None, "tcg"),
        (1.0, 2.5, "kvm"),  # everything is slow on this host
        (1.0, 10.0, "tcg"),
        (None, 0.5, "kvm"),
    ],
)
def test_auto_takes_what_gets_a_guest_on(
    clock: Clock, emulated: float | None, accelerated: float | None, chosen: str
) -> None:
    daemon = Daemon(clock, {"qemu": emulated, "kvm": accelerated})
    host = Host(daemon)  # type: ignore[arg-type]
    assert ("tcg" if host.emulated() else "kvm") == chosen
    assert bool([text for text in daemon.reports if "unusable" in text]) == (chosen == "tcg")
    assert sum(seconds is not None for seconds in (emulated, accelerated)) == daemon.ended
    host.emulated()
    assert ["qemu", "kvm"] == daemon.started, "it is tried once"
    assert clock.now < 25


def test_nothing_is_tried_where_nothing_is_offered_or_asked(clock: Clock) -> None:
    for daemon in (
        Daemon(clock, {}, kvm=False),
        Daemon(clock, {}, accelerator=None, kvm=False),
        Daemon(clock, {}, accelerator="tcg"),
    ):
        assert Host(daemon).emulated()  # type: ignore[arg-type]
        assert [] == daemon.started
    assert not Host(Daemon(clock, {}, accelerator="kvm")).emulated()  # type: ignore[arg-type]


def test_kvm_that_is_demanded_has_to_be_offered(clock: Clock) -> None:
    daemon = Daemon(clock, {}, accelerator="kvm", kvm=False)
    with pytest.raises(Terminal, match="no KVM"):
        Host(daemon).emulated()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("vendor", "emulated", "feature"),
    [("Intel", False, "vmx"), ("AMD", False, "svm"), ("Intel", True, "svm")],
)
def test_nested_machines_need_the_feature_of_the_processor(
    clock: Clock, vendor: str, emulated: bool, feature: str
) -> None:
    host = Host(Daemon(clock, {}, vendor=vendor))  # type: ignore[arg-type]
    assert feature == host.nested_feature(emulated=emulated)


def test_what_another_architecture_offers_is_not_counted() -> None:
    text = CAPABILITIES.format(vendor="AMD", kvm="")
    machines = frozenset({"q35", "pc-q35-7.2"})
    expected = HostFacts("x86_64", "AMD", offers_kvm=False, machines=machines)
    assert expected == HostFacts.read(parse(text))
