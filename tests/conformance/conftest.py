"""The stores under test: each test that asks for one runs for every implementation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioner.state.store import Store
from tests.conformance.stores import STORES, OpenStore, StoreUnderTest


@pytest.fixture(params=STORES, ids=lambda store: store.name)
def store_under_test(request: pytest.FixtureRequest) -> StoreUnderTest:
    store: StoreUnderTest = request.param
    return store


@pytest.fixture
def open_store(store_under_test: StoreUnderTest, tmp_path: Path) -> Iterator[OpenStore]:
    opener = store_under_test.opener(tmp_path)
    handles: list[Store] = []

    def tracked(*args: Any, **rest: Any) -> Store:
        handles.append(opener(*args, **rest))
        return handles[-1]

    yield tracked
    for handle in handles:
        handle.close()


@pytest.fixture
def store(open_store: OpenStore) -> Store:
    return open_store()
