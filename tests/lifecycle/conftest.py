"""Fixtures of lifecycle tests: use-cases called as functions (``scenario``), and the program itself
(``cli``, ``shop``, and ``applied`` for a stack that was applied).
"""

from pathlib import Path

import pytest

from tests.lifecycle.commandline import cli, shop
from tests.lifecycle.recoveryprogram import sites
from tests.lifecycle.scenario import Scenario
from tests.lifecycle.unharmed import applied, applied_once

__all__ = ["applied", "applied_once", "cli", "scenario", "shop", "sites"]


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    """An empty stack on an empty endpoint."""
    return Scenario(tmp_path)
