"""What every store promises (provisioner/state/store.py), proven for each implementation."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from queue import Queue

import pytest

from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError
from provisioner.core.values import Secret
from provisioner.state.model import EndpointRecord, JournalPhase
from provisioner.state.store import Store
from tests.conformance.stores import (
    LEASE,
    LINEAGE,
    WEB,
    ManualClock,
    OpenStore,
    StoreUnderTest,
    code_of,
    entry,
    record,
)


def failures(store: Store) -> dict[str, object]:
    """Steps that did not succeed last, and what their failures say."""
    return {
        step: attempt.failure.detail["summary"] if attempt.failure is not None else None
        for step, attempt in store.failed_attempts().items()
    }


class TestReading:
    def test_a_new_state_is_empty_and_keeps_its_lineage(self, open_store: OpenStore) -> None:
        first, second = open_store().read(), open_store().read()
        assert LINEAGE == first.lineage == second.lineage
        assert {} == first.entries
        assert () == first.open_intents

    def test_entries_come_back_as_they_were_written(self, open_store: OpenStore) -> None:
        written = [entry("web"), entry("db", outputs={}, dependencies=(), generation=0, pending=())]
        record(open_store(), *written)
        found = open_store().read().entries
        assert {item.address: item for item in written} == {
            address: replace(item, serial=0) for address, item in found.items()
        }

    def test_an_entry_without_a_time_gets_that_of_the_write(self, open_store: OpenStore) -> None:
        store = open_store(clock=ManualClock())
        record(store, entry(applied_at=""))
        assert "2026-03-01T12:00:00+00:00" == store.read().entries[WEB].applied_at

    def test_the_serial_of_an_entry_moves_only_when_it_is_written(self, store: Store) -> None:
        record(store, entry("web"), entry("db"))
        before = store.read()
        record(store, entry("db"))
        after = store.read()
        assert before.entries[WEB].serial == after.entries[WEB].serial
        db = Address("VirtualMachine", "db")
        assert before.entries[db].serial < after.entries[db].serial <= after.serial


class TestTransitions:
    def test_an_intent_without_an_outcome_is_open(self, open_store: OpenStore) -> None:
        store = open_store()
        operation = store.begin("apply", "alice", None)
        detail = {"uid": "u", "spec": {"size": 1}}
        first = store.intend(operation, "step-1", "create", WEB, detail)
        second = store.intend(operation, "step-2", "delete", Address("Disk", "old"), {})
        store.settle(first)
        intents = open_store().read().open_intents
        assert [second] == [intent.sequence for intent in intents]
        assert ("step-2", "delete", Address("Disk", "old")) == (
            intents[0].step,
            intents[0].action,
            intents[0].address,
        )

    def test_the_detail_of_an_intent_comes_back(self, store: Store) -> None:
        detail = {"uid": "u", "spec": {"size": 1}, "list": [None, True, 1.5]}
        store.intend(store.begin("apply", "alice", None), "s", "create", WEB, detail)
        assert detail == store.read().open_intents[0].detail

    def test_an_outcome_puts_and_removes_in_one_go(self, store: Store) -> None:
        record(store, entry("old"))
        intent = store.intend(store.begin("apply", "a", None), "s", "rename", WEB, {})
        store.settle(intent, put=[entry("web")], remove=[Address("VirtualMachine", "old")])
        assert [WEB] == list(store.read().entries)

    def test_a_failure_is_recorded_with_its_entries(self, store: Store) -> None:
        operation = store.begin("apply", "alice", None)
        intent = store.intend(operation, "s", "create", WEB, {})
        store.settle(intent, put=[entry()], failure={"code": "PRV5104"})
        outcome = store.journal(operation)[-1]
        assert (JournalPhase.FAILED, {"code": "PRV5104"}) == (outcome.phase, outcome.detail)
        assert [WEB] == list(store.read().entries)
        assert () == store.read().open_intents

    def test_an_intent_is_settled_once(self, store: Store) -> None:
        intent = store.intend(store.begin("apply", "alice", None), "s", "create", WEB, {})
        store.settle(intent, put=[entry()])
        assert "PRV4014" == code_of(lambda: store.settle(intent, remove=[WEB]))
        assert [WEB] == list(store.read().entries)

    def test_the_journal_tells_intents_and_outcomes_in_order(self, store: Store) -> None:
        record(store, entry("web"))
        record(store, entry("db"))
        phases = [(item.address.name, item.phase.value) for item in store.journal()]
        assert [("web", "intent"), ("web", "done"), ("db", "intent"), ("db", "done")] == phases
        newest = store.history()[0].operation
        assert {newest} == {item.operation for item in store.journal(newest)}

    def test_a_step_has_failed_until_it_succeeds(self, store: Store) -> None:
        operation = store.begin("apply", "alice", None)
        first = store.intend(operation, "s", "update", WEB, {"spec": {"size": 1}})
        assert {"s": None} == failures(store)
        store.settle(first, failure={"summary": "no room"})
        assert {"s": "no room"} == failures(store)
        assert {"spec": {"size": 1}} == store.failed_attempts()["s"].intent.detail
        store.settle(store.intend(operation, "other", "update", WEB, {}))
        assert {"s": "no room"} == failures(store)
        store.settle(store.intend(store.begin("apply", "bob", None), "s", "update", WEB, {}))
        assert {} == failures(store)

    def test_all_attempts_since_the_last_success_are_known(self, store: Store) -> None:
        operation = store.begin("apply", "alice", None)
        store.settle(store.intend(operation, "s", "update", WEB, {"spec": {"size": 1}}))
        first = store.intend(operation, "s", "update", WEB, {"spec": {"size": 2}})
        second = store.intend(operation, "s", "update", WEB, {"spec": {"size": 3}})
        store.settle(second, failure={"summary": "no room"})
        intents = store.failed_attempts()["s"].intents
        assert [first, second] == [item.sequence for item in intents]

    def test_what_a_later_run_closes_does_not_undo_its_success(self, store: Store) -> None:
        left = store.intend(store.begin("apply", "alice", None), "s", "create", WEB, {})
        store.settle(store.intend(store.begin("apply", "bob", None), "s", "create", WEB, {}))
        store.settle(left, failure={"summary": "the run ended"})
        assert {} == failures(store)

    def test_history_is_newest_first_and_limited(self, store: Store) -> None:
        for kind in ("apply", "destroy"):
            store.finish(store.begin(kind, "alice", "digest"), "done", {"steps": 3})
        running = store.begin("apply", "bob", None)
        assert [
            ("apply", None, {}),
            ("destroy", "done", {"steps": 3}),
            ("apply", "done", {"steps": 3}),
        ] == [(item.kind, item.outcome, item.summary) for item in store.history()]
        assert [running] == [item.operation for item in store.history(limit=1)]

    def test_finishing_what_never_began_is_refused(self, store: Store) -> None:
        assert "PRV4014" == code_of(lambda: store.finish("20260101T000000Z-9", "done", {}))

    def test_endpoints_are_remembered_and_brought_up_to_date(self, store: Store) -> None:
        old = EndpointRecord("lab", "kvm", {"connection": {"uri": "qemu:///session"}})
        new = EndpointRecord("lab", "kvm", {"connection": {"uri": "qemu:///system"}})
        other = EndpointRecord("far", "memory", {})
        store.record_endpoints([old])
        store.record_endpoints([new, other])
        assert {"lab": new, "far": other} == store.read().endpoints

    def test_a_secret_is_never_written(self, store: Store) -> None:
        intent = store.intend(store.begin("apply", "alice", None), "s", "create", WEB, {})
        leaking = entry(spec={"cloudInit": {"userData": Secret("hunter2", "env://PASSWORD")}})
        with pytest.raises(ProvisionerError) as caught:
            store.settle(intent, put=[leaking])
        assert "PRV4012" == caught.value.diagnostics[0].code
        assert "hunter2" not in str(caught.value.diagnostics)
        assert {} == store.read().entries
        assert 1 == len(store.read().open_intents)

    def test_an_unknown_is_never_written(self, store: Store) -> None:
        intent = store.intend(store.begin("apply", "alice", None), "s", "create", WEB, {})
        waiting = entry(spec={"address": {"$unknown": "Network/front.bridge"}})
        assert "PRV4012" == code_of(lambda: store.settle(intent, put=[waiting]))
        quoting = entry(spec={"description": 'says "$unknown": x'})
        store.settle(intent, put=[quoting])
        assert quoting.spec == store.read().entries[WEB].spec


class TestThreads:
    def test_many_threads_write_at_once(self, open_store: OpenStore) -> None:
        store = open_store()
        operation = store.begin("apply", "alice", None)
        sequences: list[int] = []

        def step(number: int) -> None:
            item = entry(f"vm-{number}")
            intent = store.intend(operation, item.name, "create", item.address, {})
            sequences.append(intent)
            store.settle(intent, put=[item])

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(step, range(300)))
        state = open_store().read()
        assert 300 == len(set(sequences)) == len(state.entries)
        assert () == state.open_intents
        assert [] == store.verify()

    def test_one_bad_write_leaves_the_others_whole(self, store: Store) -> None:
        operation = store.begin("apply", "alice", None)
        outcomes: dict[int, str] = {}

        def step(number: int) -> None:
            item = entry(f"vm-{number}")
            intent = store.intend(operation, item.name, "create", item.address, {})
            try:
                # Every third one settles an intent that is none.
                store.settle(intent + 100_000 if number % 3 == 0 else intent, put=[item])
                outcomes[number] = "written"
            except ProvisionerError as problem:
                outcomes[number] = problem.diagnostics[0].code

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(step, range(60)))
        assert {n: "PRV4014" if n % 3 == 0 else "written" for n in range(60)} == outcomes
        assert 40 == len(store.read().entries)

    def test_a_reader_sees_whole_transitions(self, open_store: OpenStore) -> None:
        """A rename puts and removes; no reader ever finds both names or none."""
        writer, reader = open_store(), open_store()
        record(writer, entry("a"))
        seen: set[tuple[str, ...]] = set()
        done = threading.Event()

        def rename() -> None:
            operation = writer.begin("apply", "alice", None)
            number = 0
            while not done.is_set():
                old, new = ("a", "b") if number % 2 == 0 else ("b", "a")
                intent = writer.intend(operation, "s", "rename", WEB, {})
                writer.settle(intent, put=[entry(new)], remove=[Address("VirtualMachine", old)])
                number += 1

        renaming = threading.Thread(target=rename)
        renaming.start()
        try:
            for number in range(10_000):
                seen.add(tuple(sorted(address.name for address in reader.read().entries)))
                if number >= 100 and len(seen) > 1:
                    break
        finally:
            done.set()
            renaming.join()
        assert {("a",), ("b",)} == seen


class TestLock:
    def test_the_second_one_learns_who_has_it(self, open_store: OpenStore) -> None:
        clock = ManualClock()
        open_store(clock=clock).lock("alice@desk (process 12)", "apply", LEASE)
        with pytest.raises(ProvisionerError) as caught:
            open_store(clock=clock).lock("bob@lap (process 7)", "plan", LEASE)
        found = caught.value.diagnostics[0]
        assert "PRV4004" == found.code
        text = f"{found.summary} {found.detail}"
        assert "alice@desk (process 12)" in text
        assert "2026-03-01 12:00:00" in text
        assert "for apply" in text

    def test_it_is_free_again_after_release(self, open_store: OpenStore) -> None:
        first, second = open_store(), open_store()
        lock = first.lock("alice", "apply", LEASE)
        holder = second.lock_holder()
        assert holder is not None
        assert lock.holder.token == holder.token
        lock.release()
        lock.release()
        assert second.lock_holder() is None
        assert "bob" == second.lock("bob", "apply", LEASE).holder.owner

    def test_closing_the_store_gives_it_back(self, open_store: OpenStore) -> None:
        first, second = open_store(), open_store()
        first.lock("alice", "apply", LEASE)
        first.close()
        assert second.lock_holder() is None

    def test_a_lease_that_ran_out_is_said_and_can_be_broken(self, open_store: OpenStore) -> None:
        clock = ManualClock()
        first, second = open_store(clock=clock), open_store(clock=clock)
        lock = first.lock("alice", "apply", LEASE)
        clock.move(31)
        with pytest.raises(ProvisionerError) as caught:
            second.lock("bob", "apply", LEASE)
        found = caught.value.diagnostics[0]
        assert "ran out at 2026-03-01 12:00:30" in found.detail
        assert f"provisioner state unlock {lock.holder.token}" in found.hint
        second.break_lock(lock.holder.token)
        second.lock("bob", "apply", LEASE)

    def test_whoever_lost_it_finds_out(self, open_store: OpenStore) -> None:
        first, second = open_store(), open_store()
        lock = first.lock("alice", "apply", LEASE)
        operation = first.begin("apply", "alice", None)
        intent = first.intend(operation, "s", "create", WEB, {})
        second.break_lock(lock.holder.token)
        second.lock("bob", "apply", LEASE)
        assert "PRV4005" == code_of(lambda: first.intend(operation, "t", "create", WEB, {}))
        # What was done already is recorded all the same.
        first.settle(intent, put=[entry()])
        assert [WEB] == list(second.read().entries)
        lock.release()
        holder = second.lock_holder()
        assert holder is not None
        assert "bob" == holder.owner

    def test_whoever_took_it_may_have_closed_what_was_open(self, open_store: OpenStore) -> None:
        first, second = open_store(), open_store()
        lock = first.lock("alice", "apply", LEASE)
        intent = first.intend(first.begin("apply", "alice", None), "s", "create", WEB, {})
        second.break_lock(lock.holder.token)
        second.settle(intent)
        assert "PRV4005" == code_of(lambda: first.settle(intent, put=[entry()]))
        assert {} == second.read().entries

    def test_breaking_takes_the_right_token(self, open_store: OpenStore) -> None:
        store = open_store()
        lock = store.lock("alice", "apply", LEASE)
        assert "PRV4006" == code_of(lambda: store.break_lock("0000"))
        assert lock.holder == store.lock_holder()

    def test_it_is_renewed_while_it_is_held(self, open_store: OpenStore) -> None:
        first, second = open_store(), open_store()
        lock = first.lock("alice", "apply", timedelta(seconds=0.3))
        expires = lock.holder.expires
        waiter = threading.Event()
        for _ in range(100):
            waiter.wait(0.05)
            holder = second.lock_holder()
            assert holder is not None
            if holder.expires > expires:
                return
        pytest.fail("the lease was not renewed")

    def test_reading_needs_no_lock(self, open_store: OpenStore) -> None:
        first, second = open_store(), open_store()
        first.lock("alice", "apply", LEASE)
        assert {} == second.read().entries


class TestBackup:
    def test_a_backup_brings_back_what_was(self, open_store: OpenStore, tmp_path: Path) -> None:
        store = open_store()
        record(store, entry("web"))
        store.backup(tmp_path / "copy.db")
        record(store, entry("db"))
        store.restore(tmp_path / "copy.db")
        assert [WEB] == list(store.read().entries)
        assert [WEB] == list(open_store().read().entries)
        assert [] == store.verify()
        assert "restore" == store.history()[0].kind

    def test_a_plan_from_before_never_fits_after(
        self, open_store: OpenStore, tmp_path: Path
    ) -> None:
        """Serials go on counting where the replaced state had arrived."""
        store = open_store()
        record(store, entry("web"))
        store.backup(tmp_path / "copy.db")
        record(store, entry("web"), entry("web"))
        reached = store.read().serial
        store.restore(tmp_path / "copy.db")
        record(store, entry("web"))
        assert reached < store.read().entries[WEB].serial

    def test_a_backup_never_overwrites(self, store: Store, tmp_path: Path) -> None:
        target = tmp_path / "copy.db"
        target.write_text("mine")
        assert "PRV4011" == code_of(lambda: store.backup(target))
        assert "mine" == target.read_text()

    def test_a_backup_can_be_made_while_others_write(
        self, open_store: OpenStore, tmp_path: Path
    ) -> None:
        store, other = open_store(), open_store()
        operation = store.begin("apply", "alice", None)
        done = threading.Event()
        written: Queue[Address] = Queue()

        def write() -> None:
            number = 0
            while not done.is_set():
                item = entry(f"vm-{number}")
                intent = store.intend(operation, item.name, "create", item.address, {})
                store.settle(intent, put=[item])
                written.put(item.address)
                number += 1

        writer = threading.Thread(target=write)
        writer.start()
        committed: set[Address] = set()
        try:
            for number in range(5):
                # Each waits until the writer has gone on since the one before.
                committed.add(written.get(timeout=60))
                while not written.empty():
                    committed.add(written.get())
                other.backup(tmp_path / f"copy-{number}.db")
        finally:
            done.set()
            writer.join()
        assert [] == store.verify()
        store.restore(tmp_path / "copy-4.db")
        assert [] == store.verify()
        assert committed <= store.read().entries.keys()

    def test_a_held_lock_is_not_in_the_backup(self, open_store: OpenStore, tmp_path: Path) -> None:
        store = open_store()
        lock = store.lock("alice", "apply", LEASE)
        store.backup(tmp_path / "copy.db")
        lock.release()
        store.restore(tmp_path / "copy.db")
        assert store.lock_holder() is None

    def test_restore_waits_for_nobody_who_works(
        self, open_store: OpenStore, tmp_path: Path
    ) -> None:
        first, second = open_store(), open_store()
        first.backup(tmp_path / "copy.db")
        first.lock("alice", "apply", LEASE)
        assert "PRV4004" == code_of(lambda: second.restore(tmp_path / "copy.db"))

    def test_a_damaged_backup_is_refused(
        self, store_under_test: StoreUnderTest, store: Store, tmp_path: Path
    ) -> None:
        record(store, entry("web"))
        copy = tmp_path / "copy.db"
        store.backup(copy)
        data = copy.read_bytes()
        store_under_test.damage(copy)
        assert data != copy.read_bytes()
        assert "PRV4013" == code_of(lambda: store.restore(copy))
        copy.write_bytes(data[: len(data) // 2])
        assert "PRV4013" == code_of(lambda: store.restore(copy))
        assert "PRV4013" == code_of(lambda: store.restore(tmp_path / "none.db"))
        assert [WEB] == list(store.read().entries)

    def test_a_backup_of_another_stack_is_refused(
        self, store_under_test: StoreUnderTest, store: Store, tmp_path: Path
    ) -> None:
        office = store_under_test.opener(tmp_path / "elsewhere")(stack="office")
        office.backup(tmp_path / "office.db")
        office.close()
        record(store, entry("web"))
        assert "PRV4010" == code_of(lambda: store.restore(tmp_path / "office.db"))
        assert [WEB] == list(store.read().entries)


def test_closing_twice_and_using_again(open_store: OpenStore) -> None:
    store = open_store()
    record(store, entry())
    store.close()
    store.close()
    assert [WEB] == list(store.read().entries)
