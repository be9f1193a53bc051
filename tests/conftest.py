"""Options of the whole suite. Fixtures of one kind of test live in that folder's conftest."""

import signal

import pytest
from hypothesis import settings

# How long an example takes says more about what else the machine does than about the program.
settings.register_profile("shared machine", deadline=None, print_blob=True)
settings.load_profile("shared machine")

pytest_plugins = ["tests.lab.fixtures", "tests.golden_support"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the long matrices too")
    parser.addoption(
        "--examples", type=int, metavar="N", help="how many examples a property gets by default"
    )


def pytest_configure(config: pytest.Config) -> None:
    # A run in the background is started with Ctrl-C ignored, and so would be what it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    examples = config.getoption("--examples")
    if examples is not None:
        settings.register_profile("at length", settings(), max_examples=examples)
        settings.load_profile("at length")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow"):
        return
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="long matrix: runs with --slow"))
