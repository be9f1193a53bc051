"""Options of the whole suite. Fixtures of one kind of test live in that folder's conftest."""

import shutil
import signal
import tempfile
from collections.abc import Iterator

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


@pytest.fixture(scope="session", autouse=True)
def _caches_of_their_own() -> Iterator[None]:
    """What the program keeps for its user is kept for the tests only."""
    homes = {name: tempfile.mkdtemp() for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME")}
    with pytest.MonkeyPatch.context() as patch:
        for name, folder in homes.items():
            patch.setenv(name, folder)
        yield
    for folder in homes.values():
        shutil.rmtree(folder, ignore_errors=True)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Tests that share a daemon must meet on one worker. What gathers them marks their names."""
    if not session.config.getoption("loadgroup", default=False):
        return
    for item in session.items:
        if item.get_closest_marker("xdist_group") and "@" not in item.nodeid:
            raise pytest.UsageError(f"{item.nodeid} is not kept with its group by pytest-xdist")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow"):
        return
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="long matrix: runs with --slow"))
