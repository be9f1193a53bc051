"""What builds the vSphere simulator of the lab: a Go that is new enough, or none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab import cache, golang, vcsim

pytestmark = pytest.mark.live


@pytest.mark.parametrize(
    ("release", "found"), [("go1.24.9", False), ("go1.25.0", True), ("go2.0-rc1", True)]
)
def test_an_old_go_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, release: str, found: bool
) -> None:
    monkeypatch.setattr(cache, "folder", lambda *_: tmp_path / "no wheel")
    program = tmp_path / "go"
    program.write_text(f"#!/bin/sh\necho {release}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (program if found else None) == golang.toolchain()


def test_a_machine_without_go_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golang, "is_built", lambda: False)
    monkeypatch.setattr(golang, "toolchain", lambda: None)
    assert "run scripts/setup, or install Go 1.25" in (vcsim.unavailable() or "")
