"""Reading many objects of one list with several handles at once, where round trips are long. Called
by :mod:`inventory`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from provisioner.providers.api import ProviderError
from provisioner_plugins._libvirt.connection import Connection

K = TypeVar("K", bound=Hashable)
S = TypeVar("S")
T = TypeVar("T")


def read_each(
    connection: Connection,
    read: Callable[[S], T],
    items: Mapping[K, S],
    list_again: Callable[[Any], Mapping[K, S]],
) -> list[T | None]:
    """``read`` of every item, in order; None for what a helper did not find any more.

    ``items`` are libvirt's objects on the handle of the thread that calls. Each helper finds them
    on its own handle with ``list_again``, and begins when that is open: until then the others read
    on. Raises what ``read`` raises.
    """
    helpers = connection.helpers(len(items))
    if not helpers:
        return [read(item) for item in items.values()]
    left = deque(items)
    done: dict[K, T] = {}

    def go_on(found: Mapping[K, S]) -> None:
        while left:
            try:
                key = left.popleft()
            except IndexError:
                return
            if key in found:
                done[key] = read(found[key])

    def help_out() -> None:
        began = False

        def run(handle: Any) -> None:
            nonlocal began
            if left:
                found = list_again(handle)
                began = True
                go_on(found)

        try:
            connection.help("read beside others", run)
        except ProviderError:
            # One that took nothing on is not missed.
            if began:
                raise

    with ThreadPoolExecutor(helpers, "read-beside") as pool:
        futures = [pool.submit(help_out) for _ in range(helpers)]
        try:
            go_on(items)
        finally:
            left.clear()
        for future in futures:
            future.result()
    return [done.get(key) for key in items]
