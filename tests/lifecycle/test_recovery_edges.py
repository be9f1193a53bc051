"""What one machine asks of another that it needs, for itself alone: two that need the same one may
ask for different things, and go on differently.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.workflows.recovery.model import Check, Mode, PlannedMachine
from provisioner.workflows.recovery.report import Ended, report
from provisioner.workflows.runbook import OnFailure
from provisioner.workflows.runs import Outcome, What
from tests.lifecycle.twosites import TwoSites, trouble
from tests.unit.workflows.recovery.plans import A, B, machine_address, planned

DB = machine_address("db")
ORDERS, CACHE = "gate/db/for/orders/1", "gate/db/for/cache/1"


def needing_db(name: str, gate: Check) -> PlannedMachine:
    return planned(name, tier=2, needs=(DB,), edges={DB: (gate,)})


def there(path: Path, on_failure: OnFailure) -> Check:
    """Passed as soon as there is a file."""
    return Check("command", {"argv": ["test", "-e", str(path)]}, 1.0, on_failure)


@pytest.fixture
def sites(tmp_path: Path) -> TwoSites:
    """One machine without which orders does not start, and cache does; shop needs orders."""
    found = TwoSites(
        tmp_path,
        [
            planned("db", tier=1),
            needing_db("orders", there(tmp_path / "tables", OnFailure.HOLD)),
            needing_db("cache", there(tmp_path / "dump", OnFailure.GO_ON)),
            planned("shop", tier=3, needs=(machine_address("orders"),)),
            planned("mail", tier=3),
        ],
    )
    found.replicate()
    return found


@pytest.mark.parametrize("mode", [Mode.TEST, Mode.MIGRATE, Mode.FAILOVER])
def test_a_failure_counts_for_the_machine_that_asks_as_that_one_says(
    sites: TwoSites, mode: Mode
) -> None:
    run = sites.run(mode)
    assert Outcome.IN_PART is run.record.outcome
    assert {ORDERS: "PRV7086", CACHE: "PRV7086"} == trouble(run)
    held = {task for task, state in run.tasks.items() if state.what is What.HELD}
    assert {"start/orders", "start/shop"} == held
    started = {name for name in ("db", "cache", "mail") if run.tasks[f"start/{name}"].is_done}
    assert {"db", "cache", "mail"} == started


def test_one_that_stops_lets_nothing_more_begin(tmp_path: Path) -> None:
    orders = needing_db("orders", there(tmp_path / "tables", OnFailure.STOP))
    sites = TwoSites(tmp_path, [planned("db", tier=1), orders, planned("mail", tier=3)])
    sites.replicate()
    run = sites.run(Mode.FAILOVER)
    assert (Outcome.STOPPED, ["db"]) == (run.record.outcome, sites.running(B))


def test_the_report_tells_whom_it_held_back(sites: TwoSites) -> None:
    found = report(sites.run(Mode.FAILOVER))
    states = {item.address.partition("/")[2]: item.ended for item in found.machines}
    done, held = Ended.DONE, Ended.HELD
    expected = {"db": done, "cache": done, "mail": done, "orders": held, "shop": held}
    assert expected == states
    (orders,) = (item for item in found.machines if item.address.endswith("/orders"))
    assert "db, for orders: check it with a command: not within 1 s" == orders.why


def test_whoever_goes_on_with_the_run_asks_again_and_starts_what_was_held(sites: TwoSites) -> None:
    sites.run(Mode.FAILOVER)
    (sites.folder / "tables").touch()
    (sites.folder / "dump").touch()
    run = sites.resume(Mode.FAILOVER)
    assert (Outcome.SUCCEEDED, {}) == (run.record.outcome, trouble(run))
    assert ([], ["cache", "db", "mail", "orders", "shop"]) == (sites.running(A), sites.running(B))


def test_a_run_that_was_stopped_between_a_machine_and_who_asks_about_it(sites: TwoSites) -> None:
    for name in ("tables", "dump"):
        (sites.folder / name).touch()
    sites.stop_at("start/db")
    assert Outcome.CANCELLED is sites.run(Mode.FAILOVER).record.outcome
    assert ["db"] == sites.running(B)
    sites.begin_anew()
    run = sites.resume(Mode.FAILOVER)
    assert Outcome.SUCCEEDED is run.record.outcome
    assert [True, True] == [run.tasks[task].is_done for task in (ORDERS, CACHE)]
