"""Waiting for tasks, without an endpoint."""

from types import SimpleNamespace
from typing import Any

import pytest

from provisioner.core.clock import Deadline, SystemClock

vim = pytest.importorskip("pyVmomi").vim
tasks = pytest.importorskip("provisioner_plugins.vmware.wire.tasks")
sweep = pytest.importorskip("provisioner_plugins.vmware.wire.sweep")


def test_several_wait_for_the_same_task(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def look(_client: Any, _what: str, objects: Any, _wanted: Any) -> list[Any]:
        asked.append([item._GetMoId() for item in objects])
        state = {"info.state": vim.TaskInfo.State.success, "info.result": "done"}
        return [sweep.Row("task-1", vim.Task, state)]

    monkeypatch.setattr(tasks, "look", look)
    task = SimpleNamespace(_GetMoId=lambda: "task-1")
    waiting = tasks.Tasks(SimpleNamespace())
    deadline = Deadline.after(1.0, SystemClock())
    assert ["done", "done"] == waiting.gather([("one", task), ("another", task)], deadline)
    assert [["task-1"]] == asked
