"""The scenario fixture of lifecycle tests."""

from pathlib import Path

import pytest

from tests.lifecycle.scenario import Scenario


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    """An empty stack on an empty endpoint."""
    return Scenario(tmp_path)
