"""What every store promises of stacks that are kept in one place, and of states that programs of
other versions have written.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError
from provisioner.state.model import EndpointRecord
from tests.conformance.stores import (
    LEASE,
    WEB,
    OpenStore,
    StoreUnderTest,
    code_of,
    entry,
    record,
)

OTHERS = [("office", None), ("shop", "prod"), ("office", "prod")]


@pytest.mark.parametrize(("stack", "environment"), OTHERS)
class TestIsolation:
    """Stacks, and environments of one stack, that are kept in the same place."""

    def test_each_has_a_lineage_and_entries_of_its_own(
        self, open_store: OpenStore, stack: str, environment: str | None
    ) -> None:
        shop, other = open_store(), open_store(stack, environment=environment)
        record(shop, entry("web"))
        record(other, entry("db"))
        shop.record_endpoints([EndpointRecord("lab", "memory", {})])
        mine, theirs = shop.read(), other.read()
        assert mine.lineage != theirs.lineage
        assert [WEB] == list(mine.entries)
        assert [Address("VirtualMachine", "db")] == list(theirs.entries)
        assert (["lab"], []) == ([*mine.endpoints], [*theirs.endpoints])

    def test_each_has_a_journal_and_a_history_of_its_own(
        self, open_store: OpenStore, stack: str, environment: str | None
    ) -> None:
        shop, other = open_store(), open_store(stack, environment=environment)
        other.read()
        operation = shop.begin("apply", "alice", None)
        intent = shop.intend(operation, "s", "create", WEB, {"uid": "u"})
        assert ([], [], ()) == (other.journal(), other.history(), other.read().open_intents)
        # What one has under way cannot be ended through another, whatever its numbers are.
        assert "PRV4014" == code_of(lambda: other.settle(intent))
        assert "PRV4014" == code_of(lambda: other.finish(operation, "done", {}))
        assert [intent] == [item.sequence for item in shop.read().open_intents]

    def test_writing_one_moves_no_serial_of_another(
        self, open_store: OpenStore, stack: str, environment: str | None
    ) -> None:
        shop, other = open_store(), open_store(stack, environment=environment)
        before = other.read().serial
        record(shop, entry("web"), entry("db"))
        assert before == other.read().serial

    def test_each_has_a_lock_of_its_own(
        self, open_store: OpenStore, stack: str, environment: str | None
    ) -> None:
        shop, other = open_store(), open_store(stack, environment=environment)
        mine = shop.lock("alice", "apply", LEASE)
        assert other.lock_holder() is None
        theirs = other.lock("bob", "apply", LEASE)
        assert "PRV4006" == code_of(lambda: other.break_lock(mine.holder.token))
        theirs.release()
        assert mine.holder == shop.lock_holder()

    def test_a_backup_of_one_brings_back_that_one_alone(
        self, open_store: OpenStore, stack: str, environment: str | None, tmp_path: Path
    ) -> None:
        shop, other = open_store(), open_store(stack, environment=environment)
        record(shop, entry("web"))
        record(other, entry("db"))
        shop.backup(tmp_path / "shop.db")
        record(shop, entry("later"))
        record(other, entry("later"))
        shop.restore(tmp_path / "shop.db")
        assert [WEB] == list(shop.read().entries)
        assert 2 == len(other.read().entries)
        assert "PRV4010" == code_of(lambda: other.restore(tmp_path / "shop.db"))


class TestLayouts:
    """A program meets the states of an older one, and of a newer one."""

    def test_an_older_state_is_brought_up_with_all_that_is_in_it(
        self, store_under_test: StoreUnderTest, open_store: OpenStore
    ) -> None:
        old = open_store()
        record(old, entry("web"), entry("db"))
        intent = old.intend(old.begin("apply", "alice", None), "s", "create", WEB, {"uid": "u"})
        expected = (old.read(), old.journal(), old.history())
        old.close()
        with store_under_test.next_layout():
            new = open_store()
            assert expected == (new.read(), new.journal(), new.history())
            assert [] == new.verify()
            new.settle(intent, put=[entry("web")])
            new.lock("bob", "apply", LEASE).release()
            assert () == new.read().open_intents
            new.close()

    def test_a_newer_state_is_refused_and_left_as_it_is(
        self, store_under_test: StoreUnderTest, open_store: OpenStore, tmp_path: Path
    ) -> None:
        with store_under_test.next_layout():
            new = open_store()
            record(new, entry("web"))
            expected = new.read()
            new.backup(tmp_path / "new.db")
            new.close()
        old = open_store()
        with pytest.raises(ProvisionerError) as caught:
            old.read()
        assert "PRV4002" == caught.value.diagnostics[0].code
        assert "newer version" in caught.value.diagnostics[0].summary
        assert "PRV4002" == code_of(lambda: record(old, entry("db")))
        assert "PRV4002" == code_of(lambda: old.lock("alice", "apply", LEASE))
        assert "PRV4002" == code_of(lambda: old.restore(tmp_path / "new.db"))
        old.close()
        with store_under_test.next_layout():
            assert expected == open_store().read()

    def test_a_step_that_breaks_changes_nothing(
        self, store_under_test: StoreUnderTest, open_store: OpenStore
    ) -> None:
        old = open_store()
        record(old, entry("web"))
        expected = old.read()
        old.close()
        with store_under_test.next_layout(failing=True), pytest.raises(ProvisionerError):
            open_store().read()
        assert expected == open_store().read()
        assert [] == open_store().verify()

    def test_a_backup_of_an_older_program_is_brought_up_when_it_is_restored(
        self, store_under_test: StoreUnderTest, open_store: OpenStore, tmp_path: Path
    ) -> None:
        old = open_store()
        record(old, entry("web"))
        old.backup(tmp_path / "old.db")
        record(old, entry("later"))
        old.close()
        with store_under_test.next_layout():
            new = open_store()
            new.restore(tmp_path / "old.db")
            assert [WEB] == list(new.read().entries)
            assert [] == new.verify()
            new.close()
