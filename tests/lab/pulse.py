"""Whether guests go on without a pause, told by how their serial logs grow. Called by live tests of
recovery.
"""

import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from tests.lab.serial import SerialLog

LOOK_SECONDS = 0.05


class Pulse:
    """Looks at logs, in a thread, from ``__enter__`` to ``__exit__``. ``longest`` is the longest
    time, in seconds, in which one of them did not grow.
    """

    def __init__(self, logs: Iterable[SerialLog]) -> None:
        self.longest = 0.0
        self._paths = [log.path for log in logs]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="pulse", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        sizes = [path.stat().st_size for path in self._paths]
        grew = [time.monotonic()] * len(sizes)
        while not self._ended.wait(LOOK_SECONDS):
            now = time.monotonic()
            for number, path in enumerate(self._paths):
                self.longest = max(self.longest, now - grew[number])
                size = path.stat().st_size
                if size > sizes[number]:
                    sizes[number], grew[number] = size, now
