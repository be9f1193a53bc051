"""The leases of a run at the hosts of both sites: who gets them, and what follows where a host does
not answer or gives them to another one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.providers.api import Retryable
from provisioner.providers.capabilities import LEASES, Lease, Taken
from provisioner.state.model import EndpointRecord
from provisioner.state.process import ProcessIdentity
from provisioner.workflows.recovery import tenure as module
from provisioner.workflows.recovery.tenure import Claim, Tenure
from provisioner_plugins.memory.session import MemorySession
from tests.lifecycle.twosites import HOSTS, TwoSites
from tests.unit.workflows.recovery.plans import A, B, planned

ME = ProcessIdentity.current()
FAR = ME._replace(host="far", machine="far", boot="far")
DEAD = ME._replace(started=1)
ALL = (A, B)


@pytest.fixture
def sites(tmp_path: Path) -> TwoSites:
    return TwoSites(tmp_path, [planned("db")])


def claim(sites: TwoSites, process: ProcessIdentity = ME) -> Claim:
    return Claim("migrate", "ann@desk", sites.folder / "a.db", sites.clock.now(), process=process)


def tenure(
    sites: TwoSites,
    process: ProcessIdentity = ME,
    *,
    needs: tuple[str, ...] = ALL,
    consent: bool = False,
) -> Tenure:
    return Tenure(sites.plan, sites.sessions(), claim(sites, process), needs, consent=consent)


def admit(sites: TwoSites, run: Tenure, site: str) -> None:
    record = sites.plan.endpoints[HOSTS[site]]
    run.admit(record, run.sessions.get(record))


def refused(action: Callable[[], Any]) -> str:
    with pytest.raises(ProvisionerError) as found:
        action()
    return found.value.diagnostics[0].code


@pytest.mark.parametrize(
    ("holder", "consent", "gets_it"),
    [
        (ME, False, False),
        (ME, True, False),
        (FAR, False, False),
        (FAR, True, True),
        (DEAD, False, True),
    ],
    ids=["alive", "alive, consent", "far", "far, consent", "dead"],
)
def test_who_gets_a_lease_that_another_one_has(
    sites: TwoSites, holder: ProcessIdentity, consent: bool, gets_it: bool
) -> None:
    with tenure(sites, holder) as first:
        second = tenure(sites, consent=consent)
        if not gets_it:
            assert "PRV7113" == refused(second.__enter__)
            admit(sites, first, B)
            return
        with second:
            assert "PRV7114" == refused(lambda: admit(sites, first, B))
            admit(sites, second, B)


def test_who_is_refused_keeps_no_lease_of_others(sites: TwoSites) -> None:
    sites.outside(A).cut_off()
    with tenure(sites) as first:
        sites.outside(A).come_back()
        assert "PRV7113" == refused(tenure(sites).__enter__)
        admit(sites, first, A)


def test_once_it_has_ended_another_run_may_begin(sites: TwoSites) -> None:
    for _ in range(2):
        with tenure(sites) as run:
            admit(sites, run, B)


def test_a_host_that_comes_back_is_asked_before_it_is_changed(sites: TwoSites) -> None:
    sites.outside(B).cut_off()
    with tenure(sites) as late:
        sites.outside(B).come_back()
        sites.outside(A).cut_off()
        with tenure(sites):
            assert "PRV7113" == refused(lambda: admit(sites, late, B))
        admit(sites, late, B)


def test_a_host_that_has_forgotten_everything_gives_it_again(sites: TwoSites) -> None:
    with tenure(sites) as run:
        forget(sites, B)
        admit(sites, run, B)
        assert "PRV7113" == refused(tenure(sites).__enter__)


def forget(sites: TwoSites, site: str) -> None:
    """The host of a site was restarted."""
    (lease,) = [item for item in sites.outside(site).objects() if item.kind == "Lease"]
    sites.outside(site).remove("Lease", lease.name)


def test_who_was_put_out_hears_of_it_also_when_the_other_one_has_ended(sites: TwoSites) -> None:
    with tenure(sites, FAR) as first:
        assert first.put_out() is None
        with tenure(sites, consent=True):
            pass
        never, tries = Event(), 0
        while (found := first.put_out()) is None and tries < 500:
            tries += not never.wait(0.02)
        assert found is not None
        assert "PRV7114" == found.diagnostics[0].code
        assert "ann@desk" in found.diagnostics[0].detail


@pytest.mark.parametrize("needs", [(B,), ALL], ids=["is left", "is needed"])
def test_a_host_that_gives_none_holds_up_only_what_needs_its_site(
    sites: TwoSites, needs: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: Any, **__: Any) -> None:
        raise Retryable(error("PRV5362", "its shell cannot be reached"), 0.01)

    monkeypatch.setattr(MemorySession, "hold", busy)
    with tenure(sites, needs=needs) as run:
        if A not in needs:
            admit(sites, run, A)
        with pytest.raises(Retryable) as found:
            admit(sites, run, B)
    assert f"Host/{HOSTS[B]}" == found.value.diagnostic.address


def test_nobody_waits_for_a_host_whose_site_is_left_once_the_others_have_answered(
    sites: TwoSites, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold, asked, answers, gave = MemorySession.hold, Event(), Event(), Event()

    def slow(self: MemorySession, name: str, *rest: Any, **more: Any) -> Lease | Taken | None:
        if not name.endswith(HOSTS[A]):
            return hold(self, name, *rest, **more)
        asked.set()
        assert answers.wait(60)
        found = hold(self, name, *rest, **more)
        gave.set()
        return found

    monkeypatch.setattr(MemorySession, "hold", slow)
    monkeypatch.setattr(module, "GRACE", 0.0)
    with tenure(sites, needs=(B,)) as run:
        assert asked.wait(60)
        admit(sites, run, B)
        answers.set()
        assert gave.wait(60)
    never, tries = Event(), 0
    while not (free := may_begin(sites)) and tries < 500:
        tries += not never.wait(0.02)
    assert free


def may_begin(sites: TwoSites) -> bool:
    try:
        with tenure(sites):
            return True
    except ProvisionerError:
        return False


@pytest.mark.parametrize("promises", [True, False])
def test_nothing_is_asked_where_there_are_no_leases(
    sites: TwoSites, promises: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MemorySession, "hold", lambda *_, **__: None)
    if not promises:
        told = sites.provider.describe()
        less = replace(told, capabilities=told.capabilities - {LEASES})
        monkeypatch.setattr(sites.provider, "describe", lambda: less)
    with tenure(sites) as one, tenure(sites) as other:
        admit(sites, one, B)
        admit(sites, other, B)


def test_two_hosts_that_are_one_endpoint_are_not_in_each_others_way(tmp_path: Path) -> None:
    spec = {"provider": "memory", "connection": {"path": "both.jsonl"}}
    records = {name: EndpointRecord(name, "memory", spec) for name in HOSTS.values()}
    sites = TwoSites(tmp_path, [planned("db")], new=False, endpoints=records)
    with tenure(sites) as run:
        for site in (A, B, A):
            admit(sites, run, site)
        assert [1, 1] == [sites.provider.calls(name)["hold"] for name in HOSTS.values()]
        assert "PRV7113" == refused(tenure(sites).__enter__)


def test_a_claim_is_read_as_it_was_written(sites: TwoSites) -> None:
    found = claim(sites)
    assert (found, None) == (Claim.of(found.text), Claim.of("somebody"))
    assert "\n" not in found.text
