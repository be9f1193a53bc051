"""Stored recovery plans say what was compiled, and nothing else is taken for one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provisioner.core.diagnostics import ProvisionerError
from provisioner.workflows.recovery import storing
from provisioner.workflows.recovery.documents import plan_json, plan_of
from provisioner.workflows.recovery.fingerprint import fingerprint
from provisioner.workflows.recovery.model import Check, RecoveryPlan
from provisioner.workflows.recovery.signing import SigningKey, TrustedKeys, make_key
from provisioner.workflows.recovery.storing import Estate
from tests.unit.workflows.samples import COMPILED, DB, LINEAGE, sample

KEY = SigningKey.new()
TRUSTED = TrustedKeys({KEY.id: ("ada", KEY.public)}, "the test")
TEXT = storing.stored_text(sample(), KEY).encode()
LATER = COMPILED + timedelta(days=1)


def read(content: bytes, path: Path, **options: Any) -> storing.Stored:
    path.write_bytes(content)
    arguments = {"trusted": TRUSTED, "now": LATER, **options}
    return storing.read(path, **arguments)


def refused(content: bytes, path: Path, **options: Any) -> str:
    with pytest.raises(ProvisionerError) as problem:
        read(content, path, **options)
    (found,) = problem.value.diagnostics
    return found.code


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shop.recovery"


def test_a_plan_is_read_as_it_was_written(path: Path) -> None:
    written = storing.write(sample(), KEY, path)
    found = storing.read(path, TRUSTED, LATER, Estate("estate", str(LINEAGE)))
    assert (sample(), written, "ada") == (found.plan, found.digest, found.signed_by)
    assert 0o600 == path.stat().st_mode & 0o777


def test_programs_go_along_and_make_no_other_plan_of_it(path: Path) -> None:
    """A run that began without them may be gone on with by the stored plan."""
    carrying = replace(sample(), programs={"./fence": b"#!/bin/sh\n\xff"})
    storing.write(carrying, KEY, path)
    assert carrying == storing.read(path, TRUSTED, LATER).plan
    assert storing.plan_digest(carrying) != storing.plan_digest(sample())
    assert fingerprint(carrying) == fingerprint(sample())


def test_a_program_that_does_not_fit_its_digest_is_none() -> None:
    data = plan_json(replace(sample(), programs={"./fence": b"true"}))
    data["programs"]["./fence"]["content"] = "ZmFsc2U="
    with pytest.raises(ValueError, match="not the one that was stored"):
        plan_of(data)


@pytest.mark.parametrize(("minutes", "code"), [(5, ""), (6, "PRV7123")])
def test_a_plan_of_the_future(path: Path, minutes: int, code: str) -> None:
    now = COMPILED - timedelta(minutes=minutes)
    if not code:
        assert "" == read(TEXT, path, now=now).overdue
        return
    assert code == refused(TEXT, path, now=now)
    assert "in the future" in read(TEXT, path, now=now, allow_age=True).overdue


def test_the_digest_does_not_depend_on_who_signs(path: Path) -> None:
    other = SigningKey.new()
    assert storing.plan_digest(sample()) == storing.write(sample(), other, path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(data=st.data())
def test_whatever_byte_is_changed_the_file_is_refused(path: Path, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(TEXT)))
    more = data.draw(st.binary(max_size=2))
    less = data.draw(st.integers(0, 2))
    content = TEXT[:place] + more + TEXT[place + less :]
    if content != TEXT:
        with pytest.raises(ProvisionerError):
            read(content, path)


def test_every_single_byte_counts(path: Path) -> None:
    for place in range(0, len(TEXT), 7):
        content = bytearray(TEXT)
        content[place] ^= 1
        with pytest.raises(ProvisionerError):
            read(bytes(content), path)


def edited(change: Callable[[dict[str, Any]], None]) -> bytes:
    document = json.loads(TEXT)
    change(document)
    return json.dumps(document).encode()


def test_a_file_of_another_version(path: Path) -> None:
    content = TEXT.replace(b"provisioner.recovery/1", b"provisioner.recovery/3", 1)
    assert "PRV7041" == refused(content, path)


@pytest.mark.parametrize(
    "content", [b"", b"kind: Stack", b"[]", b'{"format": "provisioner.plan/1"}']
)
def test_a_file_that_is_something_else(path: Path, content: bytes) -> None:
    assert "PRV7041" == refused(content, path)


def test_a_file_without_a_signature(path: Path) -> None:
    assert "PRV7043" == refused(edited(lambda document: document.pop("signature")), path)


def test_a_file_that_says_the_same_in_other_words(path: Path) -> None:
    assert "PRV7042" == refused(json.dumps(json.loads(TEXT)).encode(), path)


def test_a_text_that_is_no_unicode(path: Path) -> None:
    content = TEXT.replace(b'"name":"shop"', b'"name":"\\ud800"', 1)
    assert TEXT != content
    assert "PRV7042" == refused(content, path)


def test_a_plan_that_was_changed_and_got_a_new_digest(path: Path) -> None:
    """Only who has the key can make a file that is taken."""
    forged = storing.stored_text(replace(sample(), fencing=None), KEY).encode()
    signature = json.dumps(json.loads(TEXT)["signature"], separators=(",", ":")).encode()
    own = json.dumps(json.loads(forged)["signature"], separators=(",", ":")).encode()
    assert "PRV7042" == refused(forged.replace(own, signature), path)


def test_a_plan_that_a_stranger_signed(path: Path) -> None:
    content = storing.stored_text(sample(), SigningKey.new()).encode()
    assert "PRV7044" == refused(content, path)


@pytest.mark.parametrize("estate", [Estate("other"), Estate("estate", "another lineage")])
def test_a_plan_of_another_estate(path: Path, estate: Estate) -> None:
    assert "PRV7045" == refused(TEXT, path, expected=estate)


def test_a_plan_is_used_until_the_end_of_its_time(path: Path) -> None:
    last = COMPILED + timedelta(days=7)
    assert sample() == read(TEXT, path, now=last).plan
    assert "PRV7046" == refused(TEXT, path, now=last + timedelta(seconds=1))


def asking() -> RecoveryPlan:
    """The plan, in which one machine asks something of another for itself alone."""
    db, web = sample().machines
    return replace(sample(), machines=(db, replace(web, edges={DB: (Check("agent"),)})))


def test_what_machines_ask_of_each_other_is_read_as_it_was_written(path: Path) -> None:
    storing.write(asking(), KEY, path)
    assert asking() == storing.read(path, TRUSTED, LATER).plan


def test_a_version_that_does_not_know_them_refuses_a_plan_with_them_and_reads_all_others() -> None:
    formats = [
        json.loads(storing.stored_text(plan, KEY))["format"] for plan in (sample(), asking())
    ]
    assert ["provisioner.recovery/1", "provisioner.recovery/2"] == formats
    assert b"edges" not in TEXT


def test_a_plan_with_them_is_not_taken_for_one_of_the_older_version(path: Path) -> None:
    content = storing.stored_text(asking(), KEY).replace("recovery/2", "recovery/1", 1)
    assert "PRV7042" == refused(content.encode(), path)


def test_nothing_else_is_overwritten(path: Path) -> None:
    path.write_text("kind: Stack\n")
    with pytest.raises(ProvisionerError, match="is no stored recovery plan"):
        storing.write(sample(), KEY, path)
    assert "kind: Stack\n" == path.read_text()


def test_a_key_is_its_owners_alone_and_the_other_half_is_a_line(tmp_path: Path) -> None:
    made = make_key(tmp_path / "ops", "ops of east")
    assert 0o600 == (tmp_path / "ops").stat().st_mode & 0o777
    assert made.id == SigningKey.read(tmp_path / "ops").id
    trusted = TrustedKeys.read(tmp_path / "ops.pub")
    assert {made.id: ("ops of east", made.public)} == trusted.keys


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(ProvisionerError) as problem:
        call()
    return problem.value.diagnostics[0].code


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "ops"
    make_key(path, "ops")
    before = path.read_bytes()
    assert "PRV7049" == code_of(lambda: make_key(path, "ops"))
    assert before == path.read_bytes()


def test_a_key_that_others_may_read(tmp_path: Path) -> None:
    make_key(tmp_path / "ops", "ops")
    (tmp_path / "ops").chmod(0o640)
    assert "PRV7047" == code_of(lambda: SigningKey.read(tmp_path / "ops"))


def test_a_file_that_holds_no_key(tmp_path: Path) -> None:
    (tmp_path / "ops").touch(0o600)
    assert "PRV7047" == code_of(lambda: SigningKey.read(tmp_path / "ops"))
    assert "PRV7047" == code_of(lambda: SigningKey.read(tmp_path / "nothing"))


def test_trusted_keys_with_a_line_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "trusted").write_text(f"# ours\n\n{KEY.public_line('ada')}ed25519 abc ben\n")
    with pytest.raises(ProvisionerError) as problem:
        TrustedKeys.read(tmp_path / "trusted")
    (found,) = problem.value.diagnostics
    assert ("PRV7048", 4) == (found.code, found.source.line if found.source else None)


def test_a_key_shows_nothing_of_itself() -> None:
    assert "SigningKey()" == repr(KEY)
