"""A queue in memory that keeps what SQS promises and no more: no order, letters out of sight for a while,
receipts that end with the next receive."""

from __future__ import annotations

import itertools
import random
import threading
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from core.app import App
from core.providers.base import QueueMessage

SENT_AT = datetime(2026, 5, 4, 9, tzinfo=UTC)


@dataclass
class MemoryQueue:
    """Of any number of addresses. Time is `at`, in seconds; whoever tests moves it."""

    seed: int = 0
    hidden_seconds: float = 60.0
    at: float = 0.0
    bodies: dict[str, dict[str, str]] = field(default_factory=dict)  # by address, by id
    receives: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._numbers = itertools.count(1)
        self._hidden: dict[str, float] = {}
        self._receipts: dict[str, str] = {}
        self._lock = threading.Lock()

    def send_to(self, url: str, body: str) -> None:
        with self._lock:
            self.bodies.setdefault(url, {})[f"letter-{next(self._numbers)}"] = body

    def receive(
        self, url: str, *, wait_seconds: int, hidden_seconds: int | None = None
    ) -> list[QueueMessage]:
        with self._lock:
            there = self.bodies.get(url, {})
            visible = [id_ for id_ in there if self._hidden.get(id_, 0.0) <= self.at]
            chosen = self._random.sample(visible, min(10, len(visible)))
            return [self._given(url, id_, hidden_seconds) for id_ in chosen]

    def _given(self, url: str, id_: str, hidden_seconds: int | None) -> QueueMessage:
        self._hidden[id_] = self.at + (self.hidden_seconds if hidden_seconds is None else hidden_seconds)
        self.receives[id_] = self.receives.get(id_, 0) + 1
        self._receipts[id_] = f"{id_}/{self.receives[id_]}"
        return QueueMessage(self._receipts[id_], self.bodies[url][id_], SENT_AT, self.receives[id_], id_)

    def delete(self, url: str, receipts: list[str]) -> None:
        with self._lock:
            for receipt in receipts:
                self.bodies[url].pop(self._of(receipt), None)

    def release(self, url: str, receipts: list[str]) -> None:
        with self._lock:
            for receipt in receipts:
                self._hidden.pop(self._of(receipt), None)

    def depth(self, url: str) -> int:
        with self._lock:
            return len(self.bodies.get(url, {}))

    def in_sight(self, url: str) -> int:
        with self._lock:
            return sum(self._hidden.get(id_, 0.0) <= self.at for id_ in self.bodies.get(url, {}))

    def _of(self, receipt: str) -> str:
        id_ = receipt.partition("/")[0]
        assert self._receipts.get(id_) == receipt, "SQS takes the last receipt only"
        return id_


def with_queue(app: App, queue: Any) -> App:
    """The same installation, whose events come by this queue."""
    return replace(app, providers=_Providers(queue))


class _Providers:
    def __init__(self, queue: Any) -> None:
        self._queue = queue

    def queue(self, region: str) -> Any:
        return self._queue

    def email(self, region: str) -> Any:
        raise AssertionError("nobody asks SES here")

    def resend(self) -> None:
        return None
