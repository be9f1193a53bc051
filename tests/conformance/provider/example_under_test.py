"""The provider in docs/provider-contract.md under test: its code is taken from the page."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from provisioner.core.address import Address
from provisioner.core.values import Json
from provisioner.core.values import Path as FieldPath
from tests.conformance.provider.cases import surroundings
from tests.conformance.provider.interference import Lossy

PAGE = Path(__file__).parents[3] / "docs" / "provider-contract.md"
KIND = "Network"


def example(folder: Path) -> ModuleType:
    """The page's provider as a module."""
    blocks: list[str] = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)
    assert 1 == len(blocks)
    path = folder / "folder_provider.py"
    path.write_text(blocks[0])
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class FolderUnderTest:
    """Implements ProviderUnderTest for one kind, and Outside for itself."""

    unstamped: frozenset[str] = frozenset()
    journaled: frozenset[str] = frozenset()
    defers = True
    drift: Mapping[str, Mapping[str, Any]] = {KIND: {"mtu": 1400}}
    surroundings: Mapping[Address, Mapping[str, Any] | None] = dict.fromkeys(surroundings())

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "networks"
        self._folder.mkdir()
        self._calls = 0
        module = example(folder)
        self.provider = Lossy(module.FolderProvider())
        self.host: Mapping[str, Any] = {"connection": {"folder": str(self._folder)}}
        self.outside = self
        self.values: Mapping[str, Json] = {
            **{name: name for name in ("bridge", "otherBridge", "device", "otherDevice")},
            "openvswitchBridge": "ovs0",
            "networkNative": {"folder": {"note": "one"}},
            "otherNetworkNative": {"folder": {"note": "two"}},
        }
        self._watch(module.FolderSession)

    def _watch(self, session: Any) -> None:
        """Count how often the folder is listed."""
        listing = session._list

        def counted(this: Any) -> Any:
            self._calls += 1
            return listing(this)

        session._list = counted

    def refuses(self, kind: str, field: str) -> str | None:  # noqa: ARG002 - a file can hold all
        return None

    def lose_answer(self, call: str) -> None:
        self.provider.lose(call)

    @contextmanager
    def cut_off(self) -> Iterator[None]:
        away = self._folder.with_suffix(".away")
        self._folder.rename(away)
        try:
            yield
        finally:
            away.rename(self._folder)

    def calls(self) -> int:
        return self._calls

    def close(self) -> None:
        """The folder goes with the others of the test run."""

    # Outside

    def add(self, kind: str, name: str) -> str:
        assert KIND == kind
        content = {"name": name, "owner": None, "spec": {"mode": "isolated"}}
        path = self._folder / f"foreign-{name}.json"
        path.write_text(json.dumps(content))
        return path.stem

    def change(self, kind: str, name: str) -> FieldPath:
        assert KIND == kind
        path = self._find(name)
        content = json.loads(path.read_text())
        content["spec"]["mtu"] = 9000
        path.write_text(json.dumps(content))
        return ("mtu",)

    def remove(self, kind: str, name: str) -> None:
        assert KIND == kind
        self._find(name).unlink()

    def picture(self, kind: str, name: str) -> object:
        assert KIND == kind
        found = [path.read_text() for path in self._named(name)]
        return found or None

    def _find(self, name: str) -> Path:
        found = self._named(name)
        if len(found) != 1:
            raise LookupError(f"{len(found)} networks are called {name}")
        return found[0]

    def _named(self, name: str) -> list[Path]:
        paths = sorted(self._folder.glob("*.json"))
        return [path for path in paths if json.loads(path.read_text())["name"] == name]
