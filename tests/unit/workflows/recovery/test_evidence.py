"""Signed reports: what is refused, and that the documents are what the schema says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provisioner.core.diagnostics import ProvisionerError
from provisioner.workflows.recovery import evidence
from provisioner.workflows.recovery.model import Mode
from provisioner.workflows.recovery.report import report
from provisioner.workflows.recovery.signing import SigningKey, TrustedKeys
from tests.lifecycle.results import misfits
from tests.unit.workflows.recovery.told import run_of, shop

KEY = SigningKey.new()
TRUSTED = TrustedKeys({KEY.id: ("Ada", KEY.public)}, "keys")


def document(key: SigningKey | None = KEY, mode: Mode = Mode.FAILOVER) -> dict[str, Any]:
    failing = ["gate/cache/1"] if mode in (Mode.MIGRATE, Mode.FAILOVER) else []
    content = evidence.content(
        report(run_of(shop(), mode, *failing)),
        made="2026-03-01T04:00:00+00:00",
        made_by="ann@ops",
        version="1",
    )
    return evidence.signed(content, key)


def code_of(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ProvisionerError) as caught:
        evidence.verify(path, TRUSTED)
    return caught.value.diagnostics[0].code


@pytest.mark.parametrize("mode", [mode for mode in Mode if mode is not Mode.CLEANUP])
def test_documents_are_what_the_schema_says(mode: Mode) -> None:
    for key in (KEY, None):
        plain = json.loads(json.dumps(document(key, mode)))
        assert [] == misfits("recovery-report", plain)


@pytest.mark.parametrize("indent", [None, 2])
def test_a_report_that_is_as_it_was_signed(tmp_path: Path, indent: int | None) -> None:
    made = document()
    path = tmp_path / "report.json"
    path.write_text(json.dumps(made, indent=indent), encoding="utf-8")
    found = evidence.verify(path, TRUSTED)
    assert ("Ada", evidence.content_digest(made)) == (found.signed_by, found.digest)
    assert made["run"] == found.document["run"]


def test_programs_that_write_whole_numbers_without_a_fraction_break_no_signature(
    tmp_path: Path,
) -> None:
    text = json.dumps(document())
    assert ".0" in text
    path = tmp_path / "report.json"
    path.write_text(re.sub(r"(?<=\d)\.0(?=[,}])", "", text), encoding="utf-8")
    assert "Ada" == evidence.verify(path, TRUSTED).signed_by


def better(made: dict[str, Any]) -> None:
    made["time"]["achievedSeconds"] = 1.0


def shorter(made: dict[str, Any]) -> None:
    made["failures"].clear()


def longer(made: dict[str, Any]) -> None:
    made["note"] = "all is well"


@pytest.mark.parametrize("alter", [better, shorter, longer])
def test_an_altered_report_is_refused(
    tmp_path: Path, alter: Callable[[dict[str, Any]], None]
) -> None:
    made = document()
    alter(made)
    assert "PRV7042" == code_of(tmp_path / "report.json", json.dumps(made))


def test_what_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    good = json.dumps(document())
    assert "PRV7131" == code_of(path, json.dumps(document(None)))
    assert "PRV7044" == code_of(path, json.dumps(document(SigningKey.new())))
    assert "PRV7130" == code_of(path, good.replace('"plan"', '"run": "other", "plan"', 1))
    assert "PRV7130" == code_of(path, good.replace("report/1", "report/2"))
    assert "PRV7130" == code_of(path, good[:-1])
    assert "PRV7130" == code_of(path, "[]")
    assert "PRV7130" == code_of(path, good.replace('"ed25519"', '"none"'))
    with pytest.raises(ProvisionerError, match="PRV7130"):
        evidence.verify(tmp_path / "nothing", TRUSTED)
