"""Golden files: expected output kept in tests/golden, read in review, refreshed by
``--update-goldens``.

A pytest plugin, loaded by tests/conftest.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "golden"

CheckGolden = Callable[[str, str], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-goldens",
        action="store_true",
        help="write what the tests get into tests/golden; then read the difference",
    )


@pytest.fixture
def check_golden(request: pytest.FixtureRequest) -> CheckGolden:
    """``check_golden(name, text)``: the text is what tests/golden/NAME holds."""
    update = request.config.getoption("--update-goldens")

    def check(name: str, text: str) -> None:
        path = FOLDER / name
        if update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            return
        if not path.exists():
            pytest.fail(f"tests/golden/{name} is missing: run pytest with --update-goldens")
        assert path.read_text(encoding="utf-8") == text

    return check
