"""Whose runs a journal has, and the signed files that runs began with."""

from __future__ import annotations

from pathlib import Path

from provisioner.workflows import bases, owners
from provisioner.workflows.journal import Journal
from provisioner.workflows.owners import Owner

MINE, OTHER = Owner("shop", "stack", "1"), Owner("shop", "stack", "2")


def test_a_journal_is_of_whom_claims_it_first(tmp_path: Path) -> None:
    path = tmp_path / "plan.db"
    assert owners.owner_of(path) is None
    assert MINE == owners.claim(path, MINE)
    assert MINE == owners.claim(path, OTHER)
    assert MINE == owners.owner_of(path)


def test_whoever_only_asks_makes_nothing(tmp_path: Path) -> None:
    owners.owner_of(tmp_path / "plan.db")
    bases.signed(tmp_path / "plan.db", "digest")
    assert [] == list(tmp_path.iterdir())


def test_a_claimed_journal_has_no_runs(tmp_path: Path) -> None:
    path = tmp_path / "plan.db"
    owners.claim(path, MINE)
    assert Journal(path).last() is None


def test_signed_files_are_kept_as_they_were_each_once(tmp_path: Path) -> None:
    path = tmp_path / "plan.db"
    bases.keep(path, "digest", {"a": 1})
    assert [] == bases.signed(path, "digest")
    for content in (b"one", b"two", b"one"):
        bases.keep(path, "digest", {"a": 1}, content)
    assert [b"one", b"two"] == bases.signed(path, "digest")
    assert [] == bases.signed(path, "other")
    assert {"a": 1} == bases.kept(path, "digest")
