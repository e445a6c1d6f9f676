"""Visitors: somebody who comes while a transaction of the test is open."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

COMING_SECONDS = 0.3


class Visitor:
    def __init__(self, act: Callable[[], object]) -> None:
        self._act = act
        self._raised: Exception | None = None
        self._thread = threading.Thread(target=self._run)

    def come(self) -> None:
        """Returns when it waits for the transaction, or is done."""
        self._thread.start()
        time.sleep(COMING_SECONDS)

    def left(self) -> Exception | None:
        """What it was told."""
        self._thread.join()
        return self._raised

    def _run(self) -> None:
        try:
            self._act()
        except Exception as e:
            self._raised = e
