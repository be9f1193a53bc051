"""How calls get to the inventory of a memory endpoint: counted, as slow and as faulty as the Host's
connection says, with the errors of the contract.

Each session has one; its parts share it.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import TypeVar

from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import error
from provisioner.providers.api import Context, Outcome, Resource, Retryable, Terminal
from provisioner_plugins.memory.faults import Faults
from provisioner_plugins.memory.inventory import DamagedFileError, Inventory
from provisioner_plugins.memory.telling import Told

Result = TypeVar("Result")

_AGAIN_SECONDS = 0.05


class Access:
    """The way of one session to its inventory."""

    def __init__(
        self,
        host: str,
        inventory: Inventory,
        faults: Faults,
        calls: Counter[str],
        *,
        context: Context,
        told: Told,
        latency: Mapping[str, float],
    ) -> None:
        """``latency``: how many seconds a call takes, by its name; ``*`` is any other."""
        self.host = host
        self.inventory = inventory
        self.faults = faults
        self.clock = context.clock
        self.told = told
        self._calls = calls
        self._progress = context.progress
        self._latency = latency
        self._never = threading.Event()
        self._closed = False

    def close(self) -> None:
        """Refuse every later call."""
        self._closed = True
        self.inventory.close()

    def begin(self, call: str, deadline: Deadline | None = None) -> None:
        """Count a call that reads, and let it take its time; not within access."""
        self._count(call)
        self._wait(call, deadline)

    def call(
        self, call: str, resource: Resource, deadline: Deadline, work: Callable[[], Result]
    ) -> Result:
        """Count a call, let faults happen, and do the work; not within access, nor is the work."""
        self._count(call)
        if deadline.passed:
            raise self._out_of_time(call, resource)
        later = self.faults.before(
            call, resource.address, deadline, lambda: self.told.of(resource.spec)
        )
        self._wait(call, deadline)
        if self._latency and deadline.passed:
            raise self._out_of_time(call, resource)
        result = work()
        self.faults.after(call, resource.address, later)
        if later is not None and later.effect == "noted":
            self._progress(resource.address, later.said)
            if isinstance(result, Outcome):
                outputs = {**result.outputs, "said": later.said}
                result = replace(result, notes=(*result.notes, later.said), outputs=outputs)
        return result

    def change(
        self, call: str, resource: Resource, deadline: Deadline, work: Callable[[], Result]
    ) -> Result:
        """The same, with the work done within access."""

        def alone() -> Result:
            with self.changing():
                return work()

        return self.call(call, resource, deadline, alone)

    def reading(self) -> AbstractContextManager[None]:
        """Hold the inventory still."""
        return self._within(self.inventory.reading)

    def changing(self) -> AbstractContextManager[None]:
        """The same, and keep others from changing anything meanwhile."""
        return self._within(self.inventory.changing)

    def _count(self, call: str) -> None:
        if self._closed:
            raise Terminal(
                error(
                    "PRV5907",
                    f"the session to Host/{self.host} is closed",
                    hint="This is a defect of the program; please report it.",
                )
            )
        self._calls[call] += 1

    def _wait(self, call: str, deadline: Deadline | None = None) -> None:
        seconds = self._latency.get(call, self._latency.get("*", 0.0))
        if seconds:
            self._never.wait(seconds if deadline is None else min(seconds, deadline.remaining()))

    @contextmanager
    def _within(self, how: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
        try:
            with how():
                if self.inventory.unreachable:
                    raise Retryable(
                        error(
                            "PRV5390",
                            f"Host/{self.host} cannot be reached",
                            detail="Somebody has cut the endpoint off, or its power.",
                            hint="Try again once it is back.",
                        ),
                        _AGAIN_SECONDS,
                    )
                yield
        except DamagedFileError as problem:
            raise Terminal(
                error(
                    "PRV5901",
                    f"the file of Host/{self.host} is damaged",
                    detail=f"{self.inventory.path}, {problem}",
                    hint="Put a copy in its place, or remove it to begin with an empty endpoint.",
                )
            ) from problem
        except OSError as problem:
            raise Terminal(
                error(
                    "PRV5900",
                    f"the file of Host/{self.host} cannot be used",
                    detail=f"{self.inventory.path}: {problem.strerror}",
                    hint="Check the path in the Host's connection, its owner and the room left.",
                )
            ) from problem

    def _out_of_time(self, call: str, resource: Resource) -> Retryable:
        return Retryable(
            error(
                "PRV5904",
                f"there was no time left to {call} {resource.address}",
                address=str(resource.address),
            )
        )
